// A head for scores, as config.json says. See encode_head.h.
#include "engine/encode_head.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/arena.h"
#include "io/base/json_writer.h"

#define MOST_LABELS    (1 << 20)
#define DEFAULT_LABELS 2 // of transformers' configuration, which does not write them then

typedef struct word {
    const char *word;
    int means;
} word;

static const word problem_types[] = {{"single_label_classification", WF_LABELS_SOFTMAX},
                                     {"multi_label_classification", WF_LABELS_SIGMOID},
                                     {"regression", WF_LABELS_NONE},
                                     {NULL, 0}};
// Of modules of torch, by their last words.
static const word activations[] = {
    {"Sigmoid", WF_LABELS_SIGMOID}, {"Identity", WF_LABELS_NONE}, {NULL, 0}};
static const word poolings[] = {{"cls", WF_POOL_FIRST}, {"mean", WF_POOL_MEAN}, {NULL, 0}};

// *out stays where the place has nothing or null.
static wf_status read_word(wf_json_ref place, const word *known, bool last_word, int *out)
{
    const char *text;
    char all[128] = "";
    if (wf_json_kind_of(place) <= WF_JSON_NULL) return WF_OK;
    WF_TRY(wf_json_read_string(place, &text));
    const char *dot = last_word ? strrchr(text, '.') : NULL;
    for (const word *w = known; w->word; w++) {
        *out = w->means;
        if (strcmp(dot ? dot + 1 : text, w->word) == 0) return WF_OK;
        size_t at = strlen(all);
        snprintf(all + at, sizeof all - at, "%s%s", at ? ", " : "", w->word);
    }
    return wf_json_fail(place, "'%.96s' is not known here (%s)", text, all);
}

// ---- labels -------------------------------------------------------------------------------------

static wf_status count_labels(wf_json_ref root, int32_t *out)
{
    int64_t n = DEFAULT_LABELS;
    wf_json_ref names = wf_json_find(root, "id2label");
    if (wf_json_kind_of(names) > WF_JSON_NULL) {
        WF_TRY(wf_json_read_object(names));
        n = (int64_t)wf_json_count(names);
        if (n < 1 || n > MOST_LABELS)
            return wf_json_fail(names, "has %lld labels; 1 to %d are possible", (long long)n,
                                MOST_LABELS);
    } else {
        WF_TRY(wf_json_get_i64_or(root, "num_labels", 1, MOST_LABELS, n, &n));
    }
    *out = (int32_t)n;
    return WF_OK;
}

// id2label has a name for each of 0 .. n - 1, in any order; names are borrowed from the document.
static wf_status find_names(wf_json_ref of, int32_t n, const char **names)
{
    wf_json_iter it = wf_json_iterate(of);
    for (wf_json_ref item; wf_json_next(&it, &item);) {
        char *end;
        long i = strtol(item.key, &end, 10);
        if (end == item.key || *end || i < 0 || i >= n || names[i])
            return wf_json_fail(item, "is no number of a label, each of 0 to %d once", (int)n - 1);
        WF_TRY(wf_json_read_string(item, &names[i]));
    }
    return WF_OK;
}

static wf_status names_text(const char *const *names, int32_t n, char **out)
{
    wf_json_writer *w;
    const char *text;
    char number[24];
    size_t bytes;
    WF_TRY(wf_json_writer_create(0, &w));
    wf_json_open_array(w, NULL);
    for (int32_t i = 0; i < n; i++) {
        snprintf(number, sizeof number, "LABEL_%d", (int)i);
        wf_json_put_string(w, NULL, names[i] ? names[i] : number);
    }
    wf_json_close(w);
    wf_status st = wf_json_writer_finish(w, &text, &bytes);
    if (st == WF_OK && bytes > 0 && text[bytes - 1] == '\n') bytes--;
    if (st == WF_OK && !(*out = strndup(text, bytes)))
        st = wf_fail(WF_NO_MEMORY, "labels: out of memory");
    wf_json_writer_destroy(&w);
    return st;
}

wf_status wf_encode_labels(const wf_hf_folder *folder, const wf_arch *arch, char **out)
{
    wf_json_ref of = wf_json_find(wf_json_root(wf_hf_folder_config(folder)), "id2label");
    const char **names = NULL;
    *out = NULL;
    WF_TRY(wf_alloc((size_t)arch->encode.width, sizeof *names, &names));
    wf_status st = WF_OK;
    if (wf_json_kind_of(of) > WF_JSON_NULL) st = find_names(of, arch->encode.width, names);
    if (st == WF_OK) st = names_text(names, arch->encode.width, out);
    free(names);
    return st;
}

// ---- what the numbers become --------------------------------------------------------------------

// A CrossEncoder's, in the newer place and the older one.
static wf_status read_activation(wf_json_ref root, int *out)
{
    wf_json_ref newer = wf_json_find(root, "sentence_transformers");
    if (wf_json_kind_of(newer) == WF_JSON_OBJECT && wf_json_has(newer, "activation_fn"))
        return read_word(wf_json_find(newer, "activation_fn"), activations, true, out);
    return read_word(wf_json_find(root, "sbert_ce_default_activation_function"), activations, true,
                     out);
}

