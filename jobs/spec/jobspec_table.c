// The job file as a table: one row per key. See jobspec.h and io/base/option.h.
#include <stddef.h>

#include "engine/model.h"
#include "jobs/spec/jobspec.h"

#define AT(field) offsetof(wf_jobspec, field)

#define FORMAT_WORDS(name, words, long_words, ...) {words, WF_##name}, {long_words, WF_##name},
static const wf_option_word dtype_words[] = {{"auto", WF_MODEL_DTYPE_AUTO},
                                             WF_PLAIN_FORMATS(FORMAT_WORDS){"half", WF_F16},
                                             {"float", WF_F32},
                                             {NULL, 0}};
// Any plain format stands for model.dtype's.
#define FORMAT_WORD(name, words, ...) {words, WF_##name},
static const wf_option_word weights_format_words[] = {
    {"auto", WF_MODEL_DTYPE_AUTO}, {"plain", WF_F32}, WF_SCALED_FORMATS(FORMAT_WORD){NULL, 0}};
static const wf_option_word activations_words[] = {
    {"auto", WF_MODEL_DTYPE_AUTO}, {"plain", WF_F32}, {"fp8", WF_FP8}, {NULL, 0}};
static const wf_option_word weights_words[] = {
    {"file", WF_SPEC_WEIGHTS_FILE}, {"random", WF_SPEC_WEIGHTS_RANDOM}, {NULL, 0}};
static const wf_option_word generation_words[] = {
    {"auto", WF_SPEC_GENERATION_AUTO}, {"none", WF_SPEC_GENERATION_NONE}, {NULL, 0}};
static const wf_option_word arrivals_words[] = {
    {"offline", WF_SPEC_OFFLINE}, {"replay", WF_SPEC_REPLAY}, {"constant", WF_SPEC_CONSTANT},
    {"poisson", WF_SPEC_POISSON}, {"gamma", WF_SPEC_GAMMA},   {NULL, 0}};
static const wf_option_word backend_words[] = {{"auto", WF_SPEC_BACKEND_AUTO},
                                               {"ref", WF_SPEC_BACKEND_REF},
                                               {"cpu", WF_SPEC_BACKEND_CPU},
                                               {"cuda", WF_SPEC_BACKEND_CUDA},
                                               {NULL, 0}};
static const wf_option_word layout_words[] = {{"auto", WF_SPEC_LAYOUT_AUTO},
                                              {"world", WF_SPEC_LAYOUT_WORLD},
                                              {"groups", WF_SPEC_LAYOUT_GROUPS},
                                              {NULL, 0}};
static const wf_option_word reorder_words[] = {
    {"index", WF_REORDER_INDEX}, {"copy", WF_REORDER_COPY}, {"off", WF_REORDER_OFF}, {NULL, 0}};
static const wf_option_word fusion_words[] = {{"temporal", WF_FUSION_TEMPORAL},
                                              {"window", WF_FUSION_WINDOW},
                                              {"instances", WF_FUSION_INSTANCES},
                                              {"static", WF_FUSION_STATIC},
                                              {NULL, 0}};
static const wf_option_word prefix_words[] = {
    {"auto", WF_PREFIX_AUTO}, {"on", WF_PREFIX_ON}, {"off", WF_PREFIX_OFF}, {NULL, 0}};
static const wf_option_word order_words[] = {
    {"arrival", WF_SPEC_ORDER_ARRIVAL}, {"prefix", WF_SPEC_ORDER_PREFIX}, {NULL, 0}};
static const wf_option_word nvls_words[] = {
    {"off", WF_SPEC_NVLS_OFF}, {"auto", WF_SPEC_NVLS_AUTO}, {NULL, 0}};
static const wf_option_word capture_words[] = {
    {"auto", WF_CAPTURE_AUTO}, {"off", WF_CAPTURE_OFF}, {NULL, 0}};
