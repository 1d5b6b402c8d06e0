#include "tests/base/base_test.h"

#include "io/base/option.h"

#include <unistd.h>

typedef enum { REORDER_INDEX, REORDER_COPY, REORDER_OFF } reorder;

typedef struct {
    const char *job;
    int64_t seed;
    wf_option_strings requests;
    struct {
        int32_t max_rows;
        reorder reorder;
        int64_t window_ns;
        wf_option_memory kv_memory;
        bool deterministic;
    } engine;
    struct {
        float temperature;
        uint32_t n;
        wf_option_i32s stop;
    } sampling;
    struct {
        double speed;
        int64_t seed;
    } arrivals;
    struct {
        const char *dir;
        int64_t seal_bytes;
        int64_t max_failures;
    } output;
} config;

static const wf_option_word reorder_words[] = {
    {"index", REORDER_INDEX}, {"copy", REORDER_COPY}, {"off", REORDER_OFF}, {NULL, 0}};
static const wf_option_word auto_is_0[] = {{"auto", 0}, {NULL, 0}};
static const wf_option_word none_is_minus_1[] = {{"none", -1}, {NULL, 0}};

#define AT(field) .offset = offsetof(config, field)
static const wf_option table[] = {
    {.name = "job", .type = WF_OPTION_STRING, AT(job), .example = "azure-conv", .help = "name"},
    {.name = "seed",
     .type = WF_OPTION_I64,
     AT(seed),
     .max = 9223372036854775807.0,
     .default_text = "0",
     .help = "seed of everything random"},
    {.name = "requests",
     .type = WF_OPTION_STRINGS,
     AT(requests),
     .example = "streams/*.h5",
     .help = "request shards"},
    {.name = "engine.max_rows",
     .type = WF_OPTION_I32,
     AT(engine.max_rows),
     .min = 1,
     .max = 4096,
     .unit = "rows",
     .default_text = "256",
     .help = "rows in one fused step"},
    {.name = "engine.reorder",
     .type = WF_OPTION_ENUM,
     AT(engine.reorder),
     .words = reorder_words,
     .default_text = "index",
     .help = "how rows stay dense"},
    {.name = "engine.window",
     .type = WF_OPTION_DURATION,
     AT(engine.window_ns),
     .min = 1e6,
     .max = 6e10,
     .default_text = "2s",
     .help = "of window fusion"},
    {.name = "engine.kv_memory",
     .type = WF_OPTION_MEMORY,
     AT(engine.kv_memory),
     .words = auto_is_0,
     .default_text = "auto",
     .help = "for KV pages"},
    {.name = "engine.deterministic",
     .type = WF_OPTION_BOOL,
     AT(engine.deterministic),
     .default_text = "false",
     .help = "same tokens whatever the batch"},
    {.name = "sampling.temperature",
     .type = WF_OPTION_F32,
     AT(sampling.temperature),
     .max = 100,
     .default_text = "0.0",
     .help = "0 is greedy"},
    {.name = "sampling.n",
     .type = WF_OPTION_U32,
     AT(sampling.n),
     .min = 1,
     .max = 1024,
     .default_text = "1",
     .help = "outputs per request"},
    {.name = "sampling.stop",
     .type = WF_OPTION_I32S,
     AT(sampling.stop),
     .max = 2147483647,
     .default_text = "",
     .help = "tokens that end a request"},
    {.name = "arrivals.speed",
     .type = WF_OPTION_F64,
     AT(arrivals.speed),
     .min = 1e-6,
     .max = 1e6,
     .default_text = "1.0",
     .help = "times faster"},
    {.name = "arrivals.seed",
     .type = WF_OPTION_I64,
     AT(arrivals.seed),
     .default_text = "0",
     .help = "the job's when not given"},
    {.name = "output.dir",
     .type = WF_OPTION_STRING,
     AT(output.dir),
     .default_text = "out",
     .help = "where results go"},
    {.name = "output.seal_bytes",
     .type = WF_OPTION_BYTES,
     AT(output.seal_bytes),
     .min = 1e6,
     .max = 9223372036854775807.0,
     .default_text = "256MB",
     .help = "seal a segment at this size"},
    {.name = "output.max_failures",
     .type = WF_OPTION_I64,
     AT(output.max_failures),
     .words = none_is_minus_1,
     .max = 1e9,
     .default_text = "none",
     .help = "stop beyond"},
};

