// The dense feed-forward block: gate and up (or up alone), activation, down.
#include "engine/block.h"
#include "engine/forward_internal.h"

enum { UP, ACT }; // scratch: [T, gate | up columns], the activation's output [T, ffn]

static size_t up_cols(const wf_arch *a, const wf_arch_layer *share)
{
    return (size_t)(a->gated ? 2 * share->ffn : share->ffn);
}

static void scratch(const wf_block_shape *s, size_t bytes[WF_BLOCK_SCRATCH])
{
    bytes[UP] = s->n_tokens * up_cols(s->arch, &s->layer) * s->act_bytes;
    bytes[ACT] = s->n_tokens * (size_t)s->layer.ffn * s->act_bytes;
}

// y = down(activation(gate_up(n))), this rank's part of the sum.
static wf_status run(wf_forward *f, const wf_forward_step *st, int32_t i_layer, void *n, void *y)
{
    const wf_arch *a = &f->m->arch;
    const wf_layer *l = &f->m->layers[i_layer];
    void *const *own = f->scratch[WF_BLOCK_DENSE];
    wf_matrix in = wf_block_matrix(f, n, st->n_tokens, f->s.hidden);
    wf_matrix up = wf_block_matrix(f, own[UP], st->n_tokens, up_cols(a, &l->share));
    wf_activation_args act = {.x = up,
                              .y = wf_block_matrix(f, own[ACT], st->n_tokens, (size_t)l->share.ffn),
                              .curve = a->curve};
    WF_TRY(wf_block_gemm(f, in, &l->gate_up, up));
    WF_TRY((a->gated ? f->be->ops->gate_mul : f->be->ops->activate)(f->be, f->stream, &act));
    return wf_block_gemm_part(f, act.y, &l->down, y);
}

const wf_block wf_block_dense = {.name = "dense", .scratch = scratch, .run = run};
