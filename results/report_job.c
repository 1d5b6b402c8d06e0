// Picks values out of a resolved job file. See report_job.h.
#include "results/report_job.h"

#include <stdlib.h>
#include <string.h>

#include "io/base/arena.h"
#include "io/base/parse.h"
#include "io/base/text.h"
#include "io/base/yaml.h"

// The value of "section.key", or of "key" where `section` is NULL; "" where there is none.
static const char *value_of(const wf_yaml *doc, const char *section, const char *key)
{
    const wf_yaml_node *map = wf_yaml_root(doc);
    if (section) map = wf_yaml_find(map, section);
    const wf_yaml_node *value = map ? wf_yaml_find(map, key) : NULL;
    return value && value->kind == WF_YAML_SCALAR && value->text ? value->text : "";
}

// What each mode adds to its name, with a key's value in the place of @.
static wf_status arrivals_write(const wf_yaml *doc, const char *mode, char **out)
{
    static const struct {
        const char *mode, *key, *before, *after;
    } words[] = {
        {"replay", "speed", ", at ", " times the log's speed"},
        {"constant", "rate", ", ", " requests/s"},
        {"poisson", "rate", ", ", " requests/s"},
        {"gamma", "rate", ", ", " requests/s"},
        {"gamma", "burstiness", ", burstiness ", ""},
    };
    const char *n = value_of(doc, "arrivals", "concurrency");
    wf_text text = {0};
    wf_text_puts(&text, mode);
    bool limited = n[0] != '\0' && strcmp(n, "0") != 0 && strcmp(n, "none") != 0;
    if (strcmp(mode, "offline") == 0 && limited)
        wf_text_printf(&text, ": %s in flight at a time", n);
    else if (strcmp(mode, "offline") == 0)
        wf_text_puts(&text, ": all there from the start");
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcmp(words[i].mode, mode) == 0)
            wf_text_printf(&text, "%s%s%s", words[i].before,
                           value_of(doc, "arrivals", words[i].key), words[i].after);
    return wf_text_take(&text, out);
}

static wf_status values_take(const wf_yaml *doc, wf_report_job *out)
{
    const char *mode = value_of(doc, "arrivals", "mode");
    (void)wf_parse_i64(value_of(doc, "parallel", "tensor"), 1, INT32_MAX, &out->tensor);
    (void)wf_parse_f64(value_of(doc, "arrivals", "rate"), 0, 1e12, &out->rate);
    (void)wf_parse_f64(value_of(doc, "arrivals", "burstiness"), 0, 1e12, &out->burstiness);
    WF_TRY(wf_strdup(value_of(doc, NULL, "job"), &out->name));
    WF_TRY(wf_strdup(value_of(doc, "model", "path"), &out->model));
    WF_TRY(wf_strdup(value_of(doc, "model", "dtype"), &out->dtype));
    WF_TRY(wf_strdup(mode, &out->mode));
    return arrivals_write(doc, mode, &out->arrivals);
}

wf_status wf_report_job_read(const char *job_text, wf_report_job *out)
{
    wf_yaml *doc = NULL;
    *out = (wf_report_job){0};
    if (wf_yaml_parse("job file", job_text, strlen(job_text), &doc, NULL) != WF_OK)
        WF_TRY(wf_yaml_parse("job file", "", 0, &doc, NULL));
    wf_status st = values_take(doc, out);
    wf_yaml_destroy(&doc);
    if (st != WF_OK) wf_report_job_free(out);
    return st;
}

void wf_report_job_free(wf_report_job *job)
{
    free(job->name);
    free(job->model);
    free(job->dtype);
    free(job->mode);
    free(job->arrivals);
    *job = (wf_report_job){0};
}
