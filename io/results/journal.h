// The journal of a group: what it seals, written down before it is there.
//
//   <out>/runs/3-g1-e2.sealed.jsonl     of group 1's life 2 in run 3, a line per segment:
//   {"path":"segments/g1/r3-e2-00000.h5","rows":500,"digest":"7d1e..."}
//
// A segment carries the digest of its columns itself; the journal is the second witness, so that a
// segment that was changed as a whole, or taken away, is noticed before any later run has listed
// it. A line whose segment is not there is that of a seal that did not end, if it is the last one.
// Only `weft check` reads journals, with code of its own. Local, one writer per file.
#ifndef WF_IO_RESULTS_JOURNAL_H
#define WF_IO_RESULTS_JOURNAL_H

#include "io/results/segment.h"

// The name of a segment in the output folder: group, run, epoch, number.
#define WF_SEGMENT_NAME "segments/g%u/r%u-e%u-%05u.h5"

// Adds the line of segment `number`, durably.
wf_status wf_journal_add(const char *out_dir, const wf_run_info *run, uint32_t number,
                         uint64_t rows, uint64_t digest);

#endif
