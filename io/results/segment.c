// The segment writer's queue and thread.
//
// Two batches change places: put() fills `front` under the lock, the thread writes `back` without
// it. HDF5 is called by the thread alone. After a failure the thread touches HDF5 no more (its
// close would fail again) and only answers.
#include "io/results/segment.h"

#include "io/base/arena.h"
#include "io/base/clock.h"
#include "io/base/fault.h"
#include "io/base/file.h"
#include "io/base/log.h"
#include "io/base/thread.h"
#include "io/results/journal.h"
#include "io/results/runfile.h"
#include "io/results/segment_file.h"
#include "io/results/space.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEAL_BYTES_DEFAULT  (UINT64_C(256) << 20)
#define QUEUE_BYTES_DEFAULT (UINT64_C(64) << 20)
#define WRITE_BYTES         (UINT64_C(8) << 20) // the thread starts writing at this much
#define FIRST_SEAL_NS       (10 * WF_NS_PER_S)
#define SEAL_NS_DEFAULT     (300 * WF_NS_PER_S)
#define NAME_BYTES          64
// A segment's own bytes beside its rows, with room to spare: some fifty datasets and their texts.
#define CLOSE_BYTES (UINT64_C(128) << 10)
// A put() that waits for the disk says so after this long, and then now and then.
#define SLOW_NS      (5 * WF_NS_PER_S)
#define SAY_AGAIN_NS (60 * WF_NS_PER_S)

struct wf_segment_writer {
    wf_segment_config config; // strings in `arena`
    wf_arena *arena;
    uint64_t write_bytes;
    pthread_t thread;
    bool started;
    pthread_mutex_t lock;
    pthread_cond_t work; // the thread waits here
    pthread_cond_t room; // put and sync wait here

    // Under the lock.
    wf_result_batch *front;
    int64_t front_ns; // when its oldest row came
    uint64_t seals_asked, seals_done;
    bool closing, giving_up;
    uint64_t steps_dropped;
    wf_segment_status status;
    char error[WF_ERROR_MAX];

    // The thread's own.
    wf_result_batch *back;
    wf_segment_file *file; // the open `.part`, NULL between segments
    wf_part *part;         // NULL between segments
    char *path, *folder;
    int64_t file_ns; // when its oldest row came
    uint64_t file_bytes, file_rows;
    int64_t wall_ns; // wall clock less monotonic, when the writer was made
    uint32_t n_segments;
};

// What the thread has to do next, taken under the lock together with the batch.
typedef struct {
    bool write, seal, stop, give_up;
    uint64_t seals_asked;
} order;

static wf_status copy_text(wf_arena *arena, const char **text)
{
    const char *from = *text ? *text : "";
    return wf_arena_strdup(arena, from, text);
}

static wf_status copy_run(wf_arena *arena, wf_run_info *run)
{
#define COPY_U16(field)
#define COPY_N16(field)
#define COPY_U32(field)
#define COPY_I64(field)
#define COPY_F64(field)
#define COPY_TEXT(field)                            WF_TRY(copy_text(arena, &run->field));
#define COPY_FIELD(field, kind, units, description) COPY_##kind(field)
    WF_RUN_TABLE(COPY_FIELD)
#undef COPY_FIELD
    return WF_OK;
}

static wf_status copy_config(wf_segment_writer *w, const wf_segment_config *config)
{
    wf_segment_config *c = &w->config;
    wf_result_shard *shards;
    *c = *config;
    WF_TRY(copy_text(w->arena, &c->out_dir));
    WF_TRY(copy_text(w->arena, &c->job.job_text));
    WF_TRY(copy_text(w->arena, &c->job.model_hash));
    if (c->job.labels) WF_TRY(copy_text(w->arena, &c->job.labels));
    WF_TRY(wf_arena_alloc(w->arena, c->job.n_shards, sizeof *shards, &shards));
    for (size_t i = 0; i < c->job.n_shards; i++) {
        shards[i] = config->job.shards[i];
        WF_TRY(copy_text(w->arena, &shards[i].uid));
        WF_TRY(copy_text(w->arena, &shards[i].path));
    }
    c->job.shards = shards;
    WF_TRY(copy_run(w->arena, &c->run));
    w->wall_ns = wf_clock_unix_ns() - wf_clock_ns();
    if (c->seal_bytes == 0) c->seal_bytes = SEAL_BYTES_DEFAULT;
    if (c->seal_ns == 0) c->seal_ns = SEAL_NS_DEFAULT;
    if (c->queue_bytes == 0) c->queue_bytes = QUEUE_BYTES_DEFAULT;
    w->write_bytes = WRITE_BYTES;
    if (w->write_bytes > c->seal_bytes) w->write_bytes = c->seal_bytes;
    if (w->write_bytes > c->queue_bytes / 2) w->write_bytes = c->queue_bytes / 2;
    return WF_OK;
}

