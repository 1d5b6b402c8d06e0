// The words of a part. See part.h.
#include "launcher/conductor/part.h"

#include <stdio.h>

#include "io/base/log.h"

wf_status wf_part_read(const wf_cli *cli, wf_part *out)
{
    const char *group = wf_cli_value(cli, "group");
    long long run, epoch;
    int end = 0;
    *out = (wf_part){.is_one = group != NULL, .places = wf_cli_value(cli, "places")};
    if (!group) return WF_OK;
    WF_TRY(wf_cli_i64(cli, "run", 0, UINT16_MAX, 0, &run));
    WF_TRY(wf_cli_i64(cli, "epoch", 0, UINT16_MAX, 0, &epoch));
    out->of.run = (uint32_t)run;
    out->of.epoch = (uint32_t)epoch;
    if (sscanf(group, "%d/%d%n", &out->of.group, &out->of.n_groups, &end) == 2 && !group[end] &&
        out->of.group >= 0 && out->of.group < out->of.n_groups && out->places)
        return WF_OK;
    return wf_cli_fail(cli, "--group is G/N and comes with --places; a conductor gives them");
}

wf_status wf_part_place(wf_part *part, wf_world *world, int tensor)
{
    const char *at = part->places;
    int local = 0, n = 0;
    for (int r = 0; r < world->size; r++) {
        if (sscanf(at, "%d%n", &local, &n) != 1)
            return wf_fail(WF_USAGE, "--places %s: %d ranks need a place each", part->places,
                           world->size);
        at += n + (at[n] == ',');
        if (r == world->rank) world->local = local;
    }
    if (sscanf(at, "/%d", &world->n_local) != 1 || world->n_local <= 0)
        return wf_fail(WF_USAGE, "--places %s: how many ranks share a node?", part->places);
    part->of.n_sharing = world->n_local;
    part->of.first_rank = part->of.group * tensor;
    wf_log_set_rank(part->of.first_rank + world->rank);
    return WF_OK;
}
