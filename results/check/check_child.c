// The checker runs in a guarded child: HDF5 itself may crash or loop on a damaged file, and then
// the parent still says which file it was.
#include "results/check/check_internal.h"

#include "io/base/guard.h"

void check_at(checker *c, const char *path, const char *name)
{
    (void)c;
    wf_guard_done(); // of the read before
    wf_guard_at(path, name);
}

typedef struct {
    const char *path;
    const wf_check_options *options;
} task;

static wf_status work(void *context, FILE *out, void *result)
{
    const task *t = context;
    return check_directly(t->path, t->options, out, result);
}

wf_status wf_check_run(const char *path, const wf_check_options *options, FILE *out,
                       wf_check_report *report)
{
    wf_check_report found;
    bool died;
    task t = {path, options};
    const wf_guard_config guard = {
        .work = work, .context = &t, .out = out, .result_bytes = sizeof found};
    wf_status st = wf_guard_run(&guard, &found, &died);
    if (died && st == WF_DATA) {
        found.n_problems++;
        found.complete = false;
        fprintf(out, "problem: %s\ncomplete: no\n", wf_error());
        st = wf_fail(WF_DATA, "%s: damaged, not checked to the end", path);
    }
    if (report) *report = found;
    if (st != WF_IO && (fflush(out) != 0 || ferror(out)))
        st = wf_fail_errno(WF_IO, "the result of the check cannot be written");
    return st;
}