static const char minimal[] = "job: a\nrequests: [x.h5]\n";

typedef struct {
    config c;
    wf_options *o;
} fixture;

static int fixture_make(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    assert_ok(wf_options_create(table, N_ROWS(table), &f->c, &f->o));
    *state = f;
    return 0;
}

static int fixture_remove(void **state)
{
    fixture *f = *state;
    wf_options_destroy(&f->o);
    wf_options_destroy(&f->o);
    free(f);
    return 0;
}

static void yaml(fixture *f, const char *text)
{
    assert_ok(wf_options_apply_yaml(f->o, "job.yaml", text, strlen(text)));
}

static void defaults_are_set(void **state)
{
    fixture *f = *state;
    yaml(f, minimal);
    assert_ok(wf_options_finish(f->o));
    assert_string_equal(wf_options_problems(f->o), "");
    assert_string_equal(f->c.job, "a");
    assert_int_equal(f->c.requests.n, 1);
    assert_string_equal(f->c.requests.item[0], "x.h5");
    assert_int_equal(f->c.engine.max_rows, 256);
    assert_int_equal(f->c.engine.reorder, REORDER_INDEX);
    assert_int_equal(f->c.engine.window_ns, 2000000000);
    assert_true(f->c.engine.kv_memory.share == 0 && f->c.engine.kv_memory.bytes == 0);
    assert_false(f->c.engine.deterministic);
    assert_int_equal(f->c.sampling.n, 1);
    assert_int_equal(f->c.sampling.stop.n, 0);
    assert_true(f->c.arrivals.speed == 1.0);
    assert_string_equal(f->c.output.dir, "out");
    assert_int_equal(f->c.output.seal_bytes, 256000000);
    assert_int_equal(f->c.output.max_failures, -1);
    assert_true(wf_options_is_given(f->o, "job"));
    assert_false(wf_options_is_given(f->o, "arrivals.seed"));
}

static void every_type_is_read(void **state)
{
    fixture *f = *state;
    yaml(f, "job: \"04:00\"\n"
            "seed: 9223372036854775807\n"
            "requests: a*.h5\n"
            "engine: {max_rows: 4096, reorder: off, window: 500ms, kv_memory: 0.9,\n"
            "         deterministic: true}\n"
            "sampling: {temperature: 0.7, n: 3, stop: [2, 128001]}\n"
            "arrivals: {speed: 1e3, seed: -5}\n"
            "output: {dir: , seal_bytes: 1GiB, max_failures: 12}\n");
    assert_ok(wf_options_finish(f->o));
    assert_string_equal(f->c.job, "04:00");
    assert_true(f->c.seed == INT64_MAX);
    assert_string_equal(f->c.requests.item[0], "a*.h5");
    assert_int_equal(f->c.engine.max_rows, 4096);
    assert_int_equal(f->c.engine.reorder, REORDER_OFF);
    assert_int_equal(f->c.engine.window_ns, 500000000);
    assert_true(f->c.engine.kv_memory.share == 0.9 && f->c.engine.kv_memory.bytes == 0);
    assert_true(f->c.engine.deterministic);
    assert_true(f->c.sampling.temperature == 0.7f);
    assert_int_equal(f->c.sampling.n, 3);
    assert_int_equal(f->c.sampling.stop.n, 2);
    assert_int_equal(f->c.sampling.stop.item[1], 128001);
    assert_true(f->c.arrivals.speed == 1000.0);
    assert_int_equal(f->c.arrivals.seed, -5);
    assert_string_equal(f->c.output.dir, "out"); // an empty value leaves the default
    assert_int_equal(f->c.output.seal_bytes, 1 << 30);
    assert_int_equal(f->c.output.max_failures, 12);
}

