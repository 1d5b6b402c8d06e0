// What a conductor decides, in thousands of made-up cases: the table of a group's states, where
// lost groups go, and who is quiet.
#include "tests/base/base_test.h"

#include "launcher/conductor/conductor_places.h"
#include "launcher/conductor/conductor_table.h"
#include "launcher/conductor/conductor_watch.h"

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

// ---- the table ----------------------------------------------------------------------------------

// A group as the outside sees it: its processes, and whether what it took is accounted for.
typedef struct {
    wf_group_state state;
    bool alive;   // has processes
    bool told;    // they were told to die
    bool asked;   // to leave
    bool open;    // has taken ranges that nobody has accounted for
    int n_starts; // of all its lives
} model;

static void send(model *m, wf_group_event event)
{
    wf_group_turn turn = wf_group_step(m->state, event);
    m->state = turn.next;
    switch (turn.action) {
    case WF_DO_START:
        assert_false(m->alive); // never two lives at once
        assert_false(m->open);  // never before the last one is accounted for
        m->alive = m->open = true;
        m->told = m->asked = false;
        m->n_starts++;
        break;
    case WF_DO_KILL:
    case WF_DO_KILL_HARD:
        assert_true(m->alive);
        m->told = true;
        break;
    case WF_DO_ASK:
        assert_true(m->alive);
        m->asked = true;
        break;
    case WF_DO_CLEAR:
    case WF_DO_CLOSE:
    case WF_DO_TELL:
        assert_false(m->alive);
        assert_true(m->open);
        m->open = false;
        break;
    case WF_DO_NONE:
        break;
    }
    assert_int_equal(wf_group_lives(m->state), m->alive);
}

// The processes end, in one of the three ways.
static void end_life(model *m, uint32_t *random)
{
    static const wf_group_event ends[] = {WF_ON_END_DONE, WF_ON_END_DRAINED, WF_ON_END_LOST};
    if (!m->alive) return;
    m->alive = false;
    send(m, ends[next_random(random) % 3]);
}

static void test_any_order_of_events(void **state)
{
    (void)state;
    static const wf_group_event events[] = {WF_ON_PLACE, WF_ON_PLACE, WF_ON_PLACE, WF_ON_ALIVE,
                                            WF_ON_WORKS, WF_ON_QUIET, WF_ON_LATE,  WF_ON_WORK,
                                            WF_ON_DRAIN, WF_ON_ABORT, WF_ON_RETIRE};
    for (uint32_t seed = 1; seed <= 20000; seed++) {
        uint32_t random = seed;
        model m = {.state = WF_GROUP_IDLE};
        bool leaving = false;
        int n_starts = 0;
        for (int i = 0; i < 40; i++) {
            uint32_t dice = next_random(&random) % 14;
            if (dice < 4) {
                end_life(&m, &random);
                continue;
            }
            wf_group_event event = events[next_random(&random) % (sizeof events / sizeof *events)];
            send(&m, event);
            if (leaving) assert_int_equal(m.n_starts, n_starts); // nobody is started any more
            if (event == WF_ON_DRAIN || event == WF_ON_ABORT) leaving = true;
            n_starts = m.n_starts;
        }
        // Whatever came before, a drain and the end of the processes is the end.
        send(&m, WF_ON_DRAIN);
        end_life(&m, &random);
        assert_false(m.open);
        assert_true(m.state == WF_GROUP_OVER || m.state == WF_GROUP_DONE);
        send(&m, WF_ON_PLACE);
        assert_false(m.alive);
    }
}

static void test_a_lost_group_comes_back(void **state)
{
    (void)state;
    model m = {.state = WF_GROUP_IDLE};
    static const wf_group_event life[] = {WF_ON_PLACE, WF_ON_ALIVE, WF_ON_WORKS};
    for (int n = 0; n < 5; n++) {
        for (size_t i = 0; i < 3; i++)
            send(&m, life[i]);
        assert_int_equal(m.state, WF_GROUP_RUN);
        send(&m, WF_ON_QUIET);
        assert_true(m.told);
        send(&m, WF_ON_LATE);
        m.alive = false;
        send(&m, n % 2 ? WF_ON_END_LOST : WF_ON_END_DRAINED); // it had time to drain: lost as well
        assert_int_equal(m.state, WF_GROUP_IDLE);
    }
    assert_int_equal(m.n_starts, 5);
    send(&m, WF_ON_PLACE);
    m.alive = false;
    send(&m, WF_ON_END_DONE);
    assert_int_equal(m.state, WF_GROUP_DONE);
    send(&m, WF_ON_WORK);
    send(&m, WF_ON_PLACE);
    assert_int_equal(m.n_starts, 7);
}

// ---- places -------------------------------------------------------------------------------------

