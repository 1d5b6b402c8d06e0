// What a folder's own small files say: run file, epoch file, a rank's status, events. The bytes are
// these four, with "%%\n" between. Promises: segments that count have names a writer would give;
// an identity equals itself.
#include <string.h>

#include "io/results/runfile.h"
#include "jobs/run/events.h"
#include "jobs/watch/progress_status.h"
#include "tests/fuzz/fuzz.h"

static void say_nothing(void *context, const char *line)
{
    (void)context;
    fuzz_must(line[0] != '\0', "a report has words");
}

static void runs_look(const char *folder)
{
    wf_runs_options options = {.read_only = true, .report = say_nothing};
    wf_runs *runs = NULL;
    size_t n = 0;
    if (wf_runs_open(folder, &options, &runs) != WF_OK) return;
    const wf_segment_ref *segment = wf_runs_segments(runs, &n);
    for (size_t i = 0; i < n; i++)
        fuzz_must(strncmp(segment[i].path, "segments/g0/r0-e", 16) == 0, "a segment's own name");
    const char *identity = wf_runs_identity(runs);
    wf_status st = identity ? wf_identity_compare(identity, identity) : WF_OK;
    fuzz_must(st == WF_OK || st == WF_DATA, "an identity equals itself, or is none");
    wf_runs_close(&runs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"runs/0.json", "runs/0-g0-e1.json", "status/rank-0.json",
                                        "events.jsonl"};
    static const char *const segments[] = {"segments/g0/r0-e0-00000.h5",
                                           "segments/g0/r0-e1-00000.h5"};
    const char *folder = fuzz_folder();
    wf_rank_status status;
    wf_events events = {0};
    fuzz_folder_put(names, 4, data, size);
    fuzz_folder_put(segments, 2, (const uint8_t *)"x%%\nx", 5);
    runs_look(folder);
    if (wf_rank_status_read(folder, 0, &status) == WF_OK) {
        fuzz_must((unsigned)status.operation < WF_N_OPERATIONS, "an operation is of the table");
        fuzz_must(memchr(status.host, 0, sizeof status.host) != NULL, "a host's name ends");
    }
    if (wf_events_read(folder, &events) == WF_OK)
        for (size_t i = 0; i < events.n; i++)
            fuzz_must((unsigned)events.item[i].kind < WF_N_EVENTS, "an event is of the table");
    wf_events_free(&events);
    return 0;
}
