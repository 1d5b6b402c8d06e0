// Shared parts of the operation tests (op_test.h).
#include "tests/ops/op_test.h"

#include <stdio.h>

#include "io/base/rng.h"
#include "kernels/kv.h"
#include "kernels/quantize.h"

#define GUARD_BYTES 256
#define GUARD       0xa5
#define MAX_BLOCKS  4096

op_env op;

// Everything a test allocates, freed by op_release in one sweep.
static struct {
    wf_backend *be;
    void *device;
    wf_weight *weight;
    void *host;
} blocks[MAX_BLOCKS];
static int n_blocks;

static void remember(wf_backend *be, void *device, wf_weight *weight, void *host)
{
    assert_true(n_blocks < MAX_BLOCKS);
    blocks[n_blocks].be = be;
    blocks[n_blocks].device = device;
    blocks[n_blocks].weight = weight;
    blocks[n_blocks++].host = host;
}

static void *host_block(size_t bytes)
{
    void *data = malloc(bytes > 0 ? bytes : 1);
    assert_non_null(data);
    remember(NULL, NULL, NULL, data);
    return data;
}

void op_release(void)
{
    while (n_blocks > 0) {
        n_blocks--;
        wf_backend *be = blocks[n_blocks].be;
        if (blocks[n_blocks].device != NULL) be->ops->free(be, blocks[n_blocks].device);
        if (blocks[n_blocks].weight != NULL) be->ops->weight_destroy(be, blocks[n_blocks].weight);
        free(blocks[n_blocks].host);
    }
}

void op_ok(wf_status st)
{
    if (st != WF_OK) fail_msg("%s: %s", wf_status_name(st), wf_error());
}

static uint32_t random_bits(uint64_t seed, int64_t i)
{
    uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    uint32_t counter[4] = {(uint32_t)i, (uint32_t)(i >> 32), 0, 1}, out[4];
    wf_philox(key, counter, out);
    return out[0];
}

float op_random(uint64_t seed, int64_t i, wf_dtype dtype)
{
    uint32_t word;
    wf_store_f32(&word, dtype, 0, 2.0f * wf_rng_float(random_bits(seed, i)) - 1.0f);
    return wf_load_f32(&word, dtype, 0);
}

int32_t op_random_int(uint64_t seed, int64_t i, int32_t n)
{
    return (int32_t)wf_rng_below(random_bits(seed, i), (uint32_t)n);
}

void *op_put(wf_backend *be, const void *data, size_t bytes)
{
    void *device;
    op_ok(be->ops->alloc(be, bytes, &device));
    remember(be, device, NULL, NULL);
    op_ok(be->ops->upload(be, NULL, device, data, bytes));
    return device;
}

void op_get(wf_backend *be, void *data, const void *device, size_t bytes)
{
    wf_event *e;
    op_ok(be->ops->download(be, NULL, data, device, bytes));
    op_ok(be->ops->event_create(be, &e));
    op_ok(be->ops->event_record(be, e, NULL));
    op_ok(be->ops->event_sync(be, e));
    be->ops->event_destroy(be, e);
}

op_tensor op_matrix(wf_backend *be, wf_dtype dtype, int64_t n_rows, int64_t n_cols, int64_t pad,
                    uint64_t seed)
{
    int64_t stride = n_cols + pad;
    size_t data_bytes = (size_t)(n_rows * stride) * wf_dtype_bytes(dtype);
    op_tensor t = {.be = be, .bytes = data_bytes + (size_t)2 * GUARD_BYTES};
    t.values = host_block((size_t)(n_rows * n_cols) * sizeof *t.values);
    t.image = host_block(t.bytes);
    memset(t.image, GUARD, t.bytes);
    char *data = t.image + GUARD_BYTES;
    for (int64_t i = 0; i < n_rows; i++)
        for (int64_t j = 0; j < stride; j++) {
            bool real = seed != 0 && j < n_cols;
            float x = real ? op_random(seed, i * n_cols + j, op.act) : NAN;
            wf_store_f32(data, dtype, i * stride + j, x);
            if (real) t.values[i * n_cols + j] = x;
        }
    t.device = op_put(be, t.image, t.bytes);
    t.view = (wf_matrix){t.device + GUARD_BYTES, dtype, n_rows, n_cols, stride};
    return t;
}

