// Checksums: XXH64 for damage (segments, manifests), XXH3-128 for identity (shard_uid, model).
//
// Neither resists an attacker; both are stable across machines and versions of the library (XXH64
// and XXH3 are frozen formats since xxHash 0.8). Hex text is the canonical big-endian form that
// `xxhsum` prints. All Local and, but for create, without failure.
#ifndef WF_IO_BASE_HASH_H
#define WF_IO_BASE_HASH_H

#include "io/base/status.h"

#include <stddef.h>
#include <stdint.h>

typedef struct wf_hash128 {
    uint64_t high;
    uint64_t low;
} wf_hash128;

#define WF_HASH64_HEX  17 // with the terminator
#define WF_HASH128_HEX 33

uint64_t wf_hash64_of(const void *bytes, size_t n_bytes, uint64_t seed);
wf_hash128 wf_hash128_of(const void *bytes, size_t n_bytes);

// Writes lower-case hex digits; returns `text`.
char *wf_hash64_hex(uint64_t hash, char text[WF_HASH64_HEX]);
char *wf_hash128_hex(wf_hash128 hash, char text[WF_HASH128_HEX]);

// Piece by piece. The value may be read at any time, also between pieces.
typedef struct wf_hash64_stream wf_hash64_stream;
wf_status wf_hash64_create(uint64_t seed, wf_hash64_stream **out);
void wf_hash64_destroy(wf_hash64_stream **stream);
void wf_hash64_add(wf_hash64_stream *stream, const void *bytes, size_t n_bytes);
uint64_t wf_hash64_value(const wf_hash64_stream *stream);

typedef struct wf_hash128_stream wf_hash128_stream;
wf_status wf_hash128_create(wf_hash128_stream **out);
void wf_hash128_destroy(wf_hash128_stream **stream);
void wf_hash128_add(wf_hash128_stream *stream, const void *bytes, size_t n_bytes);
wf_hash128 wf_hash128_value(const wf_hash128_stream *stream);

#endif
