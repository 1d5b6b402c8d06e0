#include "tests/base/base_test.h"

#include "io/base/arena.h"

// Under the address sanitizer sizes that no heap has must fail as they do without it.
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

static void overflow_is_no_memory(void **state)
{
    (void)state;
    static const struct {
        size_t n, each;
        wf_status st;
        size_t bytes;
    } rows[] = {
        {0, 8, WF_OK, 0},
        {3, 8, WF_OK, 24},
        {SIZE_MAX, 1, WF_OK, SIZE_MAX},
        {SIZE_MAX, 2, WF_NO_MEMORY, 77},
        {SIZE_MAX / 8 + 1, 8, WF_NO_MEMORY, 77},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        size_t bytes = 77;
        assert_int_equal(wf_array_bytes(rows[i].n, rows[i].each, &bytes), rows[i].st);
        assert_int_equal(bytes, rows[i].bytes);
    }
    void *memory = state;
    assert_int_equal(wf_alloc(SIZE_MAX / 4, 8, &memory), WF_NO_MEMORY);
    assert_int_equal(wf_alloc(SIZE_MAX / 2, 1, &memory), WF_NO_MEMORY);
    assert_ptr_equal(memory, state); // outputs are set after success only
    assert_contains(wf_error(), "no memory for 9223372036854775807 bytes");
}

static void heap_memory_is_zero_and_aligned(void **state)
{
    (void)state;
    int *numbers;
    assert_ok(wf_alloc(100, sizeof *numbers, &numbers));
    for (int i = 0; i < 100; i++)
        assert_int_equal(numbers[i], 0);
    free(numbers);
    char *empty;
    assert_ok(wf_alloc(0, 4, &empty));
    assert_non_null(empty);
    free(empty);
}

static void grow_keeps_and_zeroes(void **state)
{
    (void)state;
    uint64_t *numbers = NULL;
    size_t capacity = 0;
    for (size_t n = 1; n < 1000; n++) {
        assert_ok(wf_grow(n, sizeof *numbers, &capacity, &numbers));
        assert_true(capacity >= n);
        assert_int_equal(numbers[n - 1], 0);
        numbers[n - 1] = n;
    }
    for (size_t n = 1; n < 1000; n++)
        assert_int_equal(numbers[n - 1], n);
    uint64_t *before = numbers;
    size_t capacity_before = capacity;
    assert_int_equal(wf_grow(SIZE_MAX / 4, sizeof *numbers, &capacity, &numbers), WF_NO_MEMORY);
    assert_ptr_equal(numbers, before);
    assert_int_equal(capacity, capacity_before);
    free(numbers);
}

static void arena_blocks_do_not_overlap(void **state)
{
    (void)state;
    wf_arena *arena;
    unsigned char *blocks[200];
    assert_ok(wf_arena_create(128, &arena));
    for (size_t i = 0; i < 200; i++) { // sizes 0..199 cross the chunk size
        assert_ok(wf_arena_alloc(arena, i, 1, &blocks[i]));
        assert_int_equal((uintptr_t)blocks[i] % _Alignof(max_align_t), 0);
        for (size_t k = 0; k < i; k++)
            assert_int_equal(blocks[i][k], 0);
        memset(blocks[i], (int)i, i);
    }
    for (size_t i = 0; i < 200; i++)
        for (size_t k = 0; k < i; k++)
            assert_int_equal(blocks[i][k], i);
    double *aligned;
    assert_ok(wf_arena_alloc_aligned(arena, 3, sizeof *aligned, 256, &aligned));
    assert_int_equal((uintptr_t)aligned % 256, 0);
    void *never = NULL;
    assert_int_equal(wf_arena_alloc(arena, SIZE_MAX, 2, &never), WF_NO_MEMORY);
    assert_int_equal(wf_arena_alloc(arena, SIZE_MAX, 1, &never), WF_NO_MEMORY);
    assert_null(never);
    wf_arena_destroy(&arena);
    assert_null(arena);
    wf_arena_destroy(&arena);
}

static void marks_nest(void **state)
{
    (void)state;
    wf_arena *arena;
    const char *kept, *lost;
    assert_ok(wf_arena_create(64, &arena));
    wf_arena_mark empty = wf_arena_get_mark(arena);
    assert_ok(wf_arena_strdup(arena, "kept", &kept));
    wf_arena_mark outer = wf_arena_get_mark(arena);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 20; i++)
            assert_ok(wf_arena_strdup(arena, "something that fills chunks", &lost));
        wf_arena_reset(arena, outer);
        assert_string_equal(kept, "kept");
    }
    wf_arena_reset(arena, empty);
    wf_arena_destroy(&arena);
}

static void strings_are_copied(void **state)
{
    (void)state;
    wf_arena *arena;
    char text[] = "azure-conv";
    const char *whole, *part;
    char *heap;
    assert_ok(wf_arena_create(0, &arena));
    assert_ok(wf_arena_strdup(arena, text, &whole));
    assert_ok(wf_arena_strndup(arena, text, 5, &part));
    assert_ok(wf_strdup(text, &heap));
    memset(text, '!', sizeof text - 1);
    assert_string_equal(whole, "azure-conv");
    assert_string_equal(part, "azure");
    assert_string_equal(heap, "azure-conv");
    assert_int_equal(wf_arena_strndup(arena, text, SIZE_MAX, &part), WF_NO_MEMORY);
    free(heap);
    wf_arena_destroy(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(overflow_is_no_memory),
        cmocka_unit_test(heap_memory_is_zero_and_aligned),
        cmocka_unit_test(grow_keeps_and_zeroes),
        cmocka_unit_test(arena_blocks_do_not_overlap),
        cmocka_unit_test(marks_nest),
        cmocka_unit_test(strings_are_copied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
