// How weft diff says what it found: text, and JSON. Pure but for `out`.
#ifndef WF_RESULTS_DIFF_PRINT_H
#define WF_RESULTS_DIFF_PRINT_H

#include "io/base/json_writer.h"
#include "results/diff.h"

// X(NAME, words): what of a row differs, the first of these.
#define WF_DIFF_KIND_TABLE(X)                                                                      \
    X(NONE, "same")                                                                                \
    X(ONLY_A, "only in a")                                                                         \
    X(ONLY_B, "only in b")                                                                         \
    X(STATUS, "status")                                                                            \
    X(TOKENS, "tokens")                                                                            \
    X(TIE, "tie")                                                                                  \
    X(FINISH, "finish")

typedef enum wf_diff_kind {
#define WF_DIFF_KIND_ENUM(name, words) WF_DIFF_##name,
    WF_DIFF_KIND_TABLE(WF_DIFF_KIND_ENUM)
#undef WF_DIFF_KIND_ENUM
} wf_diff_kind;

const char *wf_diff_kind_words(wf_diff_kind kind);

typedef struct wf_diff_row {
    wf_diff_kind kind;
    const char *shard_path; // borrow
    const wf_result *a, *b; // borrow; NULL: not there
    uint32_t at;            // equal tokens before they part
    double gap[2]; // nat: how much more likely each side's own token was there than the other
                   // side's, by its own log-probabilities; NaN: not known
} wf_diff_row;

void wf_diff_row_text(const wf_diff_row *row, FILE *out);
void wf_diff_row_json(const wf_diff_row *row, wf_json_writer *w);

void wf_diff_sums_text(const wf_diff_sums *sums, const wf_diff_side sides[2], FILE *out);
void wf_diff_sums_json(const wf_diff_sums *sums, wf_json_writer *w);

#endif
