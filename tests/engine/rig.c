#include "tests/engine/rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/clock.h"
#include "io/base/file.h"
#include "io/weights/hf_folder.h"

const rig_golden rig_goldens[] = {
    {"llama-mini", 4, true},       {"llama-gqa", 4, true},
    {"llama-rope3", 4, true},      {"llama-f16", 4, true},
    {"llama-two-heads", 2, false}, {"llama-rope-parameters", 4, true},
    {"qwen2-mini", 4, true},       {"qwen3-mini", 4, true},
    {"mistral-mini", 4, true},     {"gptj-mini", 4, false},
    {"neox-mini", 4, false},       {"llama-head100", 4, true},
    {"mixtral-mini", 4, true},     {"qwen3-moe-mini", 4, true},
    {"qwen2-moe-mini", 4, true},   {"mistral-window", 4, true},
    {"qwen2-window", 4, true},     {"gpt-oss-mini", 4, true},
    {"glm4-moe-mini", 4, true},    {"gemma-mini", 4, true},
    {"gemma2-mini", 4, false},     {"gemma3-mini", 4, false},
    {"olmo3-mini", 4, false},      {"cohere2-mini", 4, false},
    {"olmo2-mini", 4, true},       {"granite-mini", 4, true},
    {"smollm3-mini", 4, true},     {"glm4-mini", 4, false},
    {"cohere-mini", 4, false},     {"phi3-long", 4, true},
    {"gpt2-mini", 4, true},        {"opt-mini", 4, false},
    {"bloom-mini", 4, true},       {"falcon-mini", 2, false},
    {"falcon-new", 4, false},      {"falcon-rw", 4, true},
    {"deepseek-v2-mini", 4, true}, {"deepseek-v3-mini", 4, true},
    {"llama-few-kv", 4, true},     {"gemma3-parts", 4, false},
    {"qwen25-vl-parts", 4, true},  {"qwen3-vl-parts", 4, true},
};
const size_t rig_n_goldens = sizeof rig_goldens / sizeof *rig_goldens;

static void must(wf_status st, const char *what)
{
    if (st == WF_OK) return;
    fprintf(stderr, "rig: %s: %s: %s\n", what, wf_status_name(st), wf_error());
    abort();
}

static int32_t *read_ids(wf_json_ref list, int32_t *out_n)
{
    size_t n = wf_json_count(list);
    int32_t *ids = malloc((n + 1) * sizeof *ids);
    for (size_t i = 0; i < n; i++) {
        int64_t v = 0;
        must(wf_json_read_i64(wf_json_at(list, i), INT32_MIN, INT32_MAX, &v), "id");
        ids[i] = (int32_t)v;
    }
    *out_n = (int32_t)n;
    return ids;
}

static double *read_numbers(wf_json_ref list, int32_t *out_n)
{
    size_t n = wf_json_count(list);
    *out_n = (int32_t)n;
    if (n == 0) return NULL;
    double *v = malloc(n * sizeof *v);
    for (size_t i = 0; i < n; i++)
        must(wf_json_read_f64(wf_json_at(list, i), -1e30, 1e30, &v[i]), "number");
    return v;
}

void golden_load(const char *name, golden *out)
{
    char path[512];
    char *text = NULL;
    size_t bytes = 0;
    wf_json *doc = NULL;
    snprintf(out->name, sizeof out->name, "%s", name);
    snprintf(path, sizeof path, "%s/tests/golden/%s/fixture.json", WEFT_SOURCE_DIR, name);
    must(wf_file_read(path, 64u << 20, &text, &bytes), "fixture");
    must(wf_json_parse(path, text, bytes, NULL, &doc), "fixture");
    wf_json_ref cases = wf_json_find(wf_json_root(doc), "cases");
    out->n_cases = (int32_t)wf_json_count(cases);
    out->cases = calloc((size_t)out->n_cases, sizeof *out->cases);
    for (int32_t i = 0; i < out->n_cases; i++) {
        wf_json_ref c = wf_json_at(cases, (size_t)i);
        golden_case *g = &out->cases[i];
        g->prompt = read_ids(wf_json_find(c, "prompt"), &g->n_prompt);
        g->greedy = read_ids(wf_json_find(c, "greedy"), &g->n_greedy);
        if (wf_json_has(c, "logits"))
            g->logits = read_numbers(wf_json_find(c, "logits"), &g->n_logits);
    }
    wf_json_destroy(&doc);
    free(text);
}

