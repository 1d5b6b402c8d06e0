// Words for what ended a request.
#include "io/results/result.h"

const char *wf_finish_words(wf_finish finish)
{
    switch (finish) {
#define FINISH_CASE(name, number, words)                                                           \
    case WF_FINISH_##name:                                                                         \
        return words;
        WF_FINISH_TABLE(FINISH_CASE)
#undef FINISH_CASE
    }
    return "unknown"; // a number out of a damaged or newer file
}

const char *wf_result_status_words(wf_result_status status)
{
    return status == WF_RESULT_DONE ? "done" : "failed";
}
