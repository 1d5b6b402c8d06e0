// Layouts: every term against values by hand from the formulas of Pope et al. 2022, the paper's
// tables, and the search.
#include "tests/jobs/jobs_test.h"

#include <math.h>

#include "jobs/layout/search.h"
#include "tests/jobs/measured.h"
#include "tests/jobs/palm.h"

static void assert_near(double got, double expected)
{
    if (fabs(got - expected) <= 1e-9 * fabs(expected)) return;
    print_error("%.12g, expected %.12g\n", got, expected);
    fail();
}

// Rates of one: bytes and operations are seconds.
static wf_machine unit_machine(void)
{
    return (wf_machine){.name = "unit",
                        .flops = {1, 1, 1},
                        .memory_bytes = 1e30,
                        .memory_rate = 1,
                        .link_rate = 1,
                        .node_devices = 1 << 20,
                        .network_rate = 0.5,
                        .hop_s = 1,
                        .torus = true};
}

// E 1024, F 4096, two matrices, 8 heads of 128, 2 of them for K and V: Q 1024, KV 512 columns.
static wf_layout_model small_model(void)
{
    return (wf_layout_model){.name = "small",
                             .n_layers = 3,
                             .hidden = 1024,
                             .ffn = 4096,
                             .parallel = true,
                             .n_heads = 8,
                             .n_kv_heads = 2,
                             .head_dim = 128,
                             .n_vocab = 32000,
                             .max_context = 4096};
}

static wf_layout_cost layer(const wf_machine *m, const wf_layout_model *model, const char *format,
                            wf_layout l, wf_layout_work w)
{
    wf_layout_cost c;
    wf_layout_layer_cost(model, m, wf_layout_format_find(format), &l, &w, &c);
    return c;
}

// ---- terms --------------------------------------------------------------------------------------

#define BY_HEADS WF_LAYOUT_BY_HEADS
#define BY_BATCH WF_LAYOUT_BY_BATCH

// 10 tokens (BL) of the paper's feed-forward, in values per chip with the factor (k-1)/k.
static void test_feed_forward_links(void **state)
{
    (void)state;
    wf_machine m = unit_machine();
    double E = 1024, F = 4096, BL = 640;
    // 1D on 16: 2 BL E, 15/16 of it.
    assert_near(palm_values(&m, WF_LAYOUT_1D, 1, 1, 16, 1024, 640), 2 * BL * E * 15 / 16);
    // 2D, x 2, yz 8: 2 BL (E/x * 7/8 + F/yz * 1/2).
    assert_near(palm_values(&m, WF_LAYOUT_2D, 2, 2, 4, 1024, 640),
                2 * BL * (E / 2 * 7 / 8 + F / 8 / 2));
    // X-gathered, N 4 of 64: 2 E F N/n * 3/4 + 2 BL E/N * 15/16.
    assert_near(palm_values(&m, WF_LAYOUT_GATHER_X, 4, 4, 4, 1024, 640),
                2 * E * F * 4 / 64 * 3 / 4 + 2 * BL * E / 4 * 15 / 16);
    // XY, N 16: the rest is 4 chips.
    assert_near(palm_values(&m, WF_LAYOUT_GATHER_XY, 4, 4, 4, 1024, 640),
                2 * E * F * 16 / 64 * 15 / 16 + 2 * BL * E / 16 * 3 / 4);
    // XYZ: weights alone.
    assert_near(palm_values(&m, WF_LAYOUT_GATHER_XYZ, 4, 4, 4, 1024, 640), 2 * E * F * 63 / 64);
}

