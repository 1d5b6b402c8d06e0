#include "tests/base/base_test.h"

#include "io/base/yaml.h"

static wf_status parse(const char *text, wf_yaml **doc)
{
    return wf_yaml_parse("job.yaml", text, strlen(text), doc, NULL);
}

static void places_are_those_of_an_editor(void **state)
{
    (void)state;
    static const char text[] = "# a job\n"
                               "job: azure\n"
                               "engine:\n"
                               "  max_rows: 8e3\n"
                               "list: [1, \"two\", {a: b}]\n"
                               "gr\xc3\xb6sse: x\n"
                               "block: |\n"
                               "  two\n"
                               "  lines\n";
    wf_yaml *doc;
    assert_ok(parse(text, &doc));
    const wf_yaml_node *root = wf_yaml_root(doc), *node;
    assert_int_equal(root->kind, WF_YAML_MAP);
    assert_int_equal(root->n_items, 5);

    node = wf_yaml_find(wf_yaml_find(root, "engine"), "max_rows");
    assert_string_equal(node->text, "8e3");
    assert_false(node->quoted);
    assert_int_equal(node->place.line, 4);
    assert_int_equal(node->place.col, 13);
    assert_int_equal(node->key_place.line, 4);
    assert_int_equal(node->key_place.col, 3);

    node = wf_yaml_find(root, "list");
    assert_int_equal(node->kind, WF_YAML_SEQ);
    assert_int_equal(node->n_items, 3);
    assert_string_equal(node->first_item->text, "1");
    assert_true(node->first_item->next->quoted);
    assert_string_equal(wf_yaml_find(node->first_item->next->next, "a")->text, "b");
    assert_null(node->first_item->next->next->next);
    assert_null(node->first_item->key);

    node = wf_yaml_find(root, "gr\xc3\xb6sse");
    assert_int_equal(node->place.col, 9); // in characters
    assert_string_equal(wf_yaml_find(root, "block")->text, "two\nlines\n");
    assert_true(wf_yaml_find(root, "block")->quoted);
    assert_null(wf_yaml_find(root, "none"));
    assert_null(wf_yaml_find(wf_yaml_find(root, "job"), "x"));
    wf_yaml_destroy(&doc);
    wf_yaml_destroy(&doc);
}

static void refused_with_the_place(void **state)
{
    (void)state;
#define TEXT(literal) literal, sizeof(literal) - 1
    static const struct {
        const char *text;
        size_t n;
        const char *message;
    } rows[] = {
        {TEXT("a: 1\nb: 2\na: 3\n"), "job.yaml:3:1: duplicate key \"a\", already on line 1"},
        {TEXT("a: {b: 1, \"b\": 2}\n"), "job.yaml:1:11: duplicate key \"b\""},
        {TEXT("a: &x 1\nb: *x\n"), "job.yaml:1:4: anchors"},
        {TEXT("a: *x\n"), "job.yaml:1:4: aliases"},
        {TEXT("a: &x [*x]\n"), "job.yaml:1:4: anchors"},
        {TEXT("a: !!int 3\n"), "job.yaml:1:4: tags"},
        {TEXT("a: !x {}\n"), "job.yaml:1:4: tags"},
        {TEXT("a: !x []\n"), "job.yaml:1:4: tags"},
        {TEXT("a: 1\n---\nb: 2\n"), "job.yaml:2:1: a second document"},
        {TEXT("%YAML 1.1\n---\na: 1\n"), "job.yaml:1:1: %-directives"},
        {TEXT("%TAG ! x\n---\na: 1\n"), "job.yaml:1:1: %-directives"},
        {TEXT("a:\n\tb: 1\n"), "job.yaml:2:1: a tab; YAML is indented with spaces"},
        {TEXT("? [a]\n: 1\n"), "job.yaml:1:3: a key must be plain text"},
        {TEXT("{a: 1}: 1\n"), "job.yaml:1:1: a key must be plain text"},
        {TEXT("\"\": 1\n"), "job.yaml:1:1: a key must not be empty"},
        {TEXT("a: [1, 2\n"), "job.yaml:2:1: "},
        {TEXT("a: b: c\n"), "job.yaml:1:5: mapping values are not allowed"},
        {TEXT("a: \"x\n"), "job.yaml:2:1: found unexpected end of stream"},
        {TEXT("a: \"\\0\"\n"), "job.yaml:1:4: NUL character"},
        {TEXT("a: 1\nb: x\0y\n"), "job.yaml:2:5: control characters are not allowed (byte 0x00)"},
        {TEXT("a: 1\nb: \xff\n"), "job.yaml:2:4: invalid leading UTF-8 octet (byte 0xff)"},
        {TEXT("a: \xc0\xaf\n"), "job.yaml:1:4: invalid"},
        {TEXT("a: \xed\xa0\x80\n"), "job.yaml:1:4: invalid"},
        {TEXT("a: \x1b[2J\n"), "job.yaml:1:4: control characters"},
        {TEXT("\xff\xfe"
              "a\0:\0"),
         "job.yaml:1:1: "},
        {TEXT("a: @x\n"), "job.yaml:1:4: found character that cannot start any token"},
    };
#undef TEXT
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        wf_yaml *doc = NULL;
        wf_yaml_place place;
        int line, col;
        assert_int_equal(wf_yaml_parse("job.yaml", rows[i].text, rows[i].n, &doc, &place),
                         WF_CONFIG);
        assert_contains(wf_error(), rows[i].message);
        assert_null(doc);
        assert_int_equal(sscanf(wf_error(), "job.yaml:%d:%d:", &line, &col), 2);
        assert_int_equal(place.line, line);
        assert_int_equal(place.col, col);
    }
}

