// What a model is made of, and which slice of it a rank keeps.
#include "engine/model.h"

#include <math.h>
#include <stdlib.h>

#include "engine/model_load.h"
#include "io/base/arena.h"
#include "io/base/clock.h"
#include "io/base/log.h"

#define RANDOM_STD 0.02f // GPT-2's

wf_dtype wf_model_resolve_dtype(const wf_arch *arch, int dtype)
{
    return dtype == WF_MODEL_DTYPE_AUTO ? arch->dtype : (wf_dtype)dtype;
}

static wf_status check_config(const wf_arch *arch, const wf_model_config *config)
{
    if (config->tp_rank < 0 || config->tp_rank >= config->tp_size) {
        return wf_fail(WF_INTERNAL, "model: rank %d of a group of %d", config->tp_rank,
                       config->tp_size);
    }
    if (config->max_context < 0 || config->max_context > arch->max_context) {
        return wf_fail(WF_CONFIG, "max_context: %d tokens asked for, the model's context is %d",
                       config->max_context, arch->max_context);
    }
    return wf_arch_check_tp(arch, config->tp_size);
}

static wf_status model_create(wf_backend *be, const wf_arch *arch, const wf_model_config *config,
                              wf_model **out)
{
    wf_model *m;
    int64_t begin, end;
    WF_TRY(wf_alloc(1, sizeof *m, &m));
    m->arch = *arch;
    m->be = be;
    m->dtype = wf_model_resolve_dtype(arch, config->dtype);
    m->tp_rank = config->tp_rank;
    m->tp_size = config->tp_size;
    m->max_context = config->max_context ? config->max_context : arch->max_context;
    m->vocab_slice = wf_arch_vocab_slice(arch, config->tp_size);
    begin = (int64_t)m->vocab_slice * m->tp_rank;
    end = begin + m->vocab_slice;
    m->vocab_begin = (int32_t)(begin < arch->n_vocab ? begin : arch->n_vocab);
    m->vocab_end = (int32_t)(end < arch->n_vocab ? end : arch->n_vocab);
    wf_status st = wf_alloc((size_t)arch->n_layers, sizeof *m->layers, &m->layers);
    if (st != WF_OK) {
        free(m);
        return st;
    }
    for (int32_t i = 0; i < arch->n_layers; i++)
        m->layers[i].share = wf_arch_layer_share(arch, i, config->tp_size);
    *out = m;
    return WF_OK;
}

// The rows of qkv: as blocks q | k | v, whatever the checkpoint's order. pieces has room for
// 3 * n_heads. Returns how many there are.
static int qkv_pieces(const wf_model *m, int i_layer, wf_piece *pieces)
{
    const wf_arch *a = &m->arch;
    const wf_arch_layer *all = &a->layer[i_layer], *mine = &m->layers[i_layer].share;
    int64_t dim = a->head_dim, q = mine->n_heads * dim, kv = mine->n_kv_heads * dim, r = m->tp_rank;
    int64_t all_q = all->n_heads * dim, all_kv = all->n_kv_heads * dim;
    int n = 0;
    if (a->family->names[WF_ROLE_Q]) {
        pieces[n++] = (wf_piece){WF_ROLE_Q, r * q, q};
        pieces[n++] = (wf_piece){WF_ROLE_K, r * kv, kv};
        pieces[n++] = (wf_piece){WF_ROLE_V, r * kv, kv};
    } else if (a->family->qkv_order == WF_QKV_BLOCKS) {
        pieces[n++] = (wf_piece){WF_ROLE_QKV, r * q, q};
        pieces[n++] = (wf_piece){WF_ROLE_QKV, all_q + r * kv, kv};
        pieces[n++] = (wf_piece){WF_ROLE_QKV, all_q + all_kv + r * kv, kv};
    } else {
        for (int which = 0; which < 3; which++)
            for (int64_t h = r * mine->n_heads; h < (r + 1) * mine->n_heads; h++)
                pieces[n++] = (wf_piece){WF_ROLE_QKV, (3 * h + which) * dim, dim};
    }
    return n;
}

static int gate_up_pieces(const wf_model *m, int i_layer, wf_piece *pieces)
{
    const wf_family *f = m->arch.family;
    int64_t ffn = m->layers[i_layer].share.ffn, first = m->tp_rank * ffn;
    int n = 0;
    if (f->names[WF_ROLE_GATE_UP]) {
        pieces[n++] = (wf_piece){WF_ROLE_GATE_UP, first, ffn};
        pieces[n++] = (wf_piece){WF_ROLE_GATE_UP, m->arch.layer[i_layer].ffn + first, ffn};
        return n;
    }
    if (m->arch.gated) pieces[n++] = (wf_piece){WF_ROLE_GATE, first, ffn};
    pieces[n++] = (wf_piece){WF_ROLE_UP, first, ffn};
    return n;
}

