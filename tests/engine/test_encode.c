// Vectors and scores of whole rows, against those of transformers (vectors.json and scores.json of
// tests/golden/*), alone and packed; what a folder may say of pooling. The back end is an argument.
#include "tests/io/test_safetensors_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/encode_read.h"
#include "engine/engine.h"
#include "io/base/file.h"

static const char *backend;
static bool on_device; // its bits may hang on a step's rows, and its products round otherwise
static const struct {
    const char *name;
    wf_task task;
} models[] = {{"bert-mini", WF_TASK_EMBED},
              {"bert-cls", WF_TASK_EMBED},
              {"roberta-mini", WF_TASK_EMBED},
              {"distilbert-mini", WF_TASK_EMBED},
              {"electra-mini", WF_TASK_EMBED},
              {"mpnet-mini", WF_TASK_EMBED},
              {"modernbert-mini", WF_TASK_EMBED},
              {"qwen3-embedding", WF_TASK_EMBED},
              {"albert-mini", WF_TASK_EMBED},
              {"electra-small", WF_TASK_EMBED},
              {"bert-classify", WF_TASK_CLASSIFY},
              {"albert-classify", WF_TASK_CLASSIFY},
              {"roberta-labels", WF_TASK_CLASSIFY},
              {"xlmr-rerank", WF_TASK_RERANK},
              {"distilbert-classify", WF_TASK_CLASSIFY},
              {"electra-score", WF_TASK_SCORE},
              {"mpnet-regression", WF_TASK_CLASSIFY},
              {"modernbert-classify", WF_TASK_CLASSIFY},
              {"qwen3-rerank", WF_TASK_RERANK}};
#define N_MODELS (sizeof models / sizeof *models)

enum { MOST_ROWS = 64, MOST_TOKENS = 320, MOST_WIDTH = 64, TOP = 5 };
static const char *const masked[] = {"bert-mask",    "roberta-mask",      "distilbert-mask",
                                     "electra-mask", "mpnet-mask",        "modernbert-mask",
                                     "albert-mask",  "electra-small-mask"};

typedef struct row {
    int32_t n, ids[MOST_TOKENS], second;
    // Of rows with masks, the logarithms of the TOP likeliest tokens of each, and these.
    float want[MOST_WIDTH], got[MOST_WIDTH];
    int32_t n_masks, want_ids[MOST_WIDTH], got_ids[MOST_WIDTH];
} row;

typedef struct rig {
    wf_hf_folder *folder;
    wf_arch arch;
    wf_backend *be;
    wf_model *model;
    wf_comm *comm;
    int n_rows;
    row rows[MOST_ROWS];
} rig;

static rig the_rig;

static void read_masks(wf_json_ref masks, row *r)
{
    r->n_masks = (int32_t)wf_json_count(masks);
    for (int i = 0; i < r->n_masks * TOP; i++) {
        wf_json_ref mask = wf_json_at(masks, (size_t)(i / TOP));
        int64_t id;
        double logprob;
        assert_ok(wf_json_read_i64(wf_json_at(wf_json_find(mask, "ids"), (size_t)(i % TOP)), 0,
                                   1000, &id));
        assert_ok(wf_json_read_f64(wf_json_at(wf_json_find(mask, "logprobs"), (size_t)(i % TOP)),
                                   -1e9, 0.0, &logprob));
        r->want_ids[i] = (int32_t)id;
        r->want[i] = (float)logprob;
    }
}

