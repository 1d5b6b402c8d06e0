// Running the real program and looking at what came of it.
#ifndef WF_TESTS_LAUNCHER_CLI_TEST_H
#define WF_TESTS_LAUNCHER_CLI_TEST_H

#include "tests/base/base_test.h"

#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

#define WEFT   WEFT_BINARY_DIR "/weft"
#define MODEL  WEFT_SOURCE_DIR "/jobs/demo/model"
#define STREAM WEFT_BINARY_DIR "/tests/launcher/make_stream"

typedef struct ran {
    int code; // exit code, or 128 + signal
    char out[1 << 16], err[1 << 16];
} ran;

static inline void slurp(const char *path, char *text, size_t text_bytes)
{
    FILE *file = fopen(path, "r");
    size_t n = file ? fread(text, 1, text_bytes - 1, file) : 0;
    if (file) fclose(file);
    text[n] = '\0';
}

// Runs a shell command in the test's folder, with the output of both kinds apart.
static inline void run(const char *command, ran *r)
{
    char line[4096];
    snprintf(line, sizeof line, "{ %s ; } >stdout.txt 2>stderr.txt", command);
    int status = system(line);
    r->code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    slurp("stdout.txt", r->out, sizeof r->out);
    slurp("stderr.txt", r->err, sizeof r->err);
}

static inline void check_ran(const ran *r, const char *command, int code, const char *part,
                             const char *file, int line)
{
    bool there = !part || strstr(r->err, part) || strstr(r->out, part);
    if (r->code == code && there) return;
    print_error("%s\nexit code %d, expected %d%s%s\n--- stdout\n%s--- stderr\n%s", command, r->code,
                code, part ? " and: " : "", part ? part : "", r->out, r->err);
    _fail(file, line);
}
#define assert_run(command, code, part)                                                            \
    do {                                                                                           \
        static ran ran_;                                                                           \
        run(command, &ran_);                                                                       \
        check_ran(&ran_, command, code, part, __FILE__, __LINE__);                                 \
    } while (0)

static inline void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    if (!file) {
        perror(path);
        exit(1);
    }
    fputs(text, file);
    fclose(file);
}

// A folder of the test's own with a.h5 (20 rows) and job.yaml; the working directory from then on.
static inline int cli_setup(void **state)
{
    static char folder[64];
    snprintf(folder, sizeof folder, "/tmp/weft-test-XXXXXX");
    if (!mkdtemp(folder) || chdir(folder) != 0) return -1;
    *state = folder;
    unsetenv("SLURM_JOB_ID");
    setenv("WEFT_PROGRESS", "off", 1);
    setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
    setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
    setenv("OMPI_MCA_rmaps_base_oversubscribe", "1", 1);
    setenv("OMPI_MCA_mpi_yield_when_idle", "1", 1); // ranks outnumber cores
    write_file("job.yaml", "model: {path: " MODEL "}\n"
                           "requests: [a.h5]\n"
                           "parallel: {threads: 1}\n"
                           "engine: {max_rows: 16, step_tokens: 128, kv_memory: 64MiB}\n");
    return system(STREAM " a.h5 20") == 0 ? 0 : -1;
}

static inline int cli_teardown(void **state)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", (char *)*state);
    return chdir("/") == 0 ? system(command) : -1;
}

#endif
