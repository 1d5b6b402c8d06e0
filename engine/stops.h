// Stop strings: texts that end a request, found in the bytes of its tokens as they come.
//
//   strings  "\n\n"  "END"        tokens   "a"  "\n"  "\nb"        "\n\n" ends inside the third
//                                 bytes     a   \n   \n b
//                                                     ^ the text up to its first byte is the answer
//
// What is compared are bytes (io/shard/pieces.h), one after the other over the borders of tokens,
// with one Knuth-Morris-Pratt automaton for each string (Knuth, Morris, Pratt 1977): a byte costs a
// few comparisons a string, whatever was generated before. As vLLM's check_stop_strings(): of
// strings that end in the same token, the first in the list counts.
//
// Pure, but for their memory. A matcher goes forward only; a request that is put back keeps it with
// the tokens that it keeps.
#ifndef WF_ENGINE_STOPS_H
#define WF_ENGINE_STOPS_H

#include <stddef.h>
#include <stdint.h>

#include "io/base/status.h"

typedef struct wf_stops wf_stops;

// strings: as a request shard has them, each ended by a zero byte, none empty, n_bytes in all (0 <
// n_bytes < 65536); copied. WF_NO_MEMORY. own.
wf_status wf_stops_create(const uint8_t *strings, uint32_t n_bytes, wf_stops **out);
void wf_stops_destroy(wf_stops *s); // takes NULL

// Takes the bytes of the next token. Returns the index of the first string of the list that ended
// among them, -1: none did.
int32_t wf_stops_take(wf_stops *s, const uint8_t *bytes, size_t n);

// String i and its length. borrow.
const char *wf_stops_text(const wf_stops *s, int32_t i, uint32_t *n_bytes);

#endif