// One mistake each, with what is said about it.
static void mistakes_in_yaml(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } rows[] = {
        {"engine:\n  max_rows: 8e3\n",
         "job.yaml:4:13: engine.max_rows: \"8e3\" is not a whole number\n"
         "      max_rows: 8e3\n"
         "                ^\n"},
        {"engine: {max_rows: 0}\n", "engine.max_rows: 0 is outside 1 to 4096"},
        {"engine: {max_rows: 1.0}\n", "\"1.0\" is not a whole number"},
        {"engine: {max_rows: 99999999999999999999}\n", "is outside 1 to 4096"},
        {"engine: {max_rows: [1]}\n", "expected whole number, 1 to 4096 rows, got a list"},
        {"engine: {max_row: 1}\n",
         "job.yaml:3:10: engine.max_row: unknown key; did you mean engine.max_rows?\n"},
        {"max_rows: 1\n", "job.yaml:3:1: max_rows: unknown key; did you mean engine.max_rows?\n"},
        {"engin: {max_rows: 1}\n", "engin: unknown key; did you mean engine?\n"},
        {"zebra: 1\n", "job.yaml:3:1: zebra: unknown key\n"},
        {"engine.max_rows: 1\n", "job.yaml:3:1: engine.max_rows: unknown key"},
        {"engine: 5\n", "job.yaml:3:9: engine: expected keys with values below it\n"},
        {"engine: [5]\n", "engine: expected keys with values below it\n"},
        {"engine: {reorder: indx}\n",
         "\"indx\" is not one of index, copy, off; did you mean \"index\"?\n"},
        {"engine: {reorder: zebra}\n", "\"zebra\" is not one of index, copy, off\n"},
        {"engine: {window: 2}\n", "\"2\" needs a unit"},
        {"engine: {window: 2m}\n", "2m is outside 1ms to 1m"},
        {"engine: {kv_memory: 1.5}\n", "like 0.9"},
        {"engine: {kv_memory: 0}\n", "0 leaves nothing"},
        {"engine: {kv_memory: lots}\n", "\"lots\" is not a size"},
        {"engine: {deterministic: yes}\n", "\"yes\" is neither true nor false"},
        {"sampling: {temperature: nan}\n", "\"nan\" is not a number"},
        {"sampling: {temperature: -1}\n", "-1 is outside 0 to 100"},
        {"sampling: {n: -1}\n", "-1 is outside 1 to 1024"},
        {"sampling: {stop: [1, x]}\n", "job.yaml:3:22: sampling.stop: \"x\" is not a whole number"},
        {"sampling: {stop: [1, [2]]}\n", "expected list of whole numbers"},
        {"sampling: {stop: {a: 1}}\n", "got keys with values"},
        {"output: {seal_bytes: 1k}\n", "1k is below 1MB"},
        {"output: {max_failures: some}\n", "\"some\" is not a whole number (or write none)"},
        {"arrivals: {speed: 1e999}\n", "is outside 1e-06 to 1e+06"},
        {"job: b\n", "job.yaml:3:1: duplicate key \"job\", already on line 1\n    job: b\n    ^\n"},
        {"a:\n\tb: 1\n", "job.yaml:4:1: a tab; YAML is indented with spaces"},
        {"x: [\n", "job.yaml:4:1: did not find expected node content"},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        char text[512];
        fixture *f;
        fixture_make((void **)&f);
        snprintf(text, sizeof text, "%s%s", minimal, rows[i].text);
        yaml(f, text);
        assert_contains(wf_options_problems(f->o), rows[i].message);
        bool parsed = f->c.job != NULL;
        if (parsed) assert_int_equal(wf_options_n_problems(f->o), 1);
        assert_int_equal(wf_options_finish(f->o), WF_CONFIG);
        fixture_remove((void **)&f);
    }
}

