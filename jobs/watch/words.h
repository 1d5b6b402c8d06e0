// Numbers as people read them: counts, rates, durations.
//
// All pure and Local; each writes at most WF_WORDS_MAX bytes and returns `text`.
#ifndef WF_JOBS_WATCH_WORDS_H
#define WF_JOBS_WATCH_WORDS_H

#include <stdint.h>

enum { WF_WORDS_MAX = 32 };

char *wf_words_count(int64_t value, char text[WF_WORDS_MAX]); // 1234567 -> "1,234,567"
char *wf_words_scaled(double value, char text[WF_WORDS_MAX]); // 41234 -> "41.2k"
char *wf_words_duration(int64_t ns, char text[WF_WORDS_MAX]); // "45s", "12m33s", "3h05m", "2d04h"

// "63.4%" of `whole`, rounded down: 100% is said when everything is done, not before.
char *wf_words_percent(int64_t part, int64_t whole, char text[WF_WORDS_MAX]);

// What a job's results are to be called: "sample" where its rows have several, else "request".
const char *wf_words_result(int64_t n_rows, int64_t n_results);

#endif
