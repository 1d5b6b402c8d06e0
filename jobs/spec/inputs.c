// Opening the shards of a job. See inputs.h.
#include "jobs/spec/inputs.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/encode_read.h"
#include "engine/model.h"
#include "engine/model_check.h"
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
    const uint32_t choosing = 1u << WF_SAMPLING_best_of | 1u << WF_SAMPLING_beam_width;
    if (has & choosing && needs->n_top_chosen < 0) needs->n_top_chosen = 0;
    if (has & 1u << WF_SAMPLING_beam_width) needs->n_beams = 64; // the most a row may ask for
    if ((int32_t)info->most_wishes > needs->row_wishes)
        needs->row_wishes = (int32_t)info->most_wishes;
    if (has & 1u << WF_SAMPLING_logprobs) needs->n_top = 20; // the most a row may ask for
    if (has & 1u << WF_SAMPLING_prompt_logprobs) needs->prompt_probs = 21; // likewise
}

static wf_status check_twins(const wf_inputs *in, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (strcmp(in->info[k].uid, in->info[i].uid) == 0)
            return wf_fail(WF_DATA, "%s: has the same content as %s; list a shard once",
                           in->shard[i].path, in->shard[k].path);
    return WF_OK;
}

static wf_status check_sessions(const wf_jobspec *spec, const char *path, const wf_shard_info *info)
{
    if (spec->arrivals.mode != WF_SPEC_SESSIONS) return WF_OK;
    if (info->n_turns == 0)
        return wf_fail(WF_CONFIG,
                       "arrivals.mode: sessions: %s says of no row which session it is a turn of: "
                       "import the log again, with --map COLUMN=session, or choose another mode",
                       path);
    if (spec->arrivals.think != WF_SPEC_THINK_LOG || spec->arrivals.think_time_ns >= 0 ||
        info->n_unknown_thinks == 0)
        return WF_OK;
    return wf_fail(WF_CONFIG,
                   "arrivals.think: log: %" PRIu64 " of %" PRIu64 " turns of %s say no think time: "
                   "give arrivals.think_time for them, or draw all (arrivals.think: exponential)",
                   info->n_unknown_thinks, info->n_turns, path);
}

wf_status wf_inputs_check_arrivals(const wf_jobspec *spec, const char *path,
                                   const wf_shard_info *info)
{
    bool timed = info->last_arrival_ns > 0 || info->n_rows - info->n_bad_arrivals < 2;
    WF_TRY(check_sessions(spec, path, info));
    if (wf_jobspec_process(spec) != WF_SPEC_REPLAY || timed) return WF_OK;
    if (spec->arrivals.mode == WF_SPEC_SESSIONS)
        return wf_fail(WF_CONFIG,
                       "arrivals.sessions: replay: %s says no times of arrival (all %" PRIu64
                       " rows are at 0): use offline, or constant, poisson or gamma with a rate",
                       path, info->n_rows);
    return wf_fail(WF_CONFIG,
                   "arrivals.mode: replay: %s says no times of arrival (all %" PRIu64
                   " rows are at 0): use offline, or constant, poisson or gamma with a rate",
                   path, info->n_rows);
}

// Rows without a least number of tokens of their own have the job's.
static wf_status check_least(const wf_jobspec *spec, const char *path, const wf_shard_info *info)
{
    bool own = info->sampling_columns & 1u << WF_SAMPLING_min_tokens;
    if (own || info->least_new_tokens == 0 || spec->sampling.min_tokens <= info->least_new_tokens)
        return WF_OK;
    return wf_fail(WF_CONFIG,
                   "sampling.min_tokens: %u is above max_new_tokens %u of %s, row %" PRIu64
                   ": lower it, or give the rows a column of their own",
                   spec->sampling.min_tokens, info->least_new_tokens, path,
                   info->i_least_new_tokens);
}

