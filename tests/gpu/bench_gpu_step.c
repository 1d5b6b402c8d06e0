// Steps of a whole model through the engine, with random weights: what one token costs.
//
//   bench_gpu_step [config.json's folder | 8b] [case ...]   case: rows@context, gap:rows@context,
//                                                               job, check
//
// rows@context: that many requests whose context grows around `context`; prints the time
// between two steps' tokens once all rows decode, beside the floor of reading weights (of experts
// those that tokens choose if they choose evenly) and KV at the measured copy bandwidth (argument
// of the environment: WEFT_COPY_TBS, default 4.2). job: 256 requests of lognormal prompts and
// uniform outputs, all at time 0 (the peers' benchmark); lengths come from a file of "prompt
// output" lines named by WEFT_JOB_LENGTHS. gap: the device's idle time between a captured step's
// last kernel and the next one's first, by the device's clock, read by a kernel before and one
// after each replay (their own launches count as idle). check: captured, padded and plain steps
// give the same tokens. WEFT_BENCH_WEIGHTS=fp8: weights in that format. WEFT_BENCH_CAPTURE=off:
// steps are not captured.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/engine.h"
#include "io/base/clock.h"

static const char llama_8b[] =
    "{\"architectures\": [\"LlamaForCausalLM\"], \"model_type\": \"llama\", \"hidden_act\": "
    "\"silu\","
    "\"hidden_size\": 4096, \"intermediate_size\": 14336, \"num_hidden_layers\": 32,"
    "\"num_attention_heads\": 32, \"num_key_value_heads\": 8, \"rms_norm_eps\": 1e-05,"
    "\"rope_theta\": 500000.0, \"max_position_embeddings\": 8192, \"vocab_size\": 128256,"
    "\"tie_word_embeddings\": false, \"attention_bias\": false, \"mlp_bias\": false,"
    "\"bos_token_id\": 128000, \"eos_token_id\": 128001, \"torch_dtype\": \"bfloat16\"}\n";

enum { MAX_STEPS = 20000, MAX_REQUESTS = 4096 };

static void must(wf_status st, const char *what)
{
    if (st == WF_OK) return;
    fprintf(stderr, "bench: %s: %s: %s\n", what, wf_status_name(st), wf_error());
    exit(wf_status_exit_code(st));
}

// A folder with the built-in config.json.
static void write_config(char out[64])
{
    char path[96];
    strcpy(out, "/tmp/weft-bench-XXXXXX");
    if (!mkdtemp(out)) exit(74);
    snprintf(path, sizeof path, "%s/config.json", out);
    FILE *f = fopen(path, "w");
    if (!f || fputs(llama_8b, f) < 0 || fclose(f) != 0) exit(74);
}

typedef struct bench {
    wf_backend *be;
    wf_model *model;
    wf_comm *comm;
    wf_numerics numerics;
    double copy_rate;
    wf_capture capture;
} bench;

// ---- the device's clock round every replay ------------------------------------------------------

// A table that stamps around graph_launch and is the back end's own otherwise.
static struct {
    const wf_backend_ops *inner;
    wf_backend_ops ops;
    uint64_t *at;          // [2 * MAX_STEPS] begin and end of each replay
    bool alone[MAX_STEPS]; // a step that was not a replay came before it
    int n;
    bool capturing, other;
} stamps;

static wf_status stamped_launch(wf_backend *be, wf_stream *s, wf_graph *g)
{
    if (stamps.n >= MAX_STEPS) return stamps.inner->graph_launch(be, s, g);
    stamps.alone[stamps.n] = stamps.other;
    stamps.other = false;
    uint64_t *at = stamps.at + 2 * (size_t)stamps.n++;
    WF_TRY(stamps.inner->stamp(be, s, at));
    WF_TRY(stamps.inner->graph_launch(be, s, g));
    return stamps.inner->stamp(be, s, at + 1);
}

static wf_status stamped_begin(wf_backend *be, wf_stream *s)
{
    stamps.capturing = true;
    return stamps.inner->capture_begin(be, s);
}

static wf_status stamped_end(wf_backend *be, wf_stream *s, wf_graph **out)
{
    stamps.capturing = false;
    return stamps.inner->capture_end(be, s, out);
}

