// Discards earlier runs. See fresh.h.
#include "launcher/fresh.h"

#include <ctype.h>
#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "io/base/file.h"
#include "io/base/publish.h"
#include "io/results/runfile.h"
#include "io/results/runfile_owner.h"

// What Weft writes into an output folder, besides runs/, which goes first.
static const char *const entries[] = {
    "segments",      "leases",     "status", "void",         "results.h5",
    "manifest.json", "owner.json", "stop",   "events.jsonl",
};

static wf_status join(char path[PATH_MAX], const char *dir, const char *name)
{
    if (snprintf(path, PATH_MAX, "%s/%s", dir, name) < PATH_MAX) return WF_OK;
    return wf_fail(WF_IO, "%s: the path is too long", dir);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

wf_status wf_tree_remove(const char *path)
{
    enum { OPEN_FOLDERS = 16 };
    if (nftw(path, remove_entry, OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS) == 0 || errno == ENOENT)
        return WF_OK;
    return wf_fail_errno(WF_IO, "%s: cannot remove", path);
}

// True when runs/ holds a run file: the folder is ours to clear.
static bool has_runs(const char *runs)
{
    wf_paths names = {0};
    bool found = false;
    if (!wf_file_exists(runs) || wf_file_list(runs, &names) != WF_OK) return false;
    for (size_t i = 0; i < names.n; i++) {
        const char *end = names.item[i];
        while (isdigit((unsigned char)*end))
            end++;
        found = found || (end > names.item[i] && strcmp(end, ".json") == 0);
    }
    wf_paths_destroy(&names);
    return found;
}

static wf_status is_finished(const char *out_dir, bool *out)
{
    wf_runs *runs = NULL;
    WF_TRY(wf_runs_open(out_dir, &(wf_runs_options){.read_only = true}, &runs));
    *out = wf_runs_complete(runs);
    wf_runs_close(&runs);
    return WF_OK;
}

static wf_status discard(const char *out_dir, const char *runs)
{
    char aside[PATH_MAX], path[PATH_MAX];
    WF_TRY(join(aside, out_dir, "runs.discarded"));
    WF_TRY(wf_tree_remove(aside)); // of an attempt that was killed
    if (rename(runs, aside) != 0) return wf_fail_errno(WF_IO, "%s: cannot put aside", runs);
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++) {
        WF_TRY(join(path, out_dir, entries[i]));
        WF_TRY(wf_tree_remove(path));
    }
    WF_TRY(join(path, out_dir, "results.h5"));
    wf_part_clear(path);
    return wf_tree_remove(aside);
}

wf_status wf_fresh_start(const char *out_dir, wf_fresh fresh, bool *discarded)
{
    char runs[PATH_MAX], line[256];
    bool alive = false, finished = false;
    *discarded = false;
    WF_TRY(join(runs, out_dir, "runs"));
    if (fresh == WF_FRESH_NO || !has_runs(runs)) return WF_OK;
    if (fresh == WF_FRESH_FINISHED) {
        WF_TRY(is_finished(out_dir, &finished));
        if (!finished) return WF_OK;
    }
    WF_TRY(wf_owner_look(out_dir, &(wf_owner_params){0}, &alive, line));
    if (alive) return wf_fail(WF_IN_USE, "%s: cannot start over: in use by %s", out_dir, line);
    WF_TRY(discard(out_dir, runs));
    *discarded = true;
    return WF_OK;
}