// What stop strings are looked for in.
static wf_status read_pieces(const wf_jobspec *spec, wf_reader *reader, wf_inputs *in, size_t i)
{
    const char *path = spec->shards.item[i];
    const wf_shard_info *info = &in->info[i];
    bool own = info->has_stop_strings;
    if (spec->task != WF_TASK_GENERATE || (!own && in->stop_string_bytes == 0)) return WF_OK;
    in->stop_strings = true;
    if (!info->has_pieces)
        return wf_fail(WF_CONFIG,
                       "%s: %s does not say what its tokens are as text: make it with weft-text "
                       "encode%s, which has the tokenizer, or use stop_token_ids",
                       own ? "stop" : "sampling.stop", path, own ? "" : " --pieces");
    WF_TRY(wf_reader_read_pieces(reader, path, info, &in->pieces[i]));
    for (size_t k = 0; k < i; k++) {
        if (!in->pieces[k] || !wf_pieces_are_same(in->pieces[k], in->pieces[i])) continue;
        wf_pieces_free(in->pieces[i]);
        in->pieces[i] = in->pieces[k];
        break;
    }
    return WF_OK;
}

static void free_pieces(wf_inputs *in)
{
    for (size_t i = in->pieces ? in->n : 0; i-- > 0;) {
        bool again = false;
        for (size_t k = 0; k < i; k++)
            again |= in->pieces[k] == in->pieces[i];
        if (!again) wf_pieces_free(in->pieces[i]);
    }
    free(in->pieces);
}

// The job's stop strings, each with its end.
static wf_status pack_stops(const wf_jobspec *spec, wf_inputs *in)
{
    uint32_t n = 0;
    for (size_t i = 0; i < spec->stop.n; i++)
        n += (uint32_t)strlen(spec->stop.item[i]) + 1;
    WF_TRY(wf_alloc(n + 1u, 1, &in->stop_string));
    for (size_t i = 0; i < spec->stop.n; i++) {
        size_t bytes = strlen(spec->stop.item[i]) + 1;
        memcpy(in->stop_string + in->stop_string_bytes, spec->stop.item[i], bytes);
        in->stop_string_bytes += (uint32_t)bytes;
    }
    return WF_OK;
}

static wf_status open_one(const wf_jobspec *spec, wf_reader *reader, wf_inputs *in, size_t i)
{
    const char *path = spec->shards.item[i];
    WF_TRY(wf_reader_open(reader, path, &in->info[i]));
    WF_TRY(wf_inputs_check_arrivals(spec, path, &in->info[i]));
    WF_TRY(check_least(spec, path, &in->info[i]));
    in->shard[i] = (wf_result_shard){in->info[i].uid, path, in->info[i].n_rows};
    in->uids[i] = in->info[i].uid;
    in->many_samples[i] =
        spec->sampling.n > 1 || in->info[i].sampling_columns & 1u << WF_SAMPLING_n;
    in->has_sessions |= in->info[i].has_sessions;
    in->keeps_stops |=
        (in->info[i].sampling_columns & 1u << WF_SAMPLING_include_stop_str_in_output) != 0;
    WF_TRY(read_pieces(spec, reader, in, i));
    note_needs(&in->needs, &in->info[i]);
    return check_twins(in, i);
}

wf_status wf_inputs_open(const wf_jobspec *spec, wf_reader *reader, wf_inputs *out)
{
    *out = (wf_inputs){.n = spec->requests.n,
                       .needs = wf_plan_needs_of(&spec->sampling),
                       .keeps_stops = spec->sampling.include_stop_str_in_output};
    WF_TRY(pack_stops(spec, out));
    WF_TRY(wf_alloc(out->n, sizeof(wf_pieces *), &out->pieces));
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
    free_pieces(in);
    free(in->stop_string);
    free(in->info);
    free(in->many_samples);
    free(in->uids);
    free(in->shard);
    *in = (wf_inputs){0};
}

