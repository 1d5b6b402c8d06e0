// weft diff: what is different between the results of two jobs.
#include "io/base/parse.h"
#include "launcher/commands.h"
#include "launcher/folders.h"
#include "results/diff.h"

const wf_cli_option wf_diff_options_table[] = {
    {"max", 'm', "N", "tells at most N rows (20); all are counted"},
    {"tie", 't', "NAT",
     "tokens that part where either side's log-probabilities of both are apart by at most NAT are "
     "a tie, which is no difference"},
    {"common", 'c', NULL, "rows that only one of them has are no difference"},
    {"json", 'j', NULL, "as one JSON object"},
    {"quiet", 'q', NULL, "prints nothing: the exit code tells"},
    {NULL, 0, NULL, NULL},
};

static wf_status options_read(const wf_cli *cli, wf_diff_options *out)
{
    long long most;
    const char *tie = wf_cli_value(cli, "tie");
    WF_TRY(wf_cli_i64(cli, "max", 0, INT64_MAX, 20, &most));
    *out = (wf_diff_options){.json = wf_cli_has(cli, "json"),
                             .common = wf_cli_has(cli, "common"),
                             .quiet = wf_cli_has(cli, "quiet"),
                             .tie = -1,
                             .n_most = (uint64_t)most};
    if (tie && wf_parse_f64(tie, 0, 1e6, &out->tie) != WF_OK)
        return wf_cli_fail(cli, "--tie: %s", wf_error());
    return WF_OK;
}

wf_status wf_cmd_diff(const wf_cli *cli)
{
    wf_diff_options options;
    wf_folders parts[2] = {{0}};
    wf_diff_side sides[2];
    size_t n_waiting;
    wf_status st = WF_OK;
    WF_TRY(options_read(cli, &options));
    for (size_t i = 0; i < 2 && st == WF_OK; i++) {
        sides[i].name = wf_cli_argument(cli, i);
        st = wf_folders_read(sides[i].name, &parts[i], &n_waiting);
        sides[i].paths = (const char *const *)parts[i].path;
        sides[i].n_paths = parts[i].n;
    }
    if (st == WF_OK) st = wf_diff(sides, &options, stdout, NULL);
    for (int i = 0; i < 2; i++)
        wf_folders_free(&parts[i]);
    return st;
}
