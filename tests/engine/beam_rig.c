#include "tests/engine/beam_rig.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/file.h"

static void must(wf_status st, const char *what)
{
    if (st == WF_OK) return;
    fprintf(stderr, "beams: %s: %s: %s\n", what, wf_status_name(st), wf_error());
    abort();
}

static int64_t whole(wf_json_ref of, const char *key)
{
    int64_t v = 0;
    must(wf_json_get_i64(of, key, -1, 1 << 20, &v), key);
    return v;
}

static double number(wf_json_ref of, const char *key)
{
    double v = 0;
    must(wf_json_get_f64(of, key, -1e9, 1e9, &v), key);
    return v;
}

static int32_t read_ids(wf_json_ref of, const char *key, int32_t *ids)
{
    wf_json_ref list = wf_json_find(of, key);
    size_t n = wf_json_count(list);
    for (size_t i = 0; i < n; i++) {
        int64_t v = 0;
        must(wf_json_read_i64(wf_json_at(list, i), 0, INT32_MAX, &v), "id");
        ids[i] = (int32_t)v;
    }
    return (int32_t)n;
}

static uint32_t read_early(wf_json_ref of)
{
    bool yes = false;
    if (wf_json_kind_of(wf_json_find(of, "early_stopping")) == WF_JSON_STRING) return 2;
    must(wf_json_get_bool(of, "early_stopping", &yes), "early_stopping");
    return yes;
}

static void read_case(wf_json_ref of, beam_case *c)
{
    wf_json_ref texts = wf_json_find(of, "texts");
    c->n_prompt = read_ids(of, "prompt", c->prompt);
    c->n_eos = read_ids(of, "eos", c->eos);
    c->max_new = (uint32_t)whole(of, "max_new");
    c->sampling = wf_sampling_default();
    c->sampling.ignore_eos = true;
    c->sampling.logprobs = 0;
    c->sampling.n = (uint32_t)whole(of, "n");
    c->sampling.beam_width = (uint32_t)whole(of, "num_beams");
    c->sampling.length_penalty = (float)number(of, "length_penalty");
    c->sampling.early_stopping = read_early(of);
    c->n_texts = (int32_t)wf_json_count(texts);
    for (int32_t i = 0; i < c->n_texts; i++) {
        wf_json_ref text = wf_json_at(texts, (size_t)i);
        c->text[i].n_tokens = read_ids(text, "tokens", c->text[i].token);
        c->text[i].score = (float)number(text, "score");
    }
}

int beam_cases_load(const char *model, beam_case *out)
{
    const char *path = WEFT_SOURCE_DIR "/tests/golden/beams.json", *name;
    char *text = NULL;
    size_t bytes = 0;
    wf_json *doc = NULL;
    int n = 0;
    must(wf_file_read(path, 64u << 20, &text, &bytes), "goldens");
    must(wf_json_parse(path, text, bytes, NULL, &doc), "goldens");
    wf_json_ref cases = wf_json_find(wf_json_root(doc), "cases");
    for (size_t i = 0; i < wf_json_count(cases); i++) {
        wf_json_ref of = wf_json_at(cases, i);
        must(wf_json_get_string(of, "model", &name), "model");
        if (model && strcmp(model, name) != 0) continue;
        memset(&out[n], 0, sizeof out[n]);
        snprintf(out[n].model, sizeof out[n].model, "%s", name);
        read_case(of, &out[n++]);
    }
    wf_json_destroy(&doc);
    free(text);
    return n;
}

wf_engine_config beam_config(void)
{
    wf_engine_config c = rig_config();
    c.max_rows = 24;
    c.step_tokens = 32;
    c.n_beams = 8;
    c.n_top = 128;
    return c;
}

static void submit(wf_engine *e, const beam_case *c, uint64_t user, const wf_sampling *sampling)
{
    wf_engine_input in = {.user = user,
                          .n_prompt = (uint32_t)c->n_prompt,
                          .max_new_tokens = c->max_new,
                          .prompt = c->prompt,
                          .n_stop = (uint32_t)c->n_eos,
                          .stop = c->eos,
                          .sampling = sampling};
    must(wf_engine_submit(e, &in), "submit");
}

