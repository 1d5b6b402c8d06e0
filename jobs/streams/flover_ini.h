// Flover's own configuration file, as its repository's src/flover/models/flover/configs/*.ini are:
// the sections [model_specification], [runtime_hyperparameter], [request], and one per model, of
// which model_type names the one that counts. Read as Flover reads it: names in any case, comments
// from ; or # on, one key=value a line.
//
// Every key is a row of WF_FLOVER_KEYS: its values that can be done are taken, others refused with
// the reason and what to write instead, as are keys that Flover does not know. Whoever writes the
// job says what became of each (cmd_flover.c). Not for use elsewhere. Local.
#ifndef WF_JOBS_STREAMS_FLOVER_INI_H
#define WF_JOBS_STREAMS_FLOVER_INI_H

#include <stdbool.h>
#include <stdint.h>

#include "io/base/status.h"

typedef enum wf_flover_section {
    WF_FLOVER_SPEC,    // [model_specification]
    WF_FLOVER_RUNTIME, // [runtime_hyperparameter]
    WF_FLOVER_REQUEST, // [request]
    WF_FLOVER_MODEL,   // that of model_type
    WF_FLOVER_OTHER    // of another model: not read, by Flover neither
} wf_flover_section;

typedef enum wf_flover_kind { WF_FLOVER_WORD, WF_FLOVER_WHOLE, WF_FLOVER_NUMBER } wf_flover_kind;

#define WF_FLOVER_NO_PIPELINE                                                                      \
    "layers are not spread over ranks: write pipeline_para_size=1 and let tensor_para_size be "    \
    "the "                                                                                         \
    "product"
#define WF_FLOVER_NO_PROMPTS  "learned prompts are not known here: write 0"
#define WF_FLOVER_NOT_DIVERSE "beams that are pushed apart are not searched for here: write 0"