// 16 sequences with 100 tokens each, one new: decode on 8 devices.
static void test_device_terms(void **state)
{
    (void)state;
    wf_machine m = unit_machine();
    wf_layout_model model = small_model();
    wf_layout_work w = {16, 1, 99};
    double P = 1024 * (2 * 1024 + 512 + 2 * 4096);
    wf_layout_cost c =
        layer(&m, &model, "bf16", (wf_layout){WF_LAYOUT_1D, BY_HEADS, 1, 1, 8, 1}, w);
    assert_near(c.weights_s, 2 * P / 8);
    assert_near(c.compute_s, 2 * 16 * P / 8 + 4.0 * 16 * 100 * 1 * 128);
    assert_near(c.kv_s, 16.0 * 2 * 1 * 128 * 2 * 100); // 2 heads on 8 devices: one on each
    c = layer(&m, &model, "int8", (wf_layout){WF_LAYOUT_1D, BY_HEADS, 1, 1, 2, 1}, w);
    assert_near(c.weights_s, P / 2);
    c = layer(&m, &model, "bf16", (wf_layout){WF_LAYOUT_1D, BY_BATCH, 1, 1, 8, 1}, w);
    assert_near(c.compute_s, 2 * 16 * P / 8 + 4.0 * 2 * 100 * 8 * 128);
    assert_near(c.kv_s, 2.0 * 2 * 2 * 128 * 2 * 100);
    // Gathered weights are read whole: N/n of them, and rows are split over N.
    c = layer(&m, &model, "bf16", (wf_layout){WF_LAYOUT_GATHER_X, BY_HEADS, 4, 1, 2, 1}, w);
    assert_near(c.weights_s, 2 * P / 2);
    assert_near(c.kv_s, 4.0 * 2 * 1 * 128 * 2 * 100);
    // Replicas share the sequences.
    c = layer(&m, &model, "bf16", (wf_layout){WF_LAYOUT_1D, BY_HEADS, 1, 1, 4, 2}, w);
    assert_near(c.compute_s, 2 * 8 * P / 4 + 4.0 * 8 * 100 * 2 * 128);
}

static void test_variants_of_attention(void **state)
{
    (void)state;
    wf_machine m = unit_machine();
    wf_layout_work w = {16, 1, 99};
    wf_layout l = {WF_LAYOUT_1D, BY_HEADS, 1, 1, 8, 1};
    static const struct {
        int n_kv_heads;
        double by_heads, by_batch; // K and V heads x sequences on a device
    } rows[] = {{8, 1 * 16, 8 * 2}, {2, 1 * 16, 2 * 2}, {1, 1 * 16, 1 * 2}};
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        wf_layout_model model = small_model();
        model.n_kv_heads = rows[i].n_kv_heads;
        l.attention = BY_HEADS;
        assert_near(layer(&m, &model, "bf16", l, w).kv_s, rows[i].by_heads * 2 * 128 * 2 * 100);
        l.attention = BY_BATCH;
        assert_near(layer(&m, &model, "bf16", l, w).kv_s, rows[i].by_batch * 2 * 128 * 2 * 100);
    }
}

static void test_serial_and_batch_links(void **state)
{
    (void)state;
    wf_machine m = unit_machine();
    wf_layout_model model = small_model();
    wf_layout_work w = {16, 1, 99};
    wf_layout l = {WF_LAYOUT_1D, BY_HEADS, 1, 1, 8, 1};
    double pair = 2 * 16 * 1024 * 2.0 * 7 / 8;
    wf_layout_cost c = layer(&m, &model, "bf16", l, w);
    assert_near(c.link_s, pair);
    assert_near(c.hop_s, 2 * 7); // a ring of 8, there and back
    l.attention = BY_BATCH;      // Q, K, V there, the result back
    assert_near(layer(&m, &model, "bf16", l, w).link_s, pair + 16.0 * 2560 / 8 * 2 * 7 / 8);
    model.parallel = false;
    l.attention = BY_HEADS;
    assert_near(layer(&m, &model, "bf16", l, w).link_s, 2 * pair);
    // Gate and up are both summed over x: 3 F, and Q, K, V, result of the attention.
    model.parallel = model.gated = true;
    c = layer(&m, &model, "bf16", (wf_layout){WF_LAYOUT_2D, BY_HEADS, 2, 2, 2, 1}, w);
    assert_near(c.link_s,
                2 * 16 * 2 * (1024.0 / 2 * 3 / 4) + 16 * 2 * (3 * 4096 + 2 * 1024 + 512) / 4.0 / 2);
    assert_near(c.hop_s, 2 * 2 + 2 * 1);
}

static void test_nodes_and_switches(void **state)
{
    (void)state;
    wf_machine m = unit_machine();
    wf_layout_model model = small_model();
    wf_layout l = {WF_LAYOUT_1D, BY_HEADS, 1, 1, 8, 1};
    wf_layout_work w = {16, 1, 99};
    double near = layer(&m, &model, "bf16", l, w).link_s;
    m.node_devices = 4, m.torus = false;
    wf_layout_cost c = layer(&m, &model, "bf16", l, w);
    assert_near(c.link_s, 2 * near); // the network has half the rate
    assert_near(c.hop_s, 2 * 3);     // log2(8)
    // y and z lie inside the node, x reaches across.
    l = (wf_layout){WF_LAYOUT_2D, BY_HEADS, 2, 2, 2, 1};
    double far = layer(&m, &model, "bf16", l, w).link_s;
    assert_near(far, 2 * 16 * 2 * (1024.0 / 2 * 3 / 4) +
                         2 * (16 * 2 * (2 * 4096 + 2 * 1024 + 512) / 4.0 / 2));
}