static void read_rows(const char *name, wf_task task)
{
    char path[512], *text;
    size_t bytes;
    wf_json *doc;
    bool scores = wf_task_scores(task);
    snprintf(path, sizeof path, "%s/tests/golden/%s/%s.json", WEFT_SOURCE_DIR, name,
             scores                      ? "scores"
             : task == WF_TASK_FILL_MASK ? "masks"
                                         : "vectors");
    assert_ok(wf_file_read(path, 1 << 24, &text, &bytes));
    assert_ok(wf_json_parse(path, text, bytes, NULL, &doc));
    wf_json_ref cases = wf_json_find(wf_json_root(doc), "cases");
    the_rig.n_rows = 0;
    for (size_t i = 0; i < wf_json_count(cases); i++) {
        int64_t second;
        wf_json_ref at = wf_json_at(cases, i);
        assert_ok(wf_json_get_i64_or(at, "second", 0, MOST_TOKENS, 0, &second));
        row *r = &the_rig.rows[the_rig.n_rows++];
        r->second = (int32_t)second;
        wf_json_ref ids = wf_json_find(at, "ids");
        read_masks(wf_json_find(at, "masks"), r);
        wf_json_ref vector = wf_json_find(at, scores ? "scores" : "vector");
        r->n = (int32_t)wf_json_count(ids);
        for (int32_t k = 0; k < r->n; k++) {
            int64_t id;
            assert_ok(wf_json_read_i64(wf_json_at(ids, (size_t)k), 0, 1000, &id));
            r->ids[k] = (int32_t)id;
        }
        for (size_t k = 0; k < wf_json_count(vector); k++) {
            double v;
            assert_ok(wf_json_read_f64(wf_json_at(vector, k), -1e9, 1e9, &v));
            r->want[k] = (float)v;
        }
    }
    wf_json_destroy(&doc);
    free(text);
}

static void open_rig(const char *name, wf_encode_wish wish)
{
    char path[512];
    rig *r = &the_rig;
    snprintf(path, sizeof path, "%s/tests/golden/%s", WEFT_SOURCE_DIR, name);
    assert_ok(wf_hf_folder_open(path, true, &r->folder));
    assert_ok(wf_arch_read(r->folder, false, &r->arch));
    assert_ok(wf_encode_read(r->folder, &wish, &r->arch));
    const wf_backend_config bc = {.n_threads = 2,
                                  .numerics = wf_model_resolve_numerics(&r->arch, (int)WF_F32,
                                                                        WF_MODEL_DTYPE_AUTO,
                                                                        WF_MODEL_DTYPE_AUTO)};
    assert_ok(wf_backend_create(backend, &bc, &r->be));
    const wf_model_config mc = {.tp_size = 1, .dtype = (int)WF_F32};
    assert_ok(wf_model_load(r->be, &r->arch, r->folder, &mc, &r->model));
    assert_ok(wf_comm_self_create(&r->comm));
    read_rows(name, wish.task);
}

static void close_rig(void)
{
    rig *r = &the_rig;
    wf_comm_destroy(r->comm);
    wf_model_destroy(&r->model);
    wf_backend_destroy(r->be);
    wf_hf_folder_close(&r->folder);
}

static const wf_encode_wish as_the_folder_says = {.task = WF_TASK_EMBED,
                                                  .pooling = WF_ENCODE_AUTO,
                                                  .normalise = WF_ENCODE_AUTO,
                                                  .activation = WF_ENCODE_AUTO,
                                                  .n_top = TOP};

static void open_model(size_t i)
{
    wf_encode_wish wish = as_the_folder_says;
    wish.task = models[i].task;
    open_rig(models[i].name, wish);
}

static void take(const wf_engine_output *o)
{
    wf_task task = the_rig.arch.encode.task;
    row *r = &the_rig.rows[o->user];
    if (task != WF_TASK_FILL_MASK) {
        assert_int_equal(o->finish, wf_task_scores(task) ? WF_FINISH_SCORES : WF_FINISH_VECTOR);
        assert_int_equal(o->n_tokens, 0);
        assert_int_equal(o->n_vector, the_rig.arch.encode.width);
        memcpy(r->got, o->vector, o->n_vector * sizeof(float));
        return;
    }
    assert_int_equal(o->finish, WF_FINISH_MASKS);
    assert_int_equal(o->n_tokens, r->n_masks);
    assert_int_equal(o->n_top, TOP);
    for (uint32_t i = 0; i < o->n_tokens; i++) {
        assert_int_equal(o->token[i], o->top_id[i * TOP]);
        assert_true(o->logprob[i] <= o->top_logprob[i * TOP] &&
                    o->logprob[i] >= o->top_logprob[i * TOP]);
    }
    memcpy(r->got, o->top_logprob, o->n_tokens * TOP * sizeof(float));
    memcpy(r->got_ids, o->top_id, o->n_tokens * TOP * sizeof(int32_t));
}

