// The book of GEMM plans: what it keeps between runs, and what it leaves out.
#include "kernels/cuda/cuda_gemm_book.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

// The module's table of own kernels, as far as this test needs it.
struct wf_gemm_own {
    const char *name;
};

static const wf_gemm_own owns[] = {{"stream"}, {"ring-runs"}};

const wf_gemm_own *wf_gemm_own_named(const char *name)
{
    for (size_t i = 0; i < sizeof owns / sizeof *owns; i++)
        if (strcmp(name, owns[i].name) == 0) return &owns[i];
    return NULL;
}

const char *wf_gemm_own_name(const wf_gemm_own *own)
{
    return own->name;
}

static char folder[] = "/tmp/weft-book-XXXXXX";

static int set_up(void **state)
{
    (void)state;
    return mkdtemp(folder) != NULL ? setenv("WEFT_CUDA_CACHE", folder, 1) : 1;
}

static int tear_down(void **state)
{
    char path[256];
    (void)state;
    snprintf(path, sizeof path, "%s/gemm-a-gpu.txt", folder);
    (void)unlink(path);
    return rmdir(folder);
}

static const wf_gemm_plan plans[] = {
    {.key = {4096, 6144, 64, 1, WF_BF16, WF_BF16, false, false},
     .kind = WF_GEMM_OWN,
     .own = &owns[1],
     .us = 9.5f,
     .lt_us = 11.25f},
    {.key = {4096, 6144, 64, 1, WF_BF16, WF_BF16, true, false},
     .kind = WF_GEMM_LT,
     .us = 12.0f,
     .lt_us = 12.0f,
     .algo = {1, 2, 3, 0xffffffffffffffffu}},
    {.key = {4096, 6144, 64, 8, WF_BF16, WF_F32, true, false},
     .kind = WF_GEMM_GENERAL,
     .us = 1e30f,
     .lt_us = 1e30f},
    {.key = {4096, 6144, 128, 1, WF_FP8, WF_BF16, false, true},
     .kind = WF_GEMM_ACT8,
     .us = 8.0f,
     .lt_us = 1e30f,
     .algo = {4, 5, 6}},
};
enum { N_PLANS = sizeof plans / sizeof *plans };

static wf_gemm_book *open_book(void)
{
    wf_gemm_book *book = NULL;
    assert_int_equal(wf_gemm_book_create("a gpu", &book), WF_OK);
    return book;
}

static void write_all(void)
{
    const wf_gemm_plan *kept;
    wf_gemm_book *book = open_book();
    for (size_t i = 0; i < N_PLANS; i++)
        assert_int_equal(wf_gemm_book_add(book, &plans[i], &kept), WF_OK);
    wf_gemm_book_destroy(book);
}

static void plans_come_back(void **state)
{
    (void)state;
    write_all();
    wf_gemm_book *book = open_book();
    for (size_t i = 0; i < N_PLANS; i++) {
        const wf_gemm_plan *p = wf_gemm_book_find(book, &plans[i].key);
        assert_non_null(p);
        assert_int_equal(p->kind, plans[i].kind);
        assert_ptr_equal(p->own, plans[i].own);
        assert_memory_equal(p->algo, plans[i].algo, sizeof p->algo);
    }
    wf_gemm_key other = plans[0].key;
    other.y = WF_F32;
    assert_null(wf_gemm_book_find(book, &other));
    wf_gemm_book_destroy(book);
}

// A kernel that this build has not, a format it does not know, a line cut short.
static void strange_lines_are_left_out(void **state)
{
    (void)state;
    char path[256];
    wf_gemm_key key = {1, 2, 3, 1, WF_F16, WF_F16, false, false};
    const wf_gemm_plan *p;
    snprintf(path, sizeof path, "%s/gemm-a-gpu.txt", folder);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs("weft-gemm-plans 4\n"
          "1 2 3 f16 f16 1 0 0 spiral 1.0 1.0 0 0 0 0 0 0 0 0\n"
          "1 2 3 f12 f16 1 0 0 stream 1.0 1.0 0 0 0 0 0 0 0 0\n"
          "1 2 3 f16 f16 1 0 0 stream 1.0 1.0 0 0\n"
          "9 2 3 f16 f16 1 0 0 stream 1.0 1.0 0 0 0 0 0 0 0 0\n",
          f);
    fclose(f);
    wf_gemm_book *book = open_book();
    assert_null(wf_gemm_book_find(book, &key));
    key.n = 9;
    p = wf_gemm_book_find(book, &key);
    assert_non_null(p);
    assert_string_equal(p->own->name, "stream");
    wf_gemm_book_destroy(book);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plans_come_back),
        cmocka_unit_test(strange_lines_are_left_out),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
