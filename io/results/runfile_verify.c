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
static wf_status read_keys(const char *path, wf_result_key *keys, uint64_t *rows,
                           uint64_t *n_failed)
{
    wf_results *results = NULL;
    wf_status st = wf_results_open_files(&path, 1, NULL, &results);
    uint64_t n = st == WF_OK ? wf_results_rows(results) : 0;
    for (uint64_t start = 0; st == WF_OK && start < n; start += KEY_ROWS) {
        size_t part = n - start < KEY_ROWS ? (size_t)(n - start) : KEY_ROWS;
        st = wf_results_keys(results, 0, start, part, keys);
        for (size_t i = 0; st == WF_OK && i < part; i++)
            *n_failed += keys[i].failed;
    }
    wf_results_close(&results);
    *rows = n;
    return st;
}

// A segment already named by a run file keeps its recorded hash: hashing everything at every start
// would read the whole output again. weft check does that.
static wf_status verify_one(wf_segment_ref *ref, const char *path, wf_result_key *keys)
{
    uint64_t rows, bytes;
    ref->n_failed = 0;
    WF_TRY(read_keys(path, keys, &rows, &ref->n_failed));
    if (ref->xxh64 != 0 && rows != ref->rows) {
        return wf_fail(WF_DATA, "%s: holds %" PRIu64 " rows, %" PRIu64 " are recorded", path, rows,
                       ref->rows);
    }
    ref->rows = rows;
    return ref->xxh64 != 0 ? WF_OK : wf_file_hash(path, &ref->xxh64, &bytes);
}

wf_status wf_runs_verify(wf_runs *runs)
{
    wf_result_key *keys = NULL;
    size_t kept = 0;
    wf_status st = wf_alloc(KEY_ROWS, sizeof *keys, &keys);
    for (size_t i = 0; st == WF_OK && i < runs->n_segments; i++) {
        wf_segment_ref *ref = &runs->segments[i];
        char *path = NULL, why[WF_ERROR_MAX / 2];
        st = wf_path_join(runs->out_dir, ref->path, &path);
        if (st != WF_OK) break;
        st = verify_one(ref, path, keys);
        free(path);
        if (st == WF_OK) {
            runs->segments[kept++] = *ref;
        } else if (st == WF_DATA) {
            snprintf(why, sizeof why, "%s", wf_error());
            st = wf_runs_set_aside(runs, ref->path, why);
        }
    }
    free(keys);
    WF_TRY(st);
    runs->n_segments = kept;
    runs->verified = true;
    return WF_OK;
}