const float *op_read(op_tensor *t)
{
    char *now = host_block(t->bytes);
    op_get(t->be, now, t->device, t->bytes);
    size_t size = wf_dtype_bytes(t->view.dtype), end = t->bytes - GUARD_BYTES;
    if (memcmp(now, t->image, GUARD_BYTES) != 0) fail_msg("wrote before the first row");
    if (memcmp(now + end, t->image + end, GUARD_BYTES) != 0) fail_msg("wrote after the last row");
    for (int64_t i = 0; i < t->view.n_rows; i++) {
        size_t pad = GUARD_BYTES + (size_t)(i * t->view.stride + t->view.n_cols) * size;
        size_t pad_bytes = (size_t)(t->view.stride - t->view.n_cols) * size;
        if (memcmp(now + pad, t->image + pad, pad_bytes) != 0)
            fail_msg("wrote after the last column of row %d", (int)i);
        for (int64_t j = 0; j < t->view.n_cols; j++)
            t->values[i * t->view.n_cols + j] =
                wf_load_f32(now + GUARD_BYTES, t->view.dtype, i * t->view.stride + j);
    }
    t->image = now;
    return t->values;
}

void op_expect_close(op_tensor *got, op_tensor *want, double abs, double rel)
{
    static const double rounding[WF_N_DTYPES] = {
        [WF_F32] = 0, [WF_BF16] = 0x1p-8, [WF_F16] = 0x1p-11};
    const float *g = op_read(got), *w = op_read(want);
    rel += rounding[got->view.dtype];
    if (got->view.dtype == WF_F16) abs += 0x1p-25; // half a step of its subnormals
    int64_t n_cols = want->view.n_cols;
    for (int64_t i = 0; i < want->view.n_rows * n_cols; i++) {
        double error = fabs((double)g[i] - (double)w[i]);
        if (!(error <= abs + rel * fabs((double)w[i])))
            fail_msg("row %d column %d of %d x %d: %.9g, ref has %.9g", (int)(i / n_cols),
                     (int)(i % n_cols), (int)want->view.n_rows, (int)n_cols, (double)g[i],
                     (double)w[i]);
    }
}

void op_expect_same_bits(const float *got, const float *want, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (wf_f32_bits(got[i]) != wf_f32_bits(want[i]))
            fail_msg("element %d differs: %.9g (%08x) and %.9g (%08x)", (int)i, (double)got[i],
                     wf_f32_bits(got[i]), (double)want[i], wf_f32_bits(want[i]));
}

wf_weight *op_weight(wf_backend *be, wf_dtype dtype, int64_t n_rows, int64_t n_cols, uint64_t seed)
{
    return op_weights(be, dtype, 1, n_rows, n_cols, seed);
}

wf_weight *op_weights(wf_backend *be, wf_dtype dtype, int32_t n_groups, int64_t n_rows,
                      int64_t n_cols, uint64_t seed)
{
    const wf_weight_shape shape = {
        .dtype = dtype, .n_groups = n_groups, .n_rows = n_rows, .n_cols = n_cols};
    return op_weight_of(be, &shape, seed);
}

// In two blocks of rows that do not meet at a multiple of anything, the second first.
static void load_part(wf_backend *be, wf_weight *w, wf_weight_part part, const void *values,
                      wf_dtype dtype, int64_t n_cols)
{
    int64_t half = w->n_rows / 3;
    size_t row_bytes = wf_format_row_bytes(dtype, n_cols);
    for (int32_t g = 0; g < w->n_groups; g++) {
        const wf_weight_block first = {.part = part,
                                       .i_group = g,
                                       .n_rows = half,
                                       .src = (const char *)values +
                                              (size_t)(g * w->n_rows) * row_bytes,
                                       .src_dtype = dtype,
                                       .src_stride = n_cols};
        wf_weight_block second = first;
        second.i_row = half;
        second.n_rows = w->n_rows - half;
        second.src = (const char *)first.src + (size_t)half * row_bytes;
        op_ok(be->ops->weight_load(be, w, &second));
        op_ok(be->ops->weight_load(be, w, &first));
    }
}