static wf_status load_attention(wf_loader *l, const wf_model *m, int i, wf_piece *pieces,
                                wf_layer *layer)
{
    const wf_arch *a = &m->arch;
    int64_t width = (int64_t)layer->share.n_heads * a->head_dim;
    const wf_piece out_rows = {WF_ROLE_O, 0, a->hidden};
    const wf_part qkv = {
        .i_layer = i,
        .pieces = pieces,
        .n_pieces = qkv_pieces(m, i, pieces),
        .n_rows = (int64_t)(layer->share.n_heads + 2 * layer->share.n_kv_heads) * a->head_dim,
        .n_cols = a->hidden,
        .std = RANDOM_STD,
    };
    const wf_part o = {
        .i_layer = i,
        .pieces = &out_rows,
        .n_pieces = 1,
        .n_rows = a->hidden,
        .col = m->tp_rank * width,
        .n_cols = width,
        .bias_elsewhere = m->tp_rank != 0,
        .std = RANDOM_STD / sqrtf(2.0f * (float)a->n_layers),
    };
    WF_TRY(wf_loader_norm(l, WF_ROLE_ATTN_NORM, i, &layer->attn_norm));
    WF_TRY(wf_loader_matrix(l, &qkv, &layer->qkv));
    if (a->bias_qkv) WF_TRY(wf_loader_bias(l, &qkv, &layer->qkv_bias));
    WF_TRY(wf_loader_matrix(l, &o, &layer->o));
    return a->bias_o ? wf_loader_bias(l, &o, &layer->o_bias) : WF_OK;
}

static wf_status load_mlp(wf_loader *l, const wf_model *m, int i, wf_layer *layer)
{
    const wf_arch *a = &m->arch;
    wf_piece up_rows[2];
    const wf_piece down_rows = {WF_ROLE_DOWN, 0, a->hidden};
    const wf_part up = {
        .i_layer = i,
        .pieces = up_rows,
        .n_pieces = gate_up_pieces(m, i, up_rows),
        .n_rows = (int64_t)layer->share.ffn * (a->gated ? 2 : 1),
        .n_cols = a->hidden,
        .std = RANDOM_STD,
    };
    const wf_part down = {
        .i_layer = i,
        .pieces = &down_rows,
        .n_pieces = 1,
        .n_rows = a->hidden,
        .col = (int64_t)m->tp_rank * layer->share.ffn,
        .n_cols = layer->share.ffn,
        .bias_elsewhere = m->tp_rank != 0,
        .std = RANDOM_STD / sqrtf(2.0f * (float)a->n_layers),
    };
    if (!a->shared_norm) WF_TRY(wf_loader_norm(l, WF_ROLE_MLP_NORM, i, &layer->mlp_norm));
    WF_TRY(wf_loader_matrix(l, &up, &layer->gate_up));
    if (a->bias_mlp) WF_TRY(wf_loader_bias(l, &up, &layer->gate_up_bias));
    WF_TRY(wf_loader_matrix(l, &down, &layer->down));
    return a->bias_mlp ? wf_loader_bias(l, &down, &layer->down_bias) : WF_OK;
}

// The embedding table, the head, and what stands between the last layer and the head.
static wf_status load_ends(wf_loader *l, wf_model *m)
{
    const wf_arch *a = &m->arch;
    int64_t n = m->vocab_end - m->vocab_begin;
    const wf_piece embed_rows = {WF_ROLE_EMBED, m->vocab_begin, n};
    const wf_piece head_rows = {WF_ROLE_HEAD, m->vocab_begin, n};
    const wf_part embed = {.pieces = &embed_rows,
                           .n_pieces = 1,
                           .n_rows = m->vocab_slice,
                           .n_cols = a->hidden,
                           .std = RANDOM_STD};
    wf_part head = embed;
    head.pieces = &head_rows;
    WF_TRY(wf_loader_matrix(l, &embed, &m->embed));
    WF_TRY(wf_loader_norm(l, WF_ROLE_FINAL_NORM, 0, &m->final_norm));
    if (a->tied)
        m->head = m->embed;
    else
        WF_TRY(wf_loader_matrix(l, &head, &m->head));
    if (a->bias_head) WF_TRY(wf_loader_bias(l, &head, &m->head_bias));
    return wf_loader_rotary(l, m->max_context, &m->cos, &m->sin);
}

