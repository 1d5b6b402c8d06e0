// The bitmap of what is done. A bitmap of a shard's sample is made when its first key comes.
#include "io/results/runfile_done.h"

#include "io/base/arena.h"
#include "io/base/file.h"
#include "io/results/results_file.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_ROWS = 65536 };

typedef struct {
    char *uid;
    uint64_t rows;
    uint64_t **bits; // [n_samples] -> [words], NULL where nothing is done
    size_t n_samples, capacity;
} done_shard;

struct wf_done {
    done_shard *shards;
    size_t n_shards;
    uint64_t total;
};

wf_status wf_done_create(const wf_result_shard *shards, size_t n_shards, wf_done **out)
{
    wf_done *done = NULL;
    wf_status st;
    WF_TRY(wf_alloc(1, sizeof *done, &done));
    WF_TRY_TO(fail, wf_alloc(n_shards, sizeof *done->shards, &done->shards));
    done->n_shards = n_shards;
    for (size_t i = 0; i < n_shards; i++) {
        WF_TRY_TO(fail, wf_strdup(shards[i].uid, &done->shards[i].uid));
        done->shards[i].rows = shards[i].rows;
    }
    *out = done;
    return WF_OK;
fail:
    wf_done_destroy(&done);
    return st;
}

void wf_done_destroy(wf_done **done)
{
    if (!*done) return;
    for (size_t i = 0; i < (*done)->n_shards; i++) {
        done_shard *shard = &(*done)->shards[i];
        for (size_t s = 0; s < shard->n_samples; s++)
            free(shard->bits[s]);
        free(shard->bits);
        free(shard->uid);
    }
    free((*done)->shards);
    free(*done);
    *done = NULL;
}

static wf_status sample_bits(done_shard *shard, uint16_t sample, uint64_t **out)
{
    if (sample >= shard->n_samples) {
        WF_TRY(wf_grow((size_t)sample + 1, sizeof *shard->bits, &shard->capacity, &shard->bits));
        shard->n_samples = (size_t)sample + 1;
    }
    if (!shard->bits[sample]) {
        size_t words = (size_t)(shard->rows / 64 + 1);
        WF_TRY(wf_alloc(words, sizeof **shard->bits, &shard->bits[sample]));
    }
    *out = shard->bits[sample];
    return WF_OK;
}

wf_status wf_done_mark(wf_done *done, uint32_t i_shard, uint64_t row, uint16_t sample)
{
    uint64_t *bits, mask = UINT64_C(1) << row % 64;
    if (i_shard >= done->n_shards)
        return wf_fail(WF_DATA, "shard %u of %zu is marked done", i_shard, done->n_shards);
    done_shard *shard = &done->shards[i_shard];
    if (row >= shard->rows) {
        return wf_fail(WF_DATA, "row %" PRIu64 " of shard %u is done, but it has %" PRIu64 " rows",
                       row, i_shard, shard->rows);
    }
    WF_TRY(sample_bits(shard, sample, &bits));
    if (bits[row / 64] & mask) {
        return wf_fail(WF_DATA, "row %" PRIu64 " sample %u of shard %u (%s) is done twice", row,
                       sample, i_shard, shard->uid);
    }
    bits[row / 64] |= mask;
    done->total++;
    return WF_OK;
}

static bool find_shard(const wf_done *done, const char *uid, uint32_t *index)
{
    for (size_t i = 0; i < done->n_shards; i++) {
        if (strcmp(done->shards[i].uid, uid) != 0) continue;
        *index = (uint32_t)i;
        return true;
    }
    return false;
}

static wf_status mark_keys(wf_done *done, const wf_results *results, const wf_result_key *keys,
                           size_t n, uint64_t *n_foreign)
{
    const wf_result_job *job = wf_results_job(results);
    uint32_t from = UINT32_MAX, to = 0;
    bool ours = false;
    for (size_t i = 0; i < n; i++) {
        if (keys[i].is_void) continue;
        if (keys[i].shard != from) { // rows of a shard come in runs
            from = keys[i].shard;
            ours = find_shard(done, job->shards[from].uid, &to);
        }
        if (!ours) {
            ++*n_foreign;
            continue;
        }
        wf_status st = wf_done_mark(done, to, keys[i].row, keys[i].sample);
        if (st == WF_DATA)
            return wf_fail(WF_DATA, "%s: %s", wf_results_file_path(results, 0), wf_error());
        WF_TRY(st);
    }
    return WF_OK;
}

static wf_status scan_file(wf_done *done, const char *out_dir, const wf_segment_ref *ref,
                           wf_result_key *keys, uint64_t *n_foreign)
{
    wf_results *results = NULL;
    wf_status st = wf_results_open_segments(out_dir, ref, 1, NULL, &results);
    uint64_t n = st == WF_OK ? wf_results_file_rows(results, 0) : 0;
    for (uint64_t start = 0; st == WF_OK && start < n; start += KEY_ROWS) {
        size_t part = n - start < KEY_ROWS ? (size_t)(n - start) : KEY_ROWS;
        st = wf_results_keys(results, 0, start, part, keys);
        if (st == WF_OK) st = mark_keys(done, results, keys, part, n_foreign);
    }
    wf_results_close(&results);
    return st;
}

wf_status wf_done_scan(wf_done *done, const char *out_dir, const wf_runs *runs, uint64_t *n_foreign)
{
    size_t n;
    uint64_t foreign = 0;
    wf_result_key *keys = NULL;
    const wf_segment_ref *refs = wf_runs_segments(runs, &n);
    wf_status st = wf_alloc(KEY_ROWS, sizeof *keys, &keys);
    for (size_t i = 0; st == WF_OK && i < n; i++)
        st = scan_file(done, out_dir, &refs[i], keys, &foreign);
    free(keys);
    if (st == WF_OK && n_foreign) *n_foreign = foreign;
    return st;
}

bool wf_done_has(const wf_done *done, uint32_t i_shard, uint64_t row, uint16_t sample)
{
    if (i_shard >= done->n_shards) return false;
    const done_shard *shard = &done->shards[i_shard];
    if (row >= shard->rows || sample >= shard->n_samples || !shard->bits[sample]) return false;
    return shard->bits[sample][row / 64] >> row % 64 & 1;
}

uint32_t wf_done_samples(const wf_done *done, uint32_t i_shard, uint64_t row)
{
    uint32_t n = 0;
    if (i_shard >= done->n_shards) return 0;
    for (size_t s = 0; s < done->shards[i_shard].n_samples; s++)
        n += wf_done_has(done, i_shard, row, (uint16_t)s);
    return n;
}

uint64_t wf_done_total(const wf_done *done)
{
    return done->total;
}

const uint64_t *wf_done_bits(const wf_done *done, uint32_t i_shard)
{
    const done_shard *shard = &done->shards[i_shard];
    return shard->n_samples > 0 ? shard->bits[0] : NULL;
}