static void keep(const wf_engine_output *o, beam_text *t)
{
    if (o->n_tokens > BEAM_TOKENS) abort();
    t->n_tokens = (int32_t)o->n_tokens;
    t->score = o->score;
    t->preempted = o->preempted;
    memcpy(t->token, o->token, o->n_tokens * sizeof *o->token);
    memcpy(t->logprob, o->logprob, o->n_tokens * sizeof *o->logprob);
}

// Between the cases, so that rows of others come and go beside the beams.
static int submit_all(wf_engine *e, const beam_case *cases, int n, int others)
{
    wf_sampling greedy = wf_sampling_default();
    int n_outputs = 0;
    greedy.ignore_eos = true;
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < others; k++, n_outputs++)
            submit(e, &cases[(i + k) % n], (uint64_t)n, &greedy);
        submit(e, &cases[i], (uint64_t)i, &cases[i].sampling);
        n_outputs += (int)cases[i].sampling.n;
    }
    return n_outputs;
}

static int64_t lead(wf_engine *e, const beam_case *cases, int n, int others,
                    beam_text texts[][BEAM_TEXTS])
{
    int64_t n_put_back = 0, n_idle = 0; // a window may be open: then time must pass
    wf_engine_start(e, 0);
    for (int left = submit_all(e, cases, n, others); left > 0;) {
        wf_step_record record;
        bool recorded, ran;
        const wf_engine_output *o;
        must(wf_engine_step(e, true, &record, &recorded, &ran), "step");
        if (recorded) n_put_back += record.n_put_back;
        if (!ran && !recorded && ++n_idle > 1000000) abort();
        for (; (o = wf_engine_take(e)); left--) {
            if (o->user < (uint64_t)n) keep(o, &texts[o->user][o->i_best]);
            wf_engine_release(e, o);
        }
    }
    wf_engine_load load = wf_engine_get_load(e);
    if (load.n_rows > 0 && load.n_waiting > 0) abort();
    must(wf_engine_stop(e), "stop");
    return n_put_back;
}

int64_t beam_cases_run(rig *r, const wf_engine_config *config, const beam_case *cases, int n,
                       int others, beam_text texts[][BEAM_TEXTS])
{
    wf_engine *e = NULL;
    wf_engine_config c = *config;
    int64_t n_put_back = 0;
    c.steps_ahead = c.steps_ahead ? c.steps_ahead : -1;
    must(wf_engine_create(r->be, r->model, r->comm, &c, &e), "engine");
    if (r->comm->rank == 0)
        n_put_back = lead(e, cases, n, others, texts);
    else
        must(wf_engine_follow(e, NULL, NULL), "follow");
    wf_engine_destroy(e);
    return n_put_back;
}

static void show(const char *what, const beam_text *t, int32_t n)
{
    for (int32_t i = 0; i < n; i++) {
        fprintf(stderr, "%s %d: %.6f:", what, i, (double)t[i].score);
        for (int32_t k = 0; k < t[i].n_tokens; k++)
            fprintf(stderr, " %d", t[i].token[k]);
        fputc('\n', stderr);
    }
}

static bool equal(const beam_text *want, const beam_text *got, float tolerance)
{
    size_t bytes = (size_t)want->n_tokens * sizeof *want->token;
    return want->n_tokens == got->n_tokens && memcmp(want->token, got->token, bytes) == 0 &&
           fabsf(want->score - got->score) <= tolerance;
}

void beam_case_assert(const beam_case *c, const beam_text *texts, float tolerance)
{
    for (int32_t i = 0; i < c->n_texts; i++) {
        if (equal(&c->text[i], &texts[i], tolerance)) continue;
        fprintf(stderr, "%s: %u beams, text %d of %d\n", c->model, c->sampling.beam_width, i,
                c->n_texts);
        show("want", c->text, c->n_texts);
        show("got", texts, c->n_texts);
        abort();
    }
}
