// See study_run.h.
#include "launcher/study_run.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/base/arena.h"
#include "io/base/log.h"
#include "io/base/publish.h"
#include "io/base/spawn_plain.h"
#include "io/base/text.h"
#include "launcher/study_array.h"
#include "launcher/submission.h"
#include "results/report.h"

enum { LAST_BYTES = 4096, WORDS = WF_STUDY_WORDS };

// ---- words --------------------------------------------------------------------------------------

static wf_status pair_add(wf_paths *words, const char *option, const char *value)
{
    WF_TRY(wf_paths_add(words, option));
    return wf_paths_add(words, value);
}

static wf_status set_add(wf_paths *words, const char *key, const char *value)
{
    wf_text text = {0};
    char *whole = NULL;
    wf_text_printf(&text, "%s=%s", key, value);
    WF_TRY(wf_text_take(&text, &whole));
    wf_status st = pair_add(words, "--set", whole);
    free(whole);
    return st;
}

// "mpirun -n {ranks}" as words.
static wf_status words_split(const char *text, long ranks, wf_paths *words)
{
    for (const char *at = text + strspn(text, " "); *at; at += strspn(at, " ")) {
        size_t n = strcspn(at, " ");
        char word[256], *mark;
        snprintf(word, sizeof word, "%.*s", (int)n, at);
        mark = strstr(word, "{ranks}");
        wf_text out = {0};
        char *whole = NULL;
        if (mark)
            wf_text_printf(&out, "%.*s%ld%s", (int)(mark - word), word, ranks, mark + 7);
        else
            wf_text_puts(&out, word);
        wf_status st = wf_text_take(&out, &whole);
        if (st == WF_OK) st = wf_paths_add(words, whole);
        free(whole);
        WF_TRY(st);
        at += n;
    }
    return WF_OK;
}

static wf_status self_add(wf_paths *words)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n <= 0) return wf_fail_errno(WF_INTERNAL, "/proc/self/exe: cannot be read");
    self[n] = '\0';
    return wf_paths_add(words, self);
}

static wf_status settings_add(const wf_study_runner *r, const size_t *at, const char *rising,
                              wf_paths *words)
{
    const wf_study *s = r->study;
    for (size_t i = 0; i < s->fixed.n; i++)
        WF_TRY(pair_add(words, "--set", s->fixed.item[i]));
    for (size_t i = 0; i < s->n_axes; i++) {
        const char *value = s->axes[i].values.item[at[i]];
        WF_TRY(set_add(words, s->axes[i].key, rising && (int)i == s->rising ? rising : value));
    }
    for (size_t i = 0; i < r->n_extra; i++)
        WF_TRY(pair_add(words, "--set", r->extra[i]));
    return WF_OK;
}

static wf_status folder_of(const wf_study_runner *r, const char *name, const char *end, char **out)
{
    wf_text text = {0};
    wf_text_printf(&text, "%s/points/%s%s", r->out, name, end);
    return wf_text_take(&text, out);
}

static wf_status words_add(const wf_study_runner *r, size_t i_point, const char *rising,
                           const size_t *at, wf_paths *words)
{
    const char *launch = r->launch ? r->launch : r->study->launch;
    long ranks = wf_study_ranks(r->study, at);
    char *name = NULL, *folder = NULL;
    bool here = r->how == WF_STUDY_RUN, simulated = r->simulate[0] != '\0';
    if (!launch[0] && ranks > 1) launch = "mpirun -n {ranks}";
    if (here && !simulated && ranks > 1) WF_TRY(words_split(launch, ranks, words));
    WF_TRY(self_add(words));
    WF_TRY(wf_paths_add(words, simulated ? "simulate" : here ? "run" : "submit"));
    if (r->how == WF_STUDY_SUBMIT) WF_TRY(wf_paths_add(words, "--write"));
    WF_TRY(words_split(r->simulate, ranks, words));
    WF_TRY(wf_paths_add(words, r->study->job));
    WF_TRY(wf_study_point_name(r->study, i_point, rising, &name));
    wf_status st = folder_of(r, name, "", &folder);
    if (st == WF_OK) st = pair_add(words, "--out", folder);
    if (st == WF_OK) st = settings_add(r, at, rising, words);
    free(name);
    free(folder);
    return st;
}