wf_status wf_inputs_check_tokens(const wf_jobspec *spec, const wf_arch *arch)
{
    const wf_option_i32s *stop = &spec->stop_token_ids;
    for (size_t i = 0; i < stop->n; i++)
        if (stop->item[i] >= arch->n_vocab)
            return wf_fail(WF_CONFIG,
                           "sampling.stop_token_ids: %d is outside the model's vocabulary of %d",
                           stop->item[i], arch->n_vocab);
    size_t n_ends = stop->n + (spec->sampling.ignore_eos ? 0 : (size_t)arch->n_eos);
    if (spec->sampling.min_tokens > 0 && n_ends > WF_MAX_MASKED_STOPS)
        return wf_fail(WF_CONFIG,
                       "sampling.min_tokens: can hold back at most %d stop tokens, the model's %d "
                       "that end a text included; there are %zu",
                       WF_MAX_MASKED_STOPS, arch->n_eos, n_ends);
    if (spec->engine.max_context > arch->max_context && !arch->context_open)
        return wf_fail(WF_CONFIG, "engine.max_context: %d is beyond the model's %d",
                       spec->engine.max_context, arch->max_context);
    return WF_OK;
}

static wf_status check_expert_load(const wf_jobspec *spec, const wf_arch *arch)
{
    int32_t n_experts;
    if (!spec->output.expert_load) return WF_OK;
    if (!spec->output.steps)
        return wf_fail(WF_CONFIG, "output.expert_load: true: is kept with output.steps alone, "
                                  "which is false");
    if (wf_arch_expert_layers(arch, &n_experts) > 0) return WF_OK;
    return wf_fail(WF_CONFIG, "output.expert_load: true: this %s model has no experts",
                   arch->family->name);
}

wf_status wf_inputs_arch_read(const wf_jobspec *spec, const wf_hf_folder *folder, wf_arch *out)
{
    const wf_encode_wish wish = {.task = spec->task,
                                 .pooling = spec->embed.pooling,
                                 .normalise = spec->embed.normalise,
                                 .truncate = spec->embed.truncate != 0,
                                 .activation = spec->score.activation,
                                 .n_top = spec->fill_mask.top_k,
                                 .prompt = spec->embed.prompt};
    WF_TRY(wf_arch_read(folder, spec->model.trust_config, out));
    WF_TRY(wf_encode_read(folder, &wish, out));
    WF_TRY(check_expert_load(spec, out));
    WF_TRY(wf_arch_spread_experts(out, spec->parallel.experts, spec->parallel.tensor));
    return wf_arch_check_tp(out, spec->parallel.tensor);
}

wf_status wf_inputs_model_open(const wf_jobspec *spec, wf_hf_folder **folder, wf_inputs_model *out)
{
    bool random = spec->model.weights == WF_SPEC_WEIGHTS_RANDOM;
    WF_TRY(wf_hf_folder_open(spec->model.path, !random, folder));
    wf_status st = wf_inputs_arch_read(spec, *folder, &out->arch);
    if (st == WF_OK && !random) st = wf_model_check(&out->arch, *folder);
    if (st == WF_OK) st = wf_inputs_check_tokens(spec, &out->arch);
    if (st == WF_OK)
        st = wf_plan_numerics(spec, &out->arch, wf_jobspec_backend(spec), &out->numerics);
    if (st != WF_OK) wf_hf_folder_close(folder);
    return st;
}

wf_status wf_inputs_model_look(const wf_jobspec *spec, wf_inputs_model *out)
{
    wf_hf_folder *folder = NULL;
    WF_TRY(wf_inputs_model_open(spec, &folder, out));
    wf_status st = wf_hf_folder_identity(folder, out->identity);
    wf_hf_folder_close(&folder);
    return st;
}

wf_status wf_inputs_model_check(const wf_jobspec *spec)
{
    wf_hf_folder *folder = NULL;
    wf_inputs_model model;
    WF_TRY(wf_inputs_model_open(spec, &folder, &model));
    wf_hf_folder_close(&folder);
    return WF_OK;
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
