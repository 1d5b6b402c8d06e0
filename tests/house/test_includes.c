// The order of the house: a folder includes only folders below it, and a library's header only
// where that library is at home. Also: files stay short and their names unique.
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/house/house.h"

#define N_ROWS(table) (sizeof(table) / sizeof((table)[0]))

enum { MAX_LINES = 700 };

// A folder, and those it may include besides itself. The first folder that a path lies in counts,
// so a sub-folder with rules of its own stands before its parent. Nothing may include launcher or
// tests but themselves.
typedef struct {
    const char *folder, *may_include;
} floor_row;

// Rooms of io and jobs that other folders see; io/h5 is seen in io alone.
#define IO   "io/base io/shard io/results io/weights"
#define JOBS "jobs/layout jobs/quantize jobs/spec jobs/streams jobs/study jobs/watch jobs/run"

static const floor_row floor_rows[] = {
    {"io/base", ""},
    {"io/h5", "io/base"},
    {"io/shard", "io/base io/h5"},
    {"io/results", "io/base io/h5"},
    {"io/weights", "io/base"},
    {"kernels", "io/base"},
    {"slurm", "io/base"},
    {"engine", IO " kernels"},
    // jobs never sees slurm: it is handed a plain deadline.
    {"jobs/layout", IO " kernels engine"},
    {"jobs/quantize", IO " kernels engine"},
    {"jobs/spec", IO " kernels engine"},
    {"jobs/streams", IO},
    {"jobs/study", IO},
    {"jobs/watch", IO},
    {"jobs/run", IO " kernels engine jobs/spec jobs/watch"},
    {"results/check", "io/base"}, // shares no code with what wrote the files
    // Programs that measure the folders they stand for.
    {"results/studies", IO " kernels slurm engine " JOBS " results/check results"},
    {"results/html", IO " results"},
    {"results", IO},
    {"launcher", IO " kernels slurm engine " JOBS " results/check results results/html"},
    {"tests",
     IO " io/h5 kernels slurm engine " JOBS " results/check results results/html launcher"},
};

// A library's headers, by how their names begin, and the folders where they may be included.
typedef struct {
    const char *header, *folders;
} library_row;

static const library_row library_rows[] = {
    {"yaml", "io/base"},
    {"jansson", "io/base"},
    {"xxhash", "io/base"},
    {"hdf5", "io/h5 io/shard io/results results/check tests"},
    {"H5", "io/h5 io/shard io/results results/check tests"},
    {"cblas", "kernels tests"},
    {"openblas", "kernels tests"},
    {"omp.h", "kernels tests"},
    {"cuda", "kernels engine"},
    {"cublas", "kernels"},
    {"nccl", "engine"},
    {"mpi", "engine launcher tests"},
    {"pmix", "launcher"},
    {"hwloc", "launcher"},
    {"cmocka", "tests"},
};

static int n_wrong;

static void wrong(const house_file *file, size_t line, const char *what, const char *name)
{
    print_error("%s:%zu: %s %s\n", file->path, line, what, name);
    n_wrong++;
}

static bool lies_in(const char *path, const char *folder)
{
    size_t n = strlen(folder);
    return strncmp(path, folder, n) == 0 && path[n] == '/';
}

static const floor_row *floor_of(const char *path)
{
    for (size_t i = 0; i < N_ROWS(floor_rows); i++)
        if (lies_in(path, floor_rows[i].folder)) return &floor_rows[i];
    return NULL;
}

static bool names(const char *list, const char *folder)
{
    size_t n = strlen(folder);
    for (const char *at = list; (at = strstr(at, folder)); at += n)
        if ((at == list || at[-1] == ' ') && (at[n] == '\0' || at[n] == ' ')) return true;
    return false;
}

static void check_own(const house_file *file, size_t line, const char *header)
{
    const floor_row *from = floor_of(file->path), *to = floor_of(header);
    char full[4096];
    snprintf(full, sizeof full, "%s/%s", WEFT_SOURCE_DIR, header);
    FILE *there = fopen(full, "r");
    if (there) fclose(there);
    if (!there || !to)
        wrong(file, line, "includes by a name that is not a path from the source folder:", header);
    else if (from && from != to && !names(from->may_include, to->folder))
        wrong(file, line, "includes a folder that is not below its own:", header);
}