void golden_free(golden *g)
{
    for (int32_t i = 0; i < g->n_cases; i++) {
        free(g->cases[i].prompt);
        free(g->cases[i].greedy);
        free(g->cases[i].logits);
    }
    free(g->cases);
}

static void create(const char *backend, const char *golden_name, wf_comm *comm, bool deterministic,
                   wf_dtype dtype, int kv_dtype, int32_t expert_parts, rig *out)
{
    char path[512];
    wf_hf_folder *folder = NULL;
    wf_arch arch;
    *out = (rig){.comm = comm};
    if (!comm) {
        must(wf_comm_self_create(&out->own_comm), "self communicator");
        out->comm = out->own_comm;
    }
    snprintf(path, sizeof path, "%s/tests/golden/%s", WEFT_SOURCE_DIR, golden_name);
    must(wf_hf_folder_open(path, true, &folder), "folder");
    must(wf_arch_read(folder, false, &arch), "architecture");
    must(wf_arch_spread_experts(&arch, expert_parts, out->comm->size), "experts");
    const char *shared = getenv("WEFT_TEST_DEVICE"); // of ranks that share one
    wf_backend_config bc = {
        .device = shared ? atoi(shared) : out->comm->rank,
        .n_threads = 2,
        .deterministic = deterministic,
        .numerics = wf_model_resolve_numerics(&arch, (int)dtype, WF_MODEL_DTYPE_AUTO, kv_dtype)};
    must(wf_backend_create(backend, &bc, &out->be), "back end");
    wf_model_config mc = {
        .tp_rank = out->comm->rank, .tp_size = out->comm->size, .dtype = (int)dtype};
    must(wf_model_load(out->be, &arch, folder, &mc, &out->model), "model");
    wf_hf_folder_close(&folder);
}

void rig_create(const char *backend, const char *golden_name, wf_comm *comm, rig *out)
{
    create(backend, golden_name, comm, false, WF_F32, WF_MODEL_DTYPE_AUTO, 1, out);
}

void rig_create_spread(const char *backend, const char *golden_name, wf_comm *comm,
                       int32_t expert_parts, rig *out)
{
    create(backend, golden_name, comm, false, WF_F32, WF_MODEL_DTYPE_AUTO, expert_parts, out);
}

void rig_create_dtype(const char *backend, const char *golden_name, wf_comm *comm, wf_dtype dtype,
                      rig *out)
{
    create(backend, golden_name, comm, false, dtype, WF_MODEL_DTYPE_AUTO, 1, out);
}

void rig_create_kv(const char *backend, const char *golden_name, wf_dtype dtype, wf_dtype kv_dtype,
                   rig *out)
{
    create(backend, golden_name, NULL, false, dtype, (int)kv_dtype, 1, out);
}

void rig_create_deterministic(const char *backend, const char *golden_name, wf_comm *comm,
                              wf_dtype dtype, rig *out)
{
    create(backend, golden_name, comm, true, dtype, WF_MODEL_DTYPE_AUTO, 1, out);
}

int rig_absent(const char *backend)
{
    wf_backend *be = NULL;
    wf_backend_config config = {.n_threads = 1, .numerics = wf_numerics_of(WF_F32)};
    wf_status st = wf_backend_create(backend, &config, &be);
    wf_backend_destroy(be);
    if (st == WF_OK) return -1;
    printf("skipped: %s\n", wf_error());
    return st == WF_DEVICE || st == WF_NOT_BUILT ? 77 : 1;
}

void rig_destroy(rig *r)
{
    wf_model_destroy(&r->model);
    wf_backend_destroy(r->be);
    wf_comm_destroy(r->own_comm);
}

wf_engine_config rig_config(void)
{
    return (wf_engine_config){.max_rows = 8,
                              .step_tokens = 32,
                              .page_tokens = 16,
                              .kv_bytes = 8u << 20,
                              .instances = 4,
                              .window_ns = 1000,
                              .n_top = 4,
                              .penalties = true};
}

static void submit(wf_engine *e, const rig_request *q, int i)
{
    wf_sampling sampling = wf_sampling_default();
    sampling.ignore_eos = true;
    wf_engine_input in = {.user = (uint64_t)i,
                          .n_prompt = q->n_prompt,
                          .max_new_tokens = q->max_new,
                          .prompt = q->prompt,
                          .sampling = q->sampling ? q->sampling : &sampling,
                          .wishes = q->wishes,
                          .stop = q->stop,
                          .n_stop = q->n_stop,
                          .stop_string_bytes = q->stop_string_bytes,
                          .stop_string = q->stop_string,
                          .pieces = q->pieces,
                          .rng_key = wf_engine_rng_key(7, "uid", (uint64_t)i, 0)};
    must(wf_engine_submit(e, &in), "submit");
}

