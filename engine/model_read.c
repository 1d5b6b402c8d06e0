// Blocks of a checkpoint in order, read by several threads. See model_read.h.
//
// Block i lives in buffer i % n_buffers. A thread takes the next block that nobody has taken once
// its buffer is free, which is when the owner has asked for block i - n_buffers + 1.
#include "engine/model_read.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/model_values.h"
#include "io/base/arena.h"
#include "io/base/file.h"
#include "io/base/thread.h"
#include "kernels/convert.h"

enum { DEFAULT_THREADS = 4, MAX_THREADS = 64, MESSAGE_BYTES = 512 };

typedef struct ring_slot {
    void *data; // pinned
    wf_status status;
    char message[MESSAGE_BYTES];
} ring_slot;

struct wf_readahead {
    wf_readahead_config config;
    wf_read_block *blocks;
    bool *done; // [n_blocks] read or failed
    size_t n_blocks, capacity;
    ring_slot *slots;
    size_t n_slots;
    pthread_t threads[MAX_THREADS];
    int n_threads; // running
    pthread_mutex_t lock;
    pthread_cond_t has_room, has_block;
    size_t n_taken, n_lent; // blocks taken by threads; asked for by the owner
    bool leave;
    uint64_t bytes, storage_before;
};

// Bytes that this process has had from storage; 0 where the system does not tell.
static uint64_t storage_bytes(void)
{
    char line[96];
    unsigned long long bytes = 0;
    if (wf_file_line("/proc/self/io", "read_bytes:", line, sizeof line))
        sscanf(line, "read_bytes: %llu", &bytes);
    return bytes;
}

wf_status wf_readahead_create(const wf_readahead_config *config, wf_readahead **out)
{
    wf_readahead *ra;
    WF_TRY(wf_alloc(1, sizeof *ra, &ra));
    ra->config = *config;
    if (ra->config.n_threads <= 0) ra->config.n_threads = DEFAULT_THREADS;
    if (ra->config.n_threads > MAX_THREADS) ra->config.n_threads = MAX_THREADS;
    pthread_mutex_init(&ra->lock, NULL);
    pthread_cond_init(&ra->has_room, NULL);
    pthread_cond_init(&ra->has_block, NULL);
    *out = ra;
    return WF_OK;
}

void wf_readahead_destroy(wf_readahead **readahead)
{
    wf_readahead *ra = *readahead;
    if (!ra) return;
    pthread_mutex_lock(&ra->lock);
    ra->leave = true;
    pthread_cond_broadcast(&ra->has_room);
    pthread_mutex_unlock(&ra->lock);
    for (int i = 0; i < ra->n_threads; i++)
        pthread_join(ra->threads[i], NULL);
    for (size_t i = 0; i < ra->n_slots; i++)
        if (ra->slots[i].data) ra->config.be->ops->host_free(ra->config.be, ra->slots[i].data);
    pthread_cond_destroy(&ra->has_block);
    pthread_cond_destroy(&ra->has_room);
    pthread_mutex_destroy(&ra->lock);
    free(ra->slots);
    free(ra->done);
    free(ra->blocks);
    free(ra);
    *readahead = NULL;
}

wf_status wf_readahead_add(wf_readahead *ra, const wf_read_block *block)
{
    assert(!ra->slots);
    assert((size_t)(block->n_rows * block->row_cols) * wf_dtype_bytes(block->from) <=
           ra->config.buffer_bytes);
    if (ra->n_blocks == ra->capacity) {
        size_t capacity = ra->capacity ? 2 * ra->capacity : 256;
        wf_read_block *grown = realloc(ra->blocks, capacity * sizeof *grown);
        if (!grown) return wf_fail(WF_NO_MEMORY, "model: out of memory");
        ra->blocks = grown;
        ra->capacity = capacity;
    }
    ra->blocks[ra->n_blocks++] = *block;
    return WF_OK;
}

// ---- a thread's work ----------------------------------------------------------------------------

static wf_status fail_bad(const wf_read_block *b, const void *line, int64_t i, int64_t row)
{
    return wf_fail(WF_DATA, "%s: %s: the value %g in row %" PRId64 " is not finite as %s; %s",
                   wf_safetensors_path(b->tensor.file), b->tensor.tensor->name,
                   (double)wf_load_f32(line, b->from, i), row, wf_dtype_name(b->to),
                   b->from == b->to
                       ? "the checkpoint is damaged, download it again"
                       : "is the checkpoint damaged? else load it with model.dtype: bf16");
}

// Refuses a bad value among the columns that are kept.
static wf_status check_values(const wf_read_block *b, const char *data)
{
    if (b->from == WF_INT8) return WF_OK; // bytes: whoever unpacks them looks
    bool dense = b->n_cols == b->row_cols;
    size_t each = wf_dtype_bytes(b->from);
    int64_t n_lines = dense ? 1 : b->n_rows, n = b->n_cols * (dense ? b->n_rows : 1);
    for (int64_t i = 0; i < n_lines; i++) {
        const char *line = data + (size_t)(i * b->row_cols + b->col) * each;
        int64_t bad = wf_values_find_bad(line, n, b->from, b->to);
        if (bad >= 0) return fail_bad(b, line, bad, b->row + i + bad / b->n_cols);
    }
    return WF_OK;
}