static void empty_documents_are_empty_maps(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "\n\n", "# only words\n", "---\n", "\xef\xbb\xbf"};
    for (size_t i = 0; i < N_ROWS(texts); i++) {
        wf_yaml *doc;
        assert_ok(parse(texts[i], &doc));
        assert_int_equal(wf_yaml_root(doc)->kind, WF_YAML_MAP);
        assert_int_equal(wf_yaml_root(doc)->n_items, 0);
        wf_yaml_destroy(&doc);
    }
}

static void nothing_is_told_from_text(void **state)
{
    (void)state;
    wf_yaml *doc;
    static const bool expected[] = {true, true, false, false, false, false};
    size_t i = 0;
    assert_ok(parse("[~, null, 'null', \"\", x, {}]", &doc));
    for (const wf_yaml_node *n = wf_yaml_root(doc)->first_item; n; n = n->next)
        assert_int_equal(wf_yaml_is_null(n), expected[i++]);
    assert_int_equal(i, N_ROWS(expected));
    wf_yaml_destroy(&doc);
    assert_ok(parse("a:\nb: 1\n", &doc));
    assert_true(wf_yaml_is_null(wf_yaml_find(wf_yaml_root(doc), "a")));
    wf_yaml_destroy(&doc);
}

// One text of n copies of `part`; the limits must end each early. The program's own time limit
// catches the one that does not.
static void hostile_text_costs_little(void **state)
{
    (void)state;
    static const struct {
        const char *start, *part;
        size_t n;
        const char *message;
    } rows[] = {
        {"", "[", 100000, "nested deeper than 32"},
        {"", "{a: ", 100000, "nested deeper than 32"},
        {"", "[\n", 100000, "nested deeper than 32"},
        {"", "- ", 100000, "nested deeper than 32"},
        {"", "? ", 100000, "a key must be plain text"},
        {"", "a", WF_YAML_MAX_BYTES + 1, "the limit is 1048576"},
        {"", "a: 1\n", 100000, "duplicate key"},
        {"a: ", "&a ", 100000, "job.yaml:1:"},
        {"a: \"", "\\", 100001, "job.yaml:1:"},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        size_t n_part = strlen(rows[i].part), n_start = strlen(rows[i].start);
        size_t n = n_start + rows[i].n * n_part;
        char *text = malloc(n);
        memcpy(text, rows[i].start, n_start);
        for (size_t k = 0; k < rows[i].n; k++)
            memcpy(text + n_start + k * n_part, rows[i].part, n_part);
        wf_yaml *doc = NULL;
        assert_int_equal(wf_yaml_parse("job.yaml", text, n, &doc, NULL), WF_CONFIG);
        assert_contains(wf_error(), rows[i].message);
        free(text);
    }
}

static void many_different_keys_are_fine(void **state)
{
    (void)state;
    enum { N = 60000 };
    char *text = malloc(N * 16), *end = text;
    for (int i = 0; i < N; i++)
        end += sprintf(end, "k%d: %d\n", i * 7919 % N, i);
    wf_yaml *doc;
    assert_ok(parse(text, &doc));
    assert_int_equal(wf_yaml_root(doc)->n_items, N);
    wf_yaml_destroy(&doc);
    strcpy(end, "k0: again\n");
    assert_int_equal(parse(text, &doc), WF_CONFIG);
    assert_contains(wf_error(), "job.yaml:60001:1: duplicate key \"k0\"");
    free(text);
}

static void depth_limit_is_exact(void **state)
{
    (void)state;
    for (int depth = 31; depth <= 33; depth++) {
        char text[80] = "";
        wf_yaml *doc = NULL;
        memset(text, '[', (size_t)depth);
        memset(text + depth, ']', (size_t)depth);
        assert_int_equal(parse(text, &doc), depth <= WF_YAML_MAX_DEPTH ? WF_OK : WF_CONFIG);
        wf_yaml_destroy(&doc);
    }
}

static void source_lines_are_kept(void **state)
{
    (void)state;
    static const char text[] = "a: 1\r\nb: 2\rc: 3\nd: \xe2\x80\xa8"
                               "e: 5";
    static const char *const lines[] = {"a: 1", "b: 2", "c: 3", "d: ", "e: 5"};
    wf_yaml *doc;
    size_t n;
    assert_ok(parse(text, &doc));
    assert_int_equal(wf_yaml_find(wf_yaml_root(doc), "e")->place.line, 5);
    for (int i = 0; i < (int)N_ROWS(lines); i++) {
        const char *line = wf_yaml_source_line(text, sizeof text - 1, i + 1, &n);
        assert_int_equal(n, strlen(lines[i]));
        assert_memory_equal(line, lines[i], n);
    }
    assert_null(wf_yaml_source_line(text, sizeof text - 1, 6, &n));
    assert_null(wf_yaml_source_line(text, sizeof text - 1, 0, &n));
    wf_yaml_destroy(&doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_are_those_of_an_editor),
        cmocka_unit_test(refused_with_the_place),
        cmocka_unit_test(empty_documents_are_empty_maps),
        cmocka_unit_test(nothing_is_told_from_text),
        cmocka_unit_test(hostile_text_costs_little),
        cmocka_unit_test(many_different_keys_are_fine),
        cmocka_unit_test(depth_limit_is_exact),
        cmocka_unit_test(source_lines_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