static void load_scales(wf_backend *be, wf_weight *w, uint64_t seed, float greatest)
{
    int64_t n_scales = wf_weight_row_blocks(w), n = w->n_groups * w->n_rows * n_scales;
    float *scales = host_block((size_t)n * sizeof *scales);
    int8_t *zeros = host_block((size_t)n);
    for (int64_t i = 0; i < n; i++) {
        scales[i] = (1.0f + 0.5f * op_random(seed + 1, i, WF_F32)) / greatest;
        if (w->dtype == WF_MXFP4) scales[i] = ldexpf(0.125f, op_random_int(seed + 1, i, 3));
        zeros[i] = (int8_t)(op_random_int(seed + 2, i, 16) - 7); // published ones reach 8
    }
    load_part(be, w, WF_WEIGHT_SCALE, scales, WF_F32, n_scales);
    if (w->zeros) load_part(be, w, WF_WEIGHT_ZERO, zeros, WF_INT8, n_scales);
}

wf_weight *op_weight_of(wf_backend *be, const wf_weight_shape *shape, uint64_t seed)
{
    static const float greatest[WF_N_DTYPES] = {
        [WF_FP8] = 448.0f, [WF_INT8] = 127.0f, [WF_INT4] = 8.0f, [WF_MXFP4] = 6.0f};
    bool scaled = wf_format_scaled(shape->dtype);
    wf_dtype from = scaled ? shape->dtype : WF_F32;
    wf_weight *w;
    int64_t n_rows = shape->n_groups * shape->n_rows;
    void *values = host_block((size_t)n_rows * wf_format_row_bytes(from, shape->n_cols));
    for (int64_t i = 0; i < n_rows * shape->n_cols; i++)
        wf_store_f32(values, from, i,
                     scaled ? op_random(seed, i, WF_F32) * greatest[from]
                            : op_random(seed, i, shape->dtype));
    op_ok(be->ops->weight_create(be, shape, &w));
    remember(be, NULL, w, NULL);
    if (scaled) load_scales(be, w, seed, greatest[from]);
    load_part(be, w, WF_WEIGHT_DATA, values, from, shape->n_cols);
    return w;
}

bool op_reads(wf_dtype dtype)
{
    wf_numerics n = wf_numerics_of(WF_BF16);
    n.weight = dtype;
    return wf_backend_numerics(op.name, &n) == WF_OK;
}

float *op_vector(wf_backend *be, int64_t n, uint64_t seed, float shift)
{
    float *values = host_block((size_t)n * sizeof *values);
    for (int64_t i = 0; i < n; i++)
        values[i] = op_random(seed, i, WF_F32) + shift;
    return op_put(be, values, (size_t)n * sizeof *values);
}

// Pages of each sequence in the pool of the batch at hand: a power of two, enough for the longest.
static int32_t n_seq_pages;

static void size_pool(const op_seq *seqs, int32_t n_seqs, int32_t page_tokens)
{
    n_seq_pages = 16;
    for (int32_t s = 0; s < n_seqs; s++)
        while (n_seq_pages * page_tokens < seqs[s].past + seqs[s].n_new)
            n_seq_pages *= 2;
    assert_true(n_seq_pages <= OP_MAX_PAGES);
}

// Page `i` of sequence `id`: an odd multiplier scrambles the pool, which has a power of two of
// them.
static int32_t page_of(int32_t id, int32_t i)
{
    uint32_t n = (uint32_t)(id % OP_MAX_SEQS * n_seq_pages + i);
    return (int32_t)(n * 2654435761u % (uint32_t)(OP_MAX_SEQS * n_seq_pages));
}

static int32_t row_of(int32_t id)
{
    return (id * 7 + 3) % OP_MAX_SEQS;
}

