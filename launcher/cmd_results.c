// weft check, report, show, merge: what is done with the results of a job.
#include <inttypes.h>
#include <stdlib.h>

#include "io/base/file.h"
#include "io/base/parse.h"
#include "io/base/text.h"
#include "io/results/runfile_owner.h"
#include "launcher/commands.h"
#include "launcher/folders.h"
#include "results/check/check.h"
#include "results/merge.h"
#include "results/report.h"
#include "results/show.h"

// An array's folder holds jobs, not results: said here, where one would read "no sealed results".
static wf_status one_job_check(const char *place)
{
    wf_folders parts = {0};
    if (wf_folders_find(place, &parts) != WF_OK || !parts.is_array) {
        wf_folders_free(&parts);
        return WF_OK; // whatever is wrong with it, who opens it says so
    }
    wf_status st = wf_fail(WF_NO_INPUT,
                           "%s: is a job array of %zu parts: name one of them, such as %s, or join "
                           "them with weft merge %s/a* --output FILE",
                           place, parts.n, parts.path[0], place);
    wf_folders_free(&parts);
    return st;
}

// ---- check --------------------------------------------------------------------------------------

const wf_cli_option wf_check_options_table[] = {
    {"complete", 'c', NULL, "missing rows are a mistake even if the job is not finished"},
    {"quiet", 'q', NULL, "prints mistakes and the verdict only"},
    {"max", 'm', "N", "prints at most N mistakes (50); all are counted"},
    {NULL, 0, NULL, NULL},
};

wf_status wf_cmd_check(const wf_cli *cli)
{
    long long max;
    WF_TRY(wf_cli_i64(cli, "max", 1, 1 << 30, 50, &max));
    wf_check_options options = {.require_complete = wf_cli_has(cli, "complete"),
                                .quiet = wf_cli_has(cli, "quiet"),
                                .max_messages = (uint32_t)max};
    WF_TRY(one_job_check(wf_cli_argument(cli, 0)));
    return wf_check_run(wf_cli_argument(cli, 0), &options, stdout, NULL);
}

// ---- report -------------------------------------------------------------------------------------

const wf_cli_option wf_report_options_table[] = {
    {"json", 'j', NULL, "as one JSON object"},
    {"csv", 0, NULL, "as a header line and a row"},
    {"ttft", 0, "TIME", "goodput: the first token within TIME, e.g. 500ms"},
    {"tpot", 0, "TIME", "goodput: further tokens every TIME"},
    {"e2el", 0, "TIME", "goodput: the whole answer within TIME"},
    {"with-resumed", 0, NULL, "counts rows that a resumed timed run did again"},
    {NULL, 0, NULL, NULL},
};

static wf_status limit_read(const wf_cli *cli, const char *option, int64_t *out)
{
    const char *text = wf_cli_value(cli, option);
    if (text && wf_parse_duration(text, out) != WF_OK)
        return wf_cli_fail(cli, "--%s: %s", option, wf_error());
    return WF_OK;
}

wf_status wf_cmd_report(const wf_cli *cli)
{
    wf_report_options options = {.form = WF_REPORT_TEXT,
                                 .with_resumed = wf_cli_has(cli, "with-resumed")};
    if (wf_cli_has(cli, "json") && wf_cli_has(cli, "csv"))
        return wf_cli_fail(cli, "--json and --csv: one of them");
    if (wf_cli_has(cli, "json")) options.form = WF_REPORT_JSON;
    if (wf_cli_has(cli, "csv")) options.form = WF_REPORT_CSV;
    WF_TRY(limit_read(cli, "ttft", &options.limits.ttft_ns));
    WF_TRY(limit_read(cli, "tpot", &options.limits.tpot_ns));
    WF_TRY(limit_read(cli, "e2el", &options.limits.e2el_ns));
    WF_TRY(one_job_check(wf_cli_argument(cli, 0)));
    return wf_report_print(wf_cli_argument(cli, 0), &options, stdout);
}

// ---- show ---------------------------------------------------------------------------------------

