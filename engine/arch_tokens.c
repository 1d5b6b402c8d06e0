// The tokens that end a text.
#include "engine/arch_reader.h"

static void add_eos(wf_arch_reader *r, wf_json_ref place, wf_arch *a)
{
    int64_t id;
    if (wf_arch_noted(r, wf_json_read_i64(place, 0, a->n_vocab ? a->n_vocab - 1 : INT32_MAX, &id)))
        return;
    for (int32_t i = 0; i < a->n_eos; i++)
        if (a->eos[i] == id) return;
    if (a->n_eos == WF_ARCH_MAX_EOS) {
        wf_arch_noted(r,
                      wf_json_fail(place, "more than %d tokens that end a text", WF_ARCH_MAX_EOS));
        return;
    }
    a->eos[a->n_eos++] = (int32_t)id;
}

// An integer, a list of them, or nothing.
static void read_eos(wf_arch_reader *r, const wf_json *doc, wf_arch *a)
{
    if (!doc || !wf_json_has(wf_json_root(doc), "eos_token_id")) return;
    wf_json_ref place = wf_json_find(wf_json_root(doc), "eos_token_id");
    if (wf_json_kind_of(place) != WF_JSON_ARRAY) {
        add_eos(r, place, a);
        return;
    }
    for (size_t i = 0; i < wf_json_count(place) && i <= WF_ARCH_MAX_EOS; i++)
        add_eos(r, wf_json_at(place, i), a);
}

void wf_arch_read_tokens(wf_arch_reader *r, wf_arch *a)
{
    int64_t bos = -1;
    read_eos(r, wf_hf_folder_config(r->folder), a);
    read_eos(r, wf_hf_folder_generation(r->folder), a);
    wf_arch_noted(r, wf_json_get_i64_or(r->root, "bos_token_id", -1, INT32_MAX, -1, &bos));
    a->bos = (int32_t)bos;
}