static void keep(const wf_engine_output *o, rig_output *out)
{
    out->finish = o->finish;
    out->n_tokens = o->n_tokens;
    out->n_top = o->n_top;
    out->preempted = o->preempted;
    out->n_cached = o->n_cached;
    snprintf(out->stop_string, sizeof out->stop_string, "%.*s", (int)o->stop_string_bytes,
             o->stop_string ? o->stop_string : "");
    for (uint32_t i = 0; i < o->n_tokens; i++) {
        out->token[i] = o->token[i];
        out->logprob[i] = o->logprob ? o->logprob[i] : 0.0f;
    }
    out->n_prompt_scored = o->n_prompt_scored;
    out->n_prompt_top = o->n_prompt_top;
    for (uint32_t i = 0; i < o->n_prompt_scored && i < 256; i++) {
        out->prompt_logprob[i] = o->prompt_logprob[i];
        for (uint32_t k = 0; k < o->n_prompt_top && k < 4; k++) {
            out->prompt_top_id[i][k] = o->prompt_top_id[i * o->n_prompt_top + k];
            out->prompt_top_logprob[i][k] = o->prompt_top_logprob[i * o->n_prompt_top + k];
        }
    }
    for (uint32_t k = 0; k < o->n_top && k < 32 && o->n_tokens > 0; k++) {
        out->top_id[k] = o->top_id[k];
        out->top_logprob[k] = o->top_logprob[k];
    }
}

static void add_record(const wf_step_record *r, rig_totals *t)
{
    t->n_steps++;
    t->n_put_back += r->n_put_back;
    t->n_discarded += r->n_discarded;
    t->n_moved += r->rows_moved;
    t->n_prompt_tokens += r->n_prompt_tokens;
    if (r->n_decode > t->most_decode) t->most_decode = r->n_decode;
    t->n_expert_layers = r->expert_layers;
    t->n_expert_load = (int32_t)r->n_expert_load;
    for (uint32_t i = 0; i < r->n_expert_load && i < 256; i++)
        t->expert_load[i] += r->expert_load[i];
}

typedef struct leaving {
    const rig_request *requests;
    int step, n_gone;
} leaving;

static bool leaves(void *context, const wf_engine_flight *f)
{
    leaving *l = context;
    int32_t at = l->requests[f->user].leave_at;
    bool over = at > 0 && l->step >= at;
    l->n_gone += over;
    return over;
}

static void lead(wf_engine *e, const rig_request *requests, int n, rig_output *outputs,
                 rig_totals *totals)
{
    int n_submitted = 0, n_done = 0;
    for (int step = 0; n_done < n; step++) {
        wf_step_record record;
        bool recorded, ran;
        const wf_engine_output *o;
        if (step > 200000) must(wf_fail(WF_INTERNAL, "%d of %d done", n_done, n), "engine hangs");
        for (; n_submitted < n && requests[n_submitted].at_step <= step; n_submitted++)
            submit(e, &requests[n_submitted], n_submitted);
        leaving l = {requests, step, 0};
        wf_engine_let_go(e, leaves, &l);
        n_done += l.n_gone;
        must(wf_engine_step(e, n_submitted == n, &record, &recorded, &ran), "step");
        if (recorded) add_record(&record, totals);
        while ((o = wf_engine_take(e))) {
            keep(o, &outputs[o->user]);
            wf_engine_release(e, o);
            n_done++;
        }
    }
    must(wf_engine_stop(e), "stop");
}

void rig_run(rig *r, const wf_engine_config *config, const rig_request *requests, int n,
             rig_output *outputs, rig_totals *totals)
{
    wf_engine *e = NULL;
    rig_totals none;
    if (!totals) totals = &none;
    memset(totals, 0, sizeof *totals);
    memset(outputs, 0, (size_t)n * sizeof *outputs);
    wf_sampling typical = wf_sampling_default();
    must(wf_engine_create(r->be, r->model, r->comm, config, &e), "engine");
    must(wf_engine_warm_up(e, &typical), "warm-up");
    wf_engine_start(e, wf_clock_ns());
    if (r->comm->rank == 0)
        lead(e, requests, n, outputs, totals);
    else
        must(wf_engine_follow(e, NULL, NULL), "follow");
    totals->n_graphs = wf_engine_n_graphs(e);
    wf_engine_destroy(e);
}