// Rows first .. first + n through one engine; returns its steps.
static int run_rows(int first, int n, int32_t max_rows, int32_t step_tokens)
{
    wf_engine *e;
    wf_sampling sampling = wf_sampling_default();
    const wf_engine_config c = {.max_rows = max_rows,
                                .step_tokens = step_tokens,
                                .page_tokens = 16,
                                .kv_bytes = 1 << 22,
                                .steps_ahead = -1,
                                .n_top = -1};
    int n_steps = 0, n_done = 0;
    assert_ok(wf_engine_create(the_rig.be, the_rig.model, the_rig.comm, &c, &e));
    wf_engine_start(e, 0);
    for (int i = first; i < first + n; i++) {
        const row *r = &the_rig.rows[i];
        assert_ok(wf_engine_submit(e, &(wf_engine_input){.user = (uint64_t)i,
                                                         .n_prompt = (uint32_t)r->n,
                                                         .prompt = r->ids,
                                                         .second = r->second,
                                                         .max_new_tokens = 7,
                                                         .sampling = &sampling}));
    }
    while (n_done < n) {
        wf_step_record record;
        bool recorded, ran;
        const wf_engine_output *o;
        assert_ok(wf_engine_step(e, true, &record, &recorded, &ran));
        n_steps += recorded;
        assert_true(n_steps < 1000);
        for (; (o = wf_engine_take(e)); n_done++) {
            take(o);
            wf_engine_release(e, o);
        }
    }
    wf_engine_destroy(e);
    return n_steps;
}

static void goldens(void **state)
{
    (void)state;
    for (size_t m = 0; m < N_MODELS; m++) {
        open_model(m);
        int n_steps = run_rows(0, the_rig.n_rows, 24, 2048);
        assert_int_equal(n_steps, 1);
        for (int i = 0; i < the_rig.n_rows; i++)
            for (int k = 0; k < the_rig.arch.encode.width; k++) {
                float off = fabsf(the_rig.rows[i].got[k] - the_rig.rows[i].want[k]);
                if (off > (on_device ? 1e-3f : 1e-5f) * fmaxf(1.0f, fabsf(the_rig.rows[i].want[k])))
                    fail_msg("%s, row %d, number %d: %g, not %g", models[m].name, i, k,
                             (double)the_rig.rows[i].got[k], (double)the_rig.rows[i].want[k]);
            }
        close_rig();
    }
}

// Every row alone gives the bits that it gives in company, however steps are cut.
static void company(void **state)
{
    (void)state;
    if (on_device) skip();
    for (size_t m = 0; m < N_MODELS; m++) {
        float packed[MOST_ROWS][MOST_WIDTH];
        open_model(m);
        run_rows(0, the_rig.n_rows, 24, 2048);
        for (int i = 0; i < the_rig.n_rows; i++)
            memcpy(packed[i], the_rig.rows[i].got, sizeof packed[i]);
        for (int32_t max_rows = 1; max_rows <= 3; max_rows += 2) {
            run_rows(0, the_rig.n_rows, max_rows, 8);
            for (int i = 0; i < the_rig.n_rows; i++)
                assert_memory_equal(packed[i], the_rig.rows[i].got,
                                    (size_t)the_rig.arch.encode.width * sizeof(float));
        }
        for (int i = 0; i < the_rig.n_rows; i++) {
            run_rows(i, 1, 1, 8);
            assert_memory_equal(packed[i], the_rig.rows[i].got,
                                (size_t)the_rig.arch.encode.width * sizeof(float));
        }
        close_rig();
    }
}

