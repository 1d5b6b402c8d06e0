// The report as the result file of vLLM's serving benchmark (`vllm bench serve --save-result
// --save-detailed`, vLLM 0.26: vllm/benchmarks/serve.py), for scripts written against its keys.
//
// Every request is an element of each list, failed ones too, as there; seconds in lists, ms in
// figures. What differs: times count from the intended arrival; generated_texts are empty (results
// hold tokens); request_rate of a replay is the mean rate of its arrivals, and its burstiness null.
#ifndef WF_RESULTS_REPORT_VLLM_H
#define WF_RESULTS_REPORT_VLLM_H

#include "results/report.h"

// Memory: the text of the lists. Errors as wf_report_make_many, and WF_IO.
wf_status wf_report_vllm(const char *const *paths, size_t n, const wf_report_options *options,
                         FILE *out);

#endif
