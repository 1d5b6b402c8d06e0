// Placement: examples by hand, refusals, and properties over many small allocations.
#include "tests/jobs/jobs_test.h"

#include <stdbool.h>

#include "jobs/spec/plan.h"
#include "jobs/spec/plan_model.h"

// `nodes` has one digit per rank, `groups` too: the group of each rank, '.' when idle.
typedef struct {
    const char *name, *nodes;
    int n_devices, tensor, replicas;
    const char *groups;
    int n_spanning;
} place_row;

static const place_row place_rows[] = {
    {"alone", "0", 0, 1, 0, "0", 0},
    {"two replicas of two on one node", "0000", 0, 2, 0, "0011", 0},
    {"groups stay inside nodes", "00001111", 4, 2, 0, "00112233", 0},
    {"cyclic distribution of ranks", "01010101", 4, 2, 0, "01012323", 0},
    {"a rank over on each node stays idle", "000111", 4, 2, 0, "00.11.", 0},
    {"asked for three: one crosses", "000111", 4, 2, 3, "001221", 1},
    {"tensor of two nodes", "00001111", 4, 8, 0, "00000000", 1},
    {"four nodes, groups of two nodes", "00112233", 2, 4, 0, "00001111", 2},
    {"uneven nodes: the fullest first", "0111122", 4, 5, 0, ".00000.", 1},
    {"fewer replicas than fit", "00001111", 4, 2, 2, "0011....", 0},
    {"uneven node counts", "0001", 0, 1, 0, "0123", 0},
};

static void parse_nodes(const char *text, int *node)
{
    for (size_t i = 0; text[i]; i++)
        node[i] = text[i] - '0';
}

static void test_placement(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_ROWS(place_rows); i++) {
        const place_row *row = &place_rows[i];
        int node[32];
        parse_nodes(row->nodes, node);
        wf_plan_input in = {.n_ranks = (int)strlen(row->nodes),
                            .node_of_rank = node,
                            .n_devices = row->n_devices,
                            .tensor = row->tensor,
                            .replicas = row->replicas};
        wf_plan *plan;
        assert_ok(wf_plan_make(&in, &plan));
        char got[32] = "";
        for (int r = 0; r < plan->n_ranks; r++)
            got[r] = plan->rank[r].group < 0 ? '.' : (char)('0' + plan->rank[r].group);
        if (strcmp(got, row->groups) != 0) print_error("%s\n", row->name);
        assert_string_equal(got, row->groups);
        assert_int_equal(plan->n_spanning, row->n_spanning);
        wf_plan_destroy(&plan);
        assert_null(plan);
    }
}

typedef struct {
    const char *nodes;
    int n_devices, tensor, replicas;
    const char *message;
} refuse_row;

static const refuse_row refuse_rows[] = {
    {"0", 0, 2, 0, "1 group of parallel.tensor 2 needs 2 ranks, 1 was started on 1 node"},
    {"0011", 2, 2, 3, "3 groups of parallel.tensor 2 need 6 ranks, 4 were started on 2 nodes"},
    {"00000", 4, 1, 0,
     "node 0: 5 ranks but 4 devices: start one task per device "
     "(--ntasks-per-node=4)"},
    {"", 0, 1, 0, "0 ranks"},
    {"0", 0, 0, 0, "parallel.tensor 0"},
};

static void test_refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_ROWS(refuse_rows); i++) {
        const refuse_row *row = &refuse_rows[i];
        int node[32];
        parse_nodes(row->nodes, node);
        wf_plan_input in = {.n_ranks = (int)strlen(row->nodes),
                            .node_of_rank = node,
                            .n_devices = row->n_devices,
                            .tensor = row->tensor,
                            .replicas = row->replicas};
        wf_plan *plan = NULL;
        assert_int_equal(wf_plan_make(&in, &plan), WF_CONFIG);
        assert_null(plan);
        assert_contains(wf_error(), row->message);
    }
}

// What must hold of any plan.
static void check_plan(const wf_plan_input *in, const wf_plan *plan)
{
    int n_placed = 0, n_inside = 0, per_node[16] = {0};
    for (int r = 0; r < plan->n_ranks; r++) {
        const wf_plan_rank *rank = &plan->rank[r];
        assert_int_equal(rank->node, in->node_of_rank[r]);
        assert_int_equal(rank->local, per_node[rank->node]++);
        if (rank->group < 0) continue;
        n_placed++;
        assert_int_equal(plan->member[rank->group * plan->tensor + rank->position], r);
    }
    assert_int_equal(n_placed, plan->n_groups * plan->tensor);
    assert_int_equal(n_placed + plan->n_idle, plan->n_ranks);
    for (int n = 0; n < plan->n_nodes; n++)
        n_inside += per_node[n] / plan->tensor;
    for (int g = 0; g < plan->n_groups; g++) {
        const int *member = plan->member + plan->group[g].first;
        if (g > 0) assert_true(member[0] > member[-plan->tensor]);
        bool seen[16] = {false};
        int n_nodes = 0;
        for (int i = 0; i < plan->tensor; i++) {
            if (i > 0) assert_true(member[i] > member[i - 1]);
            n_nodes += !seen[plan->rank[member[i]].node];
            seen[plan->rank[member[i]].node] = true;
        }
        assert_int_equal(plan->group[g].n_nodes, n_nodes);
    }
    // Nothing crosses nodes that would have fitted inside one.
    int n_expected = in->replicas > 0 ? in->replicas : plan->n_groups;
    int n_local = n_expected < n_inside ? n_expected : n_inside;
    assert_int_equal(plan->n_spanning, plan->n_groups - n_local);
    if (in->replicas == 0 && n_inside > 0) assert_int_equal(plan->n_groups, n_inside);
}

