// What the option table cannot say: keys that contradict each other, and the files a job names.
// Used by jobspec.c only.
#ifndef WF_JOBS_SPEC_JOBSPEC_CHECK_H
#define WF_JOBS_SPEC_JOBSPEC_CHECK_H

#include "io/base/file.h"
#include "jobs/spec/jobspec.h"

// Complains to `options` about every contradiction in `spec`. Local.
wf_status wf_jobspec_check_keys(const wf_jobspec *spec, wf_options *options);

// Expands the patterns of `spec->requests` into `paths` ({0} at first; wf_paths_destroy) and
// complains about what is not there or listed twice. *n_missing counts complaints of missing files,
// a missing model folder included. Local.
wf_status wf_jobspec_check_files(const wf_jobspec *spec, wf_options *options, wf_paths *paths,
                                 int *n_missing);

#endif
