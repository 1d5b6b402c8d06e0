// The job file. Promises: a refused one says why, with every problem in its place; a job that loads
// is written as YAML that loads to the same job.
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "jobs/spec/jobspec.h"
#include "tests/fuzz/fuzz.h"

static wf_status load(const uint8_t *data, size_t size, wf_jobspec **spec)
{
    static const char *const nothing[] = {NULL};
    char path[FUZZ_PATH_MAX], *problems = NULL;
    int fd = fuzz_file(data, size, path);
    wf_jobspec_source source = {.path = path, .environment = nothing, .keep_globs = true};
    wf_status st = wf_jobspec_load(&source, spec, &problems);
    fuzz_must(st == WF_OK || wf_error()[0] != '\0', "a refusal says why");
    free(problems);
    close(fd);
    return st;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    wf_jobspec *spec = NULL, *again = NULL;
    char *text = NULL, *twice = NULL, *remarks = NULL;
    if (load(data, size, &spec) != WF_OK) return 0;
    fuzz_must(wf_jobspec_text(spec, &text) == WF_OK, "a job can be written");
    fuzz_must(wf_jobspec_remarks(spec, &remarks) == WF_OK, "a job can be remarked upon");
    fuzz_must(load((const uint8_t *)text, strlen(text), &again) == WF_OK,
              "what was written can be read");
    fuzz_must(wf_jobspec_text(again, &twice) == WF_OK && strcmp(text, twice) == 0,
              "it loads to the same job");
    free(text);
    free(twice);
    free(remarks);
    wf_jobspec_destroy(&spec);
    wf_jobspec_destroy(&again);
    return 0;
}