wf_status wf_study_words(const wf_study_runner *r, size_t i_point, const char *rising, char ***out)
{
    wf_paths words = {0};
    size_t *at = NULL;
    char **list = NULL;
    WF_TRY(wf_alloc(r->study->n_axes, sizeof *at, &at));
    wf_study_point(r->study, i_point, at);
    wf_status st = words_add(r, i_point, rising, at, &words);
    free(at);
    if (st == WF_OK) st = wf_alloc(words.n + 1, sizeof *list, &list);
    if (st != WF_OK) {
        wf_paths_destroy(&words);
        return st;
    }
    memcpy(list, words.item, words.n * sizeof *list); // the list is theirs now
    list[words.n] = NULL;
    free(words.item);
    *out = list;
    return WF_OK;
}

void wf_study_words_free(char ***words)
{
    for (char **w = *words; w && *w; w++)
        free(*w);
    free(*words);
    *words = NULL;
}

// ---- running ------------------------------------------------------------------------------------

static volatile sig_atomic_t running; // process group of the run, 0: none
static volatile sig_atomic_t told;    // the signal that came

static void pass_on(int number)
{
    told = number;
    if (running > 0) kill(-(pid_t)running, number);
}

static void signals_pass_on(void)
{
    const struct sigaction action = {.sa_handler = pass_on};
    const int numbers[] = {SIGINT, SIGTERM, SIGUSR1};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        sigaction(numbers[i], &action, NULL);
}

// Its exit code; what it says goes to the log.
static wf_status spawn_and_wait(const char *const *words, const char *log, int *exit_code)
{
    int fd, status = 0;
    pid_t pid;
    WF_TRY(wf_file_open_plain(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, &fd));
    signals_pass_on();
    int error = told ? 0 : wf_spawn_plain(words, -1, fd, fd, &pid);
    close(fd);
    if (told) return wf_fail(WF_DRAINED, "told to leave: the same command goes on");
    if (error != 0)
        return wf_fail(WF_NO_INPUT, "%s: cannot be started: %s", words[0], strerror(error));
    running = pid;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    running = 0;
    *exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    return WF_OK;
}

void wf_study_last_words(const char *log, char out[WORDS])
{
    char text[LAST_BYTES + 1];
    FILE *file = fopen(log, "r");
    out[0] = '\0';
    if (!file) return;
    if (fseek(file, -LAST_BYTES, SEEK_END) != 0) rewind(file);
    size_t n = fread(text, 1, LAST_BYTES, file);
    fclose(file);
    text[n] = '\0';
    const char *line = "";
    do { // below a mistake stand its line, a caret, and how many there are
        while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == ' '))
            text[--n] = '\0';
        while (n > 0 && text[n - 1] != '\n')
            n--;
        line = text + n;
    } while (n > 0 && (line[0] == ' ' || strstr(line, "nothing was done")));
    snprintf(out, WORDS, "%.399s", line);
}

static bool went_well(int exit_code)
{
    return exit_code == 0 || exit_code == wf_status_exit_code(WF_FAILED_ROWS);
}

static wf_status start(const wf_study_runner *r, size_t i_point, const char *rising,
                       wf_study_result *out)
{
    char **words = NULL, *log = NULL, why[WORDS];
    int exit_code = 0;
    WF_TRY(folder_of(r, out->name, ".log", &log));
    wf_status st = wf_study_words(r, i_point, rising, &words);
    if (st == WF_OK) st = spawn_and_wait((const char *const *)words, log, &exit_code);
    wf_study_words_free(&words);
    if (st == WF_OK && (exit_code == wf_status_exit_code(WF_DRAINED) || told))
        st = wf_fail(WF_DRAINED, "%s was drained: the same command goes on", out->name);
    wf_study_last_words(log, why);
    out->failed = st == WF_OK && !went_well(exit_code);
    if (out->failed) snprintf(out->said, sizeof out->said, "exit code %d: %s", exit_code, why);
    free(log);
    return st;
}

// ---- reading ------------------------------------------------------------------------------------

// The two lines of the report as CSV.
static wf_status csv_take(const wf_report *report, wf_study_result *out)
{
    char *text = NULL;
    size_t n = 0;
    FILE *file = open_memstream(&text, &n);
    if (!file) return wf_fail_errno(WF_NO_MEMORY, "the report cannot be kept");
    wf_report_csv(report, file);
    fclose(file);
    char *end = strchr(text, '\n');
    if (end) *end = '\0';
    wf_status st = wf_strdup(text, &out->head);
    if (st == WF_OK && end) {
        end[1 + strcspn(end + 1, "\n")] = '\0';
        st = wf_strdup(end + 1, &out->line);
    }
    free(text);
    return st;
}

static void figures_take(const wf_study_runner *r, const wf_report *report, wf_study_result *out)
{
    const wf_figures *f = &report->figures;
    out->figures = *f;
    out->has_figures = true;
    out->complete = report->complete;
    out->good = !f->has_goodput || wf_figures_within(f) >= r->study->share;
    if (!report->complete && !out->said[0]) snprintf(out->said, sizeof out->said, "not complete");
}

