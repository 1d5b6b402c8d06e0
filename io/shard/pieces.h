// What each token of a vocabulary adds to a text, in bytes: for stop strings, which are texts,
// where there are only tokens.
//
//   token      0        1      2      3                     offset  0   5   5   6   9
//   piece    "  the"   ""     0xe2   "\n\n."                byte    __the 0xe2 \n\n.
//            (▁the)   (</s>)  (half a letter)
//
// A text is the pieces of its tokens one after the other, as the tokenizer decodes them without
// special tokens: a token's own bytes, half letters included, with the space that stands before a
// word. The text companion makes the table (io/python/weft_text/pieces.py) and a request shard
// carries it. All Local.
#ifndef WF_IO_SHARD_PIECES_H
#define WF_IO_SHARD_PIECES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/base/status.h"

typedef struct wf_pieces {
    uint32_t n_tokens;
    uint64_t *offset; // [n_tokens + 1] ascending from 0
    uint8_t *byte;    // [offset[n_tokens]]
} wf_pieces;

// All zero. WF_NO_MEMORY. own.
wf_status wf_pieces_create(uint32_t n_tokens, uint64_t n_bytes, wf_pieces **out);
void wf_pieces_free(wf_pieces *pieces); // takes NULL

// Those of a model over bytes: token i is byte i, later ones add nothing. WF_NO_MEMORY. own.
wf_status wf_pieces_of_bytes(uint32_t n_tokens, wf_pieces **out);

// Whether the offsets ascend from 0 to n_bytes.
bool wf_pieces_are_sound(const wf_pieces *pieces, uint64_t n_bytes);

bool wf_pieces_are_same(const wf_pieces *a, const wf_pieces *b);

// A token's bytes, *n of them; none of a token beyond the table. borrow.
static inline const uint8_t *wf_pieces_of(const wf_pieces *pieces, int32_t token, size_t *n)
{
    *n = 0;
    if (token < 0 || (uint32_t)token >= pieces->n_tokens) return pieces->byte;
    *n = (size_t)(pieces->offset[token + 1] - pieces->offset[token]);
    return pieces->byte + pieces->offset[token];
}

#endif