static wf_status stamped_embed(wf_backend *be, wf_stream *s, const wf_embed_args *a)
{
    if (!stamps.capturing) stamps.other = true;
    return stamps.inner->embed(be, s, a);
}

static void stamps_on(wf_backend *be)
{
    stamps.inner = be->ops;
    stamps.ops = *be->ops;
    stamps.ops.graph_launch = stamped_launch;
    stamps.ops.capture_begin = stamped_begin;
    stamps.ops.capture_end = stamped_end;
    stamps.ops.embed = stamped_embed;
    if (!stamps.at)
        must(be->ops->host_alloc(be, 2 * MAX_STEPS * sizeof *stamps.at, (void **)&stamps.at),
             "stamps");
    stamps.n = 0;
    be->ops = &stamps.ops;
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void stamps_off(wf_backend *be, int32_t rows, int32_t context)
{
    static int64_t idle[MAX_STEPS];
    int n = 0;
    be->ops = stamps.inner;
    for (int i = 1; i < stamps.n; i++)
        if (!stamps.alone[i])
            idle[n++] = (int64_t)(stamps.at[2 * (size_t)i] - stamps.at[2 * (size_t)i - 1]);
    if (n == 0) return;
    qsort(idle, (size_t)n, sizeof *idle, by_value);
    printf("gap_us,%d,%d,p50 %.2f,p90 %.2f,p99 %.2f,max %.2f,%d gaps\n", rows, context,
           (double)idle[n / 2] * 1e-3, (double)idle[n - 1 - n / 10] * 1e-3,
           (double)idle[n - 1 - n / 100] * 1e-3, (double)idle[n - 1] * 1e-3, n);
    fflush(stdout);
}

// ---- requests and steps -------------------------------------------------------------------------

static void submit(wf_engine *e, int i, int32_t n_prompt, int32_t n_new, int32_t n_vocab)
{
    wf_sampling sampling = wf_sampling_default();
    int32_t *prompt = malloc((size_t)n_prompt * sizeof *prompt);
    for (int32_t k = 0; k < n_prompt; k++)
        prompt[k] = (int32_t)((uint32_t)(i * 7919 + k * 104729) % (uint32_t)n_vocab);
    sampling.ignore_eos = true;
    wf_engine_input in = {.user = (uint64_t)i,
                          .n_prompt = (uint32_t)n_prompt,
                          .max_new_tokens = (uint32_t)n_new,
                          .prompt = prompt,
                          .sampling = &sampling,
                          .rng_key = (uint64_t)i};
    must(wf_engine_submit(e, &in), "submit");
    free(prompt);
}

typedef struct run_log {
    int64_t token_ns[MAX_STEPS], plan_ns[MAX_STEPS]; // when a step's tokens came; its planning
    wf_step_record record[MAX_STEPS];
    int n_steps;
    int64_t n_tokens;
} run_log;

// Steps until every request is done.
static void run(wf_engine *e, int n_requests, run_log *log)
{
    int n_done = 0;
    log->n_steps = 0;
    log->n_tokens = 0;
    while (n_done < n_requests) {
        bool recorded, ran;
        const wf_engine_output *o;
        wf_step_record *r = &log->record[log->n_steps];
        must(wf_engine_step(e, true, r, &recorded, &ran), "step");
        if (recorded && log->n_steps + 1 < MAX_STEPS) log->token_ns[log->n_steps++] = wf_clock_ns();
        while ((o = wf_engine_take(e))) {
            log->n_tokens += o->n_tokens;
            wf_engine_release(e, o);
            n_done++;
        }
    }
}

static wf_engine *open_engine(const bench *b, int32_t rows, int32_t step_tokens, int64_t tokens)
{
    wf_engine *e = NULL;
    wf_arch_memory memory;
    wf_arch_bytes(&b->model->arch, &b->numerics, b->model->tp_size, 0, &memory);
    wf_engine_config c = {.max_rows = rows,
                          .step_tokens = step_tokens,
                          .page_tokens = 64,
                          .max_context = b->model->arch.max_context,
                          .kv_bytes = (uint64_t)tokens * memory.kv_bytes_per_token,
                          .reorder = WF_REORDER_INDEX,
                          .fusion = WF_FUSION_TEMPORAL,
                          .instances = 1,
                          .steps_ahead = -1,
                          .n_top = -1,
                          .capture = b->capture};
    must(wf_engine_create(b->be, b->model, b->comm, &c, &e), "engine");
    wf_engine_start(e, wf_clock_ns());
    return e;
}

static void bench_steps(const bench *b, int32_t rows, int32_t context)
{
    enum { STEPS = 96 };
    static run_log log;
    int32_t n_prompt = context > STEPS / 2 ? context - STEPS / 2 : 1;
    int64_t gap[STEPS], plan[STEPS];
    int n = 0;
    double sum = 0.0;
    const wf_arch *a = &b->model->arch;
    for (int round = 0; round < 2; round++) { // the first one finds the GEMM plans, prompts' too
        wf_engine *e =
            open_engine(b, rows, rows > 8192 ? rows : 8192, (int64_t)rows * (context + 192));
        for (int32_t i = 0; i < rows; i++)
            submit(e, i, n_prompt, round == 0 ? 8 : STEPS, a->n_vocab);
        run(e, rows, &log);
        wf_engine_destroy(e);
    }
    for (int i = 1; i < log.n_steps && n < STEPS; i++) {
        if (log.record[i].n_decode != rows || log.record[i - 1].n_decode != rows) continue;
        plan[n] = log.record[i].plan_ns;
        gap[n++] = log.token_ns[i] - log.token_ns[i - 1];
        sum += (double)gap[n - 1];
    }
    if (n == 0) return;
    qsort(gap, (size_t)n, sizeof *gap, by_value);
    qsort(plan, (size_t)n, sizeof *plan, by_value);
    wf_arch_memory m;
    wf_arch_bytes(a, &b->numerics, 1, b->model->arch.max_context, &m);
    double unread = (double)m.experts_bytes * (1.0 - wf_arch_experts_touched(a, rows));
    double bytes =
        (double)m.step_read_bytes - unread + (double)rows * context * (double)m.kv_bytes_per_token;
    double floor_ms = bytes / b->copy_rate * 1e3, ms = sum / n * 1e-6;
    printf("step,%d,%d,%.3f,%.3f,%.3f,%.3f,%d,%.3f,%.3f,%.1f\n", rows, context, ms,
           (double)gap[n / 2] * 1e-6, (double)gap[0] * 1e-6, (double)gap[n - 1 - n / 100] * 1e-6, n,
           floor_ms, floor_ms / ms, (double)plan[n / 2] * 1e-3);
    fflush(stdout);
}

static void bench_gap(const bench *b, int32_t rows, int32_t context)
{
    static run_log log;
    wf_engine *e = open_engine(b, rows, rows > 8192 ? rows : 8192, (int64_t)rows * (context + 192));
    stamps_on(b->be);
    for (int32_t i = 0; i < rows; i++)
        submit(e, i, context, 160, b->model->arch.n_vocab);
    run(e, rows, &log);
    stamps_off(b->be, rows, context);
    wf_engine_destroy(e);
}

// Tokens of requests of many lengths: captured, padded, plain.
static void bench_check(const bench *b)
{
    enum { REQUESTS = 48, TOKENS = 160 };
    static int32_t token[3][REQUESTS][TOKENS];
    static const wf_capture ways[3] = {WF_CAPTURE_AUTO, WF_CAPTURE_PAD_ONLY, WF_CAPTURE_OFF};
    int64_t total = 0, same[3] = {0};
    int32_t graphs = 0;
    for (int k = 0; k < 3; k++) {
        bench way = *b;
        way.capture = ways[k];
        wf_engine *e = open_engine(&way, 40, 2048, 40 * 4096);
        for (int i = 0; i < REQUESTS; i++)
            submit(e, i, 1 + i * 67 % 900 + (i % 11 == 0) * 1500, 8 + i * 31 % (TOKENS - 8),
                   b->model->arch.n_vocab);
        for (int n_done = 0; n_done < REQUESTS;) {
            wf_step_record r;
            bool recorded, ran;
            const wf_engine_output *o;
            must(wf_engine_step(e, true, &r, &recorded, &ran), "step");
            while ((o = wf_engine_take(e))) {
                memcpy(token[k][o->user], o->token, o->n_tokens * sizeof *o->token);
                wf_engine_release(e, o);
                n_done++;
            }
        }
        if (k == 0) graphs = wf_engine_n_graphs(e);
        wf_engine_destroy(e);
    }
    for (int i = 0; i < REQUESTS; i++)
        for (int t = 0; t < 8 + i * 31 % (TOKENS - 8); t++, total++)
            for (int k = 0; k < 3; k++)
                same[k] += token[k][i][t] == token[0][i][t];
    printf("check,%lld tokens,%d captured steps,padded same %lld,plain same %lld\n",
           (long long)total, graphs, (long long)same[1], (long long)same[2]);
    fflush(stdout);
}

static void bench_job(const bench *b)
{
    static run_log log;
    const char *path = getenv("WEFT_JOB_LENGTHS");
    FILE *f = path ? fopen(path, "r") : NULL;
    int n = 0, prompt, output;
    if (!f) {
        fprintf(stderr, "bench: job: set WEFT_JOB_LENGTHS to a file of 'prompt output' lines\n");
        exit(64);
    }
    for (int round = 0; round < 2; round++) {
        wf_engine *e = open_engine(b, 256, 8192, 256 * 2048);
        int64_t begin = wf_clock_ns();
        rewind(f);
        for (n = 0; n < MAX_REQUESTS && fscanf(f, "%d %d", &prompt, &output) == 2; n++)
            submit(e, n, prompt, output, b->model->arch.n_vocab);
        run(e, n, &log);
        double s = (double)(wf_clock_ns() - begin) * 1e-9;
        printf("job,%d,%lld tokens,%.3f s,%.0f tok/s,%d steps%s\n", n, (long long)log.n_tokens, s,
               (double)log.n_tokens / s, log.n_steps, round == 0 ? " (first, finds plans)" : "");
        printf("job,%d captured steps\n", wf_engine_n_graphs(e));
        fflush(stdout);
        wf_engine_destroy(e);
    }
    fclose(f);
}

int main(int argc, char **argv)
{
    bench b = {0};
    wf_arch arch;
    wf_hf_folder *folder = NULL;
    char made[64] = "";
    const char *path = argc > 1 ? argv[1] : "8b", *rate = getenv("WEFT_COPY_TBS");
    if (strcmp(path, "8b") == 0) write_config(made), path = made;
    must(wf_hf_folder_open(path, false, &folder), "model");
    must(wf_arch_read(folder, false, &arch), "model");
    b.copy_rate = (rate ? atof(rate) : 4.2) * 1e12;
    const char *capture = getenv("WEFT_BENCH_CAPTURE");
    if (capture && strcmp(capture, "off") == 0) b.capture = WF_CAPTURE_OFF;
    b.numerics = wf_numerics_of(wf_model_resolve_dtype(&arch, WF_MODEL_DTYPE_AUTO));
    const char *weights = getenv("WEFT_BENCH_WEIGHTS");
    if (weights && !wf_dtype_named(weights, &b.numerics.weight)) must(WF_USAGE, weights);
    wf_backend_config bc = {.numerics = b.numerics};
    wf_model_config mc = {
        .tp_size = 1, .dtype = WF_MODEL_DTYPE_AUTO, .weights = b.numerics.weight, .seed = 1};
    must(wf_backend_create("cuda", &bc, &b.be), "back end");
    must(wf_comm_self_create(&b.comm), "communicator");
    int64_t begin = wf_clock_ns();
    must(wf_model_load(b.be, &arch, NULL, &mc, &b.model), "weights");
    printf("# random weights in %.2f s\n", (double)(wf_clock_ns() - begin) * 1e-9);
    printf("what,rows,context,mean_ms,median_ms,min_ms,p99_ms,steps,floor_ms,of_floor,plan_us\n");
    for (int i = 2; i < argc; i++) {
        int rows = 0, context = 0;
        if (strcmp(argv[i], "job") == 0)
            bench_job(&b);
        else if (strcmp(argv[i], "check") == 0)
            bench_check(&b);
        else if (sscanf(argv[i], "gap:%d@%d", &rows, &context) == 2)
            bench_gap(&b, rows, context);
        else if (sscanf(argv[i], "%d@%d", &rows, &context) == 2)
            bench_steps(&b, rows, context);
    }
    wf_model_destroy(&b.model);
    wf_comm_destroy(b.comm);
    wf_backend_destroy(b.be);
    wf_hf_folder_close(&folder);
    if (made[0]) {
        char config[96];
        snprintf(config, sizeof config, "%s/config.json", made);
        unlink(config);
        rmdir(made);
    }
    return 0;
}