static void all_mistakes_come_in_one_run(void **state)
{
    fixture *f = *state;
    static const char *const environment[] = {"WEFT_ENGINE__REORDER=sideways", NULL};
    yaml(f, "jbo: a\nengine: {max_rows: x, window: 3}\n");
    assert_ok(wf_options_apply_environment(f->o, "WEFT_", environment));
    assert_ok(wf_options_apply_set(f->o, "output.seal_byte=1GiB"));
    assert_ok(wf_options_complain(f->o, "engine.window", "too %s", "short"));
    assert_int_equal(wf_options_finish(f->o), WF_CONFIG);
    assert_string_equal(wf_error(),
                        "job.yaml:1:1: jbo: unknown key; did you mean job? (and 7 more)");
    assert_string_equal(
        wf_options_problems(f->o),
        "job.yaml:1:1: jbo: unknown key; did you mean job?\n"
        "    jbo: a\n"
        "    ^\n"
        "job.yaml:2:20: engine.max_rows: \"x\" is not a whole number\n"
        "    engine: {max_rows: x, window: 3}\n"
        "                       ^\n"
        "job.yaml:2:31: engine.window: \"3\" needs a unit: one of ns, us, ms, s, m, h, d\n"
        "    engine: {max_rows: x, window: 3}\n"
        "                                  ^\n"
        "WEFT_ENGINE__REORDER: engine.reorder: \"sideways\" is not one of index, copy, off\n"
        "--set output.seal_byte=1GiB: output.seal_byte: unknown key; did you mean "
        "output.seal_bytes?\n"
        "job.yaml:2:31: engine.window: too short\n"
        "    engine: {max_rows: x, window: 3}\n"
        "                                  ^\n"
        "job.yaml: job: missing: name\n"
        "job.yaml: requests: missing: request shards\n");
}

static void later_sources_win(void **state)
{
    fixture *f = *state;
    static const char *const environment[] = {"PATH=/bin",         "WEFT_ENGINE__MAX_ROWS=2",
                                              "WEFT_SEED=2",       "WEFT_REQUESTS=a.h5, 'b,c.h5'",
                                              "WEFT_LOG=debug", // somebody else's
                                              "WEFT_JOB=named=so", NULL};
    yaml(f, "job: a\nrequests: [x.h5]\nseed: 1\nengine: {max_rows: 1}\n");
    assert_int_equal(f->c.engine.max_rows, 1);
    assert_ok(wf_options_apply_environment(f->o, "WEFT_", environment));
    assert_int_equal(f->c.engine.max_rows, 2);
    assert_ok(wf_options_apply_set(f->o, "engine.max_rows=3"));
    assert_ok(wf_options_apply_set(f->o, "sampling.stop=[7, 8]"));
    assert_ok(wf_options_apply_set(f->o, "output.dir="));
    assert_ok(wf_options_finish(f->o));
    assert_int_equal(f->c.engine.max_rows, 3);
    assert_int_equal(f->c.seed, 2);
    assert_string_equal(f->c.job, "named=so");
    assert_int_equal(f->c.requests.n, 2);
    assert_string_equal(f->c.requests.item[1], "b,c.h5");
    assert_int_equal(f->c.sampling.stop.n, 2);
    assert_string_equal(f->c.output.dir, "");
}

static void mistakes_on_the_command_line(void **state)
{
    (void)state;
    static const struct {
        const char *set, *message;
    } rows[] = {
        {"engine.max_rows", "--set engine.max_rows: expected key=value\n"},
        {"=3", "--set =3: expected key=value\n"},
        {"", "--set : expected key=value\n"},
        {"engine=3", "engine: is a section: set one of its keys\n"},
        {"seed=", "seed: \"\" is not a whole number\n"},
        {"seed=-1", "seed: -1 is outside 0 to 9223372036854775807\n"},
        {"sampling.stop=[1,,2]", "an item of the list is empty\n"},
        {"sampling.stop=[1,2,]", "an item of the list is empty\n"},
        {"requests='x", "a quoted item is not closed\n"},
        {"requests=\"x", "a quoted item is not closed\n"},
        {"requests=\"x\\", "a backslash that means nothing: write \\\\ for one\n"},
        {"requests=\"\\u00e9\"", "a backslash that means nothing: write \\\\ for one\n"},
        {"requests='x' y", "a comma is missing between two items\n"},
        {"job=\xff", "is not valid UTF-8\n"},
        {"ENGINE.MAX_ROWS=3", "unknown key"},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        fixture *f;
        fixture_make((void **)&f);
        assert_ok(wf_options_apply_set(f->o, rows[i].set));
        assert_int_equal(wf_options_n_problems(f->o), 1);
        assert_contains(wf_options_problems(f->o), rows[i].message);
        fixture_remove((void **)&f);
    }
    static const char *const environment[] = {"WEFT_ENGINE__MAX_ROW=3", NULL};
    fixture *f;
    fixture_make((void **)&f);
    assert_ok(wf_options_apply_environment(f->o, "WEFT_", environment));
    assert_string_equal(wf_options_problems(f->o),
                        "WEFT_ENGINE__MAX_ROW: engine.max_row: unknown key; did you mean "
                        "engine.max_rows?\n");
    fixture_remove((void **)&f);
}