const wf_cli_option wf_show_options_table[] = {
    {"row", 'r', "N", "the row of its shard"},
    {"id", 'i', "N", "the caller's id, instead of a row"},
    {"shard", 's', "N", "only of this shard (its index in /shards)"},
    {"sample", 0, "N", "only this sample"},
    {"json", 'j', NULL, "one JSON object per line"},
    {"bytes", 'b', NULL, "tokens below 256 are bytes of text"},
    {NULL, 0, NULL, NULL},
};

wf_status wf_cmd_show(const wf_cli *cli)
{
    long long row, id, shard, sample;
    WF_TRY(wf_cli_i64(cli, "row", 0, INT64_MAX, -1, &row));
    WF_TRY(wf_cli_i64(cli, "id", 0, INT64_MAX, -1, &id));
    WF_TRY(wf_cli_i64(cli, "shard", 0, UINT32_MAX, -1, &shard));
    WF_TRY(wf_cli_i64(cli, "sample", 0, UINT16_MAX, -1, &sample));
    if ((row < 0) == (id < 0)) return wf_cli_fail(cli, "which one? give either --row or --id");
    wf_show_options options = {.by_id = id >= 0,
                               .number = (uint64_t)(id >= 0 ? id : row),
                               .shard = shard,
                               .sample = (int32_t)sample,
                               .json = wf_cli_has(cli, "json"),
                               .bytes = wf_cli_has(cli, "bytes")};
    WF_TRY(one_job_check(wf_cli_argument(cli, 0)));
    return wf_show(wf_cli_argument(cli, 0), &options, stdout);
}

// ---- merge --------------------------------------------------------------------------------------

const wf_cli_option wf_merge_options_table[] = {
    {"output", 'o', "FILE", "file to write; needed to join several folders or files"},
    {"memory", 'm', "SIZE", "memory for rows on their way (64MB)"},
    {NULL, 0, NULL, NULL},
};

// Into the folder itself: as its owner, so that no job writes results.h5 at the same time.
static wf_status merge_in_place(const char *dir, const wf_merge_options *options,
                                wf_merge_summary *merged)
{
    wf_owner *owner = NULL;
    char *runs = NULL;
    WF_TRY(wf_path_join(dir, "runs", &runs));
    bool of_a_job = wf_file_exists(runs); // else merging says what is wrong with it
    free(runs);
    wf_status st = of_a_job ? wf_owner_take(dir, NULL, &owner) : WF_OK;
    if (st == WF_IN_USE)
        return wf_fail(WF_IN_USE, "%s; what it has sealed so far: weft merge %s --output FILE",
                       wf_error(), dir);
    if (st == WF_OK) st = wf_merge(dir, options, merged);
    wf_owner_release(&owner);
    return st;
}

wf_status wf_cmd_merge(const wf_cli *cli)
{
    enum { MOST = 4096 };
    const char *places[MOST], *path = wf_cli_value(cli, "output");
    const char *memory = wf_cli_value(cli, "memory");
    wf_merge_options options = {0};
    wf_merge_summary merged = {0};
    int64_t bytes = 0;
    size_t n = wf_cli_n_arguments(cli);
    if (memory && wf_parse_bytes(memory, &bytes) != WF_OK)
        return wf_cli_fail(cli, "--memory: %s", wf_error());
    options.block_bytes = (uint64_t)bytes;
    if (n > 1 && !path) return wf_cli_fail(cli, "several folders: say where to with --output FILE");
    if (n > MOST) return wf_cli_fail(cli, "at most %d folders at once", MOST);
    for (size_t i = 0; i < n; i++) {
        places[i] = wf_cli_argument(cli, i);
        WF_TRY(one_job_check(places[i]));
    }
    if (path)
        WF_TRY(wf_merge_many(places, n, path, &options, &merged));
    else
        WF_TRY(merge_in_place(places[0], &options, &merged));
    printf("%s%s: %" PRIu64 " row%s, %" PRIu64 " token%s, %" PRIu64 " step%s, from %zu file%s\n",
           path ? path : places[0], path ? "" : "/results.h5", merged.rows, WF_S(merged.rows),
           merged.tokens, WF_S(merged.tokens), merged.steps, WF_S(merged.steps), merged.n_segments,
           WF_S(merged.n_segments));
    return WF_OK;
}