wf_batch *op_batch(wf_backend *be, const op_seq *seqs, int32_t n_seqs, int32_t first_id,
                   int32_t page_tokens)
{
    size_pool(seqs, n_seqs, page_tokens);
    wf_batch *b = host_block(sizeof *b);
    *b = (wf_batch){.n_seqs = n_seqs, .page_stride = OP_MAX_PAGES};
    int32_t cu[OP_MAX_SEQS + 1] = {0}, row[OP_MAX_SEQS], past[OP_MAX_SEQS], join[OP_MAX_SEQS];
    for (int32_t s = 0; s < n_seqs; s++)
        cu[s + 1] = cu[s] + seqs[s].n_new;
    b->n_tokens = cu[n_seqs];
    size_t ints = sizeof(int32_t);
    int32_t *token_seq = host_block((size_t)b->n_tokens * ints);
    int32_t *token_pos = host_block((size_t)b->n_tokens * ints);
    int32_t *pages = host_block((size_t)OP_MAX_SEQS * OP_MAX_PAGES * ints);
    memset(pages, 0x7f, (size_t)OP_MAX_SEQS * OP_MAX_PAGES * ints);
    for (int32_t s = 0; s < n_seqs; s++) {
        int32_t context = seqs[s].past + seqs[s].n_new;
        row[s] = row_of(first_id + s);
        past[s] = seqs[s].past;
        join[s] = seqs[s].past == 0;
        if (seqs[s].n_new == 1 && b->n_decode == s) b->n_decode++;
        if (seqs[s].n_new > b->max_new) b->max_new = seqs[s].n_new;
        if (context > b->max_context) b->max_context = context;
        for (int32_t i = 0; i < seqs[s].n_new; i++) {
            token_seq[cu[s] + i] = s;
            token_pos[cu[s] + i] = seqs[s].past + i;
        }
        for (int32_t i = 0; i * page_tokens < context; i++)
            pages[row[s] * OP_MAX_PAGES + i] = page_of(first_id + s, i);
    }
    b->cu_seqlens = op_put(be, cu, (size_t)(n_seqs + 1) * ints);
    b->seq_row = op_put(be, row, (size_t)n_seqs * ints);
    b->seq_past = op_put(be, past, (size_t)n_seqs * ints);
    b->seq_join = op_put(be, join, (size_t)n_seqs * ints);
    b->token_seq = op_put(be, token_seq, (size_t)b->n_tokens * ints);
    b->token_pos = op_put(be, token_pos, (size_t)b->n_tokens * ints);
    b->page_table = op_put(be, pages, (size_t)OP_MAX_SEQS * OP_MAX_PAGES * ints);
    return b;
}

size_t op_kv_bytes(const wf_kv *kv)
{
    return (size_t)(OP_MAX_SEQS * n_seq_pages * kv->page_stride) * wf_dtype_bytes(kv->dtype);
}

// Random numbers first, first + 1, ... as one head of K or V of a token of a tile.
static void fill_head(const wf_kv *kv, char *image, int64_t tile, int32_t i_token, uint64_t seed,
                      int64_t first)
{
    float values[1024]; // latent rows are wider than heads
    int64_t at = tile + (int64_t)i_token * kv->head_dim;
    for (int32_t d = 0; d < kv->head_dim; d++)
        values[d] = op_random(seed, first + d, WF_F32);
    if (wf_format_scaled(kv->dtype)) {
        float *scales = (float *)(void *)(image + wf_kv_scales_at(kv, tile));
        wf_quantize_row(values, kv->head_dim, kv->dtype, 0, image + at, scales + i_token);
    } else {
        wf_convert(image + at * (int64_t)wf_dtype_bytes(kv->dtype), kv->dtype, values, WF_F32,
                   kv->head_dim);
    }
}

