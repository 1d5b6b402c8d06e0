// Ranks and devices: every way in which ranks may see them, and binding near a device.
#include "tests/base/base_test.h"

#include <sched.h>

#include "launcher/bringup/device_files.h"
#include "launcher/bringup/device_look.h"
#include "launcher/bringup/parts.h"

enum { N_MOST = 4, D_MOST = 4 };

typedef struct {
    int node, slot, n;
    uint64_t id[D_MOST];
} rank_fact;

typedef struct {
    const char *what;
    wf_device_need need;
    int n_ranks;
    rank_fact rank[N_MOST];
    wf_status st;
    int device[N_MOST];
    const char *words[3]; // of the error or the remark
} device_case;

#define MUST   WF_DEVICES_MUST
#define IF_ANY WF_DEVICES_IF_ANY

static const device_case cases[] = {
    {"all visible", MUST, 2, {{0, 0, 2, {7, 8}}, {0, 1, 2, {7, 8}}}, WF_OK, {0, 1}, {0}},
    {"more devices than ranks", IF_ANY, 1, {{0, 0, 4, {7, 8, 9, 10}}}, WF_OK, {0}, {0}},
    {"two nodes, other devices",
     MUST,
     4,
     {{0, 0, 2, {1, 2}}, {0, 1, 2, {1, 2}}, {1, 0, 2, {3, 4}}, {1, 1, 2, {3, 4}}},
     WF_OK,
     {0, 1, 0, 1},
     {0}},
    {"two nodes, of another size",
     MUST,
     3,
     {{0, 0, 2, {1, 2}}, {0, 1, 2, {1, 2}}, {1, 0, 1, {3}}},
     WF_OK,
     {0, 1, 0},
     {0}},
    {"a group that is a world of its own takes its places",
     MUST,
     2,
     {{0, 2, 4, {1, 2, 3, 4}}, {0, 3, 4, {1, 2, 3, 4}}},
     WF_OK,
     {2, 3},
     {0}},
    {"one each, another one",
     MUST,
     2,
     {{0, 0, 1, {7}}, {0, 1, 1, {8}}},
     WF_OK,
     {0, 0},
     {"node0: each of its 2 ranks sees one device of its own", "NVLink", "--gpus-per-node=2"}},
    {"two each, others",
     MUST,
     2,
     {{0, 0, 2, {1, 2}}, {0, 1, 2, {3, 4}}},
     WF_OK,
     {0, 0},
     {"sees devices of its own", "--gpus-per-node=4 and no --gpus-per-task"}},
    {"the same single one",
     MUST,
     2,
     {{0, 0, 1, {7}}, {0, 1, 1, {7}}},
     WF_DEVICE,
     {0},
     {"node0: 2 ranks see the same single device (CUDA_VISIBLE_DEVICES 0,1)",
      "--gpus-per-node=2 without --gpus-per-task"}},
    {"the same single one, not asked for",
     IF_ANY,
     2,
     {{0, 0, 1, {7}}, {0, 1, 1, {7}}},
     WF_DEVICE,
     {0},
     {"same single device"}},
    {"too few",
     MUST,
     3,
     {{0, 0, 2, {1, 2}}, {0, 1, 2, {1, 2}}, {0, 2, 2, {1, 2}}},
     WF_DEVICE,
     {0},
     {"node0: 3 ranks but 2 devices", "--ntasks-per-node=2"}},
    {"a place beyond the devices",
     MUST,
     1,
     {{0, 2, 2, {1, 2}}},
     WF_DEVICE,
     {0},
     {"3 ranks but 2 devices"}},
    {"another number each",
     MUST,
     2,
     {{0, 0, 2, {1, 2}}, {0, 1, 1, {1}}},
     WF_DEVICE,
     {0},
     {"node0: its ranks see different devices: rank 0 2", "rank 1 1", "--gpus-per-node"}},
    {"masks that overlap",
     MUST,
     2,
     {{0, 0, 2, {1, 2}}, {0, 1, 2, {2, 3}}},
     WF_DEVICE,
     {0},
     {"its ranks see different devices"}},
    {"the same in another order",
     MUST,
     2,
     {{0, 0, 2, {1, 2}}, {0, 1, 2, {2, 1}}},
     WF_DEVICE,
     {0},
     {"its ranks see different devices"}},
    {"a node without",
     IF_ANY,
     2,
     {{0, 0, 1, {1}}, {1, 0, 0, {0}}},
     WF_DEVICE,
     {0},
     {"rank 1 on node1 sees no device, rank 0 on node0 sees 1", "--exclude"}},
    {"none, not asked for", IF_ANY, 2, {{0, 0, 0, {0}}, {0, 1, 0, {0}}}, WF_OK, {-1, -1}, {0}},
    {"none, asked for",
     MUST,
     1,
     {{0, 0, 0, {0}}},
     WF_DEVICE,
     {0},
     {"no rank sees a device", "parallel.backend: cpu"}},
};

