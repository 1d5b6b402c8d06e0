// The common start: one time zero for all groups. See runner_internal.h.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/clock.h"
#include "io/base/file.h"
#include "jobs/run/runner_internal.h"

// Median of a few differences of this rank's clock against the first rank's, each taken right after
// a barrier.
static wf_status measure_offset(wf_runner *r, int64_t *out)
{
    enum { N = 9 };
    int64_t differences[N];
    for (int i = 0; i < N; i++) {
        WF_TRY(r->c->world->ops->barrier(r->c->world));
        int64_t mine = wf_clock_ns(), theirs = mine;
        WF_TRY(r->c->world->ops->broadcast(r->c->world, &theirs, sizeof theirs, 0));
        int k = i;
        for (; k > 0 && differences[k - 1] > mine - theirs; k--)
            differences[k] = differences[k - 1];
        differences[k] = mine - theirs;
    }
    *out = differences[N / 2];
    return WF_OK;
}

// One time zero for all groups. A timed replay that resumes starts at its earliest unfinished
// arrival, so that nothing is late from the start.
static wf_status start_clock_of_world(wf_runner *r)
{
    char host[256] = "", first_host[256];
    int64_t first = 0, origin;
    wf_comm *world = r->c->world;
    snprintf(host, sizeof host, "%s", r->c->host ? r->c->host : "");
    memcpy(first_host, host, sizeof host);
    WF_TRY(world->ops->broadcast(world, first_host, sizeof first_host, 0));
    WF_TRY(world->ops->max_i64(world, r->first_ns == INT64_MAX ? INT64_MIN : -r->first_ns, &first));
    first = first == INT64_MIN ? 0 : -first;
    WF_TRY(measure_offset(r, &r->clock_offset_ns));
    if (strcmp(host, first_host) == 0) r->clock_offset_ns = 0; // one clock per host
    origin = wf_clock_ns();
    WF_TRY(world->ops->broadcast(world, &origin, sizeof origin, 0));
    r->first_ns = r->run == 0 ? 0 : first;
    r->origin_ns = origin + r->clock_offset_ns - r->first_ns;
    return WF_OK;
}

// Groups that are worlds of their own share no barrier: the first that is ready says what time it
// is, and all count from there by their hosts' wall clocks.
static wf_status share_time_zero(const wf_runner *r, int64_t *out_unix_ns)
{
    char path[4096], text[32], *found = NULL;
    snprintf(path, sizeof path, "%s/leases/r%u/t0", r->spec->output.dir, r->run);
    int n = snprintf(text, sizeof text, "%lld\n", (long long)wf_clock_unix_ns());
    wf_status st = wf_file_write_whole(path, text, (size_t)n, WF_PUBLISH_NEW);
    if (st != WF_OK && st != WF_IN_USE) return st;
    WF_TRY(wf_file_read(path, sizeof text, &found, NULL));
    *out_unix_ns = strtoll(found, NULL, 10);
    free(found);
    return WF_OK;
}

static wf_status start_clock_of_part(wf_runner *r)
{
    int64_t zero_unix_ns = 0;
    wf_comm *world = r->c->world;
    if (world->rank == 0) WF_TRY(share_time_zero(r, &zero_unix_ns));
    WF_TRY(world->ops->broadcast(world, &zero_unix_ns, sizeof zero_unix_ns, 0));
    r->first_ns = 0;
    r->origin_ns = wf_clock_ns() - (wf_clock_unix_ns() - zero_unix_ns);
    return WF_OK;
}

// A simulated run begins where its clock stands, at the earliest arrival that is left.
static wf_status start_simulated_clock(wf_runner *r)
{
    if (r->run == 0 || r->first_ns == INT64_MAX) r->first_ns = 0;
    r->origin_ns = wf_clock_now(wf_runner_clock(r)) - r->first_ns;
    return WF_OK;
}

wf_status wf_runner_start_clock(wf_runner *r)
{
    if (r->c->simulation)
        WF_TRY(start_simulated_clock(r));
    else
        WF_TRY(r->c->part ? start_clock_of_part(r) : start_clock_of_world(r));
    if (r->engine) wf_engine_start(r->engine, r->origin_ns);
    return WF_OK;
}
