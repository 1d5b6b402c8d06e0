// The job file of a command line. See jobfile.h.
#include "launcher/jobfile.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "io/base/arena.h"
#include "io/base/log.h"
#include "io/base/parse.h"
#include "io/base/text.h"
#include "jobs/spec/generation.h"
#include "jobs/spec/prompts.h"

wf_status wf_jobfile_out_check(const wf_cli *cli)
{
    const char *dir = wf_cli_value(cli, "out");
    struct stat info;
    if (!dir) return WF_OK;
    if (!dir[0]) return wf_cli_fail(cli, "--out: names no folder");
    if (stat(dir, &info) == 0 && !S_ISDIR(info.st_mode))
        return wf_cli_fail(cli, "--out %s: is a file; name a folder, which may be new", dir);
    return WF_OK;
}

static wf_status name_check(const wf_cli *cli)
{
    const char *path = wf_cli_argument(cli, 0);
    if (!wf_prompts_is_file(path)) return WF_OK;
    return wf_cli_fail(cli,
                       "%s: holds prompts and is no job file: weft generate --model DIR %s, or "
                       "name it under requests: of a job file",
                       path, path);
}

// --set assignments, and --out as one more.
static wf_status sets_collect(const wf_cli *cli, const char ***out, size_t *n_out, char **out_dir)
{
    size_t n = 0;
    const char *const *given = wf_cli_values(cli, "set", &n);
    const char *dir = wf_cli_value(cli, "out");
    WF_TRY(wf_alloc(n + 1, sizeof **out, out));
    for (size_t i = 0; i < n; i++)
        (*out)[i] = given[i];
    if (dir) {
        size_t n_bytes = sizeof "output.dir=" + strlen(dir);
        WF_TRY(wf_alloc(n_bytes, 1, out_dir));
        snprintf(*out_dir, n_bytes, "output.dir=%s", dir);
        (*out)[n++] = *out_dir;
    }
    *n_out = n;
    return WF_OK;
}

// All mistakes, and a summary in place of the first one, which has been said by then.
static void problems_say(const char *path, const char *problems, wf_status status)
{
    int n = 0;
    for (const char *line = problems; line && *line; line += *line == '\n') {
        if (*line != ' ') n++; // source lines and carets are indented
        line += strcspn(line, "\n");
    }
    fputs(problems, stderr);
    wf_fail(status, "%s: %d mistake%s; nothing was done", path, n, WF_S(n));
}

static void remarks_say(const wf_jobspec *spec)
{
    char *remarks = NULL;
    if (wf_jobspec_remarks(spec, &remarks) != WF_OK) return;
    for (char *line = remarks; *line;) {
        size_t n = strcspn(line, "\n");
        wf_warn("job file: %.*s", (int)n, line);
        line += n + (line[n] == '\n');
    }
    free(remarks);
}

static void generation_say(const wf_jobspec *spec)
{
    char *words = NULL;
    if (spec->model.generation_taken.n == 0 || wf_generation_words(spec, &words) != WF_OK) return;
    wf_info("sampling: %s from %s/generation_config.json; model.generation_config: none leaves it",
            words, spec->model.path);
    free(words);
}

// --part 3/8
static wf_status part_take(const wf_cli *cli, wf_jobspec *spec)
{
    enum { MOST_PARTS = 1 << 20 };
    const char *text = wf_cli_value(cli, "part"), *slash = text ? strchr(text, '/') : NULL;
    char first[16];
    int64_t part, n_parts;
    if (!text) return WF_OK;
    snprintf(first, sizeof first, "%.*s", slash ? (int)(slash - text) : 0, text);
    if (!slash || wf_parse_i64(slash + 1, 1, MOST_PARTS, &n_parts) != WF_OK ||
        wf_parse_i64(first, 0, n_parts - 1, &part) != WF_OK) {
        return wf_cli_fail(cli, "--part %s: not a part, such as 0/4 to 3/4", text);
    }
    return wf_jobspec_take_part(spec, (int)part, (int)n_parts);
}

wf_status wf_jobfile_load(const wf_cli *cli, bool speak, wf_jobspec **out)
{
    const char **set = NULL;
    char *out_dir = NULL, *problems = NULL;
    wf_jobspec_source source = {.path = wf_cli_argument(cli, 0)};
    WF_TRY(name_check(cli));
    WF_TRY(wf_jobfile_out_check(cli));
    wf_status st = sets_collect(cli, &set, &source.n_set, &out_dir);
    source.set = set;
    if (st == WF_OK) st = wf_jobspec_load(&source, out, &problems);
    if (st != WF_OK && problems && speak) problems_say(source.path, problems, st);
    if (st == WF_OK && speak) remarks_say(*out);
    if (st == WF_OK && speak) generation_say(*out);
    if (st == WF_OK) {
        st = part_take(cli, *out);
        if (st != WF_OK) wf_jobspec_destroy(out);
    }
    free(problems);
    free(out_dir);
    free(set);
    return st;
}