static size_t block_bytes(const wf_read_block *b)
{
    return (size_t)(b->n_rows * b->row_cols) * wf_dtype_bytes(b->from);
}

static wf_status read_block(const wf_read_block *b, void *data)
{
    uint64_t offset = (uint64_t)(b->row * b->row_cols) * wf_dtype_bytes(b->from);
    WF_TRY(wf_safetensors_read(b->tensor.file, b->tensor.tensor, offset, block_bytes(b), data));
    return check_values(b, data);
}

// Called and left with the lock held.
static void read_one(wf_readahead *ra, size_t i)
{
    ring_slot *slot = &ra->slots[i % ra->n_slots];
    pthread_mutex_unlock(&ra->lock);
    wf_status st = read_block(&ra->blocks[i], slot->data);
    if (st != WF_OK) snprintf(slot->message, sizeof slot->message, "%s", wf_error());
    pthread_mutex_lock(&ra->lock);
    slot->status = st;
    ra->done[i] = true;
    ra->bytes += block_bytes(&ra->blocks[i]);
    if (st != WF_OK) ra->leave = true; // the owner will come to it; nothing after it is wanted
    pthread_cond_signal(&ra->has_block);
}

static void *reader_main(void *argument)
{
    wf_readahead *ra = argument;
    pthread_mutex_lock(&ra->lock);
    while (!ra->leave && ra->n_taken < ra->n_blocks) {
        // The block that is lent keeps its buffer: n_lent - 1 is in use.
        if (ra->n_taken + 1 >= ra->n_lent + ra->n_slots) {
            pthread_cond_wait(&ra->has_room, &ra->lock);
            continue;
        }
        read_one(ra, ra->n_taken++);
    }
    pthread_mutex_unlock(&ra->lock);
    return NULL;
}

// ---- the owner's side ---------------------------------------------------------------------------

static wf_status make_ring(wf_readahead *ra, size_t n_slots)
{
    const wf_backend_ops *ops = ra->config.be->ops;
    size_t largest = 1;
    for (size_t i = 0; i < ra->n_blocks; i++) {
        size_t bytes = block_bytes(&ra->blocks[i]);
        if (bytes > largest) largest = bytes;
    }
    WF_TRY(wf_alloc(n_slots, sizeof *ra->slots, &ra->slots));
    ra->n_slots = n_slots;
    for (size_t i = 0; i < n_slots; i++)
        WF_TRY(ops->host_alloc(ra->config.be, largest, &ra->slots[i].data));
    return WF_OK;
}

static wf_status start_threads(wf_readahead *ra, int n)
{
    wf_status st = WF_OK;
    while (ra->n_threads < n && st == WF_OK) {
        pthread_t *thread = &ra->threads[ra->n_threads];
        st = wf_thread_start("a thread to read the model with", reader_main, ra, thread);
        if (st == WF_OK) ra->n_threads++;
    }
    return ra->n_threads > 0 ? WF_OK : st; // fewer will do
}

wf_status wf_readahead_start(wf_readahead *ra)
{
    size_t n = (size_t)ra->config.n_threads;
    if (n > ra->n_blocks) n = ra->n_blocks;
    if (n == 0) return WF_OK;
    WF_TRY(wf_alloc(ra->n_blocks, sizeof *ra->done, &ra->done));
    WF_TRY(make_ring(ra, n + 2)); // one lent, one to be waited for
    ra->storage_before = storage_bytes();
    return start_threads(ra, (int)n);
}

static bool same_block(const wf_read_block *a, const wf_read_block *b)
{
    return a->tensor.tensor == b->tensor.tensor && a->row == b->row && a->n_rows == b->n_rows &&
           a->col == b->col && a->n_cols == b->n_cols;
}

wf_status wf_readahead_next(wf_readahead *ra, const wf_read_block *block, const void **out)
{
    size_t i = ra->n_lent;
    if (i >= ra->n_blocks || !same_block(&ra->blocks[i], block))
        return wf_fail(WF_INTERNAL, "model: block %zu was not announced like this", i);
    const ring_slot *slot = &ra->slots[i % ra->n_slots];
    pthread_mutex_lock(&ra->lock);
    ra->n_lent++;
    pthread_cond_broadcast(&ra->has_room);
    while (!ra->done[i] && !(ra->leave && ra->n_taken <= i))
        pthread_cond_wait(&ra->has_block, &ra->lock);
    wf_status st = ra->done[i] ? slot->status : WF_INTERNAL;
    pthread_mutex_unlock(&ra->lock);
    if (st != WF_OK) return wf_fail(st, "%s", ra->done[i] ? slot->message : "model: not read");
    *out = slot->data;
    return WF_OK;
}

wf_readahead_report wf_readahead_get_report(const wf_readahead *ra)
{
    uint64_t now = ra->n_threads > 0 ? storage_bytes() : 0;
    return (wf_readahead_report){
        .bytes = ra->bytes, .storage_bytes = now - ra->storage_before, .n_threads = ra->n_threads};
}