static wf_status choose_activation(wf_json_ref root, const wf_encode_wish *wish, int32_t n_labels,
                                   wf_label_curve *out)
{
    bool classify = wish->task == WF_TASK_CLASSIFY;
    int curve = n_labels == 1 ? WF_LABELS_SIGMOID : classify ? WF_LABELS_SOFTMAX : WF_LABELS_NONE;
    wf_json_ref problem = wf_json_find(root, "problem_type");
    if (classify && n_labels == 1 && wf_json_kind_of(problem) > WF_JSON_NULL) {
        int said = curve; // one label is a sigmoid's, but where it is a regression's
        WF_TRY(read_word(problem, problem_types, false, &said));
        if (said == WF_LABELS_NONE) curve = said;
    } else if (classify) {
        WF_TRY(read_word(problem, problem_types, false, &curve));
    } else {
        WF_TRY(read_activation(root, &curve));
    }
    *out = (wf_label_curve)(wish->activation == WF_ENCODE_AUTO ? curve : wish->activation);
    return WF_OK;
}

// ---- the head -----------------------------------------------------------------------------------

static wf_json_ref place_of(const wf_arch *arch, wf_json_ref root, wf_config_key key)
{
    const char *name = arch->family->keys[key][0];
    return name ? wf_json_find(root, name) : (wf_json_ref){0};
}

static wf_status read_curve(const wf_arch *arch, wf_json_ref root, wf_curve *out)
{
    word known[6] = {{NULL, 0}};
    int curve = (int)arch->family->head_curve;
    for (int i = 0; i < 5 && arch->family->activation_names[i].name; i++)
        known[i] = (word){arch->family->activation_names[i].name,
                          (int)arch->family->activation_names[i].curve};
    WF_TRY(read_word(place_of(arch, root, WF_KEY_HEAD_CURVE), known, false, &curve));
    *out = (wf_curve)curve;
    return WF_OK;
}

wf_status wf_encode_head_dense(const wf_arch *arch, wf_json_ref root, wf_encode_head *out)
{
    out->dense_bias = !arch->family->keys[WF_KEY_HEAD_BIAS][0];
    wf_json_ref bias = place_of(arch, root, WF_KEY_HEAD_BIAS);
    if (wf_json_kind_of(bias) > WF_JSON_NULL) WF_TRY(wf_json_read_bool(bias, &out->dense_bias));
    return read_curve(arch, root, &out->curve);
}

static wf_status read_head(const wf_arch *arch, wf_json_ref root, wf_encode *e)
{
    bool both_ways = arch->family->bidirectional;
    int pooling = both_ways ? WF_POOL_FIRST : WF_POOL_LAST;
    e->head.bias = both_ways;
    WF_TRY(wf_encode_head_dense(arch, root, &e->head));
    WF_TRY(read_word(place_of(arch, root, WF_KEY_HEAD_POOLING), poolings, false, &pooling));
    e->pooling = (wf_pooling)pooling;
    e->whole = both_ways;
    return WF_OK;
}

static const char *task_word(wf_task task)
{
    return task == WF_TASK_CLASSIFY ? "classify" : task == WF_TASK_SCORE ? "score" : "rerank";
}

bool wf_encode_head_lacks(const wf_hf_folder *folder, const wf_arch *arch, wf_role role, char *name,
                          size_t name_bytes)
{
    size_t i;
    wf_arch_tensor_name(arch, role, 0, 0, ".weight", name, name_bytes);
    return wf_hf_folder_count(folder) > 0 && wf_hf_folder_find(folder, name, &i) != WF_OK;
}

static wf_status check_is_there(const wf_hf_folder *folder, wf_task task, const wf_arch *arch)
{
    char name[256];
    if (!wf_encode_head_lacks(folder, arch, WF_ROLE_SCORE, name, sizeof name)) return WF_OK;
    return wf_fail(WF_DATA,
                   "%s: has no head for scores (%s): task: %s needs a model that was trained for "
                   "it; task: embed takes this one",
                   wf_hf_folder_path(folder), name, task_word(task));
}

static wf_status check_wish(const wf_encode_wish *wish, const wf_arch *arch)
{
    const char *task = task_word(wish->task);
    if (!arch->family->names[WF_ROLE_SCORE])
        return wf_fail(WF_CONFIG, "task: %s: heads of %s models are not known here", task,
                       arch->family->name);
    if (wish->pooling != WF_ENCODE_AUTO || wish->normalise == 1)
        return wf_fail(WF_CONFIG,
                       "task: %s: embed.pooling and embed.normalise are of task: embed; a head is "
                       "given what it was trained with",
                       task);
    return WF_OK;
}

wf_status wf_encode_head_read(const wf_hf_folder *folder, const wf_encode_wish *wish, wf_arch *arch)
{
    wf_json_ref root = wf_json_root(wf_hf_folder_config(folder));
    wf_encode e = {.task = wish->task, .truncate = wish->truncate};
    char *names = NULL;
    WF_TRY(check_wish(wish, arch));
    WF_TRY(count_labels(root, &e.width));
    WF_TRY(choose_activation(root, wish, e.width, &e.head.activation));
    WF_TRY(read_head(arch, root, &e));
    WF_TRY(check_is_there(folder, wish->task, arch));
    if (wish->task == WF_TASK_RERANK && e.width != 1)
        return wf_fail(WF_CONFIG,
                       "task: rerank: %s has %d labels, and rows are ordered by the score of one; "
                       "set task: score or classify",
                       wf_hf_folder_path(folder), e.width);
    arch->encode = e;
    wf_status st = wf_encode_labels(folder, arch, &names);
    free(names);
    return st;
}
