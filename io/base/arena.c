// Checked heap helpers and the bump arena.
#include "io/base/arena.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_CHUNK_BYTES = 16 * 1024 };

static wf_status no_memory(size_t bytes)
{
    return wf_fail(WF_NO_MEMORY, "no memory for %zu bytes", bytes);
}

// `out` is the address of some T *; memcpy keeps that legal for every T.
static void pointer_set(void *out, void *pointer)
{
    memcpy(out, &pointer, sizeof pointer);
}

static void *pointer_get(const void *out)
{
    void *pointer;
    memcpy(&pointer, out, sizeof pointer);
    return pointer;
}

wf_status wf_array_bytes(size_t n, size_t each_bytes, size_t *bytes)
{
    size_t product;
    if (__builtin_mul_overflow(n, each_bytes, &product))
        return wf_fail(WF_NO_MEMORY, "no memory for %zu elements of %zu bytes", n, each_bytes);
    *bytes = product;
    return WF_OK;
}

wf_status wf_alloc(size_t n, size_t each_bytes, void *out)
{
    size_t bytes;
    WF_TRY(wf_array_bytes(n, each_bytes, &bytes));
    void *memory = calloc(1, bytes ? bytes : 1);
    if (!memory) return no_memory(bytes);
    pointer_set(out, memory);
    return WF_OK;
}

wf_status wf_grow(size_t n, size_t each_bytes, size_t *capacity, void *out)
{
    if (n <= *capacity) return WF_OK;
    size_t wanted = *capacity > SIZE_MAX / 2 ? n : *capacity * 2;
    if (wanted < n) wanted = n;
    if (wanted < 8) wanted = 8;
    size_t bytes;
    WF_TRY(wf_array_bytes(wanted, each_bytes, &bytes));
    char *memory = realloc(pointer_get(out), bytes ? bytes : 1);
    if (!memory) return no_memory(bytes);
    memset(memory + *capacity * each_bytes, 0, (wanted - *capacity) * each_bytes);
    pointer_set(out, memory);
    *capacity = wanted;
    return WF_OK;
}

wf_status wf_strdup(const char *text, char **out)
{
    char *copy = strdup(text);
    if (!copy) return no_memory(strlen(text) + 1);
    *out = copy;
    return WF_OK;
}

typedef struct arena_chunk {
    struct arena_chunk *older;
    size_t size_bytes;
    size_t used_bytes;
    _Alignas(max_align_t) unsigned char bytes[];
} arena_chunk;

struct wf_arena {
    arena_chunk *newest;
    size_t chunk_bytes;
};

wf_status wf_arena_create(size_t chunk_bytes, wf_arena **out)
{
    wf_arena *arena;
    WF_TRY(wf_alloc(1, sizeof *arena, &arena));
    arena->chunk_bytes = chunk_bytes ? chunk_bytes : DEFAULT_CHUNK_BYTES;
    *out = arena;
    return WF_OK;
}

static void chunks_free(wf_arena *arena, const arena_chunk *down_to)
{
    while (arena->newest != down_to) {
        assert(arena->newest && "mark does not belong to this arena");
        arena_chunk *older = arena->newest->older;
        free(arena->newest);
        arena->newest = older;
    }
}

void wf_arena_destroy(wf_arena **arena)
{
    if (!*arena) return;
    chunks_free(*arena, NULL);
    free(*arena);
    *arena = NULL;
}

static wf_status chunk_add(wf_arena *arena, size_t bytes)
{
    size_t size = bytes > arena->chunk_bytes ? bytes : arena->chunk_bytes;
    size_t total;
    if (__builtin_add_overflow(size, sizeof(arena_chunk), &total)) return no_memory(size);
    arena_chunk *chunk = malloc(total);
    if (!chunk) return no_memory(total);
    chunk->older = arena->newest;
    chunk->size_bytes = size;
    chunk->used_bytes = 0;
    arena->newest = chunk;
    return WF_OK;
}

// Where an aligned block would start in the chunk; SIZE_MAX when it does not fit.
static size_t chunk_fit(const arena_chunk *chunk, size_t bytes, size_t align)
{
    if (!chunk) return SIZE_MAX;
    uintptr_t next = (uintptr_t)chunk->bytes + chunk->used_bytes;
    size_t start = chunk->used_bytes + (size_t)(-next & (align - 1));
    if (start > chunk->size_bytes || bytes > chunk->size_bytes - start) return SIZE_MAX;
    return start;
}

wf_status wf_arena_alloc_aligned(wf_arena *arena, size_t n, size_t each_bytes, size_t align,
                                 void *out)
{
    size_t bytes;
    assert(align > 0 && (align & (align - 1)) == 0);
    WF_TRY(wf_array_bytes(n, each_bytes, &bytes));
    size_t start = chunk_fit(arena->newest, bytes, align);
    if (start == SIZE_MAX) {
        size_t room;
        if (__builtin_add_overflow(bytes, align, &room)) return no_memory(bytes);
        WF_TRY(chunk_add(arena, room));
        start = chunk_fit(arena->newest, bytes, align);
    }
    unsigned char *memory = arena->newest->bytes + start;
    memset(memory, 0, bytes);
    arena->newest->used_bytes = start + bytes;
    pointer_set(out, memory);
    return WF_OK;
}

wf_status wf_arena_alloc(wf_arena *arena, size_t n, size_t each_bytes, void *out)
{
    return wf_arena_alloc_aligned(arena, n, each_bytes, _Alignof(max_align_t), out);
}

wf_status wf_arena_strndup(wf_arena *arena, const char *text, size_t length, const char **out)
{
    char *copy;
    if (length == SIZE_MAX) return no_memory(length);
    WF_TRY(wf_arena_alloc_aligned(arena, length + 1, 1, 1, &copy));
    memcpy(copy, text, length);
    *out = copy;
    return WF_OK;
}

wf_status wf_arena_strdup(wf_arena *arena, const char *text, const char **out)
{
    return wf_arena_strndup(arena, text, strlen(text), out);
}

wf_arena_mark wf_arena_get_mark(const wf_arena *arena)
{
    arena_chunk *chunk = arena->newest;
    return (wf_arena_mark){.chunk = chunk, .used = chunk ? chunk->used_bytes : 0};
}

void wf_arena_reset(wf_arena *arena, wf_arena_mark mark)
{
    chunks_free(arena, mark.chunk);
    if (arena->newest) arena->newest->used_bytes = mark.used;
}