static void test_places(void **state)
{
    (void)state;
    wf_place place[8];
    int seats[2], was[2] = {2, 3};
    for (int i = 0; i < 8; i++)
        place[i] = (wf_place){.node = i / 4, .local = i % 4, .group = -1};
    wf_places_seat(place, (int[]){0, 1}, 2, 0);
    wf_places_seat(place, (int[]){2, 3}, 2, 1);
    wf_places_seat(place, (int[]){4, 5}, 2, 2);
    assert_true(wf_places_pick(place, 8, 2, was, seats)); // its own are taken: the spare ones
    assert_true(seats[0] == 6 && seats[1] == 7);
    wf_places_seat(place, was, 2, -1);
    assert_true(wf_places_pick(place, 8, 2, was, seats)); // back to where it was
    assert_true(seats[0] == 2 && seats[1] == 3);
    place[3].bad = true;
    place[7].bad = true;
    assert_true(wf_places_pick(place, 8, 2, was, seats)); // across nodes when it must be
    assert_true(seats[0] == 2 && seats[1] == 6);
    place[2].bad = true;
    assert_false(wf_places_pick(place, 8, 2, was, seats));
    assert_true(wf_places_enough(place, 8, 2)); // others may leave
    assert_false(wf_places_enough(place, 8, 6));
}

static void test_places_at_random(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= 5000; seed++) {
        uint32_t random = seed;
        wf_place place[24];
        int n = 4 + (int)(next_random(&random) % 20), tensor = 1 + (int)(next_random(&random) % 4);
        int n_free = 0, per_node = 1 + (int)(next_random(&random) % 5), seats[4], was[4];
        for (int i = 0; i < n; i++) {
            place[i] = (wf_place){.node = i / per_node,
                                  .local = i % per_node,
                                  .group = next_random(&random) % 2 ? 7 : -1,
                                  .bad = next_random(&random) % 5 == 0};
            n_free += place[i].group < 0 && !place[i].bad;
        }
        for (int i = 0; i < tensor; i++)
            was[i] = (int)(next_random(&random) % (uint32_t)n);
        bool got = wf_places_pick(place, n, tensor, (int[]){-1, -1, -1, -1}, seats);
        assert_int_equal(got, n_free >= tensor);
        for (int i = 0; got && i < tensor; i++) {
            assert_true(place[seats[i]].group < 0 && !place[seats[i]].bad);
            assert_true(i == 0 || seats[i] > seats[i - 1]);
        }
        wf_places_seat(place, was, tensor, 3);
        assert_int_equal(place[was[0]].group, 3);
    }
}

// ---- heartbeats ---------------------------------------------------------------------------------

#define S INT64_C(1000000000)

static bool quiet_after(wf_beat *b, int64_t now_ns, bool *hangs)
{
    static const wf_beat_limits limits = {.beat_ns = 30 * S, .load_ns = 600 * S};
    int64_t quiet_ns;
    return wf_beat_is_quiet(b, &limits, now_ns, &quiet_ns, hangs);
}

static void test_who_is_quiet(void **state)
{
    (void)state;
    wf_beat b;
    bool hangs;
    wf_rank_status s = {.operation = WF_OPERATION_LOAD, .beat = 1};
    wf_beat_begin(&b, 0);
    wf_beat_take(&b, NULL, 599 * S);
    assert_false(quiet_after(&b, 599 * S, &hangs)); // not up yet
    assert_true(quiet_after(&b, 601 * S, &hangs));

    wf_beat_begin(&b, 0);
    wf_beat_take(&b, &s, 10 * S);
    wf_beat_take(&b, &s, 100 * S);
    assert_false(quiet_after(&b, 100 * S, &hangs)); // loading holds up its file
    assert_true(quiet_after(&b, 131 * S, &hangs));

    s.operation = WF_OPERATION_RUN;
    wf_beat_take(&b, &s, 131 * S);
    assert_false(quiet_after(&b, 160 * S, &hangs));
    assert_true(quiet_after(&b, 162 * S, &hangs));
    assert_false(hangs);
    wf_beat_forgive(&b, 20 * S); // this process had been stopped
    assert_false(quiet_after(&b, 162 * S, &hangs));

    s.step_entered = 5; // its heart beats, and the step does not end
    s.step_left = 4;
    for (int64_t t = 200; t <= 801; t++) {
        s.beat++;
        wf_beat_take(&b, &s, t * S);
        assert_int_equal(quiet_after(&b, t * S, &hangs), t > 800);
        assert_int_equal(hangs, t > 800);
    }
    s.step_left = 5;
    s.beat++;
    wf_beat_take(&b, &s, 802 * S);
    assert_false(quiet_after(&b, 802 * S, &hangs));
    s.operation = WF_OPERATION_DONE; // it said farewell, and its process has not ended yet
    wf_beat_take(&b, &s, 803 * S);
    assert_false(quiet_after(&b, 900 * S, &hangs));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_order_of_events),
        cmocka_unit_test(test_a_lost_group_comes_back),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_places_at_random),
        cmocka_unit_test(test_who_is_quiet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
