// See generation.h.
#include "jobs/spec/generation.h"

#include <stdio.h>
#include <string.h>

#include "io/base/text.h"
#include "io/weights/hf_folder.h"

static const char *const names[WF_GENERATION_MOST] = {"temperature", "top_k", "top_p", "min_p",
                                                      "repetition_penalty"};

// The row of a sampling key; there is one for every name above.
static const wf_option *option_of(const char *name)
{
    const wf_option *option = wf_jobspec_table;
    while (strncmp(option->name, "sampling.", 9) != 0 || strcmp(option->name + 9, name) != 0)
        option++;
    return option;
}

static void store(const wf_option *option, double value, wf_jobspec *spec)
{
    void *field = (char *)spec + option->offset;
    if (option->type == WF_OPTION_I32)
        *(int32_t *)field = (int32_t)value;
    else
        *(float *)field = (float)value;
}

static double value_of(const wf_option *option, const wf_jobspec *spec)
{
    const void *field = (const char *)spec + option->offset;
    return option->type == WF_OPTION_I32 ? (double)*(const int32_t *)field
                                         : (double)*(const float *)field;
}

static wf_status read_number(wf_json_ref place, const wf_option *option, double *out)
{
    int64_t whole = 0;
    if (option->type != WF_OPTION_I32)
        return wf_json_read_f64(place, option->min, option->max, out);
    WF_TRY(wf_json_read_i64(place, (int64_t)option->min, (int64_t)option->max, &whole));
    *out = (double)whole;
    return WF_OK;
}

// What the file says of a key: false where it says nothing.
static wf_status look(wf_json_ref root, const wf_option *option, bool *out_says, double *out)
{
    bool samples = false;
    wf_json_ref place = wf_json_find(root, option->name + 9);
    *out_says = wf_json_kind_of(place) > WF_JSON_NULL;
    if (*out_says) return read_number(place, option, out);
    if (strcmp(option->name + 9, "temperature") != 0) return WF_OK;
    WF_TRY(wf_json_get_bool_or(root, "do_sample", false, &samples));
    *out_says = samples;
    *out = 1.0;
    return WF_OK;
}

static wf_status take_all(wf_json_ref root, wf_jobspec *spec, wf_options *options,
                          const char *taken[WF_GENERATION_MOST])
{
    size_t n = 0;
    for (size_t i = 0; i < WF_GENERATION_MOST; i++) {
        const wf_option *option = option_of(names[i]);
        bool says = false;
        double value = 0;
        if (wf_options_is_given(options, option->name)) continue;
        if (look(root, option, &says, &value) != WF_OK) {
            WF_TRY(wf_options_complain(options, "model.generation_config",
                                       "%s: set %s, or none to leave the file alone", wf_error(),
                                       option->name));
        } else if (says) {
            store(option, value, spec);
            taken[n++] = names[i];
        }
    }
    spec->model.generation_taken = (wf_option_strings){n, taken};
    return WF_OK;
}

wf_status wf_generation_take(wf_jobspec *spec, wf_options *options,
                             const char *taken[WF_GENERATION_MOST])
{
    wf_hf_folder *folder = NULL;
    wf_status st = WF_OK;
    if (spec->model.generation_config == WF_SPEC_GENERATION_NONE || !spec->model.path ||
        wf_options_is_given(options, "model.generation_taken"))
        return WF_OK;
    if (wf_hf_folder_open(spec->model.path, false, &folder) != WF_OK) return WF_OK;
    const wf_json *doc = wf_hf_folder_generation(folder);
    if (doc) st = take_all(wf_json_root(doc), spec, options, taken);
    wf_hf_folder_close(&folder);
    return st;
}

wf_status wf_generation_words(const wf_jobspec *spec, char **out)
{
    wf_text text = {0};
    wf_text_puts(&text, "");
    for (size_t i = 0; i < spec->model.generation_taken.n; i++) {
        const char *name = spec->model.generation_taken.item[i];
        for (size_t k = 0; k < WF_GENERATION_MOST; k++) { // a resolved job may have been edited
            if (strcmp(name, names[k]) != 0) continue;
            wf_text_printf(&text, "%s%s %.6g", i ? ", " : "", name,
                           value_of(option_of(name), spec));
        }
    }
    return wf_text_take(&text, out);
}