static void test_step(void **state)
{
    (void)state;
    wf_machine m = unit_machine();
    wf_layout_model model = small_model();
    wf_layout l = {WF_LAYOUT_1D, BY_HEADS, 1, 1, 2, 4};
    wf_layout_work w = {16, 1, 99};
    wf_layout_cost one = layer(&m, &model, "bf16", l, w), c;
    wf_layout_step_cost(&model, &m, wf_layout_format_find("bf16"), &l, &w, &c);
    double head = 32000.0 * 1024, P = 3 * 1024.0 * 10752 + 2 * head;
    assert_near(wf_layout_n_params(&model), P);
    assert_near(c.compute_s, 3 * one.compute_s + 2 * 4 * head / 2);
    assert_near(c.weights_s, 3 * one.weights_s + head);
    assert_near(c.step_s, fmax(c.compute_s, c.weights_s + c.kv_s) + c.link_s + c.hop_s);
    assert_near(c.tokens_per_s, 16 / c.step_s);
    assert_near(c.device_s_per_mtok, 8 * c.step_s / 16 * 1e6);
    assert_near(c.mfu, 2 * P * 16 / (c.step_s * 8));
    // Weights, K and V of 4 sequences with 100 tokens, activations of 4 rows.
    assert_near(c.memory_bytes,
                P * 2 / 2 + 3 * 4 * 2 * 128 * 2 * 100.0 + 4 * (2 * 1024 + 4096 / 2.0) * 2);
}

// ---- the paper ----------------------------------------------------------------------------------

static void machine_make(const char *name, wf_machine *out)
{
    assert_ok(wf_machine_make(&(wf_machine_source){.name = name}, out));
}

static void test_parameters(void **state)
{
    (void)state;
    assert_near(round(wf_layout_n_params(wf_layout_shape("palm-540b")) / 1e7), 54035);
    assert_near(round(wf_layout_n_params(wf_layout_shape("palm-62b")) / 1e7), 6250);
    assert_near(round(wf_layout_n_params(wf_layout_shape("palm-8b")) / 1e7), 863);
    assert_null(wf_layout_shape("palm-9b"));
}

// The prediction is a least time: below the published one, and not by more than the row allows.
static void test_published_latencies(void **state)
{
    (void)state;
    wf_machine m;
    machine_make("tpu-v4", &m);
    for (size_t i = 0; i < N_ROWS(palm_rows); i++) {
        const palm_row *row = &palm_rows[i];
        wf_layout_cost c;
        palm_predict(row, &m, &c);
        double ratio = c.step_s * row->n_steps / row->latency_s;
        if (ratio < row->least_ratio || ratio > 1) print_error("%s: %.3f\n", row->what, ratio);
        assert_true(ratio >= row->least_ratio && ratio <= 1);
        // The published two figures agree with each other, within their rounding.
        double n = row->x * row->y * row->z, mfu = c.mfu * c.step_s * row->n_steps / row->latency_s;
        assert_true(n > 0 && fabs(mfu - row->mfu) < 0.01);
    }
    wf_machine_free(&m);
}

// Serial blocks sum the hidden size twice: 14% more latency in decode at batch 512, says
// section 4.3.
static void test_published_serial(void **state)
{
    (void)state;
    wf_machine m;
    machine_make("tpu-v4", &m);
    assert_true(fabs(palm_serial(&m) / PALM_SERIAL - 1) < 0.03);
    wf_machine_free(&m);
}

static void test_published_contexts(void **state)
{
    (void)state;
    wf_machine m;
    machine_make("tpu-v4", &m);
    for (size_t i = 0; i < N_ROWS(palm_context_rows); i++) {
        double ratio = palm_context(&palm_context_rows[i], &m) / palm_context_rows[i].tokens;
        if (fabs(ratio - 1) > 0.015) print_error("%s: %.3f\n", palm_context_rows[i].what, ratio);
        assert_true(fabs(ratio - 1) <= 0.015);
    }
    wf_machine_free(&m);
}