// X(NAME, section, name, kind, needed, least, most, otherwise): `otherwise` says what to write in
// place of a number beyond least and most, where more than the range is to be said.
#define WF_FLOVER_KEYS(X)                                                                          \
    X(MODEL_TYPE, SPEC, "model_type", WORD, true, 0, 0, NULL)                                      \
    X(SPEC_DIR, SPEC, "model_dir", WORD, false, 0, 0, NULL)                                        \
    X(DATA_TYPE, SPEC, "data_type", WORD, true, 0, 0, NULL)                                        \
    X(MAX_CONCURRENCY, SPEC, "max_concurrency", WHOLE, true, 1, 1e6, NULL)                         \
    X(PER_BATCH_SIZE, SPEC, "per_batch_size", WHOLE, true, 1, 65536, NULL)                         \
    X(MAX_SEQ_LEN, SPEC, "max_seq_len", WHOLE, true, 2, 2147483647.0, NULL)                        \
    X(FIXED_INPUT_LEN, SPEC, "fixed_input_len", WHOLE, true, 1, 2147483647.0,                      \
      "a prompt has one token at least: write fixed_input_len=1")                                  \
    X(FIXED_PROMPT_LEN, SPEC, "fixed_prompt_len", WHOLE, false, 0, 0, WF_FLOVER_NO_PROMPTS)        \
    X(BEAM_WIDTH, SPEC, "beam_width", WHOLE, false, 1, 64, NULL)                                   \
    X(TENSOR, SPEC, "tensor_para_size", WHOLE, true, 1, 1024, NULL)                                \
    X(PIPELINE, SPEC, "pipeline_para_size", WHOLE, true, 1, 1, WF_FLOVER_NO_PIPELINE)              \
    X(TOP_K, RUNTIME, "top_k", WHOLE, true, 0, 1024, NULL)                                         \
    X(TOP_P, RUNTIME, "top_p", NUMBER, true, 0, 1, NULL)                                           \
    X(TEMPERATURE, RUNTIME, "temperature", NUMBER, true, 1e-3, 100,                                \
      "Flover divides by it: for greedy write temperature=1 and top_k=1")                          \
    X(REPETITION, RUNTIME, "repetition_penalty", NUMBER, false, 1e-3, 100, NULL)                   \
    X(PRESENCE, RUNTIME, "presence_penalty", NUMBER, false, -2, 2, NULL)                           \
    X(LEN_PENALTY, RUNTIME, "len_penalty", NUMBER, false, -100, 100, NULL)                         \
    X(DIVERSITY, RUNTIME, "beam_search_diversity_rate", NUMBER, false, 0, 0,                       \
      WF_FLOVER_NOT_DIVERSE)                                                                       \
    X(MIN_LENGTH, RUNTIME, "min_length", WHOLE, false, 0, 2147483647.0, NULL)                      \
    X(RUNTIME_TYPE, RUNTIME, "data_type", WORD, false, 0, 0, NULL)                                 \
    X(OWN_SUMS, RUNTIME, "enable_custom_all_reduce", WHOLE, false, 0, 1, NULL)                     \
    X(INTERVAL, RUNTIME, "interval", WHOLE, true, 0, 2147483647.0, NULL)                           \
    X(SHUFFLE, RUNTIME, "use_mem_shuffle", WHOLE, false, 0, 1, NULL)                               \
    X(OUTPUT_LEN, REQUEST, "request_output_len", WHOLE, true, 1, 2147483647.0, NULL)               \
    X(MEMORY_LEN, REQUEST, "memory_len", WHOLE, false, 0, 0,                                       \
      "a request keeps its whole KV: write 0; windows are the model's own")                        \
    X(HEADS, MODEL, "head_num", WHOLE, false, 1, 2147483647.0, NULL)                               \
    X(HEAD_DIM, MODEL, "size_per_head", WHOLE, false, 1, 2147483647.0, NULL)                       \
    X(FFN, MODEL, "inter_size", WHOLE, false, 1, 2147483647.0, NULL)                               \
    X(LAYERS, MODEL, "decoder_layers", WHOLE, false, 1, 2147483647.0, NULL)                        \
    X(ROTARY, MODEL, "rotary_embedding", WHOLE, false, 0, 2147483647.0, NULL)                      \
    X(VOCAB, MODEL, "vocab_size", WHOLE, false, 1, 2147483647.0, NULL)                             \
    X(NORM_EPS, MODEL, "layernorm_eps", NUMBER, false, 0, 1, NULL)                                 \
    X(MODEL_DIR, MODEL, "model_dir", WORD, false, 0, 0, NULL)                                      \
    X(START_ID, MODEL, "start_id", WHOLE, false, 0, 2147483647.0, NULL)                            \
    X(END_ID, MODEL, "end_id", WHOLE, false, 0, 2147483647.0, NULL)                                \
    X(WEIGHT_TYPE, MODEL, "weight_data_type", WORD, false, 0, 0, NULL)                             \
    X(SHARED_RATIO, MODEL, "shared_contexts_ratio", NUMBER, false, 0, 1, NULL)                     \
    X(N_TASKS, MODEL, "num_tasks", WHOLE, false, 0, 2147483647.0, NULL)                            \
    X(PROMPT_TYPE, MODEL, "prompt_learning_type", WHOLE, false, 0, 0, WF_FLOVER_NO_PROMPTS)        \
    X(PROMPT_START, MODEL, "prompt_learning_start_id", WHOLE, false, 0, 2147483647.0, NULL)

typedef enum wf_flover_key {
#define WF_FLOVER_ENUM(NAME, ...) WF_FLOVER_##NAME,
    WF_FLOVER_KEYS(WF_FLOVER_ENUM)
#undef WF_FLOVER_ENUM
        WF_FLOVER_N_KEYS
} wf_flover_key;

typedef struct wf_flover_value {
    int line; // 0: the file does not say
    double number;
    char text[256]; // as it stands there
} wf_flover_value;

typedef struct wf_flover {
    const char *path; // borrowed
    wf_flover_value value[WF_FLOVER_N_KEYS];
    char others[256]; // sections of other models, ", " between
} wf_flover;

// WF_NO_INPUT; WF_DATA with `file:line: [section] key=value: why, and what to write`.
wf_status wf_flover_read(const char *path, wf_flover *out);

// A mistake that only more than the file shows: the same form, of the key's line.
wf_status wf_flover_fail(const wf_flover *f, wf_flover_key key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// The key's name and its section's. Of the model's section: model_type.
const char *wf_flover_name(wf_flover_key key);
const char *wf_flover_section_name(const wf_flover *f, wf_flover_key key);

// The number, or `otherwise` where the file does not say.
double wf_flover_number(const wf_flover *f, wf_flover_key key, double otherwise);

#endif
