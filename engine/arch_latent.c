// Latent attention: the sizes of its parts, from config.json.
#include "engine/arch_reader.h"

#include <math.h>

// What the file says once more must be what follows from the sizes.
static void check_said(wf_arch_reader *r, wf_config_key key, int32_t is)
{
    int32_t said = is;
    if (!wf_arch_has(r, key) || wf_json_kind_of(wf_arch_place(r, key)) == WF_JSON_NULL) return;
    wf_arch_read_size(r, key, WF_MAX_LATENT, &said);
    if (said != is)
        wf_arch_noted(r, wf_json_fail(wf_arch_place(r, key), "must be %d in this model", is));
}

void wf_arch_read_latent(wf_arch_reader *r, wf_arch *a)
{
    wf_arch_latent *l = &a->latent;
    if (!r->family->keys[WF_KEY_KV_RANK][0]) return;
    wf_arch_read_size_or(r, WF_KEY_Q_RANK, 1 << 16, 0, &l->q_rank);
    wf_arch_read_size_or(r, WF_KEY_KV_RANK, WF_MAX_LATENT, 0, &l->kv_rank);
    wf_arch_read_size_or(r, WF_KEY_NOPE_DIM, WF_MAX_HEAD_DIM, 0, &l->nope);
    wf_arch_read_size_or(r, WF_KEY_ROTARY_DIM, WF_MAX_HEAD_DIM, 0, &l->rope);
    wf_arch_read_size_or(r, WF_KEY_V_DIM, WF_MAX_HEAD_DIM, 0, &l->v);
    wf_arch_read_flag_or(r, WF_KEY_INTERLEAVED, r->family->interleaved_rotary, &l->interleaved);
    check_said(r, WF_KEY_HEAD_DIM, l->rope); // what transformers writes there
    check_said(r, WF_KEY_QK_DIM, l->nope + l->rope);
    if (l->kv_rank < 1 || l->nope < 1 || l->v < 1 || l->kv_rank + l->rope > WF_MAX_LATENT)
        wf_arch_complain(r,
                         "latent rows of %d + %d numbers, heads of %d and values of %d: at least "
                         "one of each, and rows of %d at most",
                         l->kv_rank, l->rope, l->nope, l->v, WF_MAX_LATENT);
    if (r->every.n_kv_heads != r->every.n_heads)
        wf_arch_complain(r, "%d heads and %d key/value heads: latent attention has as many",
                         r->every.n_heads, r->every.n_kv_heads);
    a->head_dim = l->nope + l->rope;
    r->every.mixer = WF_BLOCK_LATENT;
    r->every.scale = a->head_dim > 0 ? (float)(1.0 / sqrt((double)a->head_dim)) : 1.0f;
}

void wf_arch_scale_latent(wf_arch *a)
{
    double factor = a->rope[0].score_factor;
    if (a->latent.kv_rank == 0 || factor <= 0.0) return;
    for (int32_t i = 0; i < a->n_layers; i++)
        a->layer[i].scale = (float)(1.0 / sqrt((double)a->head_dim) * factor);
}
