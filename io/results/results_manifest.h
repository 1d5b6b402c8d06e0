// <out>/manifest.json: what results.h5 was merged from, and the checksums of all of it.
//
//   {"format": "weft-manifest", "results": {"path", "rows", "bytes", "xxh64"},
//    "segments": [{"path", "rows", "bytes", "xxh64"}, ...]}
//
// Written after results.h5 has its name; removed before a new results.h5 takes it, so that it never
// describes another file. All Local.
#ifndef WF_IO_RESULTS_RESULTS_MANIFEST_H
#define WF_IO_RESULTS_RESULTS_MANIFEST_H

#include "io/results/runfile.h"

wf_status wf_manifest_write(const char *out_dir, const wf_segment_ref *merged,
                            const wf_segment_ref *segments, size_t n);
wf_status wf_manifest_remove(const char *out_dir); // fine when there is none

// Whether results.h5 is there and its manifest lists exactly these segments, by path and size.
wf_status wf_manifest_covers(const char *out_dir, const wf_segment_ref *segments, size_t n,
                             bool *covers);

// xxh64 and size of a whole file.
wf_status wf_file_hash(const char *path, uint64_t *xxh64, uint64_t *bytes);

#endif