static wf_status look(const char *config, const char *modules, const char *pooling,
                      wf_encode_wish wish, wf_arch *out);

static void compare_masks(const char *name, int i)
{
    const row *r = &the_rig.rows[i];
    float apart = on_device ? 1e-3f : 1e-5f;
    for (int k = 0; k < r->n_masks * TOP; k++)
        if (r->got_ids[k] != r->want_ids[k] || fabsf(expf(r->got[k]) - expf(r->want[k])) > apart)
            fail_msg("%s, row %d, number %d: token %d %g, not %d %g", name, i, k, r->got_ids[k],
                     (double)r->got[k], r->want_ids[k], (double)r->want[k]);
}

// The likeliest tokens of every mask, those of several rows in one step; the same bits alone. A
// step has no more masks than rows.
static void masks(void **state)
{
    (void)state;
    for (size_t m = 0; m < sizeof masked / sizeof *masked; m++) {
        wf_encode_wish wish = as_the_folder_says;
        float packed[MOST_ROWS][MOST_WIDTH];
        wish.task = WF_TASK_FILL_MASK;
        open_rig(masked[m], wish);
        assert_int_equal(the_rig.arch.encode.mask, 4);
        assert_int_equal(run_rows(0, the_rig.n_rows, 24, 2048), 1);
        for (int i = 0; i < the_rig.n_rows; i++) {
            compare_masks(masked[m], i);
            memcpy(packed[i], the_rig.rows[i].got, sizeof packed[i]);
        }
        assert_int_equal(run_rows(0, the_rig.n_rows, 6, 2048), 4); // 1 + 2 + 3, 4, 5, 6 masks
        for (int i = 0; !on_device && i < the_rig.n_rows; i++) {
            assert_memory_equal(packed[i], the_rig.rows[i].got, sizeof packed[i]);
            run_rows(i, 1, 6, 8);
            assert_memory_equal(packed[i], the_rig.rows[i].got, sizeof packed[i]);
        }
        close_rig();
    }
}

static void refuse_rows_by_their_masks(void **state)
{
    (void)state;
    wf_encode_wish wish = as_the_folder_says;
    const int32_t ids[] = {7, 4, 9, 4, 4};
    wish.task = WF_TASK_FILL_MASK;
    open_rig("bert-mask", wish);
    assert_ok(wf_engine_check_marks(&the_rig.arch, 3, ids, 5));
    assert_int_equal(wf_engine_check_marks(&the_rig.arch, 2, ids, 5), WF_REQ_LENGTH);
    assert_non_null(strstr(wf_error(), "3 masks, and a step fills 2 at most"));
    assert_int_equal(wf_engine_check_marks(&the_rig.arch, 2, ids, 1), WF_REQ_EMPTY);
    assert_non_null(strstr(wf_error(), "has no mask (token 4)"));
    close_rig();
    wf_arch a;
    assert_int_equal(look("{\"model_type\":\"bert\",\"hidden_size\":64,\"intermediate_size\":96,"
                          "\"max_position_embeddings\":512,\"num_attention_heads\":8,"
                          "\"num_hidden_layers\":2,\"vocab_size\":261}",
                          NULL, NULL, wish, &a),
                     WF_DATA);
    assert_non_null(strstr(wf_error(), "says nowhere which token is a mask"));
}

// Steps hold as many whole rows as fit, those behind one that does not fit as well.
static void packing(void **state)
{
    (void)state;
    open_rig("bert-mini", as_the_folder_says);
    static const int32_t lengths[] = {100, 60, 28, 68, 60, 68};
    for (int i = 0; i < 6; i++) {
        the_rig.rows[i].n = lengths[i];
        for (int32_t k = 0; k < lengths[i]; k++)
            the_rig.rows[i].ids[k] = 3 + (i * 31 + k * 7) % 140;
    }
    assert_int_equal(run_rows(0, 6, 6, 128), 3); // 100 + 28, 60 + 68, 60 + 68
    close_rig();
}

