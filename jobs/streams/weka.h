// Conversations of agents as the KV cache tester of Weka's keeps them: a file each, or a folder.
//
//   {"id": "f64a", "block_size": 64, "tool_tokens": 11899, "system_tokens": 2926, "requests": [
//     {"t": 0.0, "type": "s", "in": 25259, "out": 86, "hash_ids": [1, 2, 3, ...]}, ...]}
//
// A request is a round of its conversation (rounds.h): its prompt goes on from that of the request
// before as far as their blocks are the same. tool_tokens and system_tokens are what every
// conversation begins with. t counts from the conversation's start; conversations start together,
// or, where the options give an interval, with exponential gaps of that mean, drawn by the seed.
// What a subagent did ("type": "subagent") is not understood: refused, or left out with skip_bad.
// Source: the tester's docs/trace_replay_tester.md, "Trace Format". Local.
#ifndef WF_JOBS_STREAMS_WEKA_H
#define WF_JOBS_STREAMS_WEKA_H

#include "io/base/sha256.h"
#include "jobs/streams/import.h"
#include "jobs/streams/rounds.h"

// Reads options->input: rows in the order of the files' names. `sha256` is of all their bytes.
// WF_DATA with `file:line: what`; WF_NO_INPUT.
wf_status wf_weka_read(const wf_import_options *options, wf_import_report *report,
                       wf_line_index *out, wf_rounds *rounds, char sha256[WF_SHA256_HEX]);

#endif
