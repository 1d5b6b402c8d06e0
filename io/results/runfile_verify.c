// Looking into the segments that count before they are inherited. HDF5 is used here.
#include "io/results/runfile_internal.h"

#include "io/base/file.h"
#include "io/results/results_file.h"
#include "io/results/results_manifest.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { KEY_ROWS = 65536 };

// Structure by opening, then every key: what resume relies on.
static wf_status read_keys(const char *path, wf_result_key *keys, wf_segment_facts *out)
{
    wf_results *results = NULL;
    wf_status st = wf_results_open_files(&path, 1, NULL, &results);
    uint64_t n = st == WF_OK ? wf_results_rows(results) : 0;
    *out = (wf_segment_facts){.rows = n};
    for (uint64_t start = 0; st == WF_OK && start < n; start += KEY_ROWS) {
        size_t part = n - start < KEY_ROWS ? (size_t)(n - start) : KEY_ROWS;
        st = wf_results_keys(results, 0, start, part, keys);
        for (size_t i = 0; st == WF_OK && i < part; i++)
            out->n_failed += keys[i].failed;
    }
    wf_results_close(&results);
    return st;
}

wf_status wf_segment_look(const char *path, wf_segment_facts *out)
{
    wf_result_key *keys = NULL;
    WF_TRY(wf_alloc(KEY_ROWS, sizeof *keys, &keys));
    wf_status st = read_keys(path, keys, out);
    free(keys);
    return st;
}

static wf_status look_here(void *context, const char *path, wf_segment_facts *out)
{
    (void)context;
    return wf_segment_look(path, out);
}

// A segment already named by a run file keeps its recorded hash: hashing everything at every start
// would read the whole output again. weft check does that.
static wf_status verify_one(wf_segment_ref *ref, const char *path, const wf_segment_facts *facts)
{
    uint64_t bytes;
    if (ref->xxh64 != 0 && facts->rows != ref->rows) {
        return wf_fail(WF_DATA, "%s: holds %" PRIu64 " rows, %" PRIu64 " are recorded", path,
                       facts->rows, ref->rows);
    }
    ref->rows = facts->rows;
    ref->n_failed = facts->n_failed;
    return ref->xxh64 != 0 ? WF_OK : wf_file_hash(path, &ref->xxh64, &bytes);
}

wf_status wf_runs_verify_by(wf_runs *runs, wf_segment_look_fn look, void *context)
{
    size_t kept = 0;
    wf_status st = WF_OK;
    if (!look) look = look_here;
    for (size_t i = 0; st == WF_OK && i < runs->n_segments; i++) {
        wf_segment_ref *ref = &runs->segments[i];
        wf_segment_facts facts;
        char *path = NULL, why[WF_ERROR_MAX / 2];
        WF_TRY(wf_path_join(runs->out_dir, ref->path, &path));
        st = look(context, path, &facts);
        if (st == WF_OK) st = verify_one(ref, path, &facts);
        free(path);
        if (st == WF_OK) {
            runs->segments[kept++] = *ref;
        } else if (st == WF_DATA) {
            snprintf(why, sizeof why, "%s", wf_error());
            st = wf_runs_set_aside(runs, ref->path, why);
        }
    }
    WF_TRY(st);
    runs->n_segments = kept;
    runs->verified = true;
    return WF_OK;
}

wf_status wf_runs_verify(wf_runs *runs)
{
    return wf_runs_verify_by(runs, NULL, NULL);
}
