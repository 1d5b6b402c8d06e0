// xxHash behind our types, so that no other file sees its header.
#include "io/base/hash.h"

#include "io/base/arena.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

struct wf_hash64_stream {
    XXH64_state_t *state;
};

struct wf_hash128_stream {
    XXH3_state_t *state;
};

static wf_hash128 from_xxh128(XXH128_hash_t hash)
{
    return (wf_hash128){.high = hash.high64, .low = hash.low64};
}

uint64_t wf_hash64_of(const void *bytes, size_t n_bytes, uint64_t seed)
{
    return XXH64(bytes, n_bytes, seed);
}

wf_hash128 wf_hash128_of(const void *bytes, size_t n_bytes)
{
    return from_xxh128(XXH3_128bits(bytes, n_bytes));
}

char *wf_hash64_hex(uint64_t hash, char text[WF_HASH64_HEX])
{
    snprintf(text, WF_HASH64_HEX, "%016" PRIx64, hash);
    return text;
}

char *wf_hash128_hex(wf_hash128 hash, char text[WF_HASH128_HEX])
{
    snprintf(text, WF_HASH128_HEX, "%016" PRIx64 "%016" PRIx64, hash.high, hash.low);
    return text;
}

wf_status wf_hash64_create(uint64_t seed, wf_hash64_stream **out)
{
    wf_hash64_stream *stream;
    WF_TRY(wf_alloc(1, sizeof *stream, &stream));
    stream->state = XXH64_createState();
    if (!stream->state) {
        wf_hash64_destroy(&stream);
        return wf_fail(WF_NO_MEMORY, "no memory for a checksum");
    }
    XXH64_reset(stream->state, seed);
    *out = stream;
    return WF_OK;
}

void wf_hash64_destroy(wf_hash64_stream **stream)
{
    if (!*stream) return;
    XXH64_freeState((*stream)->state);
    free(*stream);
    *stream = NULL;
}

void wf_hash64_add(wf_hash64_stream *stream, const void *bytes, size_t n_bytes)
{
    if (n_bytes > 0) XXH64_update(stream->state, bytes, n_bytes);
}

uint64_t wf_hash64_value(const wf_hash64_stream *stream)
{
    return XXH64_digest(stream->state);
}

wf_status wf_hash128_create(wf_hash128_stream **out)
{
    wf_hash128_stream *stream;
    WF_TRY(wf_alloc(1, sizeof *stream, &stream));
    stream->state = XXH3_createState();
    if (!stream->state) {
        wf_hash128_destroy(&stream);
        return wf_fail(WF_NO_MEMORY, "no memory for a checksum");
    }
    XXH3_128bits_reset(stream->state);
    *out = stream;
    return WF_OK;
}

void wf_hash128_destroy(wf_hash128_stream **stream)
{
    if (!*stream) return;
    XXH3_freeState((*stream)->state);
    free(*stream);
    *stream = NULL;
}

void wf_hash128_add(wf_hash128_stream *stream, const void *bytes, size_t n_bytes)
{
    if (n_bytes > 0) XXH3_128bits_update(stream->state, bytes, n_bytes);
}

wf_hash128 wf_hash128_value(const wf_hash128_stream *stream)
{
    return from_xxh128(XXH3_128bits_digest(stream->state));
}
