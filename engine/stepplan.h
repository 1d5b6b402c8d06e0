// The step plan: everything a rank needs to run one step, in one flat buffer.
//
//   [header: WF_PLAN_HEADER_WORDS int32] [section] [section] ...      (sections 16-byte aligned)
//
// The group's first rank writes it, the control channel carries it, every rank uploads it in one
// copy, and the kernels read the sections where they lie. Ranks that follow need nothing else: no
// queue, no clock, no decision. All functions are Local and pure.
//
// A step of decode rows alone may be padded: its rows are rounded up to a bucket, so that a few
// captured steps serve every batch (engine/graphs.h). Rows beyond the live ones sit in row
// max_rows, whose only page is page n_pages, both beside the real ones: nobody reads what they
// write.
#ifndef WF_ENGINE_STEPPLAN_H
#define WF_ENGINE_STEPPLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/ops.h"

// Header words. KIND tells steps from the message that ends the followers' loop.
#define WF_PLAN_FIELDS(X)                                                                          \
    X(KIND)                                                                                        \
    X(TOKENS)                                                                                      \
    X(SEQS)                                                                                        \
    X(DECODE)                                                                                      \
    X(MAX_NEW)                                                                                     \
    X(MAX_CONTEXT)                                                                                 \
    X(SAMPLES)                                                                                     \
    X(MOVES)                                                                                       \
    X(COPIES)                                                                                      \
    X(PAGES)                                                                                       \
    X(JOINS)                                                                                       \
    X(GROUP_SIZE)                                                                                  \
    X(LOGPROBS) /* 0: none, else 1 + how many best ones each sampled row gets */                   \
    X(GREEDY)   /* 1: every sampled row takes its greatest logit as it is (groups only) */         \
    X(PADDED)   /* 1: decode rows alone, rounded up to a bucket; MAX_CONTEXT is rounded as well */ \
    X(WISH_WORDS)  /* of the lists that sampled rows wish by; 0: none wishes anything */           \
    X(TYPED)       /* 1: a row has a second segment, whose tokens are of another type */           \
    X(SCORES)      /* places of prompts that are scored (prompt_scores.h), in whole batches */     \
    X(SCORE_BATCH) /* of so many */                                                                \
    X(SCORE_PROBS) /* 0: none, else 1 + how many best ones each place gets */

typedef enum wf_plan_field {
#define WF_PLAN_FIELD_ENUM(name) WF_PLAN_##name,
    WF_PLAN_FIELDS(WF_PLAN_FIELD_ENUM)
#undef WF_PLAN_FIELD_ENUM
        WF_PLAN_N_FIELDS,
    WF_PLAN_HEADER_WORDS = 32
} wf_plan_field;

typedef enum wf_plan_kind { WF_PLAN_STEP = 1, WF_PLAN_STOP = 2 } wf_plan_kind;

#define WF_SAMPLING_WORDS ((int32_t)(sizeof(wf_row_sampling) / sizeof(int32_t)))

#define WF_WISHES_WORDS ((int32_t)(sizeof(wf_row_wishes) / sizeof(int32_t)))