static void too_long(void **state)
{
    (void)state;
    wf_sampling sampling = wf_sampling_default();
    wf_engine *e;
    int32_t ids[129];
    if (on_device) skip();
    for (int cut = 0; cut < 2; cut++) {
        wf_encode_wish wish = as_the_folder_says;
        wish.truncate = cut != 0;
        open_rig("bert-mini", wish);
        for (int i = 0; i < 129; i++)
            ids[i] = 3 + i % 100;
        row *r = &the_rig.rows[0];
        r->n = 128;
        memcpy(r->ids, ids, sizeof ids);
        r->ids[127] = ids[128]; // the last token is kept
        run_rows(0, 1, 1, 128);
        const wf_engine_config c = {
            .max_rows = 1, .step_tokens = 64, .page_tokens = 64, .kv_bytes = 1 << 20, .n_top = -1};
        assert_ok(wf_engine_create(the_rig.be, the_rig.model, the_rig.comm, &c, &e));
        wf_status st = wf_engine_submit(
            e, &(wf_engine_input){.n_prompt = 129, .prompt = ids, .sampling = &sampling});
        assert_int_equal(st, cut ? WF_OK : WF_REQ_CONTEXT);
        if (!cut) assert_non_null(strstr(wf_error(), "row of 129 tokens: the model takes 128"));
        if (cut) {
            wf_step_record record;
            bool recorded, ran;
            assert_ok(wf_engine_step(e, true, &record, &recorded, &ran));
            while (!recorded)
                assert_ok(wf_engine_step(e, true, &record, &recorded, &ran));
            const wf_engine_output *o = wf_engine_take(e);
            assert_non_null(o);
            assert_memory_equal(o->vector, r->got, o->n_vector * sizeof(float));
            wf_engine_release(e, o);
        }
        wf_engine_destroy(e);
        close_rig();
    }
}

#define BERT                                                                                       \
    "{\"model_type\":\"bert\",\"hidden_size\":64,\"intermediate_size\":96,"                        \
    "\"max_position_embeddings\":512,\"num_attention_heads\":8,\"num_hidden_layers\":2,"           \
    "\"vocab_size\":261}"

static wf_status look(const char *config, const char *modules, const char *pooling,
                      wf_encode_wish wish, wf_arch *out)
{
    wf_hf_folder *hf;
    test_write_text(test_path(test_folder, "config.json"), config);
    unlink(test_path(test_folder, "modules.json"));
    if (modules) test_write_text(test_path(test_folder, "modules.json"), modules);
    if (pooling) test_write_text(test_path(test_folder, "p/config.json"), pooling);
    assert_ok(wf_hf_folder_open(test_folder, false, &hf));
    wf_status st = wf_arch_read(hf, false, out);
    if (st == WF_OK) st = wf_encode_read(hf, &wish, out);
    wf_hf_folder_close(&hf);
    return st;
}

#define MODULE(kind, path)                                                                         \
    "{\"type\":\"sentence_transformers.models." kind "\",\"path\":\"" path "\"}"
#define POOLED "[" MODULE("Transformer", "") "," MODULE("Pooling", "p") "]"

static void refused(const char *modules, const char *pooling, const char *says)
{
    wf_arch a;
    assert_int_equal(look(BERT, modules, pooling, as_the_folder_says, &a), WF_DATA);
    if (!strstr(wf_error(), says)) fail_msg("'%s' does not say '%s'", wf_error(), says);
}

