// A model whose layers differ: the second layer of a golden gets twice the heads, four times the KV
// heads and a wider feed-forward, filled so that it computes what it did. Its tokens and logits are
// the golden's, whatever is sized, placed, split and moved by layer.
#ifndef WF_TESTS_ENGINE_WIDE_H
#define WF_TESTS_ENGINE_WIDE_H

#include "tests/engine/rig.h"

#define WIDE_GOLDEN "llama-gqa"

extern const wf_arch_layer wide_layer; // the second one

// Loads this rank's share, in f32. comm NULL: rank 0 of tp_size, alone. *arch: the whole model's.
void wide_rig_create(const char *backend, wf_comm *comm, int32_t tp_size, wf_arch *arch, rig *out);

#endif