static wf_status read_point(const wf_study_runner *r, wf_study_result *out)
{
    const wf_report_options options = {.limits = r->limits, .warmup_ns = r->study->warmup_ns};
    wf_report report = {0};
    char *folder = NULL;
    const char *path;
    WF_TRY(folder_of(r, out->name, "", &folder));
    path = folder;
    wf_status st = wf_report_make_many(&path, 1, &options, &report);
    if (st == WF_OK) {
        figures_take(r, &report, out);
        st = csv_take(&report, out);
        wf_report_destroy(&report);
    } else {
        if (!out->said[0]) snprintf(out->said, sizeof out->said, "%.500s", wf_error());
        st = WF_OK; // of this run nothing more is known
    }
    free(folder);
    return st;
}

// Of a run that is not complete: what its job does; and, to submit it, its script where it has
// none.
static wf_status in_slurm(const wf_study_runner *r, size_t i_point, const char *rising,
                          wf_study_result *out)
{
    char *folder = NULL, *script = NULL;
    WF_TRY(folder_of(r, out->name, "", &folder));
    bool works = r->jobs && wf_study_job_tell(r->jobs, folder, out->said, sizeof out->said);
    wf_status st = WF_OK;
    if (!works && r->how == WF_STUDY_SUBMIT) {
        out->said[0] = '\0';
        st = start(r, i_point, rising, out);
        if (st == WF_OK) st = wf_submission_path(folder, "job.sh", &script);
        out->written = st == WF_OK && !out->failed && wf_file_exists(script);
    }
    free(folder);
    free(script);
    return st;
}

wf_status wf_study_run(const wf_study_runner *r, size_t i_point, const char *rising,
                       wf_study_result *out)
{
    *out = (wf_study_result){.i_point = i_point};
    WF_TRY(wf_study_point_name(r->study, i_point, rising, &out->name));
    if (rising) WF_TRY(wf_strdup(rising, &out->rising));
    if (r->how == WF_STUDY_RUN) WF_TRY(start(r, i_point, rising, out));
    WF_TRY(read_point(r, out));
    return r->how == WF_STUDY_RUN || out->complete ? WF_OK : in_slurm(r, i_point, rising, out);
}

bool wf_study_has_run(const wf_study_runner *r, size_t i_point)
{
    char *name = NULL, *folder = NULL;
    bool has = r->how == WF_STUDY_COLLECT &&
               wf_study_point_name(r->study, i_point, NULL, &name) == WF_OK &&
               folder_of(r, name, "", &folder) == WF_OK && wf_file_exists(folder);
    free(name);
    free(folder);
    return has;
}

void wf_study_result_free(wf_study_result *result)
{
    char *const all[] = {result->name, result->rising, result->head, result->line};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        free(all[i]);
    *result = (wf_study_result){0};
}

// ---- what runs need -----------------------------------------------------------------------------

static const char *output_of(const wf_paths *words)
{
    for (size_t i = 0; i + 1 < words->n; i++)
        if (strcmp(words->item[i], "-o") == 0 || strcmp(words->item[i], "--output") == 0)
            return words->item[i + 1];
    return NULL;
}

static wf_status command_run(const wf_paths *command)
{
    wf_paths words = {0};
    const char **argv = NULL;
    const char *output = output_of(command);
    char *folder = NULL;
    int status = 0;
    pid_t pid;
    wf_status st;
    if (output && wf_file_exists(output)) return WF_OK;
    WF_TRY_TO(done, wf_path_folder(output ? output : ".", &folder));
    WF_TRY_TO(done, wf_file_make_folders(folder));
    WF_TRY_TO(done, self_add(&words));
    for (size_t i = 0; i < command->n; i++)
        WF_TRY_TO(done, wf_paths_add(&words, command->item[i]));
    WF_TRY_TO(done, wf_alloc(words.n + 1, sizeof *argv, &argv));
    for (size_t i = 0; i < words.n; i++)
        argv[i] = words.item[i];
    int error = wf_spawn_plain(argv, -1, -1, -1, &pid);
    if (error == 0)
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
        }
    if (error != 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        st = wf_fail(WF_CONFIG, "prepare: weft %s ... failed: what it said stands above",
                     command->n > 0 ? command->item[0] : "");
done:
    wf_paths_destroy(&words);
    free(argv);
    free(folder);
    return st;
}

wf_status wf_study_prepare(const wf_study *study)
{
    for (size_t i = 0; i < study->n_commands; i++)
        WF_TRY(command_run(&study->commands[i]));
    return WF_OK;
}
