// Creating back ends by name, their memory, weights and order.
#include "kernels/backend.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char *const names[] = {"ref", "cpu"};
static const wf_backend_config config = {.n_threads = 2};

static void refuses(void **state)
{
    (void)state;
    wf_backend *be = NULL;
    assert_int_equal(wf_backend_create("tpu", &config, &be), WF_CONFIG);
    assert_non_null(strstr(wf_error(), "'tpu'; there are: ref, cpu, cuda"));
    wf_backend_config odd = {.isa = "mmx"};
    assert_int_equal(wf_backend_create("cpu", &odd, &be), WF_CONFIG);
    assert_non_null(strstr(wf_error(), "mmx"));
    odd = (wf_backend_config){.n_threads = 1 << 20};
    assert_int_equal(wf_backend_create("cpu", &odd, &be), WF_CONFIG);
    assert_null(be);
    wf_backend_destroy(NULL);
}

// Where an entry of the table is, by name.
#define ENTRY(name)        {#name, offsetof(wf_backend_ops, name)}
#define OP_ENTRY(op, args) ENTRY(op),

static void a_missing_entry_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t at;
    } entries[] = {WF_OPS(OP_ENTRY) ENTRY(create), ENTRY(alloc), ENTRY(weight_load), ENTRY(range)};
    for (int i = 0; i < 2; i++) {
        wf_backend *be;
        assert_int_equal(wf_backend_create(names[i], &config, &be), WF_OK);
        for (size_t e = 0; e < sizeof entries / sizeof *entries; e++) {
            char quoted[64];
            wf_backend_ops ops = *be->ops;
            memset((char *)&ops + entries[e].at, 0, sizeof(void *));
            assert_int_equal(wf_backend_check(&ops), WF_INTERNAL);
            snprintf(quoted, sizeof quoted, "'%s'", entries[e].name);
            assert_non_null(strstr(wf_error(), quoted));
            assert_non_null(strstr(wf_error(), names[i]));
        }
        wf_backend_destroy(be);
    }
}

static wf_status launches(wf_backend *be, wf_stream *s, wf_graph *g)
{
    (void)be, (void)s, (void)g;
    return WF_OK;
}

static void capture_is_whole_or_not_there(void **state)
{
    (void)state;
    wf_backend *be;
    assert_int_equal(wf_backend_create("ref", &config, &be), WF_OK);
    wf_backend_ops ops = *be->ops;
    assert_int_equal(wf_backend_check(&ops), WF_OK);
    assert_null(ops.capture_begin);
    ops.graph_launch = launches;
    assert_int_equal(wf_backend_check(&ops), WF_INTERNAL);
    assert_non_null(strstr(wf_error(), "'capture_begin'"));
    wf_backend_destroy(be);
}

static void tells_what_it_is(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        wf_backend *be;
        wf_backend_info info;
        assert_int_equal(wf_backend_create(names[i], &config, &be), WF_OK);
        assert_int_equal(be->ops->info(be, &info), WF_OK);
        assert_string_equal(info.name, names[i]);
        assert_true(info.device[0] != '\0' && info.host_memory && !info.async);
        assert_int_equal(info.numerics.act, WF_F32);
        assert_true(info.free_bytes > 0 && info.free_bytes <= info.total_bytes);
        wf_backend_destroy(be);
    }
    wf_backend *be;
    wf_backend_config portable = {.n_threads = 3, .isa = "portable"};
    wf_backend_info info;
    assert_int_equal(wf_backend_create("cpu", &portable, &be), WF_OK);
    assert_int_equal(be->ops->info(be, &info), WF_OK);
    assert_non_null(strstr(info.device, "portable, 3 threads"));
    wf_backend_destroy(be);
}

static void memory(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 255, 256, 4097, (size_t)5 << 20};
    for (int i = 0; i < 2; i++) {
        wf_backend *be;
        assert_int_equal(wf_backend_create(names[i], &config, &be), WF_OK);
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
            void *data, *pinned;
            assert_int_equal(be->ops->alloc(be, sizes[s], &data), WF_OK);
            assert_int_equal(be->ops->host_alloc(be, sizes[s], &pinned), WF_OK);
            assert_int_equal((uintptr_t)data % 256, 0);
            for (size_t j = 0; j < sizes[s]; j++)
                assert_int_equal(((char *)data)[j], 0);
            memset(pinned, 7, sizes[s]);
            assert_int_equal(be->ops->upload(be, NULL, data, pinned, sizes[s]), WF_OK);
            memset(pinned, 0, sizes[s]);
            assert_int_equal(be->ops->download(be, NULL, pinned, data, sizes[s]), WF_OK);
            assert_true(sizes[s] == 0 || ((char *)pinned)[sizes[s] - 1] == 7);
            be->ops->free(be, data);
            be->ops->host_free(be, pinned);
        }
        void *data = NULL;
        assert_int_equal(be->ops->alloc(be, SIZE_MAX - 1, &data), WF_NO_MEMORY);
        assert_int_equal(be->ops->alloc(be, SIZE_MAX / 4, &data), WF_NO_MEMORY);
        assert_null(data);
        wf_backend_destroy(be);
    }
}

