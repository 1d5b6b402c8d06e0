// Memory: checked heap helpers, and an arena for many small things that die together.
//
//   arena: [chunk: used........|free ] -> [chunk: used......|free] -> ...
//   mark = (chunk, used); reset(mark) gives back all that was allocated after it.
//
// Every size is computed with an overflow check; a size that overflows, like a refusal of the heap,
// is WF_NO_MEMORY with the number of bytes in the detail. Memory comes back zeroed. All Local; an
// arena is used by one thread at a time.
#ifndef WF_IO_BASE_ARENA_H
#define WF_IO_BASE_ARENA_H

#include "io/base/status.h"

#include <stddef.h>

// bytes = n * each_bytes. WF_NO_MEMORY when that does not fit.
wf_status wf_array_bytes(size_t n, size_t each_bytes, size_t *bytes);

// The heap. `out` is the address of a pointer of any type: wf_alloc(n, sizeof *rows, &rows). The
// caller owns the memory and gives it to free(). n == 0 yields a pointer that may be freed.
wf_status wf_alloc(size_t n, size_t each_bytes, void *out);

// Makes room for at least `n` elements behind the pointer at `out`, at least doubling the capacity;
// contents are kept, new elements are zero. Starts from a NULL pointer and *capacity == 0. On
// failure nothing has changed.
wf_status wf_grow(size_t n, size_t each_bytes, size_t *capacity, void *out);

// A copy of `text` on the heap; own.
wf_status wf_strdup(const char *text, char **out);

typedef struct wf_arena wf_arena;

typedef struct wf_arena_mark {
    void *chunk;
    size_t used;
} wf_arena_mark;

// `chunk_bytes` is how much is taken from the heap at a time (0: 16 KiB).
wf_status wf_arena_create(size_t chunk_bytes, wf_arena **out);
void wf_arena_destroy(wf_arena **arena);

// Memory that lives until the arena is reset before it or destroyed; borrow. Aligned for any
// standard type; wf_arena_alloc_aligned takes any power of two.
wf_status wf_arena_alloc(wf_arena *arena, size_t n, size_t each_bytes, void *out);
wf_status wf_arena_alloc_aligned(wf_arena *arena, size_t n, size_t each_bytes, size_t align,
                                 void *out);
wf_status wf_arena_strdup(wf_arena *arena, const char *text, const char **out);
wf_status wf_arena_strndup(wf_arena *arena, const char *text, size_t length, const char **out);

// Gives back everything allocated after the mark was taken. Marks nest.
wf_arena_mark wf_arena_get_mark(const wf_arena *arena);
void wf_arena_reset(wf_arena *arena, wf_arena_mark mark);

#endif
