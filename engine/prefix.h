// Prompts that begin alike share the KV pages of what they have in common.
//
//   prompt   | page 0 | page 1 | page 2 | rest |
//   name       n0 = h(0, tokens of page 0)   n1 = h(n0, tokens of page 1)   n2 = h(n1, ...)
//
// A full page of a prompt is named in the pool (kvpool.h) by a hash over its tokens and the name of
// the page before it. So a name stands for all tokens from the first one on, and with them for
// everything that keys and values of a page depend on within one engine: positions follow from the
// place in the chain, and the model is one. Names have 128 bits: that two of a billion pages get
// the same by chance is less likely than 1 in 10^20. Tokens that a request generates are not named:
// on a GPU other kernels computed them than would compute them as part of a prompt.
//
// After vLLM's automatic prefix caching (chains of block hashes) and SGLang's RadixAttention (the
// least recently used leaf goes first). All functions are Local.
#ifndef WF_ENGINE_PREFIX_H
#define WF_ENGINE_PREFIX_H

#include "engine/kvpool.h"
#include "engine/sequence.h"

// Names of the first n pages of a prompt. Pure.
void wf_prefix_names(const int32_t *prompt, int32_t n, int32_t page_tokens, wf_hash128 *out);

// For the batcher (batcher.h): `pool` is the context, a wf_sequence with names the tag.
int32_t wf_prefix_share(void *pool, void *tag, int32_t most, int32_t *pages);
void wf_prefix_full(void *pool, void *tag, int32_t first, int32_t n, const int32_t *pages);

#endif