static const wf_option_word all_reduce_words[] = {
    {"auto", WF_COMM_SUMS_AUTO}, {"nccl", WF_COMM_SUMS_NCCL}, {"own", WF_COMM_SUMS_OWN}, {NULL, 0}};
static const wf_option_word auto_words[] = {{"auto", 0}, {NULL, 0}};
static const wf_option_word none_words[] = {{"none", 0}, {NULL, 0}};
static const wf_option_word unlimited_words[] = {{"none", -1}, {NULL, 0}};
static const wf_option_word logprobs_words[] = {
    {"raw", WF_SPEC_LOGPROBS_RAW}, {"processed", WF_SPEC_LOGPROBS_PROCESSED}, {NULL, 0}};
static const wf_option_word seed_words[] = {{"job", -1}, {NULL, 0}};

// Columns behind logprobs are younger than folders that are gone on with.
// The sampling keys come from the table that also makes the shards' columns; here are only the
// texts that it cannot hold. A column without them does not compile.
#define DEFAULT_temperature        "0"
#define DEFAULT_top_p              "1"
#define DEFAULT_top_k              "0"
#define DEFAULT_min_p              "0"
#define DEFAULT_repetition_penalty "1"
#define DEFAULT_presence_penalty   "0"
#define DEFAULT_frequency_penalty  "0"
#define DEFAULT_min_tokens         "0"
#define DEFAULT_seed               "-1"
#define DEFAULT_ignore_eos         "false"
#define DEFAULT_n                  "1"
#define DEFAULT_best_of            "0"
#define DEFAULT_logprobs           "-1"

#define HELP_temperature "0 is greedy; otherwise logits are divided by it before drawing"
#define HELP_top_p       "draw among the most probable tokens that together reach this probability"
#define HELP_top_k       "draw among this many most probable tokens; 0 or -1: all"
#define HELP_min_p "draw among tokens of at least this share of the most probable one's probability"
#define HELP_repetition_penalty                                                                    \
    "above 1 makes tokens of the prompt and the output so far less likely"
#define HELP_presence_penalty  "subtracted once from the logit of every token generated so far"
#define HELP_frequency_penalty "subtracted from a token's logit for each time it was generated"
#define HELP_min_tokens        "no end-of-sequence or stop token before this many tokens"
#define HELP_seed                                                                                  \
    "seed of a request's random numbers: requests of equal seed and prompt draw the same tokens, " \
    "wherever they stand; -1: each has numbers of its own, made from the job's seed"
#define HELP_ignore_eos "generate max_new_tokens whatever the model says"
#define HELP_n          "outputs per request"
#define HELP_best_of                                                                               \
    "so many outputs are drawn, and the n of the greatest sum of log-probabilities kept, the "     \
    "best first: requests/score; 0: as many as n"
#define HELP_logprobs                                                                              \
    "keep log-probabilities: of the drawn token (0) and of the k best (k); -1: none"

// clang-format off
#define OPTION_TYPE(ctype)                                                                         \
    _Generic((ctype){0}, bool: WF_OPTION_BOOL, float: WF_OPTION_F32, int32_t: WF_OPTION_I32,       \
             uint32_t: WF_OPTION_U32, int64_t: WF_OPTION_I64)
#define LIMIT(ctype, value) _Generic((ctype){0}, bool: 0, default: value)
// clang-format on

