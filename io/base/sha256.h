// SHA-256, for naming the source of a stream the way others name it (`sha256sum`).
//
// Source: FIPS 180-4. Local, cannot fail.
#ifndef WF_IO_BASE_SHA256_H
#define WF_IO_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define WF_SHA256_HEX 65 // with the terminator

typedef struct wf_sha256 {
    uint32_t state[8];
    uint64_t n_bytes;
    uint8_t block[64]; // the last n_bytes mod 64 bytes
} wf_sha256;

void wf_sha256_start(wf_sha256 *hash);
void wf_sha256_add(wf_sha256 *hash, const void *bytes, size_t n_bytes);

// Writes lower-case hex digits; the hash is used up. Returns `text`.
char *wf_sha256_finish(wf_sha256 *hash, char text[WF_SHA256_HEX]);

#endif