// As JSON and YAML have it between double quotes; between single ones a backslash is one.
static void items_with_escapes(void **state)
{
    fixture *f = *state;
    assert_ok(wf_options_apply_set(
        f->o, "requests=[\"a\\n\\\"b\\\\\", '\\n', \"\\x41\\u0009\\/\", x\\y, \"\"]"));
    assert_int_equal(f->c.requests.n, 5);
    assert_string_equal(f->c.requests.item[0], "a\n\"b\\");
    assert_string_equal(f->c.requests.item[1], "\\n");
    assert_string_equal(f->c.requests.item[2], "A\t/");
    assert_string_equal(f->c.requests.item[3], "x\\y");
    assert_string_equal(f->c.requests.item[4], "");
}

static void resolved_config_reads_back_the_same(void **state)
{
    fixture *f = *state;
    static const char *const sets[] = {"job=true",
                                       "requests=['a b', \"c, 'd\", *.h5, \xc3\xb6, 04:00]",
                                       "engine.kv_memory=1GiB",
                                       "sampling.temperature=0.1",
                                       "output.dir=q\"uo\\te\tx\n",
                                       "arrivals.speed=0.3333333333333333",
                                       "seed=9223372036854775807"};
    for (size_t i = 0; i < N_ROWS(sets); i++)
        assert_ok(wf_options_apply_set(f->o, sets[i]));
    char *text, *again;
    assert_ok(wf_options_finish(f->o));
    assert_ok(wf_options_to_yaml(f->o, &text));
    assert_string_equal(text, "job: \"true\"\n"
                              "seed: 9223372036854775807\n"
                              "requests: [\"a b\", \"c, 'd\", \"*.h5\", \"\xc3\xb6\", \"04:00\"]\n"
                              "engine:\n"
                              "  max_rows: 256\n"
                              "  reorder: index\n"
                              "  window: 2s\n"
                              "  kv_memory: 1GiB\n"
                              "  deterministic: false\n"
                              "sampling:\n"
                              "  temperature: 0.1\n"
                              "  n: 1\n"
                              "  stop: []\n"
                              "arrivals:\n"
                              "  speed: 0.3333333333333333\n"
                              "  seed: 0\n"
                              "output:\n"
                              "  dir: \"q\\\"uo\\\\te\\x09x\\x0a\"\n"
                              "  seal_bytes: 256MB\n"
                              "  max_failures: none\n");
    fixture *second;
    fixture_make((void **)&second);
    yaml(second, text);
    assert_ok(wf_options_finish(second->o));
    assert_ok(wf_options_to_yaml(second->o, &again));
    assert_string_equal(again, text);
    assert_string_equal(second->c.output.dir, f->c.output.dir);
    free(text);
    free(again);
    fixture_remove((void **)&second);
}

static void example_is_a_good_file(void **state)
{
    fixture *f = *state;
    char *text;
    assert_ok(wf_option_example(table, N_ROWS(table), &text));
    yaml(f, text);
    assert_ok(wf_options_finish(f->o));
    assert_string_equal(f->c.job, "azure-conv");
    assert_string_equal(f->c.requests.item[0], "streams/*.h5");
    assert_int_equal(f->c.engine.max_rows, 256);
    assert_contains(text, "# name (text; required)\njob: azure-conv\n");
    assert_contains(text, "\nengine:\n  # rows in one fused step (whole number, 1 to 4096 rows)\n"
                          "  max_rows: 256\n");
    free(text);
}

