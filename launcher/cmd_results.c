// weft check, report, show, merge: what is done with the results of a job.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/arena.h"
#include "io/base/file.h"
#include "io/base/log.h"
#include "io/base/parse.h"
#include "io/base/text.h"
#include "io/results/runfile_owner.h"
#include "launcher/commands.h"
#include "launcher/folders.h"
#include "launcher/goodput.h"
#include "results/check/check.h"
#include "results/html/page.h"
#include "results/merge.h"
#include "results/report.h"
#include "results/show.h"

// Rows are looked up in one place.
static wf_status one_job_check(const char *place)
{
    wf_folders parts = {0};
    if (wf_folders_find(place, &parts) != WF_OK || !parts.is_array) {
        wf_folders_free(&parts);
        return WF_OK; // whatever is wrong with it, who opens it says so
    }
    wf_status st = wf_fail(WF_NO_INPUT,
                           "%s: is a job array of %zu parts: name one of them, such as %s, or join "
                           "them with weft merge %s, and name %s/results.h5",
                           place, parts.n, parts.path[0], place, place);
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

// A file, a folder, or each part of an array; the first failure is the verdict.
static wf_status check_places(const char *place, const wf_check_options *options)
{
    wf_folders parts = {0};
    size_t n_waiting = 0;
    WF_TRY(wf_folders_read(place, &parts, &n_waiting));
    wf_status verdict = WF_OK;
    for (size_t i = 0; i < parts.n; i++) {
        wf_status st = wf_check_run(parts.path[i], options, stdout, NULL);
        if (verdict == WF_OK) verdict = st;
    }
    if (verdict == WF_OK && options->require_complete && n_waiting > 0)
        verdict = wf_fail(WF_DATA, "%s: %zu tasks have sealed no result", place, n_waiting);
    wf_folders_free(&parts);
    return verdict;
}

wf_status wf_cmd_check(const wf_cli *cli)
{
    long long max;
    WF_TRY(wf_cli_i64(cli, "max", 1, 1 << 30, 50, &max));
    wf_check_options options = {.require_complete = wf_cli_has(cli, "complete"),
                                .quiet = wf_cli_has(cli, "quiet"),
                                .max_messages = (uint32_t)max};
    return check_places(wf_cli_argument(cli, 0), &options);
}

// ---- report -------------------------------------------------------------------------------------

const wf_cli_option wf_report_options_table[] = {
    {"json", 'j', NULL, "as one JSON object"},
    {"csv", 0, NULL, "as a header line and a row (a row for each value of --by)"},
    {"vllm-json", 0, NULL, "with the keys of the result file of vLLM's serving benchmark"},
    {"html", 0, "FILE", "writes a page with pictures; several OUTPUTs are compared"},
    {"by", 0, "KEY", "figures also for each value of KEY in the requests' meta, e.g. tenant"},
    {"goodput", 'g', "LIMITS", "goodput: ms as in ttft:200,tpot:50,e2el:5000, any of them"},
    {"ttft", 0, "TIME", "goodput: the first token within TIME, e.g. 500ms"},
    {"tpot", 0, "TIME", "goodput: further tokens every TIME"},
    {"e2el", 0, "TIME", "goodput: the whole answer within TIME"},
    {"warmup", 'w', "TIME", "leaves out what begins in the first TIME of each run, e.g. 60s"},
    {"blocks", 0, "N", "95% intervals by N blocks of time (10); 0: none"},
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

static wf_status blocks_read(const wf_cli *cli, size_t *out)
{
    long long n;
    WF_TRY(wf_cli_i64(cli, "blocks", 0, 10000, WF_REPORT_BLOCKS, &n));
    if (n == 1) return wf_cli_fail(cli, "--blocks 1: an interval needs two at least; 0: none");
    *out = n == 0 ? 1 : (size_t)n;
    return WF_OK;
}

// At most one of the forms.
static wf_status form_read(const wf_cli *cli, wf_report_form *out)
{
    static const struct {
        const char *option;
        wf_report_form form;
    } forms[] = {{"json", WF_REPORT_JSON}, {"csv", WF_REPORT_CSV}, {"vllm-json", WF_REPORT_VLLM}};
    const char *given = NULL;
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (!wf_cli_has(cli, forms[i].option)) continue;
        if (given) return wf_cli_fail(cli, "--%s and --%s: one of them", given, forms[i].option);
        given = forms[i].option;
        *out = forms[i].form;
    }
    return WF_OK;
}

static wf_status report_places(const char *place, wf_report_options *options)
{
    wf_folders parts = {0};
    size_t n_waiting;
    WF_TRY(wf_folders_read(place, &parts, &n_waiting));
    options->place = place;
    options->partial = n_waiting > 0;
    wf_status st = wf_report_print_many((const char *const *)parts.path, parts.n, options, stdout);
    wf_folders_free(&parts);
    return st;
}

// ---- report --html

static wf_status html_collect(const char *place, wf_report_options options, wf_html_output *out)
{
    wf_folders parts = {0};
    size_t n_waiting = 0;
    WF_TRY(wf_folders_read(place, &parts, &n_waiting));
    options.place = place;
    options.partial = n_waiting > 0;
    wf_status st = wf_html_collect((const char *const *)parts.path, parts.n, &options, out);
    out->path = place;
    wf_folders_free(&parts);
    return st;
}

static wf_status report_html(const wf_cli *cli, const char *file, const wf_report_options *options)
{
    wf_status st;
    wf_html_output *outputs = NULL;
    wf_text page = {0};
    size_t n = wf_cli_n_arguments(cli), n_read = 0;
    WF_TRY_TO(done, wf_alloc(n, sizeof *outputs, &outputs));
    for (; n_read < n; n_read++)
        WF_TRY_TO(done, html_collect(wf_cli_argument(cli, n_read), *options, &outputs[n_read]));
    WF_TRY_TO(done, wf_html_page(outputs, n, &page));
    WF_TRY_TO(done, wf_file_write_whole(file, page.bytes, page.n, WF_PUBLISH_REPLACE));
    printf("%s: %zu output%s, %zu bytes\n", file, n, WF_S(n), page.n);
done:
    for (size_t i = 0; i < n_read; i++)
        wf_html_output_free(&outputs[i]);
    free(outputs);
    wf_text_free(&page);
    return st;
}

wf_status wf_cmd_report(const wf_cli *cli)
{
    const char *html = wf_cli_value(cli, "html");
    wf_report_options options = {.form = WF_REPORT_TEXT,
                                 .with_resumed = wf_cli_has(cli, "with-resumed")};
    options.by = wf_cli_value(cli, "by");
    WF_TRY(form_read(cli, &options.form));
    if (wf_goodput_parse(wf_cli_value(cli, "goodput"), &options.limits) != WF_OK)
        return wf_cli_fail(cli, "--goodput: %s", wf_error());
    WF_TRY(limit_read(cli, "warmup", &options.warmup_ns));
    WF_TRY(limit_read(cli, "ttft", &options.limits.ttft_ns));
    WF_TRY(limit_read(cli, "tpot", &options.limits.tpot_ns));
    WF_TRY(limit_read(cli, "e2el", &options.limits.e2el_ns));
    WF_TRY(blocks_read(cli, &options.n_blocks));
    if (html && options.form != WF_REPORT_TEXT)
        return wf_cli_fail(cli, "--html is a form of its own");
    if (html) return report_html(cli, html, &options);
    if (wf_cli_n_arguments(cli) > 1)
        return wf_cli_fail(cli, "several outputs are compared with --html FILE");
    return report_places(wf_cli_argument(cli, 0), &options);
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

// Everything that the arguments name, arrays as their parts; into `path`.
static wf_status merge_together(const wf_cli *cli, const char *path,
                                const wf_merge_options *options, wf_merge_summary *merged)
{
    wf_paths places = {0};
    wf_status st = WF_OK;
    for (size_t i = 0; i < wf_cli_n_arguments(cli) && st == WF_OK; i++) {
        const char *place = wf_cli_argument(cli, i);
        wf_folders parts = {0};
        size_t n_waiting;
        st = wf_folders_read(place, &parts, &n_waiting);
        for (size_t k = 0; k < parts.n && st == WF_OK; k++)
            st = wf_paths_add(&places, parts.path[k]);
        wf_folders_free(&parts);
    }
    if (st == WF_OK)
        st = wf_merge_many((const char *const *)places.item, places.n, path, options, merged);
    wf_paths_destroy(&places);
    return st;
}

static wf_status merge_options_read(const wf_cli *cli, wf_merge_options *out)
{
    const char *memory = wf_cli_value(cli, "memory");
    int64_t bytes = 0;
    if (memory && wf_parse_bytes(memory, &bytes) != WF_OK)
        return wf_cli_fail(cli, "--memory: %s", wf_error());
    out->block_bytes = (uint64_t)bytes;
    return WF_OK;
}

wf_status wf_cmd_merge(const wf_cli *cli)
{
    const char *given = wf_cli_value(cli, "output"), *place = wf_cli_argument(cli, 0);
    wf_merge_options options = {0};
    wf_merge_summary merged = {0};
    char *path = NULL;
    WF_TRY(merge_options_read(cli, &options));
    if (wf_cli_n_arguments(cli) > 1 && !given)
        return wf_cli_fail(cli, "several folders: say where to with --output FILE");
    WF_TRY(given ? wf_strdup(given, &path) : wf_path_join(place, "results.h5", &path));
    wf_status st = given || wf_folders_is_array(place)
                       ? merge_together(cli, path, &options, &merged)
                       : merge_in_place(place, &options, &merged);
    if (st == WF_OK)
        printf("%s: %" PRIu64 " row%s, %" PRIu64 " token%s, %" PRIu64 " step%s, from %zu file%s\n",
               path, merged.rows, WF_S(merged.rows), merged.tokens, WF_S(merged.tokens),
               merged.steps, WF_S(merged.steps), merged.n_segments, WF_S(merged.n_segments));
    free(path);
    return st;
}