static void order(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        wf_backend *be;
        wf_stream *s;
        wf_event *e;
        bool done = false;
        assert_int_equal(wf_backend_create(names[i], &config, &be), WF_OK);
        assert_int_equal(be->ops->stream_create(be, &s), WF_OK);
        assert_int_equal(be->ops->event_create(be, &e), WF_OK);
        assert_int_equal(be->ops->event_record(be, e, s), WF_OK);
        assert_int_equal(be->ops->stream_wait(be, NULL, e), WF_OK);
        assert_int_equal(be->ops->event_sync(be, e), WF_OK);
        assert_int_equal(be->ops->event_query(be, e, &done), WF_OK);
        assert_true(done);
        be->ops->event_destroy(be, e);
        be->ops->stream_destroy(be, s);
        wf_backend_destroy(be);
    }
}

static void scaled_weights_check_their_blocks(wf_backend *be)
{
    const float src[64] = {0};
    const wf_weight_shape shape = {
        .dtype = WF_INT4, .n_groups = 1, .n_rows = 3, .n_cols = 64, .block = 32};
    const wf_weight_block good = {.n_rows = 3, .src = src, .src_dtype = WF_INT4, .src_stride = 64};
    wf_weight *w;
    assert_int_equal(be->ops->weight_create(be, &shape, &w), WF_OK);
    assert_int_equal(be->ops->weight_load(be, w, &good), WF_OK);
    wf_weight_block scales = good;
    scales.part = WF_WEIGHT_SCALE, scales.src_dtype = WF_F32, scales.src_stride = 2;
    assert_int_equal(be->ops->weight_load(be, w, &scales), WF_OK);
    wf_weight_block bad[] = {good, good, good, scales, scales, scales};
    bad[0].src_dtype = WF_F32;
    bad[1].src_stride = 65;
    bad[2].part = (wf_weight_part)7;
    bad[3].src_stride = 1;
    bad[4].src_dtype = WF_BF16;
    bad[5].part = WF_WEIGHT_ZERO, bad[5].src_dtype = WF_INT8;
    for (size_t b = 0; b < sizeof bad / sizeof *bad; b++)
        assert_int_equal(be->ops->weight_load(be, w, &bad[b]), WF_INTERNAL);
    assert_non_null(strstr(wf_error(), "no zero points"));
    be->ops->weight_destroy(be, w);
}

static void weights_check_their_blocks(void **state)
{
    (void)state;
    const float src[64] = {0};
    const wf_weight_shape shape = {.dtype = WF_F16, .n_groups = 1, .n_rows = 6, .n_cols = 10};
    const wf_weight_block good = {.n_rows = 6, .src = src, .src_dtype = WF_F32, .src_stride = 10};
    for (int i = 0; i < 2; i++) {
        wf_backend *be;
        wf_weight *w;
        assert_int_equal(wf_backend_create(names[i], &config, &be), WF_OK);
        assert_int_equal(be->ops->weight_create(be, &shape, &w), WF_OK);
        assert_memory_equal(w, &shape, sizeof shape);
        assert_int_equal(be->ops->weight_load(be, w, &good), WF_OK);
        wf_weight_block bad[] = {good, good, good, good, good, good, good};
        bad[0].i_row = 1;
        bad[1].i_row = -1, bad[1].n_rows = 2;
        bad[2].src_stride = 9;
        bad[3].src_dtype = WF_N_DTYPES;
        bad[4].i_group = 1;
        bad[5].i_group = -1;
        bad[6].part = WF_WEIGHT_SCALE;
        for (size_t b = 0; b < sizeof bad / sizeof *bad; b++)
            assert_int_equal(be->ops->weight_load(be, w, &bad[b]), WF_INTERNAL);
        assert_non_null(strstr(wf_error(), "f16 have no scales"));
        be->ops->weight_destroy(be, w);
        scaled_weights_check_their_blocks(be);
        be->ops->weight_destroy(be, NULL);
        wf_backend_destroy(be);
    }
}

