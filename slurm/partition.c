// Asks scontrol for the partitions. See partition.h.
#include "slurm/partition.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/arena.h"
#include "io/base/clock.h"
#include "io/base/parse.h"
#include "io/base/text.h"
#include "slurm/command.h"

#define ASK_NS (20 * WF_NS_PER_S)

enum { VALUE_BYTES = 64 };

// The value of " KEY=" in the line, "" where it is not there.
static const char *value_of(const char *line, const char *key, char value[VALUE_BYTES])
{
    size_t n = strlen(key);
    value[0] = '\0';
    for (const char *at = line; (at = strstr(at, key)) != NULL; at += n) {
        bool begins = at == line || at[-1] == ' ';
        if (!begins || at[n] != '=') continue;
        at += n + 1;
        snprintf(value, VALUE_BYTES, "%.*s", (int)strcspn(at, " \n"), at);
        break;
    }
    return value;
}

static int64_t count_of(const char *value)
{
    int64_t n = INT64_MAX; // UNLIMITED, and what is not understood
    return wf_parse_i64(value, 0, INT64_MAX, &n) == WF_OK ? n : INT64_MAX;
}

bool wf_partition_parse(const char *line, wf_partition *out)
{
    char value[VALUE_BYTES];
    int64_t time_ns;
    *out = (wf_partition){.most_time_s = INT64_MAX};
    snprintf(out->name, sizeof out->name, "%s", value_of(line, "PartitionName", value));
    out->is_default = strcmp(value_of(line, "Default", value), "YES") == 0;
    out->n_nodes = count_of(value_of(line, "TotalNodes", value));
    out->most_nodes = count_of(value_of(line, "MaxNodes", value));
    if (wf_parse_duration(value_of(line, "MaxTime", value), &time_ns) == WF_OK)
        out->most_time_s = time_ns / WF_NS_PER_S;
    return out->name[0] != '\0';
}

static wf_status parse_all(char *text, wf_partition **out, size_t *n)
{
    size_t capacity = 0;
    for (char *line; (line = strsep(&text, "\n")) != NULL;) {
        WF_TRY(wf_grow(*n + 1, sizeof **out, &capacity, out));
        *n += wf_partition_parse(line, &(*out)[*n]);
    }
    return WF_OK;
}

wf_status wf_partitions_find(wf_partition **out, size_t *n)
{
    const char *const argv[] = {"scontrol", "--oneliner", "show", "partition", NULL};
    wf_slurm_answer answer;
    *out = NULL;
    *n = 0;
    WF_TRY(wf_slurm_command(argv, ASK_NS, &answer));
    wf_status st = answer.exit_code == 0 ? parse_all(answer.out, out, n)
                                         : wf_fail(WF_IO, "scontrol: %s", answer.err);
    wf_slurm_answer_free(&answer);
    return st;
}

// ---- what one job may ask for -------------------------------------------------------------------

static bool is_named(const char *names, const wf_partition *p)
{
    size_t n = strlen(p->name);
    if (!names[0]) return p->is_default;
    for (const char *at = names; (at = strstr(at, p->name)) != NULL; at++)
        if ((at == names || at[-1] == ',') && (at[n] == ',' || at[n] == '\0')) return true;
    return false;
}

static wf_status check_one(const wf_partition *p, int64_t n_nodes, int64_t time_s)
{
    int64_t most = p->n_nodes < p->most_nodes ? p->n_nodes : p->most_nodes;
    if (n_nodes > most)
        return wf_fail(WF_CONFIG,
                       "slurm.nodes: %" PRId64 " node%s asked, the partition %s %s %" PRId64
                       ": the job would wait for ever",
                       n_nodes, WF_S(n_nodes), p->name, most == p->n_nodes ? "has" : "gives a job",
                       most);
    if (time_s > p->most_time_s)
        return wf_fail(WF_CONFIG,
                       "slurm.time: %" PRId64 " s asked, the partition %s gives a job %" PRId64
                       " s: it would wait for ever",
                       time_s, p->name, p->most_time_s);
    return WF_OK;
}

wf_status wf_partitions_check(const wf_partition *all, size_t n, const char *names, int64_t n_nodes,
                              int64_t time_s)
{
    wf_status st = WF_OK;
    for (size_t i = 0; i < n; i++) {
        if (!is_named(names, &all[i])) continue;
        st = check_one(&all[i], n_nodes, time_s);
        if (st == WF_OK) return WF_OK;
    }
    return st;
}