// 2D's 2 BL (E/x + F/yz), x = sqrt(n/4), is 8 BL E / sqrt(n): 1D's 2 BL E at 16 chips, where
// (k-1)/k is left out; with it, at 8.
static void test_crossovers(void **state)
{
    (void)state;
    wf_machine m = unit_machine();
    assert_near(palm_values(&m, WF_LAYOUT_2D, 2, 2, 2, 16384, 64),
                palm_values(&m, WF_LAYOUT_1D, 1, 2, 4, 16384, 64));
    assert_near(2 * (1.0 / 2 + 4.0 / 8), 8 / sqrt(16));
    assert_true(palm_values(&m, WF_LAYOUT_2D, 4, 4, 4, 16384, 64) <
                0.5 * palm_values(&m, WF_LAYOUT_1D, 1, 8, 8, 16384, 64));
    int64_t x = palm_crossover(&m, WF_LAYOUT_2D, WF_LAYOUT_GATHER_X);
    int64_t xy = palm_crossover(&m, WF_LAYOUT_GATHER_X, WF_LAYOUT_GATHER_XY);
    int64_t xyz = palm_crossover(&m, WF_LAYOUT_GATHER_XY, WF_LAYOUT_GATHER_XYZ);
    // By hand: 2 E F (N' - N) / n against 2 BL E (1/N - 1/N'), E 16384, F 65536, n 64.
    assert_int_equal(x, 16384);
    assert_int_equal(xy, 65536);
    assert_int_equal(xyz, 512 * 2048); // the paper's high-throughput prefill is right there
}

// ---- this engine --------------------------------------------------------------------------------

// Predicted / measured step on H200s: a least time by the data sheet, nearer by measured rates.
static void test_measured_steps(void **state)
{
    (void)state;
    static const struct {
        const char *machine;
        double least, most;
    } rows[] = {{"h200", 0.65, 1}, {"h200-measured", 0.75, 1}};
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        wf_machine m;
        machine_make(rows[i].machine, &m);
        for (size_t k = 0; k < N_ROWS(measured_rows); k++) {
            const measured_row *row = &measured_rows[k];
            wf_layout_cost c;
            assert_ok(measured_predict(row, &m, &c));
            double ratio = c.step_s * 1e3 / row->step_ms;
            bool good = ratio >= rows[i].least && ratio <= rows[i].most;
            if (!good) print_error("%s, %d rows: %.3f\n", row->model, row->rows, ratio);
            assert_true(good);
        }
        wf_machine_free(&m);
    }
}

// ---- machines -----------------------------------------------------------------------------------

static void test_machines(void **state)
{
    (void)state;
    for (size_t i = 0; wf_machine_name(i); i++) {
        wf_machine m;
        machine_make(wf_machine_name(i), &m);
        assert_true(m.flops[WF_RATE_BF16] > 1e12 && m.memory_rate > 1e11 && m.source[0]);
        wf_machine_free(&m);
    }
    const char *set[] = {"link.bandwidth=300", "name=other"};
    wf_machine m;
    assert_ok(wf_machine_make(&(wf_machine_source){.name = "h200", .set = set, .n_set = 2}, &m));
    assert_near(m.link_rate, 300e9);
    assert_near(m.memory_bytes, 141e9);
    assert_string_equal(m.name, "other");
    wf_machine_free(&m);
}

static void test_bad_machines(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text, *set, *message;
    } rows[] = {
        {"h300", NULL, NULL, "machine \"h300\": there is no such row; known: tpu-v4, a100"},
        {NULL, "name: mine\n", NULL, "source: missing: where each number is from (and "},
        {"h200", NULL, "memory.bandwidth=-3", "memory.bandwidth"},
        {"h200", NULL, "flops.bf16=9e30", "flops.bf16"},
        {"h200", NULL, "memory.size=nan", "memory.size"},
        {"h200", NULL, "link.topology=mesh", "link.topology"},
        {"h200", "memory: {sise: 80}\n", NULL, "memory.size"},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        wf_machine_source s = {.name = rows[i].name,
                               .path = "mine.yaml",
                               .text = rows[i].text,
                               .set = &rows[i].set,
                               .n_set = rows[i].set ? 1 : 0};
        wf_machine m;
        assert_int_equal(wf_machine_make(&s, &m), WF_CONFIG);
        assert_contains(wf_error(), rows[i].message);
        assert_null(strchr(wf_error(), '\n'));
    }
}

// ---- search -------------------------------------------------------------------------------------

static wf_layout_search search_of(const wf_machine *m, const char *model, const char *format, int n)
{
    return (wf_layout_search){.model = wf_layout_shape(model),
                              .machine = m,
                              .format = wf_layout_format_find(format),
                              .n_devices = n,
                              .tokens = 1,
                              .past = 2048};
}