static void weights_check_their_shape(void **state)
{
    (void)state;
    const wf_weight_shape bad[] = {
        {WF_F16, 0, 6, 10, 0, 0},     {WF_N_DTYPES, 1, 6, 10, 0, 0}, {WF_F32, 1, -1, 2, 0, 0},
        {WF_F32, 1, 6, 64, 32, 0},    {WF_F32, 1, 6, 64, 0, true},   {WF_FP8, 1, 6, 96, 48, 0},
        {WF_INT4, 1, 6, 96, 64, 0},   {WF_INT4, 1, 6, 7, 0, 0},      {WF_INT4, 1, 6, 64, 0, true},
        {WF_FP8, 1, 6, 64, 32, true}, {WF_MXFP4, 1, 6, 64, 64, 0}};
    for (int i = 0; i < 2; i++) {
        wf_backend *be;
        wf_weight *w = NULL;
        assert_int_equal(wf_backend_create(names[i], &config, &be), WF_OK);
        for (size_t b = 0; b < sizeof bad / sizeof *bad; b++)
            assert_int_equal(be->ops->weight_create(be, &bad[b], &w), WF_INTERNAL);
        assert_null(w);
        wf_backend_destroy(be);
    }
}

// Which formats compute together is known without a device.
static void numerics_are_completed_or_refused(void **state)
{
    (void)state;
    static const struct {
        const char *backend;
        wf_dtype weight, kv, act;
        wf_status st;
    } rows[] = {
        {"ref", WF_BF16, WF_F16, WF_F32, WF_OK},    {"cpu", WF_F32, WF_BF16, WF_F32, WF_OK},
        {"ref", WF_BF16, WF_INT8, WF_F32, WF_OK},   {"cpu", WF_BF16, WF_FP8, WF_F32, WF_OK},
        {"cuda", WF_BF16, WF_BF16, WF_BF16, WF_OK}, {"cuda", WF_F32, WF_BF16, WF_F32, WF_OK},
        {"cuda", WF_BF16, WF_F32, 0, WF_CONFIG},    {"cuda", WF_F16, WF_BF16, 0, WF_CONFIG},
        {"tpu", WF_F32, WF_F32, 0, WF_CONFIG},      {"cpu", WF_F32, WF_N_DTYPES, 0, WF_INTERNAL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        wf_numerics n = {.weight = rows[i].weight, .kv = rows[i].kv};
        assert_int_equal(wf_backend_numerics(rows[i].backend, &n), rows[i].st);
        if (rows[i].st != WF_OK) continue;
        assert_int_equal(n.act, rows[i].act);
        assert_int_equal(n.sum, rows[i].act);
    }
    wf_numerics scaled = {.weight = WF_FP8, .kv = WF_BF16, .plain = WF_BF16};
    assert_int_equal(wf_backend_numerics("ref", &scaled), WF_OK);
    scaled.kv = WF_INT4;
    assert_int_equal(wf_backend_numerics("ref", &scaled), WF_CONFIG);
    assert_non_null(strstr(wf_error(), "KV in int4, only f32, bf16, f16, fp8, int8"));
    scaled = (wf_numerics){.weight = WF_INT8, .kv = WF_BF16, .plain = WF_FP8};
    assert_int_equal(wf_backend_numerics("ref", &scaled), WF_CONFIG);
    assert_non_null(strstr(wf_error(), "model.dtype: back end ref has no kernels that read"));
    wf_numerics n = {.weight = WF_BF16, .kv = WF_F32};
    wf_backend_config odd = {.numerics = n};
    wf_backend *be = NULL;
    assert_int_equal(wf_backend_create("cuda", &odd, &be), WF_CONFIG);
    assert_non_null(strstr(wf_error(), "model.kv_dtype: on cuda bf16 activations"));
    // fp8 rows are for fp8 weights on cuda.
    wf_numerics fp8 = wf_numerics_of(WF_BF16);
    fp8.weight = WF_FP8;
    fp8.act_fp8 = true;
    assert_int_equal(wf_backend_numerics("cuda", &fp8), WF_OK);
    assert_int_equal(fp8.act, WF_BF16);
    fp8.weight = WF_INT8;
    assert_int_equal(wf_backend_numerics("cuda", &fp8), WF_CONFIG);
    assert_non_null(strstr(wf_error(), "model.activations_format"));
    fp8.weight = WF_FP8;
    assert_int_equal(wf_backend_numerics("ref", &fp8), WF_CONFIG);
    fp8.act_fp8 = false;
    fp8.weight = WF_INT4;
    assert_int_equal(wf_backend_numerics("cuda", &fp8), WF_CONFIG);
    assert_non_null(strstr(wf_error(), "fp8, int8"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses),
        cmocka_unit_test(a_missing_entry_is_named),
        cmocka_unit_test(capture_is_whole_or_not_there),
        cmocka_unit_test(tells_what_it_is),
        cmocka_unit_test(memory),
        cmocka_unit_test(order),
        cmocka_unit_test(weights_check_their_blocks),
        cmocka_unit_test(weights_check_their_shape),
        cmocka_unit_test(numerics_are_completed_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