// What is in memory when a write finds no more room: what waits, and the chunks of a file that is
// being closed.
static uint64_t reserve_bytes(const wf_segment_writer *w)
{
    return 2 * w->write_bytes + CLOSE_BYTES;
}

static wf_status make_folders(wf_segment_writer *w)
{
    size_t size = strlen(w->config.out_dir) + NAME_BYTES;
    char *path;
    WF_TRY(wf_arena_alloc(w->arena, size, 1, &path));
    WF_TRY(wf_arena_alloc(w->arena, size, 1, &w->path));
    snprintf(path, size, "%s/segments/g%u", w->config.out_dir, w->config.run.group);
    w->folder = path;
    WF_TRY(wf_file_make_folders(path));
    WF_TRY(wf_runs_make_folder(w->config.out_dir));
    return wf_space_reserve(path, reserve_bytes(w));
}

static void name_segment(wf_segment_writer *w)
{
    size_t size = strlen(w->config.out_dir) + NAME_BYTES;
    const wf_run_info *run = &w->config.run;
    snprintf(w->path, size, "%s/" WF_SEGMENT_NAME, w->config.out_dir, run->group, run->run,
             run->epoch, w->n_segments);
}

// --- the thread ---

static bool front_empty(const wf_segment_writer *w)
{
    return wf_result_batch_rows(w->front) == 0 && wf_result_batch_steps(w->front) == 0;
}

int64_t wf_segment_seal_after_ns(int64_t seal_ns, uint64_t n_sealed)
{
    int64_t after_ns = FIRST_SEAL_NS;
    for (; n_sealed > 0 && after_ns < seal_ns; n_sealed--)
        after_ns *= 2;
    return after_ns < seal_ns ? after_ns : seal_ns;
}

// When the oldest unsealed row must be sealed; INT64_MAX when there is none.
static int64_t seal_due_ns(const wf_segment_writer *w)
{
    int64_t after_ns = wf_segment_seal_after_ns(w->config.seal_ns, w->n_segments);
    if (w->file) return w->file_ns + after_ns;
    return front_empty(w) ? INT64_MAX : w->front_ns + after_ns;
}

static bool look_for_work(wf_segment_writer *w, order *o)
{
    bool due = wf_clock_ns() >= seal_due_ns(w);
    bool asked = w->seals_asked > w->seals_done;
    bool full = w->file_bytes + wf_result_batch_bytes(w->front) >= w->config.seal_bytes;
    *o = (order){.seal = due || asked || full || w->closing,
                 .stop = w->closing,
                 .give_up = w->giving_up,
                 .seals_asked = w->seals_asked};
    o->write = !front_empty(w) && (o->seal || wf_result_batch_bytes(w->front) >= w->write_bytes);
    return o->write || o->stop || o->seal;
}

static void wait_for_work(wf_segment_writer *w)
{
    wf_cond_wait_until(&w->work, &w->lock, seal_due_ns(w));
}

static void swap_batches(wf_segment_writer *w)
{
    wf_result_batch *batch = w->front;
    w->front = w->back;
    w->back = batch;
    if (!w->file) w->file_ns = w->front_ns;
    w->status.queued_bytes = 0;
    pthread_cond_broadcast(&w->room);
}

static wf_status write_back(wf_segment_writer *w)
{
    if (!w->file) {
        name_segment(w);
        WF_TRY(wf_part_create(w->path, &w->part));
        WF_TRY(wf_segment_file_create(w->part, &w->config.job, &w->config.columns, &w->file));
    }
    w->file_bytes += wf_result_batch_bytes(w->back);
    w->file_rows += wf_result_batch_rows(w->back);
    wf_status st = wf_segment_file_append(w->file, w->back);
    wf_result_batch_clear(w->back);
    return st;
}

static wf_status seal_file(wf_segment_writer *w)
{
    wf_run_info *run = &w->config.run;
    struct stat info;
    uint64_t digest;
    if (!w->file) return WF_OK;
    run->clock_drift_ns = wf_clock_unix_ns() - wf_clock_ns() - w->wall_ns;
    wf_fault_at(WF_FAULT_SEAL, w->n_segments + 1);
    WF_TRY(wf_segment_file_close(&w->file, run, 1, &digest));
    // Narrows the window only: what is published after the next run has listed is void anyway.
    WF_TRY(wf_run_fence(w->config.out_dir, run->run, run->group, run->epoch));
    WF_TRY(wf_journal_add(w->config.out_dir, run, w->n_segments, w->file_rows, digest));
    WF_TRY(wf_part_publish(w->part, WF_PUBLISH_NEW));
    WF_TRY(wf_part_close(&w->part));
    int64_t disk_bytes = stat(w->path, &info) == 0 ? info.st_size : 0;
    w->n_segments++;
    pthread_mutex_lock(&w->lock);
    w->status.rows_sealed += w->file_rows;
    w->status.segments_sealed++;
    w->status.bytes_sealed += (uint64_t)disk_bytes;
    pthread_mutex_unlock(&w->lock);
    wf_debug("sealed %s: %" PRIu64 " rows, %" PRId64 " bytes", w->path, w->file_rows, disk_bytes);
    w->file_bytes = w->file_rows = 0;
    return WF_OK;
}