static void test_search(void **state)
{
    (void)state;
    wf_machine m;
    wf_layout_found f;
    machine_make("tpu-v4", &m);
    wf_layout_search s = search_of(&m, "palm-540b", "int8", 64);
    assert_ok(wf_layout_search_run(&s, &f));
    for (size_t i = 1; i < f.n; i++) { // a front: later is slower and gives more
        assert_true(f.front[i].cost.step_s > f.front[i - 1].cost.step_s);
        assert_true(f.front[i].cost.tokens_per_s > f.front[i - 1].cost.tokens_per_s);
        assert_true(wf_layout_fits(&f.front[i].cost, &m));
    }
    double fastest = f.front[0].cost.step_s;
    assert_near(f.best.cost.tokens_per_s, f.front[f.n - 1].cost.tokens_per_s);
    wf_layout_found_free(&f);
    s.latency_s = 1.5 * fastest;
    assert_ok(wf_layout_search_run(&s, &f));
    assert_true(f.best.cost.step_s <= s.latency_s);
    wf_layout_found_free(&f);
    // What the paper chose at batch 64: 2D, attention by sequences.
    s.latency_s = 0, s.batch = 64;
    assert_ok(wf_layout_search_run(&s, &f));
    assert_int_equal(f.best.layout.ffn, WF_LAYOUT_2D);
    assert_int_equal(f.best.layout.attention, WF_LAYOUT_BY_BATCH);
    assert_false(f.any_built);
    wf_layout_found_free(&f);
    // And for prefill of 512 x 2048: weights gathered, over xy or xyz (they cross right there).
    s = search_of(&m, "palm-540b", "bf16", 64);
    s.batch = 512, s.tokens = 2048, s.past = 0;
    assert_ok(wf_layout_search_run(&s, &f));
    assert_true(wf_layout_n_gathered(f.best.layout.ffn) >= 2);
    wf_layout_found_free(&f);
    wf_machine_free(&m);
}

static void test_built(void **state)
{
    (void)state;
    wf_layout_model m = small_model();
    const wf_layout_format *bf16 = wf_layout_format_find("bf16");
    assert_string_equal(
        wf_layout_not_built(&m, bf16, &(wf_layout){WF_LAYOUT_1D, BY_HEADS, 1, 1, 2, 4}), "");
    assert_contains(wf_layout_not_built(&m, bf16, &(wf_layout){WF_LAYOUT_1D, BY_HEADS, 1, 1, 3, 1}),
                    "split");
    assert_contains(wf_layout_not_built(&m, bf16, &(wf_layout){WF_LAYOUT_1D, BY_BATCH, 1, 1, 2, 1}),
                    "heads");
    assert_contains(wf_layout_not_built(&m, bf16, &(wf_layout){WF_LAYOUT_2D, BY_HEADS, 2, 1, 1, 1}),
                    "1d");
    assert_contains(wf_layout_not_built(&m, wf_layout_format_find("int8"),
                                        &(wf_layout){WF_LAYOUT_1D, BY_HEADS, 1, 1, 1, 1}),
                    "format");
}

static void test_search_refuses(void **state)
{
    (void)state;
    wf_machine m;
    wf_layout_found f;
    machine_make("h200", &m);
    wf_layout_search s = search_of(&m, "palm-540b", "bf16", 1);
    assert_int_equal(wf_layout_search_run(&s, &f), WF_CONFIG);
    assert_contains(wf_error(), "does not fit 1 x NVIDIA H200 SXM 141 GB; at least 9 are needed");
    s.n_devices = 9; // it is so
    assert_ok(wf_layout_search_run(&s, &f));
    wf_layout_found_free(&f);
    s.latency_s = 1e-9;
    assert_int_equal(wf_layout_search_run(&s, &f), WF_CONFIG);
    assert_contains(wf_error(), "no layout takes 1e-06 ms; the least is ");
    wf_machine_free(&m);
    machine_make("tpu-v4", &m);
    s = search_of(&m, "palm-8b", "f32", 8);
    assert_int_equal(wf_layout_search_run(&s, &f), WF_CONFIG);
    assert_contains(wf_error(), "TPU v4: the machine's row has no rate for f32");
    wf_machine_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_feed_forward_links),
        cmocka_unit_test(test_device_terms),
        cmocka_unit_test(test_variants_of_attention),
        cmocka_unit_test(test_serial_and_batch_links),
        cmocka_unit_test(test_nodes_and_switches),
        cmocka_unit_test(test_step),
        cmocka_unit_test(test_parameters),
        cmocka_unit_test(test_published_latencies),
        cmocka_unit_test(test_published_contexts),
        cmocka_unit_test(test_published_serial),
        cmocka_unit_test(test_crossovers),
        cmocka_unit_test(test_measured_steps),
        cmocka_unit_test(test_machines),
        cmocka_unit_test(test_bad_machines),
        cmocka_unit_test(test_search),
        cmocka_unit_test(test_built),
        cmocka_unit_test(test_search_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