#define SAMPLING_ROW(field, ctype, kind, def, lo, hi)                                              \
    {.name = "sampling." #field,                                                                   \
     .type = OPTION_TYPE(ctype),                                                                   \
     .offset = AT(sampling.field),                                                                 \
     .min = LIMIT(ctype, lo),                                                                      \
     .max = LIMIT(ctype, hi),                                                                      \
     .default_text = DEFAULT_##field,                                                              \
     .help = HELP_##field,                                                                         \
     .decides = WF_SPEC_ANY_MODE |                                                                 \
                (WF_SAMPLING_##field > WF_SAMPLING_logprobs ? WF_SPEC_UNLESS_DEFAULT : 0)},

// One year: longer durations are slips of the unit.
#define MAX_NS (366.0 * 86400e9)

const wf_option wf_jobspec_table[] = {
    {.name = "job",
     .type = WF_OPTION_STRING,
     .offset = AT(job),
     .default_text = "",
     .example = "my-job",
     .help = "name of the job, also for Slurm; empty: the job file's own name"},
    {.name = "seed",
     .type = WF_OPTION_I64,
     .offset = AT(seed),
     .min = 0,
     .max = 4294967295.0,
     .default_text = "0",
     .help = "seed of everything random in the job",
     .decides = WF_SPEC_ANY_MODE},

    {.name = "model.path",
     .type = WF_OPTION_STRING,
     .offset = AT(model.path),
     .example = "models/llama-3-8b",
     .help = "a Hugging Face model folder: config.json and, with weights: file, safetensors"},
    {.name = "model.dtype",
     .type = WF_OPTION_ENUM,
     .offset = AT(model.dtype),
     .words = dtype_words,
     .absent = "fp8 int8 fp4 nvfp4 int4",
     .default_text = "auto",
     .help = "type of weights; auto: the checkpoint's own",
     .decides = WF_SPEC_ANY_MODE},
    {.name = "model.weights_format",
     .type = WF_OPTION_ENUM,
     .offset = AT(model.weights_format),
     .words = weights_format_words,
     .absent = "fp4 nvfp4 nf4 int3 int2",
     .default_text = "auto",
     .help =
         "what matrices are kept in: auto: as a quantised checkpoint has them (unpacked, aloud, "
         "where the back end does not read it), else plain; plain: model.dtype. Made as they "
         "are loaded: fp8, int8: one scale for each output; int4, mxfp4: one for each group of "
         "128 (or what divides a row) and of 32. Embeddings stay plain, and the head of a "
         "4-bit model",
     .decides = WF_SPEC_ANY_MODE | WF_SPEC_UNLESS_DEFAULT},
    {.name = "model.activations_format",
     .type = WF_OPTION_ENUM,
     .offset = AT(model.activations_format),
     .words = activations_words,
     .absent = "int8",
     .default_text = "auto",
     .help = "fp8: with fp8 weights on GPUs, where a step has more than 64 rows, each row of a "
             "product is rounded to fp8 by a scale of its own; auto: plain: products take "
             "activations as they are",
     .decides = WF_SPEC_ANY_MODE | WF_SPEC_UNLESS_DEFAULT},
    {.name = "model.kv_dtype",
     .type = WF_OPTION_ENUM,
     .offset = AT(model.kv_dtype),
     .words = dtype_words,
     .absent = "fp8 int8 fp4 nvfp4 int4",
     .default_text = "auto",
     .help = "type of KV memory; auto: that of the weights. Half the bytes hold twice the tokens; "
             "on cuda weights of 16 bits take their own only",
     .decides = WF_SPEC_ANY_MODE | WF_SPEC_UNLESS_DEFAULT},
    {.name = "model.weights",
     .type = WF_OPTION_ENUM,
     .offset = AT(model.weights),
     .words = weights_words,
     .default_text = "file",
     .help =
         "file: from the folder; random: made up from the seed, to measure without a checkpoint",
     .decides = WF_SPEC_ANY_MODE},

    {.name = "model.trust_config",
     .type = WF_OPTION_BOOL,
     .offset = AT(model.trust_config),
     .default_text = "false",
     .help = "true: keys of config.json that are not known here, and code that the model brings "
             "(auto_map), are passed over with a warning; false: they are refused"},
    {.name = "model.generation_config",
     .type = WF_OPTION_ENUM,
     .offset = AT(model.generation_config),
     .words = generation_words,
     .default_text = "auto",
     .help = "auto: temperature, top_k, top_p, min_p and repetition_penalty of the model's "
             "generation_config.json are the defaults of sampling, as in vLLM; none: they are not"},
    {.name = "model.generation_taken",
     .type = WF_OPTION_STRINGS,
     .internal = true,
     .offset = AT(model.generation_taken),
     .default_text = "[]",
     .help = "written into the resolved job: the sampling keys that came from "
             "generation_config.json"},

    {.name = "requests",
     .type = WF_OPTION_STRINGS,
     .offset = AT(requests),
     .example = "[streams/*.h5]",
     .help = "request shards, or files of prompts (.jsonl, .csv, .tsv, .parquet), paths or shell "
             "patterns, relative to the working directory"},

    {.name = "text.tokenizer",
     .type = WF_OPTION_STRING,
     .offset = AT(text.tokenizer),
     .default_text = "",
     .help = "prompts files: a tokenizer.json, a folder with one, or bytes; empty: the model's"},
    {.name = "text.prompt",
     .type = WF_OPTION_STRING,
     .offset = AT(text.prompt),
     .default_text = "prompt",
     .help = "prompts files: the key or column that holds the prompt"},
    {.name = "text.chat",
     .type = WF_OPTION_BOOL,
     .offset = AT(text.chat),
     .default_text = "false",
     .help = "prompts files: a prompt is a user's message, in the model's chat template"},
    {.name = "text.max_new_tokens",
     .type = WF_OPTION_I32,
     .offset = AT(text.max_new_tokens),
     .min = 1,
     .max = 2147483647.0,
     .unit = "tokens",
     .default_text = "256",
     .help = "prompts files: most tokens to generate where a row does not say"},

    {.name = "arrivals.mode",
     .type = WF_OPTION_ENUM,
     .offset = AT(arrivals.mode),
     .words = arrivals_words,
     .default_text = "offline",
     .help = "when requests arrive: offline: all at once; replay: at the shards' own times; "
             "constant, poisson, gamma: at a rate",
     .decides = WF_SPEC_ANY_MODE},
    {.name = "arrivals.speed",
     .type = WF_OPTION_F64,
     .offset = AT(arrivals.speed),
     .min = 1e-6,
     .max = 1e6,
     .default_text = "1",
     .help = "replay: time runs this much faster than in the log",
     .decides = WF_SPEC_MODE(WF_SPEC_REPLAY)},
    {.name = "arrivals.rate",
     .type = WF_OPTION_F64,
     .offset = AT(arrivals.rate),
     .min = 1e-9,
     .max = 1e9,
     .words = none_words,
     .unit = "requests/s",
     .default_text = "none",
     .help = "constant, poisson, gamma: mean rate of arrivals over all shards",
     .decides = WF_SPEC_TIMED_BY_RATE},
    {.name = "arrivals.burstiness",
     .type = WF_OPTION_F64,
     .offset = AT(arrivals.burstiness),
     .min = 1e-3,
     .max = 1e3,
     .default_text = "1",
     .help = "gamma: shape of the gaps' distribution; below 1 is burstier than poisson",
     .decides = WF_SPEC_MODE(WF_SPEC_GAMMA)},
    {.name = "arrivals.seed",
     .type = WF_OPTION_I64,
     .offset = AT(arrivals.seed),
     .min = 0,
     .max = 4294967295.0,
     .words = seed_words,
     .default_text = "job",
     .help = "poisson, gamma: seed of the arrival times; job: the job's seed",
     .decides = WF_SPEC_TIMED_RANDOMLY},
    {.name = "arrivals.lag_tolerance",
     .type = WF_OPTION_DURATION,
     .offset = AT(arrivals.lag_tolerance_ns),
     .min = 0,
     .max = MAX_NS,
     .default_text = "10ms",
     .help = "timed arrivals: a request handed over later than this is counted in the report"},

    {.name = "arrivals.concurrency",
     .type = WF_OPTION_I32,
     .offset = AT(arrivals.concurrency),
     .min = 1,
     .max = 1e9,
     .words = none_words,
     .unit = "requests",
     .default_text = "none",
     .help = "offline: so many requests are in flight, and the next arrives as one ends: a closed "
             "loop, whose latencies count from there; the job's, spread over its groups, one each "
             "at least",
     .decides = WF_SPEC_MODE(WF_SPEC_OFFLINE) | WF_SPEC_UNLESS_DEFAULT},

    {.name = "parallel.tensor",
     .type = WF_OPTION_I32,
     .offset = AT(parallel.tensor),
     .min = 1,
     .max = 1024,
     .unit = "ranks",
     .default_text = "1",
     .help = "ranks that share one copy of the model; it must divide the attention heads"},
    {.name = "parallel.experts",
     .type = WF_OPTION_I32,
     .offset = AT(parallel.experts),
     .min = 1,
     .max = 1024,
     .words = auto_words,
     .unit = "parts",
     .default_text = "auto",
     .help = "models with experts: parts of a group of parallel.tensor ranks that have a share of "
             "the experts each, whose ranks split each of these; 1: every rank has a slice of "
             "every expert; auto: 1 where slices are even"},
    {.name = "parallel.replicas",
     .type = WF_OPTION_I32,
     .offset = AT(parallel.replicas),
     .min = 1,
     .max = 65536,
     .words = auto_words,
     .default_text = "auto",
     .help = "copies of the model; auto: as many as the ranks hold"},
    {.name = "parallel.backend",
     .type = WF_OPTION_ENUM,
     .offset = AT(parallel.backend),
     .words = backend_words,
     .default_text = "auto",
     .help = "what computes; auto: cuda where a device is found, else cpu; ref is slow and plain"},
    {.name = "parallel.layout",
     .type = WF_OPTION_ENUM,
     .offset = AT(parallel.layout),
     .words = layout_words,
     .default_text = "auto",
     .help = "world: all groups in one MPI world; groups: one MPI world per group"},
    {.name = "parallel.threads",
     .type = WF_OPTION_I32,
     .offset = AT(parallel.threads),
     .min = 1,
     .max = 4096,
     .words = auto_words,
     .unit = "threads",
     .default_text = "auto",
     .help = "threads per rank; auto: the node's cores divided by its ranks"},
    {.name = "parallel.heartbeat",
     .type = WF_OPTION_DURATION,
     .offset = AT(parallel.heartbeat_ns),
     .min = 5e9,
     .max = MAX_NS,
     .default_text = "30s",
     .help = "a rank whose counters stand still for so long is named; layout: groups: it is lost, "
             "and its group is started again"},
    {.name = "parallel.load_limit",
     .type = WF_OPTION_DURATION,
     .offset = AT(parallel.load_limit_ns),
     .min = 5e9,
     .max = MAX_NS,
     .default_text = "10m",
     .help = "layout: groups: the same while a rank starts and loads, and for a single step"},
    {.name = "parallel.peer_limit",
     .type = WF_OPTION_DURATION,
     .offset = AT(parallel.peer_limit_ns),
     .min = 1e9,
     .max = MAX_NS,
     .default_text = "2m",
     .help =
         "GPUs: a rank that keeps its group waiting for longer within a step is lost: the group "
         "ends and says which"},
    {.name = "parallel.max_restarts",
     .type = WF_OPTION_I32,
     .offset = AT(parallel.max_restarts),
     .min = 0,
     .max = 1000,
     .default_text = "3",
     .help = "layout: groups: a group lost so often in a row without finishing a request is not "
             "started again on the same place"},

    {.name = "engine.max_rows",
     .type = WF_OPTION_I32,
     .offset = AT(engine.max_rows),
     .min = 1,
     .max = 65536,
     .unit = "rows",
     .default_text = "256",
     .help = "requests in one fused step"},
    {.name = "engine.step_tokens",
     .type = WF_OPTION_I32,
     .offset = AT(engine.step_tokens),
     .min = 1,
     .max = 1048576,
     .unit = "tokens",
     .default_text = "2048",
     .help = "prompt tokens and decode rows in one step; long prompts are cut into chunks"},
    {.name = "engine.page_tokens",
     .type = WF_OPTION_I32,
     .offset = AT(engine.page_tokens),
     .min = 1,
     .max = 4096,
     .unit = "tokens",
     .default_text = "64",
     .help = "tokens in a page of KV memory"},
    {.name = "engine.kv_memory",
     .type = WF_OPTION_MEMORY,
     .offset = AT(engine.kv_memory),
     .words = auto_words,
     .default_text = "auto",
     .help = "KV memory of a rank: bytes, or a share of the free device memory, divided among the "
             "ranks on it; auto: 1GiB on the CPU, 0.95 on a GPU"},
    {.name = "engine.reorder",
     .type = WF_OPTION_ENUM,
     .offset = AT(engine.reorder),
     .words = reorder_words,
     .default_text = "index",
     .help = "how rows that end are filled: index: row tables only; copy: KV moves too; off: "
             "computed on until the batch has ended"},
    {.name = "engine.fusion",
     .type = WF_OPTION_ENUM,
     .offset = AT(engine.fusion),
     .words = fusion_words,
     .default_text = "temporal",
     .help = "who joins a batch: temporal: anybody at any step; window, instances, static: the "
             "baselines"},
    {.name = "engine.window",
     .type = WF_OPTION_DURATION,
     .offset = AT(engine.window_ns),
     .min = 0,
     .max = MAX_NS,
     .default_text = "2s",
     .help = "fusion: window: how long a batch stays open"},
    {.name = "engine.instances",
     .type = WF_OPTION_I32,
     .offset = AT(engine.instances),
     .min = 1,
     .max = 1024,
     .default_text = "8",
     .help = "fusion: instances: contexts of one request each"},
    {.name = "engine.prefix_cache",
     .type = WF_OPTION_ENUM,
     .offset = AT(engine.prefix_cache),
     .words = prefix_words,
     .default_text = "auto",
     .help =
         "prompts that begin alike share KV memory, and what they share is computed once; auto: "
         "where that changes no bit: on the CPU, and on a GPU with deterministic; needs "
         "reorder: index"},
    {.name = "engine.order",
     .type = WF_OPTION_ENUM,
     .offset = AT(engine.order),
     .words = order_words,
     .default_text = "arrival",
     .help =
         "who joins next: arrival: whoever waits longest; prefix, offline: of the next 256 rows "
         "that wait the one whose prompt shares most with what was computed, for KV memory that "
         "does not hold all that prompts begin with. Results stay in the order of the rows"},
    {.name = "engine.deterministic",
     .type = WF_OPTION_BOOL,
     .offset = AT(engine.deterministic),
     .default_text = "false",
     .help = "the same bits whatever shares the batch (on the CPU always so), and whether 1, 2, 4 "
             "or 8 ranks form a group, where the model's sizes allow it (weft plan says when not)",
     .decides = WF_SPEC_ANY_MODE},
    {.name = "engine.slot_tokens",
     .type = WF_OPTION_I32,
     .offset = AT(engine.slot_tokens),
     .min = 1,
     .max = 2147483647.0,
     .words = auto_words,
     .unit = "tokens",
     .default_text = "auto",
     .help = "reorder: copy: tokens of a row's slot, longer requests fail; auto: the context"},
    {.name = "engine.capture",
     .type = WF_OPTION_ENUM,
     .offset = AT(engine.capture),
     .words = capture_words,
     .default_text = "auto",
     .help = "GPU: auto: steps without prompts are padded to a few sizes, captured once and "
             "replayed; off: every kernel is launched"},
    {.name = "engine.nvls",
     .type = WF_OPTION_ENUM,
     .offset = AT(engine.nvls),
     .words = nvls_words,
     .default_text = "off",
     .help = "NVLink multicast in all-reduces; off: times do not depend on a host's multicast"},
    {.name = "engine.all_reduce",
     .type = WF_OPTION_ENUM,
     .offset = AT(engine.all_reduce),
     .words = all_reduce_words,
     .default_text = "auto",
     .help = "sums over a group of GPUs; auto: own kernels or NCCL, whichever measures faster at a "
             "size; own: devices of one host, without NCCL"},
    {.name = "engine.max_context",
     .type = WF_OPTION_I32,
     .offset = AT(engine.max_context),
     .min = 2,
     .max = 2147483647.0,
     .words = auto_words,
     .unit = "tokens",
     .default_text = "auto",
     .help = "prompt and output of a request together; auto: what the model was made for",
     .decides = WF_SPEC_ANY_MODE},

    WF_SAMPLING_TABLE(SAMPLING_ROW){
        .name = "sampling.logprobs_mode",
        .type = WF_OPTION_ENUM,
        .offset = AT(logprobs_mode),
        .words = logprobs_words,
        .default_text = "raw",
        .help =
            "log-probabilities as in vLLM: raw: of the model's logits as they come; "
            "processed: after penalties, temperature, top_k, top_p and min_p, what the token is "
            "drawn from",
        .decides = WF_SPEC_ANY_MODE | WF_SPEC_UNLESS_DEFAULT},
    {.name = "sampling.stop_token_ids",
     .type = WF_OPTION_I32S,
     .offset = AT(stop_token_ids),
     .min = 0,
     .max = 2147483647.0,
     .default_text = "[]",
     .help = "tokens that end a request, besides the model's end-of-sequence",
     .decides = WF_SPEC_ANY_MODE},

    {.name = "output.dir",
     .type = WF_OPTION_STRING,
     .offset = AT(output.dir),
     .default_text = "",
     .example = "out/my-job",
     .help = "output folder; empty: out/ and the job's name"},
    {.name = "output.text",
     .type = WF_OPTION_STRING,
     .offset = AT(output.text),
     .default_text = "",
     .help = "file for the answers as text once the job is complete, .jsonl, .csv, .tsv or "
             ".parquet; rows of prompts files come back with all their columns; empty: none"},
    {.name = "output.seal_every",
     .type = WF_OPTION_DURATION,
     .offset = AT(output.seal_every_ns),
     .min = 1e8,
     .max = MAX_NS,
     .default_text = "300s",
     .help =
         "finished requests are on disk for good after at most this long: the first after 10 s, "
         "then 20, 40 ..."},
    {.name = "output.seal_bytes",
     .type = WF_OPTION_BYTES,
     .offset = AT(output.seal_bytes),
     .min = 4096,
     .max = 1099511627776.0,
     .default_text = "256MB",
     .help = "a segment is sealed at this size"},
    {.name = "output.drain",
     .type = WF_OPTION_DURATION,
     .offset = AT(output.drain_ns),
     .min = 0,
     .max = 86400e9,
     .default_text = "120s",
     .help = "once the job must leave, requests in flight get at most this long; what cannot end "
             "in it is left to the next run at once; 10 s at most after SIGTERM and SIGINT"},
    {.name = "output.token_times",
     .type = WF_OPTION_BOOL,
     .offset = AT(output.token_times),
     .default_text = "true",
     .help = "keep the time of every token"},
    {.name = "output.steps",
     .type = WF_OPTION_BOOL,
     .offset = AT(output.steps),
     .default_text = "true",
     .help = "keep one row per engine step"},
    {.name = "output.max_failures",
     .type = WF_OPTION_I64,
     .offset = AT(output.max_failures),
     .min = 0,
     .max = 4294967295.0,
     .words = unlimited_words,
     .unit = "requests",
     .default_text = "none",
     .help = "stop the job when more requests than this have failed, in all groups together"},

    {.name = "slurm.partition",
     .type = WF_OPTION_STRING,
     .offset = AT(slurm.partition),
     .default_text = "",
     .help = "partition to submit to; empty: the cluster's default"},
    {.name = "slurm.nodes",
     .type = WF_OPTION_I32,
     .offset = AT(slurm.nodes),
     .min = 1,
     .max = 65536,
     .default_text = "1",
     .help = "nodes of the job"},
    {.name = "slurm.gpus_per_node",
     .type = WF_OPTION_I32,
     .offset = AT(slurm.gpus_per_node),
     .min = 1,
     .max = 1024,
     .words = none_words,
     .default_text = "none",
     .help = "GPUs on each node, one rank each"},
    {.name = "slurm.tasks_per_node",
     .type = WF_OPTION_I32,
     .offset = AT(slurm.tasks_per_node),
     .min = 1,
     .max = 4096,
     .words = auto_words,
     .default_text = "auto",
     .help = "ranks on each node; auto: one for each GPU, or what parallel asks for"},
    {.name = "slurm.time",
     .type = WF_OPTION_DURATION,
     .offset = AT(slurm.time_ns),
     .min = 60e9,
     .max = MAX_NS,
     .words = none_words,
     .default_text = "none",
     .example = "04:00:00",
     .help = "time limit; none: the partition's"},
    {.name = "slurm.signal",
     .type = WF_OPTION_DURATION,
     .offset = AT(slurm.signal_ns),
     .min = 0,
     .max = 65535e9,
     .default_text = "300s",
     .help =
         "how long before the limit the job drains and seals; at most half of the time there is"},
    {.name = "slurm.requeue",
     .type = WF_OPTION_BOOL,
     .offset = AT(slurm.requeue),
     .default_text = "true",
     .help = "go on by itself after the time limit or a lost node"},
    {.name = "slurm.fail_on_row_errors",
     .type = WF_OPTION_BOOL,
     .offset = AT(slurm.fail_on_row_errors),
     .default_text = "true",
     .help = "false: a complete job exits with 0 although some requests failed"},
    {.name = "slurm.account",
     .type = WF_OPTION_STRING,
     .offset = AT(slurm.account),
     .default_text = "",
     .help = "account to charge"},
    {.name = "slurm.qos",
     .type = WF_OPTION_STRING,
     .offset = AT(slurm.qos),
     .default_text = "",
     .help = "quality of service"},
    {.name = "slurm.constraint",
     .type = WF_OPTION_STRING,
     .offset = AT(slurm.constraint),
     .default_text = "",
     .help = "node features asked for"},
    {.name = "slurm.mem",
     .type = WF_OPTION_STRING,
     .offset = AT(slurm.mem),
     .default_text = "",
     .help = "memory per node, as Slurm writes it"},
    {.name = "slurm.cpus_per_task",
     .type = WF_OPTION_I32,
     .offset = AT(slurm.cpus_per_task),
     .min = 1,
     .max = 4096,
     .words = none_words,
     .default_text = "none",
     .help = "CPUs of each rank"},
    {.name = "slurm.container",
     .type = WF_OPTION_STRING,
     .offset = AT(slurm.container),
     .default_text = "",
     .help = "image to run in: .sif or docker:// by apptainer, others by Slurm's pyxis plug-in"},
    {.name = "slurm.stage_weights",
     .type = WF_OPTION_STRING,
     .offset = AT(slurm.stage_weights),
     .default_text = "",
     .help = "folder on each node's own disk to copy the weights to; $NAME and ${NAME} are "
             "expanded: /local/$USER"},
    {.name = "slurm.setup",
     .type = WF_OPTION_STRINGS,
     .offset = AT(slurm.setup),
     .default_text = "[]",
     .help = "shell lines before the job, such as module load; no other key is shell"},
    {.name = "slurm.extra",
     .type = WF_OPTION_STRINGS,
     .offset = AT(slurm.extra),
     .default_text = "[]",
     .help = "further #SBATCH options"},
};

const size_t wf_jobspec_n_options = sizeof wf_jobspec_table / sizeof wf_jobspec_table[0];
