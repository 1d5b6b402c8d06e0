// A forward pass of BERT-base's shape over rows of many lengths, with random weights.
//
//   bench_encode BACKEND DTYPE LENGTHS [repeats [layers]]
//
// LENGTHS: a file of numbers, the tokens of each row. All rows are one step, again and again, each
// planned, packed and pooled as in a job; the plan of the next is made while one runs. Prints, as
// name,value lines: packed_ms and padded_ms of a forward pass (padded: every row as long as the
// longest), attention_ms of one layer's attention alone, by the device's clock, and tokens.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/encode_read.h"
#include "engine/engine.h"
#include "io/base/clock.h"

static const char bert_base[] =
    "{\"model_type\": \"bert\", \"hidden_act\": \"gelu\", \"hidden_size\": 768,"
    "\"intermediate_size\": 3072, \"num_hidden_layers\": %d, \"num_attention_heads\": 12,"
    "\"layer_norm_eps\": 1e-12, \"max_position_embeddings\": 4096, \"type_vocab_size\": 2,"
    "\"vocab_size\": 30522}\n";

enum { MOST_ROWS = 1024, HEADS = 12, DIM = 64 };

static void must(wf_status st, const char *what)
{
    if (st == WF_OK) return;
    fprintf(stderr, "bench: %s: %s: %s\n", what, wf_status_name(st), wf_error());
    exit(wf_status_exit_code(st));
}

typedef struct bench {
    wf_backend *be;
    wf_model *model;
    wf_comm *comm;
    wf_dtype act;
    int n_rows, longest, repeats;
    int32_t lengths[MOST_ROWS];
} bench;

static void read_arch(int n_layers, wf_arch *out)
{
    char folder[] = "/tmp/weft-bench-XXXXXX", path[96];
    wf_hf_folder *hf = NULL;
    if (!mkdtemp(folder)) exit(74);
    snprintf(path, sizeof path, "%s/config.json", folder);
    FILE *f = fopen(path, "w");
    if (!f || fprintf(f, bert_base, n_layers) < 0 || fclose(f) != 0) exit(74);
    must(wf_hf_folder_open(folder, false, &hf), "folder");
    must(wf_arch_read(hf, false, out), "architecture");
    const wf_encode_wish wish = {.task = WF_TASK_EMBED, .pooling = WF_POOL_MEAN, .normalise = 1};
    must(wf_encode_read(hf, &wish, out), "task");
    wf_hf_folder_close(&hf);
    unlink(path);
    rmdir(folder);
}

static void read_lengths(const char *path, bench *b)
{
    FILE *f = fopen(path, "r");
    if (!f) must(wf_fail_errno(WF_NO_INPUT, "%s", path), "lengths");
    while (b->n_rows < MOST_ROWS && fscanf(f, "%d", &b->lengths[b->n_rows]) == 1) {
        if (b->lengths[b->n_rows] > b->longest) b->longest = b->lengths[b->n_rows];
        b->n_rows++;
    }
    fclose(f);
}

static void submit(const bench *b, wf_engine *e, const int32_t *ids, bool padded)
{
    wf_sampling sampling = wf_sampling_default();
    for (int i = 0; i < b->n_rows; i++)
        must(wf_engine_submit(
                 e, &(wf_engine_input){.n_prompt = (uint32_t)(padded ? b->longest : b->lengths[i]),
                                       .prompt = ids,
                                       .sampling = &sampling}),
             "submit");
}

// Milliseconds of one step of all rows, a few of them run before.
static double forward_ms(const bench *b, const int32_t *ids, bool padded)
{
    enum { BEFORE = 5 };
    wf_engine *e = NULL;
    const wf_engine_config c = {.max_rows = b->n_rows,
                                .step_tokens = b->n_rows * b->longest,
                                .page_tokens = 64,
                                .max_context = b->longest,
                                .steps_ahead = -1,
                                .n_top = -1};
    int64_t began_ns = 0, ended_ns = 0;
    must(wf_engine_create(b->be, b->model, b->comm, &c, &e), "engine");
    wf_engine_start(e, wf_clock_ns());
    submit(b, e, ids, padded);
    for (int n = 0, n_in = 1; n < b->repeats + BEFORE;) {
        wf_step_record record;
        bool recorded, ran;
        const wf_engine_output *o;
        if (n_in < b->repeats + BEFORE) submit(b, e, ids, padded), n_in++;
        must(wf_engine_step(e, true, &record, &recorded, &ran), "step");
        while ((o = wf_engine_take(e)))
            wf_engine_release(e, o);
        if (!recorded) continue;
        ended_ns = wf_clock_ns();
        if (++n == BEFORE) began_ns = ended_ns;
    }
    wf_engine_destroy(e);
    return (double)(ended_ns - began_ns) / 1e6 / b->repeats;
}

// ---- one layer's attention ----------------------------------------------------------------------