static void test_properties(void **state)
{
    (void)state;
    uint32_t random = 12345;
    int n_made = 0;
    for (int i = 0; i < 20000; i++) {
        int node[24];
        random = random * 1664525u + 1013904223u;
        int n_nodes = 1 + (int)(random >> 8) % 5, n_ranks = 1 + (int)(random >> 12) % 24;
        int tensor = 1 << (random >> 20) % 4, replicas = (int)(random >> 24) % 4;
        for (int r = 0; r < n_ranks; r++) {
            random = random * 1664525u + 1013904223u;
            node[r] = (int)(random >> 10) % (n_nodes < n_ranks ? n_nodes : n_ranks);
        }
        wf_plan_input in = {
            .n_ranks = n_ranks, .node_of_rank = node, .tensor = tensor, .replicas = replicas};
        wf_plan *plan;
        wf_status st = wf_plan_make(&in, &plan);
        assert_int_equal(st == WF_OK, n_ranks >= tensor * (replicas ? replicas : 1));
        if (st != WF_OK) continue;
        check_plan(&in, plan);
        wf_plan_destroy(&plan);
        n_made++;
    }
    assert_true(n_made > 5000);
}

static void test_texts(void **state)
{
    (void)state;
    static const int node[] = {0, 0, 0, 1, 1, 1};
    wf_plan_input in = {.n_ranks = 6, .node_of_rank = node, .tensor = 4};
    wf_plan *plan;
    char text[256];
    assert_ok(wf_plan_make(&in, &plan));
    assert_string_equal(wf_plan_group_text(plan, 0, text, sizeof text),
                        "node 0: ranks 0-2; node 1: rank 3");
    assert_string_equal(wf_plan_remarks(plan, text, sizeof text),
                        "1 of 1 group crosses nodes: every layer's all-reduce goes over the "
                        "network; 2 of 6 ranks stay idle (ranks 4,5): 1 group of 4 is placed");
    char small[8];
    assert_string_equal(wf_plan_group_text(plan, 0, small, sizeof small), "node 0:");
    wf_plan_destroy(&plan);

    in = (wf_plan_input){.n_ranks = 4, .tensor = 2};
    assert_ok(wf_plan_make(&in, &plan));
    assert_string_equal(wf_plan_group_text(plan, 1, text, sizeof text), "node 0: ranks 2-3");
    assert_string_equal(wf_plan_remarks(plan, text, sizeof text), "");
    wf_plan_destroy(&plan);
}

#define MIB (UINT64_C(1) << 20)

static void test_kv_capacity(void **state)
{
    (void)state;
    wf_plan_memory m = {.free_bytes = 1000 * MIB,
                        .n_sharing = 2,
                        .weight_bytes = 200 * MIB,
                        .workspace_bytes = 100 * MIB,
                        .kv_token_bytes = 1024,
                        .kv_share = 0.5,
                        .page_tokens = 64};
    wf_plan_kv kv;
    assert_ok(wf_plan_kv_capacity(&m, &kv)); // (500 - 300) * 0.5 = 100 MiB in pages of 64 KiB
    assert_int_equal(kv.n_pages, 1600);
    assert_int_equal(kv.n_tokens, 1600 * 64);
    assert_int_equal(kv.bytes, 100 * MIB);
    assert_int_equal(wf_plan_concurrency(&kv, 64, 100.0), 800); // two pages each
    assert_int_equal(wf_plan_concurrency(&kv, 64, 0.0), 0);
    m.most_pages = 4; // of models whose layers all have windows
    assert_ok(wf_plan_kv_capacity(&m, &kv));
    assert_int_equal(wf_plan_concurrency(&kv, 64, 100.0), 800);
    assert_int_equal(wf_plan_concurrency(&kv, 64, 1e6), 400);
    m.most_pages = 0;

    m.kv_share = 0;
    m.kv_bytes = 65536 + 65535; // only whole pages count
    assert_ok(wf_plan_kv_capacity(&m, &kv));
    assert_int_equal(kv.n_pages, 1);

    m.n_slots = 3; // of reorder: copy
    m.slot_pages = 2;
    assert_int_equal(wf_plan_kv_capacity(&m, &kv), WF_CONFIG);
    assert_contains(wf_error(), "copy needs 3 slots of 128 tokens");
    m.n_slots = m.slot_pages = 0;

    m.kv_bytes = 65535;
    assert_int_equal(wf_plan_kv_capacity(&m, &kv), WF_CONFIG);
    assert_contains(wf_error(), "hold not one page of 64 tokens");

    m.kv_bytes = 201 * MIB;
    assert_int_equal(wf_plan_kv_capacity(&m, &kv), WF_CONFIG);
    assert_contains(wf_error(), "0.20 GiB per rank, but 0.20 GiB are free");

    m.n_sharing = 4;
    assert_int_equal(wf_plan_kv_capacity(&m, &kv), WF_CONFIG);
    assert_contains(wf_error(), "raise parallel.tensor");

    m = (wf_plan_memory){.free_bytes = 1000 * MIB,
                         .weight_bytes = 200 * MIB,
                         .workspace_bytes = 100 * MIB,
                         .runtime_bytes = 300 * MIB,
                         .comm_bytes = 200 * MIB,
                         .kv_token_bytes = 1024,
                         .kv_share = 0.5,
                         .page_tokens = 64};
    assert_ok(wf_plan_kv_capacity(&m, &kv)); // (1000 - 800) * 0.5
    assert_int_equal(kv.bytes, 100 * MIB);
    m.comm_bytes = 400 * MIB;
    assert_int_equal(wf_plan_kv_capacity(&m, &kv), WF_CONFIG);
    assert_contains(wf_error(), "a rank needs 0.98 GiB and KV pages");
    assert_contains(wf_error(), "libraries and captured steps 0.29 GiB, communicators 0.39 GiB");
}