static void folders(void **state)
{
    (void)state;
    wf_arch a;
    mkdir(test_path(test_folder, "p"), 0700);
    assert_ok(look(BERT, NULL, NULL, as_the_folder_says, &a));
    assert_true(a.encode.pooling == WF_POOL_MEAN && !a.encode.normalise && a.encode.whole);
    assert_ok(look(BERT, POOLED, "{\"pooling_mode_cls_token\":true}", as_the_folder_says, &a));
    assert_int_equal(a.encode.pooling, WF_POOL_FIRST);
    assert_ok(look(BERT, POOLED, "{\"pooling_mode\":\"lasttoken\"}", as_the_folder_says, &a));
    assert_true(a.encode.pooling == WF_POOL_LAST && a.encode.whole);
    refused(POOLED, "{\"pooling_mode_weightedmean_tokens\":true}", "'weightedmean' is not known");
    refused(POOLED, "{\"pooling_mode\":\"attention\"}", "'attention' is not known");
    refused(POOLED, "{\"pooling_mode_cls_token\":true,\"pooling_mode_max_tokens\":true}",
            "a second pooling");
    refused(POOLED, "{}", "says no pooling");
    refused(POOLED, "{\"pooling_mode\":\"cls\",\"include_prompt\":false}", "left out");
    refused("[" MODULE("Dense", "2_Dense") "]", NULL, "'Dense' modules are not known");
    refused("[" MODULE("Pooling", "../p") "]", NULL, "leads out of the folder");
    refused("[" MODULE("Transformer", "0") "]", NULL, "give that folder as model.path");
    wf_encode_wish wish = as_the_folder_says;
    wish.task = WF_TASK_GENERATE;
    assert_int_equal(look(BERT, NULL, NULL, wish, &a), WF_CONFIG);
    assert_non_null(strstr(wf_error(), "set task: embed"));
}

static void set_the_width_of_embeddings(void **state)
{
    (void)state;
    wf_arch a;
    const char *electra = "{\"model_type\":\"electra\",\"hidden_size\":64,\"intermediate_size\":96,"
                          "\"max_position_embeddings\":512,\"num_attention_heads\":8,"
                          "\"num_hidden_layers\":2,\"vocab_size\":261,\"embedding_size\":32}";
    assert_ok(look(electra, NULL, NULL, as_the_folder_says, &a));
    assert_int_equal(a.embed_width, 32);
    const char *wide = "{\"model_type\":\"electra\",\"hidden_size\":64,\"intermediate_size\":96,"
                       "\"max_position_embeddings\":512,\"num_attention_heads\":8,"
                       "\"num_hidden_layers\":2,\"vocab_size\":261}"; // of 128
    assert_int_equal(look(wide, NULL, NULL, as_the_folder_says, &a), WF_DATA);
    assert_non_null(strstr(wf_error(), "embeddings of 128 numbers in a model of 64: wider"));
    const char *groups =
        "{\"model_type\":\"albert\",\"hidden_size\":64,\"intermediate_size\":96,"
        "\"max_position_embeddings\":512,\"num_attention_heads\":8,\"num_hidden_layers\":4,"
        "\"vocab_size\":261,\"embedding_size\":32,\"num_hidden_groups\":2}";
    assert_int_equal(look(groups, NULL, NULL, as_the_folder_says, &a), WF_DATA);
    assert_non_null(strstr(wf_error(), "num_hidden_groups: only 1 is known here"));
}

int main(int argc, char **argv)
{
    backend = argc > 1 ? argv[1] : "ref";
    on_device = strcmp(backend, "cuda") == 0;
    if (on_device) {
        wf_backend *be = NULL;
        wf_status st = wf_backend_create("cuda", &(wf_backend_config){0}, &be);
        if (st != WF_OK) return printf("skipped: %s\n", wf_error()), 77;
        wf_backend_destroy(be);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goldens), cmocka_unit_test(company),
        cmocka_unit_test(packing), cmocka_unit_test(too_long),
        cmocka_unit_test(masks),   cmocka_unit_test(refuse_rows_by_their_masks),
        cmocka_unit_test(folders), cmocka_unit_test(set_the_width_of_embeddings),
    };
    return cmocka_run_group_tests(tests, test_folder_setup, test_folder_teardown);
}