static void *put(const bench *b, const void *data, size_t bytes)
{
    void *device = NULL;
    must(b->be->ops->alloc(b->be, bytes, &device), "memory");
    if (data) must(b->be->ops->upload(b->be, NULL, device, data, bytes), "upload");
    return device;
}

static void wait_for(const bench *b)
{
    wf_event *event = NULL;
    must(b->be->ops->event_create(b->be, &event), "event");
    must(b->be->ops->event_record(b->be, event, NULL), "event");
    must(b->be->ops->event_sync(b->be, event), "event");
    b->be->ops->event_destroy(b->be, event);
}

static double attention_ms(const bench *b)
{
    int32_t cu[MOST_ROWS + 1] = {0}, *seq;
    for (int i = 0; i < b->n_rows; i++)
        cu[i + 1] = cu[i] + b->lengths[i];
    int32_t n_tokens = cu[b->n_rows];
    seq = malloc((size_t)n_tokens * sizeof *seq);
    if (!seq) exit(70);
    for (int i = 0; i < b->n_rows; i++)
        for (int32_t t = cu[i]; t < cu[i + 1]; t++)
            seq[t] = i;
    size_t act = wf_dtype_bytes(b->act);
    uint64_t *at = NULL;
    wf_batch batch = {.n_tokens = n_tokens, .n_seqs = b->n_rows, .max_new = b->longest};
    batch.cu_seqlens = put(b, cu, sizeof cu);
    batch.token_seq = put(b, seq, (size_t)n_tokens * sizeof *seq);
    wf_packed_attention_args a = {
        .batch = &batch,
        .qkv = wf_matrix_of(put(b, NULL, (size_t)n_tokens * 3 * HEADS * DIM * act), b->act,
                            n_tokens, 3 * HEADS * DIM),
        .n_heads = HEADS,
        .n_kv_heads = HEADS,
        .head_dim = DIM,
        .scale = 0.125f,
        .out = wf_matrix_of(put(b, NULL, (size_t)n_tokens * HEADS * DIM * act), b->act, n_tokens,
                            HEADS * DIM)};
    must(b->be->ops->host_alloc(b->be, 2 * sizeof *at, (void *)&at), "memory");
    for (int i = 0; i < 10; i++)
        must(b->be->ops->packed_attention(b->be, NULL, &a), "attention");
    wait_for(b);
    must(b->be->ops->stamp(b->be, NULL, &at[0]), "stamp");
    for (int i = 0; i < b->repeats; i++)
        must(b->be->ops->packed_attention(b->be, NULL, &a), "attention");
    must(b->be->ops->stamp(b->be, NULL, &at[1]), "stamp");
    wait_for(b);
    double ms = (double)(at[1] - at[0]) / 1e6 / b->repeats;
    free(seq);
    return ms;
}

int main(int argc, char **argv)
{
    bench b = {.repeats = argc > 4 ? atoi(argv[4]) : 50};
    wf_arch arch;
    if (argc < 4) {
        fprintf(stderr, "usage: bench_encode BACKEND f32|f16|bf16 LENGTHS [repeats [layers]]\n");
        return 64;
    }
    wf_dtype dtype = strcmp(argv[2], "f32") == 0   ? WF_F32
                     : strcmp(argv[2], "f16") == 0 ? WF_F16
                                                   : WF_BF16;
    read_lengths(argv[3], &b);
    read_arch(argc > 5 ? atoi(argv[5]) : 12, &arch);
    const wf_backend_config bc = {.numerics = wf_model_resolve_numerics(
                                      &arch, (int)dtype, WF_MODEL_DTYPE_AUTO, WF_MODEL_DTYPE_AUTO)};
    const wf_model_config mc = {.tp_size = 1, .dtype = (int)dtype, .seed = 1};
    wf_backend_info info;
    must(wf_backend_create(argv[1], &bc, &b.be), "back end");
    must(b.be->ops->info(b.be, &info), "back end");
    b.act = info.numerics.act;
    must(wf_model_load(b.be, &arch, NULL, &mc, &b.model), "model");
    must(wf_comm_self_create(&b.comm), "communicator");
    int32_t *ids = malloc((size_t)b.longest * sizeof *ids);
    if (!ids) return 70;
    for (int i = 0; i < b.longest; i++)
        ids[i] = 1000 + (i * 7919) % 20000;
    int64_t n_tokens = 0;
    for (int i = 0; i < b.n_rows; i++)
        n_tokens += b.lengths[i];
    printf("device,%s\n", info.device);
    printf("tokens,%lld\n", (long long)n_tokens);
    printf("attention_ms,%.5f\n", attention_ms(&b));
    printf("packed_ms,%.4f\n", forward_ms(&b, ids, false));
    printf("padded_ms,%.4f\n", forward_ms(&b, ids, true));
    return 0;
}
