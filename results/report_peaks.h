// Most tokens and most requests of any second, as vLLM's serving benchmark counts them: seconds
// begin at the first arrival; a request counts in every second that it touches. All Local.
#ifndef WF_RESULTS_REPORT_PEAKS_H
#define WF_RESULTS_REPORT_PEAKS_H

#include <stddef.h>

#include "io/results/result.h"

typedef struct wf_peaks {  // starts as {0}; memory: 8 bytes per token
    int64_t *token_ns;     // [n_tokens]
    int64_t (*span_ns)[2]; // [n_spans] arrival and finish
    size_t n_tokens, n_spans, tokens_capacity, spans_capacity;
} wf_peaks;

wf_status wf_peaks_add(wf_peaks *peaks, const wf_result *row); // done rows count
wf_status wf_peaks_find(const wf_peaks *peaks, double *tokens_per_s, int64_t *requests);
void wf_peaks_free(wf_peaks *peaks);

#endif
