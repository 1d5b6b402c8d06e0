// The tokens that end a text. As in transformers, generation_config.json takes the place of
// config.json where it is there: without an eos_token_id of its own, no token ends a text.
#include "engine/arch_reader.h"

static void add_eos(wf_arch_reader *r, wf_json_ref place, wf_arch *a)
{
    int64_t id;
    int64_t most = a->n_vocab ? a->n_vocab - 1 : INT32_MAX;
    if (wf_arch_noted(r, wf_json_read_i64(place, 0, most, &id))) return;
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
static void read_eos(wf_arch_reader *r, wf_json_ref place, wf_arch *a)
{
    if (wf_json_kind_of(place) <= WF_JSON_NULL) return;
    if (wf_json_kind_of(place) != WF_JSON_ARRAY) {
        add_eos(r, place, a);
        return;
    }
    for (size_t i = 0; i < wf_json_count(place) && i <= WF_ARCH_MAX_EOS; i++)
        add_eos(r, wf_json_at(place, i), a);
}

void wf_arch_read_tokens(wf_arch_reader *r, wf_arch *a)
{
    const wf_json *generation = wf_hf_folder_generation(r->folder);
    int64_t bos = -1;
    if (r->family->bidirectional) return; // nothing is written
    read_eos(r,
             generation ? wf_json_find(wf_json_root(generation), "eos_token_id")
                        : wf_arch_whole_first(r, "eos_token_id"),
             a);
    if (a->n_eos == 0 && r->n_problems == 0) {
        wf_arch_warn("%s/%s names no eos_token_id: no token ends a text, as in transformers; "
                     "sampling.stop_token_ids can",
                     wf_hf_folder_path(r->folder),
                     generation ? "generation_config.json" : "config.json");
    }
    wf_json_ref first = wf_arch_whole_first(r, "bos_token_id");
    if (wf_json_kind_of(first) > WF_JSON_NULL)
        wf_arch_noted(r, wf_json_read_i64(first, -1, INT32_MAX, &bos));
    a->bos = (int32_t)bos;
}
