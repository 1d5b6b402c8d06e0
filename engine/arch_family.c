// Which row of the table of families a model is, where several have its type, and how its
// checkpoint names tensors.
#include "engine/arch_reader.h"

#include <stdio.h>
#include <string.h>

static wf_status holds(const wf_arch_reader *r, const wf_condition *c, bool *out)
{
    int64_t value = c->absent;
    bool flag;
    wf_json_ref place = wf_json_find(r->root, c->key);
    if (wf_json_kind_of(place) == WF_JSON_BOOL) {
        WF_TRY(wf_json_read_bool(place, &flag));
        value = flag;
    } else if (wf_json_kind_of(place) > WF_JSON_NULL) {
        WF_TRY(wf_json_read_i64(place, INT32_MIN, INT32_MAX, &value));
    }
    *out = value == c->is;
    return WF_OK;
}

static bool has_type(const wf_family *f, const char *model_type)
{
    for (const char *const *type = f->model_types; *type; type++)
        if (strcmp(*type, model_type) == 0) return true;
    return false;
}

static bool reads(const wf_family *f, const char *name)
{
    for (int key = 0; key < WF_N_CONFIG_KEYS; key++)
        for (int i = 0; i < 2; i++)
            if (f->keys[key][i] && strcmp(name, f->keys[key][i]) == 0) return true;
    return false;
}

static int n_read(const wf_family *f, wf_json_ref of)
{
    int n = 0;
    wf_json_iter it = wf_json_iterate(of);
    for (wf_json_ref item; wf_json_next(&it, &item);)
        n += reads(f, item.key);
    return n;
}

static int n_alike(const char *a, const char *b)
{
    int n = 0;
    while (a[n] && a[n] == b[n])
        n++;
    return n;
}

// A type that is not known: the nearest is the family that reads most of the file's keys, of
// several the one whose name begins most alike. Of a file with a text model inside, that one's keys
// count.
static wf_status fail_unknown(const wf_arch_reader *r, const char *model_type)
{
    char said[WF_ERROR_MAX];
    wf_json_ref text = wf_json_find(r->root, "text_config"), of = r->root;
    const wf_family *best = NULL;
    int most = 0, alike = -1;
    if (wf_json_kind_of(text) == WF_JSON_OBJECT) of = text;
    for (size_t i = 0; i < wf_family_count(); i++) {
        const wf_family *f = wf_family_at(i);
        int n = n_read(f, of), same = n_alike(f->name, model_type);
        if (n == 0 || n < most || (n == most && same <= alike)) continue;
        best = f;
        most = n;
        alike = same;
    }
    if (!best) return WF_DATA;
    snprintf(said, sizeof said, "%s", wf_error());
    return wf_fail(WF_DATA, "%s; nearest: %s, which reads %d of the %zu keys %s", said, best->name,
                   most, wf_json_count(of), of.node == r->root.node ? "here" : "of text_config");
}

wf_status wf_arch_choose_family(wf_arch_reader *r, const char *place, const char *model_type)
{
    if (wf_family_find(place, model_type, &r->family) != WF_OK) return fail_unknown(r, model_type);
    for (size_t i = 0; i < wf_family_count(); i++) {
        const wf_family *f = wf_family_at(i);
        bool all = has_type(f, model_type);
        for (const wf_condition *c = f->when; all && c->key; c++)
            WF_TRY(holds(r, c, &all));
        if (!all) continue;
        r->family = f;
        return WF_OK;
    }
    return WF_OK; // as found: a type's last row has no conditions
}

const char *wf_arch_tensor_name(const wf_arch *arch, wf_role role, int i_layer, int i_expert,
                                const char *suffix, char *text, size_t text_bytes)
{
    wf_family_tensor_name(arch->family, role, i_layer, i_expert, suffix, text, text_bytes);
    return arch->naming ? wf_naming_apply(arch->naming, text, text_bytes) : text;
}

static bool names_embedding(const wf_arch_reader *r, wf_arch *a, const wf_naming *naming)
{
    char name[160];
    size_t i;
    a->naming = naming;
    wf_arch_tensor_name(a, WF_ROLE_EMBED, 0, 0, ".weight", name, sizeof name);
    return wf_hf_folder_find(r->folder, name, &i) == WF_OK;
}

static bool finds_naming(const wf_arch_reader *r, wf_arch *a, const wf_naming namings[2])
{
    bool found = false;
    for (size_t i = 0; i < 2 && namings[i].prefix[0].ours && !found; i++)
        found = names_embedding(r, a, &namings[i]);
    return found;
}

// The names by which the embedding table is found; the family's own where none does.
void wf_arch_read_names(wf_arch_reader *r, wf_arch *a)
{
    bool found = names_embedding(r, a, NULL) || finds_naming(r, a, r->family->namings);
    if (!found && r->part) found = finds_naming(r, a, r->part->namings);
    if (!found) a->naming = NULL;
}
