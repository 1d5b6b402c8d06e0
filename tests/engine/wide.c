// The golden is read, and its second layer's tensors are written wider.
#include "tests/engine/wide.h"

#include "tests/io/test_safetensors_file.h"

enum { HEADS = 8, KV_HEADS = 4, DIM = 8, HIDDEN = 64, FFN = 96, MOST_TENSORS = 32 };
const wf_arch_layer wide_layer = {.mixer = WF_BLOCK_ATTENTION,
                                  .feed_forward = WF_BLOCK_DENSE,
                                  .n_heads = 2 * HEADS,
                                  .n_kv_heads = 2 * HEADS,
                                  .ffn = FFN + 64};

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
static void write_folder(const char *folder, wf_arch *arch)
{
    wf_hf_folder *from;
    test_tensor tensors[MOST_TENSORS];
    char command[256];
    assert_ok(wf_hf_folder_open(WEFT_SOURCE_DIR "/tests/golden/" WIDE_GOLDEN, true, &from));
    assert_ok(wf_arch_read(from, false, arch));
    arch->layer[1] = wide_layer;
    arch->layer[1].scale = arch->layer[0].scale;
    size_t n = wf_hf_folder_count(from);
    assert_true(n <= MOST_TENSORS);
    for (size_t i = 0; i < n; i++)
        tensors[i] = read_tensor(wf_hf_folder_at(from, i));
    test_write_tensors(test_path(folder, "model.safetensors"), tensors, n);
    for (size_t i = 0; i < n; i++)
        free((void *)(uintptr_t)tensors[i].data);
    wf_hf_folder_close(&from);
    snprintf(command, sizeof command, "cp %s/tests/golden/%s/config.json %s", WEFT_SOURCE_DIR,
             WIDE_GOLDEN, folder);
    assert_int_equal(system(command), 0);
}

void wide_rig_create(const char *backend, wf_comm *comm, int32_t tp_size, wf_arch *arch, rig *out)
{
    char folder[64];
    wf_hf_folder *hf;
    const wf_backend_config bc = {.n_threads = 2, .numerics = wf_numerics_of(WF_F32)};
    *out = (rig){.comm = comm};
    if (!comm) assert_ok(wf_comm_self_create(&out->own_comm));
    if (!comm) out->comm = out->own_comm;
    const wf_model_config mc = {.tp_rank = out->comm->rank, .tp_size = tp_size, .dtype = WF_F32};
    test_folder_make(folder);
    write_folder(folder, arch);
    assert_ok(wf_backend_create(backend, &bc, &out->be));
    assert_ok(wf_hf_folder_open(folder, true, &hf));
    assert_ok(wf_model_load(out->be, arch, hf, &mc, &out->model));
    wf_hf_folder_close(&hf);
    test_folder_remove(folder);
}
