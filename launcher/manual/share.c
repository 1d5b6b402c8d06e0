// Manual pages and completions as files. See share.h.
#include "launcher/manual/share.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "io/base/file.h"
#include "launcher/manual/completion.h"
#include "launcher/manual/manual.h"

static wf_status write_text(const char *path, const wf_text *text)
{
    WF_TRY(text->st);
    FILE *file = fopen(path, "w");
    bool well = file && fwrite(text->bytes, 1, text->n, file) == text->n;
    if (file && fclose(file) != 0) well = false;
    return well ? WF_OK : wf_fail(WF_IO, "%s: cannot be written: %s", path, strerror(errno));
}

// Writes a text below the folder and frees it.
static wf_status keep(const char *folder, const char *name, wf_text *text)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/%s", folder, name);
    wf_status st = n < PATH_MAX ? WF_OK : wf_fail(WF_USAGE, "%s: too long a path", folder);
    if (st == WF_OK) {
        char *slash = strrchr(path, '/');
        *slash = '\0';
        st = wf_file_make_folders(path);
        *slash = '/';
    }
    if (st == WF_OK) st = write_text(path, text);
    wf_text_free(text);
    return st;
}

wf_status wf_share_write(const char *folder)
{
    wf_text text = {0};
    char name[PATH_MAX];
    wf_manual_put_overview(&text);
    WF_TRY(keep(folder, "man/man1/weft.1", &text));
    for (const wf_command *c = wf_commands; c->name; c++) {
        snprintf(name, sizeof name, "man/man1/weft-%s.1", c->name);
        wf_manual_put_command(c, &text);
        WF_TRY(keep(folder, name, &text));
    }
    wf_manual_put_job(&text);
    WF_TRY(keep(folder, "man/man5/weft-job.5", &text));
    for (const wf_shell *shell = wf_shells; shell->name; shell++) {
        shell->put(&text);
        WF_TRY(keep(folder, shell->file, &text));
    }
    return WF_OK;
}
