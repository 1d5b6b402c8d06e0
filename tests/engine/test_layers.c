// Layers of one model that differ: the second layer of a golden gets twice the heads, four times
// the KV heads and a wider feed-forward, filled so that it computes what it did. Tokens and logits
// stay those of transformers, whatever is sized, placed and moved by layer.
//
//   test_layers BACKEND
#include "tests/io/test_safetensors_file.h"

#include <math.h>

#include "engine/forward.h"
#include "tests/engine/rig.h"

#define GOLDEN "llama-gqa"
enum { HEADS = 8, KV_HEADS = 4, DIM = 8, HIDDEN = 64, FFN = 96, MOST_TENSORS = 32 };
static const wf_arch_layer wide = {.mixer = WF_BLOCK_ATTENTION,
                                   .feed_forward = WF_BLOCK_DENSE,
                                   .n_heads = 2 * HEADS,
                                   .n_kv_heads = 2 * HEADS,
                                   .ffn = FFN + 64};

static const char *backend = "ref";
static char folder[64];

// Row or column i of a widened tensor is this one of the golden's; -1: zeros.
static int64_t same(int64_t i)
{
    return i;
}

static int64_t heads_again(int64_t i)
{
    return i % (HEADS * DIM);
}

static int64_t heads_or_zero(int64_t i)
{
    return i < HEADS * DIM ? i : -1;
}

// Every head gets the KV head that it shared.
static int64_t kv_of_head(int64_t i)
{
    return i / DIM % HEADS / (HEADS / KV_HEADS) * DIM + i % DIM;
}

static int64_t ffn_again(int64_t i)
{
    return i % FFN;
}

static int64_t ffn_or_zero(int64_t i)
{
    return i < FFN ? i : -1;
}

static const struct widening {
    const char *name;
    int64_t n_rows, n_cols;
    int64_t (*row)(int64_t), (*col)(int64_t);
} widenings[] = {
    {"layers.1.self_attn.q_proj", 2 * HEADS * DIM, HIDDEN, heads_again, same},
    {"layers.1.self_attn.k_proj", 2 * HEADS * DIM, HIDDEN, kv_of_head, same},
    {"layers.1.self_attn.v_proj", 2 * HEADS * DIM, HIDDEN, kv_of_head, same},
    {"layers.1.self_attn.o_proj", HIDDEN, 2 * HEADS * DIM, same, heads_or_zero},
    {"layers.1.mlp.gate_proj", FFN + 64, HIDDEN, ffn_again, same},
    {"layers.1.mlp.up_proj", FFN + 64, HIDDEN, ffn_or_zero, same},
    {"layers.1.mlp.down_proj", HIDDEN, FFN + 64, same, ffn_again},
};

static void widen(const struct widening *w, test_tensor *t)
{
    const uint16_t *from = t->data;
    uint16_t *to = calloc((size_t)(w->n_rows * w->n_cols), sizeof *to);
    assert_non_null(to);
    for (int64_t i = 0; i < w->n_rows * w->n_cols; i++) {
        int64_t row = w->row(i / w->n_cols), col = w->col(i % w->n_cols);
        if (row >= 0 && col >= 0) to[i] = from[row * t->shape[1] + col];
    }
    free((void *)(uintptr_t)t->data);
    t->data = to;
    t->shape[0] = w->n_rows;
    t->shape[1] = w->n_cols;
    t->bytes = (size_t)(w->n_rows * w->n_cols) * sizeof *to;
}

static test_tensor read_tensor(wf_hf_tensor from)
{
    test_tensor t = {.name = from.tensor->name, .dtype = "BF16", .rank = from.tensor->rank};
    void *data = malloc(from.tensor->bytes);
    assert_int_equal(from.tensor->dtype, WF_ST_BF16);
    assert_ok(wf_safetensors_read(from.file, from.tensor, 0, from.tensor->bytes, data));
    for (int i = 0; i < t.rank; i++)
        t.shape[i] = from.tensor->shape[i];
    t.bytes = from.tensor->bytes;
    t.data = data;
    for (size_t i = 0; i < N_ROWS(widenings); i++)
        if (strstr(t.name, widenings[i].name)) widen(&widenings[i], &t);
    return t;
}

// The golden's folder with its second layer widened, and what its architecture is then.
static void write_folder(wf_arch *arch)
{
    wf_hf_folder *from;
    test_tensor tensors[MOST_TENSORS];
    char command[256];
    assert_ok(wf_hf_folder_open(WEFT_SOURCE_DIR "/tests/golden/" GOLDEN, true, &from));
    assert_ok(wf_arch_read(from, false, arch));
    arch->layer[1] = wide;
    size_t n = wf_hf_folder_count(from);
    assert_true(n <= MOST_TENSORS);
    for (size_t i = 0; i < n; i++)
        tensors[i] = read_tensor(wf_hf_folder_at(from, i));
    test_write_tensors(test_path(folder, "model.safetensors"), tensors, n);
    for (size_t i = 0; i < n; i++)
        free((void *)(uintptr_t)tensors[i].data);
    wf_hf_folder_close(&from);
    snprintf(command, sizeof command, "cp %s/tests/golden/%s/config.json %s", WEFT_SOURCE_DIR,
             GOLDEN, folder);
    assert_int_equal(system(command), 0);
}

