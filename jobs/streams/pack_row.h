// One JSON line as a request. Not for use elsewhere.
#ifndef WF_JOBS_STREAMS_PACK_ROW_H
#define WF_JOBS_STREAMS_PACK_ROW_H

#include "io/base/arena.h"
#include "io/shard/request.h"
#include "jobs/streams/lines.h"
#include "jobs/streams/pack.h"

// Parses and checks the line; what the request points to lies in `arena`. `place` is "file:line".
wf_status wf_pack_parse(const wf_line *line, const char *place, const wf_pack_options *options,
                        uint64_t i_row, wf_arena *arena, wf_request *out);

#endif