static void test_assignment(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_ROWS(cases); i++) {
        const device_case *c = &cases[i];
        wf_device_sight sight[N_MOST] = {0};
        int device[N_MOST];
        char remark[WF_DEVICE_REMARK];
        for (int r = 0; r < c->n_ranks; r++) {
            sight[r] = (wf_device_sight){
                .node = c->rank[r].node, .slot = c->rank[r].slot, .n = c->rank[r].n};
            memcpy(sight[r].id, c->rank[r].id, sizeof c->rank[r].id);
            snprintf(sight[r].host, sizeof sight[r].host, "node%d", c->rank[r].node);
            snprintf(sight[r].visible, sizeof sight[r].visible, "0,1");
        }
        wf_status st = wf_devices_assign(sight, c->n_ranks, c->need, device, remark);
        if (st != c->st) fail_msg("%s: %s", c->what, wf_error());
        const char *said = st == WF_OK ? remark : wf_error();
        if (st == WF_OK && !c->words[0] && remark[0]) fail_msg("%s: %s", c->what, remark);
        for (size_t k = 0; k < N_ROWS(c->words) && c->words[k]; k++)
            if (!strstr(said, c->words[k])) fail_msg("%s: %s", c->what, said);
        for (int r = 0; st == WF_OK && r < c->n_ranks; r++)
            if (device[r] != c->device[r]) fail_msg("%s: rank %d on %d", c->what, r, device[r]);
    }
}

// Cores near a device are a list of CPUs; a list that is not allowed here means all.
static void test_binding_near(void **state)
{
    (void)state;
    char version[64], text[256];
    wf_cores all, near, nowhere;
    cpu_set_t set;
    wf_hwloc_version(version, sizeof version);
    if (strstr(version, "not built in") || sched_getaffinity(0, sizeof set, &set) != 0) skip();
    int last = CPU_SETSIZE - 1;
    while (last >= 0 && !CPU_ISSET((size_t)last, &set))
        last--;
    snprintf(text, sizeof text, "%d", last);
    assert_int_equal(wf_cores_count("", &all), WF_OK);
    assert_int_equal(wf_cores_count(text, &near), WF_OK);
    assert_int_equal(near.n, 1);
    assert_int_equal(wf_cores_count("100000", &nowhere), WF_OK);
    assert_int_equal(nowhere.n, all.n);
    assert_int_equal(wf_cores_bind(text, 0, 1), WF_OK);
    assert_int_equal(sched_getaffinity(0, sizeof set, &set), 0);
    assert_int_equal(CPU_COUNT(&set), 1);
    assert_true(CPU_ISSET((size_t)last, &set));
    assert_string_equal(wf_cores_bound(version, sizeof version), text);
}

// No device here, or some: the place of a PCI device that is not there is not known.
static void test_a_device_that_is_not_there(void **state)
{
    (void)state;
    wf_own_device own = {.numa = 5};
    wf_own_device_place("ffff:ff:1f.7", &own);
    assert_int_equal(own.numa, -1);
    assert_string_equal(own.near, "");
}

static void test_visible_devices(void **state)
{
    (void)state;
    static const struct {
        const char *visible;
        int there, n;
    } rows[] = {
        {NULL, 4, 4}, {"", 4, 0},    {"-1", 4, 0},
        {"0", 4, 1},  {"2,3", 4, 2}, {"GPU-1a,GPU-2b,GPU-3c", 0, 3},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(wf_devices_visible(rows[i].visible, rows[i].there), rows[i].n);
    assert_int_equal(wf_device_files_count("/proc/self/fd"), 0);
    assert_int_equal(wf_device_files_count("/nowhere"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_assignment),
        cmocka_unit_test(test_binding_near),
        cmocka_unit_test(test_a_device_that_is_not_there),
        cmocka_unit_test(test_visible_devices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
