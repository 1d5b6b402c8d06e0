// Opening the shards of a job. See inputs.h.
#include "jobs/spec/inputs.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/model.h"
#include "io/base/arena.h"
#include "io/base/clock.h"
#include "io/base/log.h"

#define SLOW_NS (3 * WF_NS_PER_S)

static void note_needs(wf_plan_needs *needs, const wf_shard_info *info)
{
    uint32_t has = info->sampling_columns;
    const uint32_t penalties = 1u << WF_SAMPLING_repetition_penalty |
                               1u << WF_SAMPLING_presence_penalty |
                               1u << WF_SAMPLING_frequency_penalty;
    if (has & penalties) needs->penalties = true;
    if (has & 1u << WF_SAMPLING_logprobs) needs->n_top = 20; // the most a row may ask for
}

static wf_status check_twins(const wf_inputs *in, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (strcmp(in->info[k].uid, in->info[i].uid) == 0)
            return wf_fail(WF_DATA, "%s: has the same content as %s; list a shard once",
                           in->shard[i].path, in->shard[k].path);
    return WF_OK;
}

wf_status wf_inputs_check_arrivals(const wf_jobspec *spec, const char *path,
                                   const wf_shard_info *info)
{
    bool timed = info->last_arrival_ns > 0 || info->n_rows - info->n_bad_arrivals < 2;
    if (spec->arrivals.mode != WF_SPEC_REPLAY || timed) return WF_OK;
    return wf_fail(WF_CONFIG,
                   "arrivals.mode: replay: %s says no times of arrival (all %" PRIu64
                   " rows are at 0): use offline, or constant, poisson or gamma with a rate",
                   path, info->n_rows);
}

static wf_status open_one(const wf_jobspec *spec, wf_reader *reader, wf_inputs *in, size_t i)
{
    const char *path = spec->shards.item[i];
    WF_TRY(wf_reader_open(reader, path, &in->info[i]));
    WF_TRY(wf_inputs_check_arrivals(spec, path, &in->info[i]));
    in->shard[i] = (wf_result_shard){in->info[i].uid, path, in->info[i].n_rows};
    in->uids[i] = in->info[i].uid;
    in->many_samples[i] =
        spec->sampling.n > 1 || in->info[i].sampling_columns & 1u << WF_SAMPLING_n;
    note_needs(&in->needs, &in->info[i]);
    return check_twins(in, i);
}

wf_status wf_inputs_open(const wf_jobspec *spec, wf_reader *reader, wf_inputs *out)
{
    *out = (wf_inputs){.n = spec->requests.n, .needs = wf_plan_needs_of(&spec->sampling)};
    WF_TRY(wf_alloc(out->n, sizeof *out->info, &out->info));
    WF_TRY(wf_alloc(out->n, sizeof *out->many_samples, &out->many_samples));
    WF_TRY(wf_alloc(out->n, sizeof *out->uids, &out->uids));
    WF_TRY(wf_alloc(out->n, sizeof *out->shard, &out->shard));
    int64_t say_ns = wf_clock_ns() + SLOW_NS;
    for (size_t i = 0; i < out->n && reader; i++) {
        if (wf_clock_ns() >=
            say_ns) { // a start with many millions of rows is not to be a silent one
            wf_info("reading the requests: shard %zu of %zu, %s", i + 1, out->n,
                    spec->shards.item[i]);
            say_ns = wf_clock_ns() + SLOW_NS;
        }
        WF_TRY(open_one(spec, reader, out, i));
    }
    return WF_OK;
}

void wf_inputs_close(wf_inputs *in)
{
    free(in->info);
    free(in->many_samples);
    free(in->uids);
    free(in->shard);
    *in = (wf_inputs){0};
}

wf_status wf_inputs_model_look(const wf_jobspec *spec, wf_inputs_model *out)
{
    bool random = spec->model.weights == WF_SPEC_WEIGHTS_RANDOM;
    wf_hf_folder *folder = NULL;
    WF_TRY(wf_hf_folder_open(spec->model.path, !random, &folder));
    wf_status st = wf_arch_read(folder, spec->model.trust_config, &out->arch);
    if (st == WF_OK) st = wf_arch_check_tp(&out->arch, spec->parallel.tensor);
    if (st == WF_OK) st = wf_hf_folder_identity(folder, out->identity);
    if (st == WF_OK)
        st = wf_plan_numerics(spec, &out->arch, wf_jobspec_backend(spec), &out->numerics);
    wf_hf_folder_close(&folder);
    return st;
}

wf_status wf_inputs_split_check(const wf_jobspec *spec)
{
    wf_hf_folder *folder = NULL;
    wf_arch arch;
    WF_TRY(wf_hf_folder_open(spec->model.path, false, &folder));
    wf_status st = wf_arch_read(folder, spec->model.trust_config, &arch);
    if (st == WF_OK) st = wf_arch_check_tp(&arch, spec->parallel.tensor);
    wf_hf_folder_close(&folder);
    return st;
}

int64_t wf_inputs_rows(const wf_inputs *in)
{
    int64_t n = 0;
    for (size_t i = 0; i < in->n; i++)
        n += (int64_t)in->info[i].n_rows;
    return n;
}

int64_t wf_inputs_results(const wf_inputs *in, const wf_jobspec *spec)
{
    int64_t n = 0;
    for (size_t i = 0; i < in->n; i++) {
        const wf_shard_info *info = &in->info[i];
        n += (int64_t)((info->n_rows - info->n_own) * spec->sampling.n + info->n_own_samples);
    }
    return n;
}