static wf_status load_all(wf_loader *l, wf_model *m, wf_piece *pieces)
{
    for (int i = 0; i < m->arch.n_layers; i++) {
        WF_TRY(load_attention(l, m, i, pieces, &m->layers[i]));
        WF_TRY(load_mlp(l, m, i, &m->layers[i]));
    }
    return load_ends(l, m);
}

// Ranks of a group load alike: the first one speaks for all.
static void say_loaded(const wf_model *m)
{
    const wf_model_report *r = &m->report;
    wf_log_level level = m->tp_rank == 0 ? WF_LOG_INFO : WF_LOG_DEBUG;
    double s = (double)r->load_ns / (double)WF_NS_PER_S, read_mb = (double)r->file_bytes / 1e6;
    wf_log(level, "model: %s, %.1f MB of weights as %s on each of %d", m->arch.family->name,
           (double)r->weight_bytes / 1e6, wf_dtype_name(m->dtype), m->tp_size);
    if (r->file_bytes == 0) {
        wf_log(level, "model: random weights made in %.2f s", s);
        return;
    }
    wf_log(level,
           "model: %.1f MB read and placed in %.2f s (%.2f GB/s, %d threads), %.1f MB of it from "
           "storage",
           read_mb, s, s > 0 ? read_mb / 1e3 / s : 0.0, r->n_readers,
           (double)r->storage_bytes / 1e6);
}

static size_t most_heads(const wf_arch *arch)
{
    int32_t most = 0;
    for (int32_t i = 0; i < arch->n_layers; i++)
        if (arch->layer[i].n_heads > most) most = arch->layer[i].n_heads;
    return (size_t)most;
}

wf_status wf_model_load(wf_backend *be, const wf_arch *arch, const wf_hf_folder *folder,
                        const wf_model_config *config, wf_model **out)
{
    wf_status st;
    wf_model *m = NULL;
    wf_piece *pieces = NULL;
    wf_loader loader = {0};
    int64_t start_ns = wf_clock_ns();
    WF_TRY(check_config(arch, config));
    WF_TRY(wf_alloc(3 * most_heads(arch), sizeof *pieces, &pieces));
    WF_TRY_TO(done, wf_loader_open(be, arch, folder, config, &loader));
    WF_TRY_TO(done, model_create(be, arch, config, &m));
    WF_TRY_TO(done, load_all(&loader, m, pieces)); // dry: finds and checks all
    WF_TRY_TO(done, wf_loader_make_real(&loader));
    WF_TRY_TO(done, load_all(&loader, m, pieces));
    m->report = loader.report;
    wf_readahead_report reads = wf_readahead_get_report(loader.reads);
    m->report.storage_bytes = reads.storage_bytes;
    m->report.n_readers = reads.n_threads;
    m->report.load_ns = wf_clock_ns() - start_ns;
    say_loaded(m);
    *out = m;
    m = NULL;
done:
    wf_model_destroy(&m);
    wf_loader_close(&loader);
    free(pieces);
    return st;
}

static void free_vector(wf_backend *be, float *vector)
{
    if (vector) be->ops->free(be, vector);
}

static void free_weight(wf_backend *be, wf_weight *weight)
{
    if (weight) be->ops->weight_destroy(be, weight);
}

static void free_layer(wf_backend *be, wf_layer *layer)
{
    free_vector(be, layer->attn_norm.weight);
    free_vector(be, layer->attn_norm.bias);
    free_weight(be, layer->qkv);
    free_vector(be, layer->qkv_bias);
    free_weight(be, layer->o);
    free_vector(be, layer->o_bias);
    free_vector(be, layer->mlp_norm.weight);
    free_vector(be, layer->mlp_norm.bias);
    free_weight(be, layer->gate_up);
    free_vector(be, layer->gate_up_bias);
    free_weight(be, layer->down);
    free_vector(be, layer->down_bias);
}

void wf_model_destroy(wf_model **model)
{
    wf_model *m = *model;
    if (!m) return;
    for (int i = 0; i < m->arch.n_layers; i++)
        free_layer(m->be, &m->layers[i]);
    if (m->head != m->embed) free_weight(m->be, m->head);
    free_weight(m->be, m->embed);
    free_vector(m->be, m->head_bias);
    free_vector(m->be, m->final_norm.weight);
    free_vector(m->be, m->final_norm.bias);
    free_vector(m->be, m->cos);
    free_vector(m->be, m->sin);
    free(m->layers);
    free(m);
    *model = NULL;
}