// What is planned is what is created: a slot holds no more than the context, whatever was asked for
// (the plan once counted the whole slot, the engine did not).
static void test_slots_are_planned_as_they_are_made(void **state)
{
    (void)state;
    const wf_arch_layer layer = {
        .feed_forward = WF_BLOCK_DENSE, .n_heads = 4, .n_kv_heads = 2, .ffn = 128};
    const wf_arch arch = {.family = wf_family_at(0),
                          .n_layers = 2,
                          .hidden = 64,
                          .head_dim = 16,
                          .n_vocab = 300,
                          .max_context = 1024,
                          .rotary_dim = 16,
                          .layer = {layer, layer}};
    const wf_plan_device device = {
        .free_bytes = UINT64_C(1) << 34, .n_sharing = 1, .host = true, .num = {0}};
    const wf_plan_needs needs = {.n_top = -1};
    wf_jobspec spec = {.parallel.tensor = 1,
                       .engine = {.max_rows = 64,
                                  .step_tokens = 512,
                                  .page_tokens = 16,
                                  .reorder = WF_REORDER_COPY,
                                  .slot_tokens = 1024}};
    wf_plan_memory slot, larger;
    assert_ok(wf_plan_model_memory(&spec, &arch, &device, &needs, &slot));
    spec.engine.slot_tokens = 1 << 20;
    assert_ok(wf_plan_model_memory(&spec, &arch, &device, &needs, &larger));
    assert_int_equal(slot.workspace_bytes, larger.workspace_bytes);
    spec.engine.max_context = 2048;
    assert_int_equal(wf_plan_model_memory(&spec, &arch, &device, &needs, &slot), WF_CONFIG);
    assert_contains(wf_error(), "max_context 2048 is beyond the model's 1024");
}

// `deterministic` promises equal bits for groups of 1, 2, 4 and 8; where sizes forbid it, it says
// so.
static void test_sizes_that_forbid_equal_bits(void **state)
{
    (void)state;
    static const struct {
        int32_t ffn, head_dim;
        bool parallel, asked;
        int tensor;
        const char *remark;
    } rows[] = {
        {128, 16, false, true, 1, NULL},
        {132, 16, false, true, 1,
         "its feed-forward of 132 columns cannot be cut into 8 equal runs"},
        {128, 15, false, true, 1, "its attention of 60 columns cannot be cut into 8 equal runs"},
        {128, 16, true, true, 1, "both branches of its parallel residual are in one sum"},
        {96, 16, false, true, 3, "8 is not divided by parallel.tensor 3"},
        {132, 16, true, false, 1, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[320];
        const wf_arch arch = {
            .n_layers = 1,
            .head_dim = rows[i].head_dim,
            .layer = {{.join = rows[i].parallel ? WF_JOIN_PARALLEL : WF_JOIN_SERIAL,
                       .n_heads = 4,
                       .ffn = rows[i].ffn}}};
        const wf_jobspec spec = {.parallel.tensor = rows[i].tensor,
                                 .engine.deterministic = rows[i].asked};
        wf_plan_model_remarks(&spec, &arch, text, sizeof text);
        if (rows[i].remark)
            assert_contains(text, rows[i].remark);
        else
            assert_string_equal(text, "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_placement),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_properties),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_kv_capacity),
        cmocka_unit_test(test_slots_are_planned_as_they_are_made),
        cmocka_unit_test(test_sizes_that_forbid_equal_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