static void every_key_is_in_help_and_reference(void **state)
{
    (void)state;
    char *help, *markdown;
    assert_ok(wf_option_help(table, N_ROWS(table), "", &help));
    assert_ok(wf_option_markdown(table, N_ROWS(table), &markdown));
    for (size_t i = 0; i < N_ROWS(table); i++) {
        char cell[64];
        snprintf(cell, sizeof cell, "| `%s` | ", table[i].name);
        assert_contains(markdown, cell);
        assert_contains(help, table[i].name);
    }
    assert_contains(markdown, "| `engine.reorder` | `index` | index \\| copy \\| off | how rows");
    assert_contains(markdown, "| `job` | required | text | name |\n");
    assert_contains(markdown, "| `output.seal_bytes` | `256MB` | size, 1MB or more | seal");
    assert_contains(help, "  engine.max_rows=256");
    assert_contains(help, "rows in one fused step (whole number, 1 to 4096 rows)\n");
    free(help);
    free(markdown);
}

static void hostile_files_give_bounded_reports(void **state)
{
    fixture *f = *state;
    enum { N = 100000 };
    char *text = malloc(N * 10), *end = text;
    for (int i = 0; i < N; i++)
        end += sprintf(end, "k%06d:\n", i);
    yaml(f, text);
    assert_int_equal(wf_options_n_problems(f->o), N);
    assert_true(strlen(wf_options_problems(f->o)) < 10000);
    assert_contains(wf_options_problems(f->o), "There are more mistakes; they are not shown.\n");
    free(text);
}

static void long_and_strange_lines_are_shown_in_part(void **state)
{
    fixture *f = *state;
    char text[3000];
    int n = sprintf(text, "job: a\nrequests: [x]\nengine: {");
    memset(text + n, ' ', 2000);
    strcpy(text + n + 2000, "\"max\\e_rows\": 1}\n");
    yaml(f, text);
    const char *problems = wf_options_problems(f->o);
    assert_contains(problems, "job.yaml:3:2010: engine.max _rows: unknown key");
    assert_true(strlen(problems) < 300);
    const char *line = strchr(problems, '\n') + 1, *caret = strchr(line, '\n') + 1;
    assert_int_equal(line[strchr(caret, '^') - caret], '"');
}

static void files_that_are_not_there_or_too_large(void **state)
{
    fixture *f = *state;
    assert_int_equal(wf_options_apply_file(f->o, "no-such.yaml"), WF_NO_INPUT);
    assert_contains(wf_error(), "no-such.yaml: cannot open");
    assert_ok(wf_options_apply_file(f->o, "/dev/zero"));
    assert_contains(wf_options_problems(f->o), "/dev/zero: larger than the limit of 1048576 bytes");
    char path[] = "test_option.XXXXXX";
    int fd = mkstemp(path);
    assert_int_equal(write(fd, minimal, sizeof minimal - 1), sizeof minimal - 1);
    close(fd);
    wf_status st = wf_options_apply_file(f->o, path);
    unlink(path);
    assert_ok(st);
    assert_string_equal(f->c.job, "a");
}

static void a_bad_default_is_our_own_bug(void **state)
{
    (void)state;
    static const wf_option bad[] = {
        {.name = "n", .type = WF_OPTION_I32, .min = 1, .max = 2, .default_text = "3", .help = "h"}};
    int32_t n;
    wf_options *o = NULL;
    assert_int_equal(wf_options_create(bad, 1, &n, &o), WF_INTERNAL);
    assert_contains(wf_error(), "option n: its default: 3 is outside 1 to 2");
    assert_null(o);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_make, fixture_remove)
    const struct CMUnitTest tests[] = {
        TEST(defaults_are_set),
        TEST(every_type_is_read),
        cmocka_unit_test(mistakes_in_yaml),
        TEST(all_mistakes_come_in_one_run),
        TEST(later_sources_win),
        cmocka_unit_test(mistakes_on_the_command_line),
        TEST(items_with_escapes),
        TEST(resolved_config_reads_back_the_same),
        TEST(example_is_a_good_file),
        cmocka_unit_test(every_key_is_in_help_and_reference),
        TEST(hostile_files_give_bounded_reports),
        TEST(long_and_strange_lines_are_shown_in_part),
        TEST(files_that_are_not_there_or_too_large),
        cmocka_unit_test(a_bad_default_is_our_own_bug),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