static void open_rig(const wf_arch *arch, int32_t tp_rank, int32_t tp_size, rig *out)
{
    wf_hf_folder *hf;
    const wf_backend_config bc = {.n_threads = 2, .numerics = wf_numerics_of(WF_F32)};
    const wf_model_config mc = {.tp_rank = tp_rank, .tp_size = tp_size, .dtype = WF_F32};
    *out = (rig){0};
    assert_ok(wf_comm_self_create(&out->own_comm));
    out->comm = out->own_comm;
    assert_ok(wf_backend_create(backend, &bc, &out->be));
    assert_ok(wf_hf_folder_open(folder, true, &hf));
    assert_ok(wf_model_load(out->be, arch, hf, &mc, &out->model));
    wf_hf_folder_close(&hf);
}

static void sizes_are_sums_over_layers(void **state)
{
    (void)state;
    wf_arch arch;
    write_folder(&arch);
    const int64_t numbers = 2 * (KV_HEADS + 2 * HEADS) * DIM; // K and V of a token
    assert_int_equal(wf_forward_page_bytes(&arch, 1, 16, WF_F32), numbers * 16 * 4);
    assert_int_equal(wf_forward_page_bytes(&arch, 4, 16, WF_BF16), numbers / 4 * 16 * 2);
    for (int32_t tp = 1; tp <= 4; tp *= 2) {
        rig r;
        wf_arch_memory memory;
        open_rig(&arch, 0, tp, &r);
        wf_arch_bytes(&arch, WF_F32, tp, 0, &memory);
        assert_int_equal(r.model->report.weight_bytes, memory.weight_bytes);
        assert_int_equal(memory.kv_bytes_per_token, numbers / tp * 4);
        assert_int_equal(r.model->layers[1].share.n_heads, 2 * HEADS / tp);
        rig_destroy(&r);
    }
    arch.layer[1].ffn = 6; // of the golden's 96 and these, 2 is the most
    assert_int_equal(wf_arch_check_tp(&arch, 4), WF_CONFIG);
    assert_contains(wf_error(), "FFN size 6; sizes that do: 1, 2");
}

static void assert_answers(const golden_case *c, const rig_output *got)
{
    double max = -INFINITY, sum = 0.0;
    for (int32_t k = 0; k < c->n_greedy; k++)
        assert_int_equal(got->token[k], c->greedy[k]);
    for (int32_t i = 0; i < c->n_logits; i++)
        max = fmax(max, c->logits[i]);
    for (int32_t i = 0; i < c->n_logits; i++)
        sum += exp(c->logits[i] - max);
    for (uint32_t k = 0; k < got->n_top && c->n_logits > 0; k++) {
        double want = c->logits[got->top_id[k]] - max - log(sum);
        assert_true(fabs(want - (double)got->top_logprob[k]) < 2e-3);
    }
}

static void tokens_are_those_of_the_golden(void **state)
{
    (void)state;
    static const wf_reorder reorders[] = {WF_REORDER_INDEX, WF_REORDER_COPY};
    static const wf_capture captures[] = {WF_CAPTURE_OFF, WF_CAPTURE_PAD_ONLY};
    static rig_output outputs[16];
    wf_arch arch;
    golden g;
    rig r;
    rig_request requests[16];
    wf_sampling sampling = wf_sampling_default();
    sampling.ignore_eos = true;
    sampling.logprobs = 4;
    write_folder(&arch);
    open_rig(&arch, 0, 1, &r);
    golden_load(GOLDEN, &g);
    for (int32_t i = 0; i < g.n_cases; i++)
        requests[i] = (rig_request){.prompt = g.cases[i].prompt,
                                    .n_prompt = (uint32_t)g.cases[i].n_prompt,
                                    .max_new = (uint32_t)g.cases[i].n_greedy,
                                    .sampling = &sampling,
                                    .at_step = i};
    for (size_t way = 0; way < N_ROWS(reorders) * N_ROWS(captures); way++) {
        rig_totals totals;
        wf_engine_config c = rig_config();
        c.max_rows = 3;
        c.max_context = 160;
        c.reorder = reorders[way / 2];
        c.capture = captures[way % 2];
        rig_run(&r, &c, requests, g.n_cases, outputs, &totals);
        assert_true(c.reorder != WF_REORDER_COPY || totals.n_moved > 0);
        for (int32_t i = 0; i < g.n_cases; i++)
            assert_answers(&g.cases[i], &outputs[i]);
    }
    golden_free(&g);
    rig_destroy(&r);
}

static const wf_backend_ops *real_ops;
static int n_wide; // products with the wide layer's down

static wf_status counted_gemm(wf_backend *be, wf_stream *s, const wf_gemm_args *a)
{
    n_wide += a->w->n_cols == wide.ffn;
    return real_ops->gemm(be, s, a);
}

// What is captured later has run before, in every layer's shapes.
static void warming_up_meets_every_shape(void **state)
{
    (void)state;
    static wf_backend_ops counting;
    wf_arch arch;
    rig r;
    wf_engine *e;
    wf_engine_config c = rig_config();
    wf_sampling typical = wf_sampling_default();
    write_folder(&arch);
    open_rig(&arch, 0, 1, &r);
    real_ops = r.be->ops;
    counting = *real_ops;
    counting.gemm = counted_gemm;
    r.be->ops = &counting;
    c.capture = WF_CAPTURE_PAD_ONLY;
    c.max_context = 160;
    assert_ok(wf_engine_create(r.be, r.model, r.comm, &c, &e));
    assert_ok(wf_engine_warm_up(e, &typical));
    assert_true(n_wide > 0);
    wf_engine_destroy(e);
    r.be->ops = real_ops;
    rig_destroy(&r);
}

static int set_up(void **state)
{
    (void)state;
    test_folder_make(folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    test_folder_remove(folder);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 1) backend = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sizes_are_sums_over_layers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(warming_up_meets_every_shape, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tokens_are_those_of_the_golden, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