static void check_library(const house_file *file, size_t line, const char *header)
{
    const floor_row *from = floor_of(file->path);
    for (size_t i = 0; from && i < N_ROWS(library_rows); i++) {
        const library_row *row = &library_rows[i];
        if (strncmp(header, row->header, strlen(row->header)) != 0) continue;
        if (!names(row->folders, from->folder))
            wrong(file, line, "uses a library that is at home elsewhere:", header);
    }
}

// Calls check_own or check_library for every #include of a file.
static void check_file(const house_file *file)
{
    size_t line = 1;
    for (const char *at = file->text; *at; line++) {
        char open = 0, header[512];
        if (sscanf(at, " # include %c%511[^\">\n]", &open, header) == 2) {
            if (open == '"') check_own(file, line, header);
            if (open == '<') check_library(file, line, header);
        }
        at += strcspn(at, "\n");
        at += *at == '\n';
    }
}

static bool is_source(const char *path)
{
    return has_suffix(path, ".c") || has_suffix(path, ".h") || has_suffix(path, ".cu") ||
           has_suffix(path, ".cuh");
}

static void test_include_order(void **state)
{
    const house *h = *state;
    n_wrong = 0;
    for (size_t i = 0; i < h->n; i++)
        if (is_source(h->file[i].path)) check_file(&h->file[i]);
    assert_int_equal(n_wrong, 0);
}

// The rules above must be able to fail.
static void test_rules_catch(void **state)
{
    (void)state;
    static const struct {
        const char *path, *text;
        int n_wrong;
    } rows[] = {
        {"io/base/x.c", "#include \"io/base/log.h\"\n#include <yaml.h>\n", 0},
        {"io/base/x.c", "#include \"io/shard/request.h\"\n", 1},
        {"io/weights/x.c", "#  include \"kernels/tensor.h\"\n#include <jansson.h>\n", 2},
        {"jobs/run/x.c", "#include \"slurm/env.h\"\n", 1},
        {"results/check/x.c", "#include \"io/shard/request.h\"\n#include <hdf5.h>\n", 1},
        {"results/x.c", "#include <hdf5.h>\n", 1},
        {"engine/comm/x.c", "#include <mpi.h>\n#include \"io/base/log.h\"\n", 0},
        {"jobs/run/x.c", "#include <mpi.h>\n#include \"log.h\"\n", 2},
        {"launcher/x.c", "#include <pmix.h>\n#include \"slurm/env.h\"\n", 0},
        {"kernels/x.c", "#include \"launcher/main.c\"\n", 1},
        {"jobs/streams/x.c", "#include \"jobs/run/feed.h\"\n", 1},
        {"engine/x.c", "#include \"io/h5/h5util.h\"\n", 1},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        house_file file = {.path = (char *)rows[i].path, .text = (char *)rows[i].text};
        n_wrong = 0;
        check_file(&file);
        assert_int_equal(n_wrong, rows[i].n_wrong);
    }
}

static void test_files_are_short(void **state)
{
    const house *h = *state;
    n_wrong = 0;
    assert_true(h->n > 50);
    for (size_t i = 0; i < h->n; i++)
        if (h->file[i].n_lines > MAX_LINES)
            wrong(&h->file[i], h->file[i].n_lines, "is longer than 700 lines", "");
    assert_int_equal(n_wrong, 0);
}

static void test_names_are_unique(void **state)
{
    const house *h = *state;
    n_wrong = 0;
    for (size_t i = 0; i < h->n; i++) {
        if (!is_source(h->file[i].path)) continue;
        for (size_t k = 0; k < i; k++) {
            if (strcmp(base_name(h->file[i].path), base_name(h->file[k].path)) != 0) continue;
            wrong(&h->file[i], 1, "has the name of", h->file[k].path);
        }
    }
    assert_int_equal(n_wrong, 0);
}

static int setup(void **state)
{
    *state = house_read();
    return 0;
}

static int teardown(void **state)
{
    house_free(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules_catch),
        cmocka_unit_test(test_include_order),
        cmocka_unit_test(test_files_are_short),
        cmocka_unit_test(test_names_are_unique),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