// Keeps the cause for every later caller, whatever thread it comes from.
static void note_failure(wf_segment_writer *w, wf_status status)
{
    char cause[WF_ERROR_MAX / 2];
    snprintf(cause, sizeof cause, "%s", wf_error());
    wf_segment_file_abandon(&w->file);
    wf_part_drop(&w->part); // gives its space back to the full disk
    wf_space_give_back(w->folder);
    pthread_mutex_lock(&w->lock);
    uint64_t bytes = w->file_bytes + wf_result_batch_bytes(w->front);
    uint64_t rows = w->status.rows_put - w->status.rows_sealed;
    snprintf(w->error, sizeof w->error,
             "%s; %" PRIu64 " finished rows (%" PRIu64 " bytes) are not sealed and will be done "
             "again, what was sealed before is safe",
             cause, rows, bytes);
    w->status.error = status;
    pthread_cond_broadcast(&w->room);
    pthread_mutex_unlock(&w->lock);
}

// Room for what waits and for as much again, and to close the file: chunks and metadata.
static bool has_room(const wf_segment_writer *w)
{
    return wf_space_free(w->folder) >= 2 * wf_result_batch_bytes(w->back) + CLOSE_BYTES;
}

// The disk is full but for the reserve: everything that has finished goes there, and writing ends.
static wf_status write_last(wf_segment_writer *w, const order *o)
{
    uint64_t free_bytes = wf_space_free(w->folder);
    wf_space_give_back(w->folder);
    wf_status st = o->write ? write_back(w) : WF_OK;
    pthread_mutex_lock(&w->lock);
    bool more = !front_empty(w);
    if (more) swap_batches(w); // what came meanwhile; put() finds writing ended from here on
    w->status.error = WF_IO;
    snprintf(w->error, sizeof w->error,
             "%s: the disk is nearly full (%" PRIu64 " bytes free, %" PRIu64
             " and more are needed); all finished requests are sealed: free some space there and "
             "run again",
             w->folder, free_bytes, reserve_bytes(w));
    pthread_mutex_unlock(&w->lock);
    if (st == WF_OK && more) st = write_back(w);
    if (st == WF_OK) st = seal_file(w);
    return st;
}

static wf_status carry_out(wf_segment_writer *w, const order *o)
{
    if (o->give_up) {
        wf_segment_file_abandon(&w->file);
        wf_part_drop(&w->part);
        return WF_OK;
    }
    if ((o->write || (o->seal && w->file)) && !has_room(w)) return write_last(w, o);
    if (o->write) WF_TRY(write_back(w));
    if (o->seal) WF_TRY(seal_file(w));
    return WF_OK;
}

