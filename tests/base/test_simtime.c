// Clocks that jump: events at their time, members in the order of theirs, nobody held up by who has
// left. Members are processes, as they are in use.
#include "tests/base/base_test.h"

#include "io/base/simtime.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct alarms {
    const wf_clock *clock;
    int64_t at_ns[4], fired_ns[4];
    int n, n_fired;
} alarms;

static int64_t next_alarm(void *context)
{
    const alarms *a = context;
    return a->n_fired < a->n ? a->at_ns[a->n_fired] : INT64_MAX;
}

static bool fire_alarm(void *context)
{
    alarms *a = context;
    a->fired_ns[a->n_fired++] = wf_clock_now(a->clock);
    return true;
}

static void events_happen_at_their_time(void **state)
{
    (void)state;
    wf_simtime *time = NULL;
    assert_int_equal(wf_simtime_create(1, 100, true, &time), WF_OK);
    const wf_clock *clock = wf_simtime_clock(time, 0);
    alarms a = {.clock = clock, .at_ns = {110, 110, 150, 900}, .n = 4};
    wf_simtime_on(time, 0, &(wf_simtime_event){next_alarm, fire_alarm, &a});
    wf_simtime_jump(time, 0, 200);
    assert_int_equal(a.n_fired, 3);
    assert_int_equal(a.fired_ns[0], 110);
    assert_int_equal(a.fired_ns[1], 110);
    assert_int_equal(a.fired_ns[2], 150);
    assert_int_equal(wf_clock_now(clock), 200);
    wf_simtime_jump(time, 0, 50);
    assert_int_equal(wf_clock_now(clock), 200);
    assert_true(wf_clock_sleep(clock, 1000)); // alone: for nobody
    assert_int_equal(a.fired_ns[3], 900);
    wf_simtime_destroy(&time);
    assert_null(time);
}

enum { MEMBERS = 3, TURNS = 200 };

// What members wrote, in the order in which they did.
typedef struct pile {
    int n;
    int64_t ns[MEMBERS * TURNS];
    int member[MEMBERS * TURNS];
} pile;

// Takes its turns at times of its own; every seventh is everybody's.
static void live(wf_simtime *time, int i_member, pile *p)
{
    const wf_clock *clock = wf_simtime_clock(time, i_member);
    for (int i = 0; i < TURNS; i++) {
        int64_t at_ns = i % 7 == 0 ? 1000 * i : 1000 * i + (i * 37 + i_member * 101) % 900;
        wf_clock_sleep(clock, at_ns);
        p->ns[p->n] = wf_clock_now(clock);
        p->member[p->n++] = i_member;
    }
    wf_simtime_leave(time, i_member);
}

static void members_meet_in_the_order_of_time(void **state)
{
    (void)state;
    wf_simtime *time = NULL;
    pile *p = mmap(NULL, sizeof *p, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(p, MAP_FAILED);
    assert_int_equal(wf_simtime_create(MEMBERS, 0, true, &time), WF_OK);
    for (int i = 0; i < MEMBERS; i++)
        if (fork() == 0) {
            live(time, i, p);
            _exit(0);
        }
    for (int i = 0; i < MEMBERS; i++)
        assert_true(wait(NULL) > 0);
    assert_int_equal(p->n, MEMBERS * TURNS);
    for (int i = 1; i < p->n; i++) {
        bool later = p->ns[i] > p->ns[i - 1];
        assert_true(later || (p->ns[i] == p->ns[i - 1] && p->member[i] > p->member[i - 1]));
    }
    munmap(p, sizeof *p);
    wf_simtime_destroy(&time);
}

static void members_that_have_nothing_in_common_never_wait(void **state)
{
    (void)state;
    wf_simtime *time = NULL;
    assert_int_equal(wf_simtime_create(2, 0, false, &time), WF_OK);
    assert_true(wf_clock_sleep(wf_simtime_clock(time, 1), 5000)); // member 0 never moves
    assert_int_equal(wf_clock_now(wf_simtime_clock(time, 0)), 0);
    wf_simtime_destroy(&time);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_happen_at_their_time),
        cmocka_unit_test(members_meet_in_the_order_of_time),
        cmocka_unit_test(members_that_have_nothing_in_common_never_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