wf_kv op_kv(wf_backend *be, wf_dtype dtype, int32_t page_tokens, int32_t n_kv_heads,
            int32_t head_dim, const op_seq *seqs, int32_t n_seqs, int32_t first_id)
{
    size_pool(seqs, n_seqs, page_tokens);
    wf_kv kv = {.dtype = dtype,
                .page_tokens = page_tokens,
                .n_kv_heads = n_kv_heads,
                .head_dim = head_dim,
                .head_stride = wf_kv_tile(dtype, page_tokens, head_dim)};
    kv.kv_stride = kv.head_stride * n_kv_heads;
    kv.page_stride = 2 * kv.kv_stride;
    char *image = malloc(op_kv_bytes(&kv));
    assert_non_null(image);
    memset(image, 0xff, op_kv_bytes(&kv)); // NaN in every dtype, or as its scales
    for (int32_t s = 0; s < n_seqs; s++)
        for (int32_t pos = 0; pos < seqs[s].past; pos++)
            for (int32_t h = 0; h < 2 * n_kv_heads; h++) { // K heads, then V heads
                int64_t page = page_of(first_id + s, pos / page_tokens);
                fill_head(&kv, image, page * kv.page_stride + h * kv.head_stride, pos % page_tokens,
                          (uint64_t)(7000 + first_id + s), ((int64_t)pos * 64 + h) * 256);
            }
    kv.base = op_put(be, image, op_kv_bytes(&kv));
    free(image);
    return kv;
}

static int tear_down(void **state)
{
    (void)state;
    op_release();
    return 0;
}

// One round of the tests. Returns the number that failed, or -1 where the back end is not there.
static int run_round(const char *name, const char *isa, wf_dtype dtype,
                     const struct CMUnitTest *tests, size_t n)
{
    wf_backend_config config = {.n_threads = 2, .numerics = wf_numerics_of(dtype), .isa = isa};
    wf_backend_info info;
    wf_status st = wf_backend_create(name, &config, &op.be);
    op.name = name;
    if (st != WF_OK) {
        print_message("skipped: %s\n", wf_error());
        return st == WF_DEVICE || st == WF_NOT_BUILT ? -1 : 1;
    }
    struct CMUnitTest *round = calloc(n, sizeof *round);
    if (round == NULL || wf_backend_create("ref", &config, &op.ref) != WF_OK ||
        op.be->ops->info(op.be, &info) != WF_OK)
        return 1;
    memcpy(round, tests, n * sizeof *round);
    for (size_t i = 0; i < n; i++)
        round[i].teardown_func = tear_down;
    op.act = info.numerics.act;
    print_message("%s: %s, %s activations\n", info.name, info.device, wf_dtype_name(op.act));
    int n_failed = _cmocka_run_group_tests(info.device, round, n, NULL, NULL);
    free(round);
    wf_backend_destroy(op.be);
    wf_backend_destroy(op.ref);
    return n_failed;
}

int op_main(int argc, char **argv, const struct CMUnitTest *tests, size_t n_tests)
{
    static const struct {
        const char *name, *isa;
        wf_dtype dtype;
    } rounds[] = {{"cpu", "avx512", WF_BF16},   {"cpu", "avx2", WF_BF16},
                  {"cpu", "portable", WF_BF16}, {"cuda", NULL, WF_BF16},
                  {"cuda", NULL, WF_F16},       {"cuda", NULL, WF_F32}};
    const char *name = argc > 1 ? argv[1] : "cpu", *only = argc > 2 ? argv[2] : NULL;
    if (argc > 3) cmocka_set_test_filter(argv[3]);
    if (strcmp(name, "ref") == 0) return run_round(name, NULL, WF_BF16, tests, n_tests) != 0;
    int n_failed = 0, n_rounds = 0;
    for (size_t i = 0; i < sizeof rounds / sizeof *rounds; i++) {
        const char *way = rounds[i].isa ? rounds[i].isa : wf_dtype_name(rounds[i].dtype);
        if (strcmp(name, rounds[i].name) != 0 || (only && strcmp(only, way) != 0)) continue;
        int n = run_round(name, rounds[i].isa, rounds[i].dtype, tests, n_tests);
        if (n < 0) continue;
        n_rounds++;
        n_failed += n;
    }
    return n_rounds == 0 ? 77 : n_failed;
}
