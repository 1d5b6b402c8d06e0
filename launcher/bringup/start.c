// Reads how the process was started; decides threads and binding. See start.h.
#include "launcher/bringup/start.h"

#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/base/text.h"

static const char *process_lookup(void *context, const char *name)
{
    (void)context;
    return getenv(name);
}

static int number_of(wf_start_getenv lookup, void *context, const char *name, int otherwise)
{
    const char *text = lookup(context, name);
    return text && *text ? atoi(text) : otherwise;
}

wf_start wf_start_detect(wf_start_getenv lookup, void *context)
{
    // Who sets the rank, in the order of trust: srun's step wins over what a batch script
    // inherited.
    static const char *const ranks[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"};
    if (!lookup) lookup = process_lookup;
    bool in_step = lookup(context, "SLURM_STEP_ID") != NULL;
    bool under_mpirun = lookup(context, "OMPI_COMM_WORLD_SIZE") != NULL;
    for (size_t i = 0; i < sizeof ranks / sizeof ranks[0]; i++) {
        int rank = number_of(lookup, context, ranks[i], -1);
        if (rank < 0) continue;
        return (wf_start){.kind = in_step && !under_mpirun ? WF_START_SRUN : WF_START_MPIRUN,
                          .rank = rank};
    }
    if (in_step && number_of(lookup, context, "SLURM_STEP_NUM_TASKS", 1) > 1) {
        return (wf_start){.kind = WF_START_SRUN_BARE,
                          .rank = number_of(lookup, context, "SLURM_PROCID", 0)};
    }
    return (wf_start){.kind = WF_START_ALONE};
}

static bool is_mpirun(const char *word)
{
    static const char *const names[] = {"mpirun", "mpiexec", "orterun", "prterun", "prun"};
    const char *slash = strrchr(word, '/'), *name = slash ? slash + 1 : word;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i]) == 0) return true;
    return false;
}

char *wf_start_mpirun_words(const char *line, size_t n, const char *program, char *text,
                            size_t text_bytes)
{
    wf_text words = {0};
    int n_programs = 0;
    text[0] = '\0';
    if (n == 0 || line[n - 1] != '\0' || !is_mpirun(line)) return text;
    for (size_t at = 0; at < n; at += strlen(line + at) + 1) {
        n_programs += strcmp(line + at, program) == 0 || strcmp(line + at, ":") == 0;
        if (n_programs > 0) continue;
        if (at > 0) wf_text_puts(&words, " ");
        wf_text_put_shell(&words, line + at);
    }
    if (n_programs == 1 && words.st == WF_OK && words.n < text_bytes)
        snprintf(text, text_bytes, "%s", words.bytes);
    wf_text_free(&words);
    return text;
}

char *wf_start_mpirun(const char *program, char *text, size_t text_bytes)
{
    char path[64], line[8192]; // a longer command line is not repeated
    snprintf(path, sizeof path, "/proc/%ld/cmdline", (long)getppid());
    FILE *file = fopen(path, "r");
    size_t n = file ? fread(line, 1, sizeof line, file) : 0;
    if (file) fclose(file);
    return wf_start_mpirun_words(line, n, program, text, text_bytes);
}

char *wf_start_command(const wf_start *start, const char *mpirun, int n_ranks, const char *line,
                       char *text, size_t text_bytes)
{
    static const char *const before[] = {[WF_START_ALONE] = "",
                                         [WF_START_MPIRUN] = "mpirun",
                                         [WF_START_SRUN] = "srun --mpi=pmix",
                                         [WF_START_SRUN_BARE] = "srun --mpi=pmix"};
    if (start->kind == WF_START_ALONE)
        snprintf(text, text_bytes, "%s", line);
    else if (start->kind == WF_START_MPIRUN && mpirun[0])
        snprintf(text, text_bytes, "%s %s", mpirun, line);
    else
        snprintf(text, text_bytes, "%s -n %d %s", before[start->kind], n_ranks, line);
    return text;
}

static int at_least_one(int n)
{
    return n > 0 ? n : 1;
}

wf_thread_plan wf_threads_decide(const wf_thread_input *in)
{
    bool is_bound = in->n_bound < in->n_cores;
    bool keep_mask = in->kind == WF_START_ALONE || (in->kind == WF_START_SRUN && is_bound) ||
                     (in->kind == WF_START_MPIRUN && !is_bound);
    bool own_mask = keep_mask && is_bound; // as many cores as whoever bound us meant
    wf_thread_plan plan = {.threads = in->threads};
    if (plan.threads == 0) {
        plan.threads =
            at_least_one(own_mask ? in->n_bound : in->n_cores / at_least_one(in->n_local));
    }
    if (keep_mask || plan.threads * in->n_local > in->n_cores) return plan;
    plan.bind_first = in->local * plan.threads;
    plan.n_bind = plan.threads;
    return plan;
}

// About ten microseconds of spinning: longer than the gaps between the operations of a step.
#define SPIN_COUNT "3000"

void wf_start_calm(char **argv)
{
    if (getenv("OMP_WAIT_POLICY") || getenv("GOMP_SPINCOUNT")) return;
    char path[PATH_MAX]; // by its own name: what ps and top show comes from it
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    if (n <= 0 || setenv("GOMP_SPINCOUNT", SPIN_COUNT, 1) != 0) return;
    path[n] = '\0';
    execv(path, argv);
}