static void *writer_main(void *argument)
{
    wf_segment_writer *w = argument;
    order o = {0};
    wf_status st = WF_OK;
    pthread_mutex_lock(&w->lock);
    while (!o.stop && st == WF_OK && w->status.error == WF_OK) {
        while (!look_for_work(w, &o))
            wait_for_work(w);
        if (o.write) swap_batches(w);
        pthread_mutex_unlock(&w->lock);
        st = carry_out(w, &o);
        if (st != WF_OK) note_failure(w, st);
        pthread_mutex_lock(&w->lock);
        if (o.seal) w->seals_done = o.seals_asked;
        pthread_cond_broadcast(&w->room);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

// --- the callers' side ---

static wf_status start_thread(wf_segment_writer *w)
{
    pthread_mutex_init(&w->lock, NULL);
    wf_cond_init(&w->work);
    wf_cond_init(&w->room);
    wf_status st = wf_thread_start("the output thread", writer_main, w, &w->thread);
    w->started = st == WF_OK;
    return st;
}

static void writer_free(wf_segment_writer **writer)
{
    wf_segment_writer *w = *writer;
    wf_result_batch_destroy(&w->front);
    wf_result_batch_destroy(&w->back);
    wf_arena_destroy(&w->arena);
    free(w);
    *writer = NULL;
}

wf_status wf_segment_writer_create(const wf_segment_config *config, wf_segment_writer **out)
{
    wf_status st;
    wf_segment_writer *w = NULL;
    WF_TRY(wf_alloc(1, sizeof *w, &w));
    WF_TRY_TO(fail, wf_arena_create(0, &w->arena));
    WF_TRY_TO(fail, copy_config(w, config));
    WF_TRY_TO(fail, make_folders(w));
    WF_TRY_TO(fail, wf_result_batch_create(&w->config.columns, &w->front));
    WF_TRY_TO(fail, wf_result_batch_create(&w->config.columns, &w->back));
    WF_TRY_TO(fail, start_thread(w));
    *out = w;
    return WF_OK;
fail:
    writer_free(&w);
    return st;
}

// With the lock held: the failure that ended writing, as the caller's own.
static wf_status standing(const wf_segment_writer *w)
{
    return w->status.error == WF_OK ? WF_OK : wf_fail(w->status.error, "%s", w->error);
}

static void wait_for_room(wf_segment_writer *w, uint64_t bytes)
{
    if (front_empty(w) || w->status.queued_bytes + bytes <= w->config.queue_bytes) return;
    int64_t start = wf_clock_ns(), say_ns = start + SLOW_NS;
    w->status.waiting = true;
    while (w->status.error == WF_OK && !front_empty(w) &&
           w->status.queued_bytes + bytes > w->config.queue_bytes) {
        if (wf_cond_wait_until(&w->room, &w->lock, say_ns)) continue;
        wf_warn("%s: the disk is slow: %" PRIu64 " bytes of results have waited %" PRId64
                " s, and requests wait for them",
                w->folder, w->status.queued_bytes, (wf_clock_ns() - start) / WF_NS_PER_S);
        say_ns += SAY_AGAIN_NS;
    }
    w->status.waiting = false;
    w->status.blocked_ns += wf_clock_ns() - start;
}

// With the lock held, after something was put: wakes the thread when it has cause to look. The
// first row of a batch starts the age clock.
static void note_put(wf_segment_writer *w, bool was_empty)
{
    if (was_empty) w->front_ns = wf_clock_ns();
    w->status.queued_bytes = wf_result_batch_bytes(w->front);
    if (was_empty || w->status.queued_bytes >= w->write_bytes) pthread_cond_signal(&w->work);
}

wf_status wf_segment_writer_put(wf_segment_writer *w, const wf_result *result)
{
    uint64_t bytes = wf_result_bytes(result, &w->config.columns);
    pthread_mutex_lock(&w->lock);
    wait_for_room(w, bytes);
    wf_status st = standing(w);
    if (st == WF_OK) {
        bool was_empty = front_empty(w);
        st = wf_result_batch_put(w->front, result);
        if (st == WF_OK) {
            w->status.rows_put++;
            note_put(w, was_empty);
        }
    }
    pthread_mutex_unlock(&w->lock);
    return st;
}

wf_status wf_segment_writer_put_step(wf_segment_writer *w, const wf_step_record *step)
{
    if (!w->config.columns.steps) return WF_OK;
    pthread_mutex_lock(&w->lock);
    wf_status st = standing(w);
    if (st == WF_OK && w->status.queued_bytes > w->config.queue_bytes) {
        w->steps_dropped++;
    } else if (st == WF_OK) {
        bool was_empty = front_empty(w);
        st = wf_result_batch_put_step(w->front, step);
        if (st == WF_OK) note_put(w, was_empty);
    }
    pthread_mutex_unlock(&w->lock);
    return st;
}

wf_status wf_segment_writer_sync(wf_segment_writer *w)
{
    pthread_mutex_lock(&w->lock);
    uint64_t mine = ++w->seals_asked;
    pthread_cond_signal(&w->work);
    while (w->status.error == WF_OK && w->seals_done < mine)
        pthread_cond_wait(&w->room, &w->lock);
    wf_status st = standing(w);
    pthread_mutex_unlock(&w->lock);
    return st;
}

void wf_segment_writer_status(wf_segment_writer *w, wf_segment_status *out)
{
    pthread_mutex_lock(&w->lock);
    *out = w->status;
    pthread_mutex_unlock(&w->lock);
}

static wf_status writer_end(wf_segment_writer **writer, bool give_up)
{
    wf_segment_writer *w = *writer;
    pthread_mutex_lock(&w->lock);
    w->closing = true;
    w->giving_up = give_up;
    pthread_cond_signal(&w->work);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    wf_space_give_back(w->folder);
    if (w->steps_dropped > 0) {
        wf_warn("%s: %" PRIu64 " step records were dropped, the disk was too slow",
                w->config.out_dir, w->steps_dropped);
    }
    wf_status st = standing(w);
    pthread_cond_destroy(&w->room);
    pthread_cond_destroy(&w->work);
    pthread_mutex_destroy(&w->lock);
    writer_free(writer);
    return st;
}

wf_status wf_segment_writer_close(wf_segment_writer **writer)
{
    return *writer ? writer_end(writer, false) : WF_OK;
}

void wf_segment_writer_abandon(wf_segment_writer **writer)
{
    if (*writer) writer_end(writer, true);
}