// X(name, words): h is the header. What a captured step reads comes first: its places depend on
// what the step's key has (graphs.h) and on nothing behind it.
#define WF_PLAN_SECTIONS(X)                                                                        \
    X(CU_SEQLENS, h[WF_PLAN_SEQS] + 1)                                                             \
    X(SEQ_ROW, h[WF_PLAN_SEQS])                                                                    \
    X(SEQ_PAST, h[WF_PLAN_SEQS])                                                                   \
    X(SEQ_JOIN, h[WF_PLAN_SEQS]) /* 1: its row is new */                                           \
    X(TOKEN_SEQ, h[WF_PLAN_TOKENS])                                                                \
    X(TOKEN_POS, h[WF_PLAN_TOKENS])                                                                \
    X(HOST_ID, h[WF_PLAN_TOKENS])       /* token id, or -1: the row's last token */                \
    X(SAMPLE_TOKEN, h[WF_PLAN_SAMPLES]) /* packed token whose hidden state is sampled */           \
    X(SAMPLE_ROW, h[WF_PLAN_SAMPLES])   /* a row to verify is sampled several times */             \
    X(SAMPLE_POS, h[WF_PLAN_SAMPLES])   /* position of the token drawn */                          \
    X(LOGIT_INDEX, h[WF_PLAN_SAMPLES] * h[WF_PLAN_GROUP_SIZE]) /* gathered slices into rows */     \
    X(WISHES, h[WF_PLAN_WISH_WORDS] > 0 ? h[WF_PLAN_SAMPLES] * WF_WISHES_WORDS : 0)                \
    X(WISH_WORD, h[WF_PLAN_WISH_WORDS])                                                            \
    X(MOVE_FROM, h[WF_PLAN_MOVES])                                                                 \
    X(MOVE_TO, h[WF_PLAN_MOVES])                                                                   \
    X(COPY_FROM, h[WF_PLAN_COPIES])                                                                \
    X(COPY_TO, h[WF_PLAN_COPIES])                                                                  \
    X(PAGE_INDEX, h[WF_PLAN_PAGES]) /* row * page_stride + column */                               \
    X(PAGE, h[WF_PLAN_PAGES])                                                                      \
    X(JOIN_ROW, h[WF_PLAN_JOINS])                                                                  \
    X(JOIN_SAMPLING, h[WF_PLAN_JOINS] * WF_SAMPLING_WORDS)  /* wf_row_sampling */                  \
    X(TOKEN_TYPE, h[WF_PLAN_TYPED] ? h[WF_PLAN_TOKENS] : 0) /* 0, or 1: of a second segment */     \
    X(SCORE_TOKEN, h[WF_PLAN_SCORES]) /* packed token whose hidden state scores a place */         \
    X(SCORE_ID, h[WF_PLAN_SCORES])    /* the token there */                                        \
    X(SCORE_WISHES, h[WF_PLAN_SCORES] * WF_WISHES_WORDS)                                           \
    X(SCORE_ROW, h[WF_PLAN_SCORE_BATCH])                                                           \
    X(SCORE_POS, h[WF_PLAN_SCORE_BATCH])                                                           \
    X(SCORE_INDEX, h[WF_PLAN_SCORE_BATCH] * h[WF_PLAN_GROUP_SIZE])

typedef enum wf_plan_section {
#define WF_PLAN_SECTION_ENUM(name, words) WF_PLAN_AT_##name,
    WF_PLAN_SECTIONS(WF_PLAN_SECTION_ENUM)
#undef WF_PLAN_SECTION_ENUM
        WF_PLAN_N_SECTIONS
} wf_plan_section;

// Where each section starts, in words from the buffer's start; returns the buffer's words in all.
int64_t wf_plan_layout(const int32_t *header, int64_t offsets[WF_PLAN_N_SECTIONS]);

// Limits of an engine, from which the largest possible plan follows.
typedef struct wf_plan_limits {
    int32_t max_rows, step_tokens, page_tokens, slot_pages, group_size;
    int32_t n_top;        // most logprobs a row may ask for; -1: none may
    bool pad;             // steps of decode rows alone are padded
    int32_t shared_pages; // most shared pages a step may name; 0: none are shared
    int32_t row_wishes;   // most words of one row's wishes; 0: none may have any
    int32_t prompt_probs; // 1 + most logprobs of prompt tokens a row may ask for; 0: none may
    int32_t n_beams;      // most beams of a request, whose last pages are copied; 0: none has any
    bool types;           // rows may have a second segment
} wf_plan_limits;

// The bucket of n_rows decode rows, at most max_rows, and of a longest context.
int32_t wf_plan_bucket_rows(int32_t n_rows, int32_t max_rows);
int32_t wf_plan_bucket_context(int32_t max_context);

int64_t wf_plan_most_words(const wf_plan_limits *limits);

// Checks a received plan: kind, counts within the limits, size. False: not a plan of this engine.
bool wf_plan_valid(const int32_t *plan, int64_t n_words, const wf_plan_limits *limits);

#endif
