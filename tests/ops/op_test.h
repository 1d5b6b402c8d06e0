// What the operation tests share: two back ends side by side, device tensors with sentinels round
// them and NaN in their padding, and packed batches over pages.
//
// A test program is run as `test_op_gemm <back end> [isa or dtype [name of tests, "*"]]`. The
// oracle is always "ref". For "cpu" without an isa the tests run once for each instruction set of
// this machine, for "cuda" without a dtype once for each dtype of activations. Buffers go through
// the back end's own alloc, upload and download, so the same program serves a device.
#ifndef WF_TESTS_OPS_OP_TEST_H
#define WF_TESTS_OPS_OP_TEST_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/backend.h"
#include "kernels/convert.h"

// The back ends under test; set before each group of tests runs.
typedef struct op_env {
    wf_backend *ref, *be;
    const char *name; // of `be`
    wf_dtype act;     // activations of `be`; inputs are rounded to it for both
} op_env;

extern op_env op;

// Runs the tests for argv's back end. Returns main's result; 77 where the back end is not there.
int op_main(int argc, char **argv, const struct CMUnitTest *tests, size_t n_tests);
#define OP_MAIN(argc, argv, tests) op_main(argc, argv, tests, sizeof(tests) / sizeof *(tests))

void op_ok(wf_status st); // fails the test with wf_error()

// Random numbers: element i of the sequence `seed`, uniform in [-1, 1), rounded to `dtype`.
float op_random(uint64_t seed, int64_t i, wf_dtype dtype);
int32_t op_random_int(uint64_t seed, int64_t i, int32_t n); // [0, n)

// Device memory that lives until the end of the test. op_put copies `data` into it.
void *op_put(wf_backend *be, const void *data, size_t bytes);
void op_get(wf_backend *be, void *data, const void *device, size_t bytes);
void op_release(void); // frees all of it; the teardown of every test

// A matrix on the device between two sentinels, with `pad` NaN columns after each row.
typedef struct op_tensor {
    wf_backend *be;
    wf_matrix view;
    float *values; // [n_rows][n_cols] on the host
    char *image;   // what the whole allocation held when it was last put or got
    char *device;
    size_t bytes;
} op_tensor;

// Elements are op_random(seed, i, act) where seed is not 0, else NaN (outputs).
op_tensor op_matrix(wf_backend *be, wf_dtype dtype, int64_t n_rows, int64_t n_cols, int64_t pad,
                    uint64_t seed);
// Downloads; fails the test where a sentinel or padding changed. Returns t->values.
const float *op_read(op_tensor *t);

// |got - want| <= abs + rel |want| for every element; `rel` grows to the rounding of `act`.
void op_expect_close(op_tensor *got, op_tensor *want, double abs, double rel);
void op_expect_same_bits(const float *got, const float *want, int64_t n);

// A weight of random elements in `dtype`.
wf_weight *op_weight(wf_backend *be, wf_dtype dtype, int64_t n_rows, int64_t n_cols, uint64_t seed);
// The same with scales and zero points where the shape has them, all of it random; values lie
// within
// [-3, 3).
wf_weight *op_weight_of(wf_backend *be, const wf_weight_shape *shape, uint64_t seed);

// Whether the back end under test says that it computes with weights in this format.
bool op_reads(wf_dtype dtype);

// The same, several matrices of a shape.
wf_weight *op_weights(wf_backend *be, wf_dtype dtype, int32_t n_groups, int64_t n_rows,
                      int64_t n_cols, uint64_t seed);

// f32 vector on the device, op_random(seed) + shift.
float *op_vector(wf_backend *be, int64_t n, uint64_t seed, float shift);

// One sequence of a packed batch.
typedef struct op_seq {
    int32_t past, n_new;
} op_seq;

// The batch of these sequences: row slots and pages in scrambled order, unused page-table entries
// poisoned. Sequence s has the same pages in every batch made with the same `first_id` + s.
wf_batch *op_batch(wf_backend *be, const op_seq *seqs, int32_t n_seqs, int32_t first_id,
                   int32_t page_tokens);
#define OP_MAX_PAGES 256 // pages of one sequence
#define OP_MAX_SEQS  16

// A KV cache with room for every sequence of op_batch, all NaN, then the past of each sequence
// filled with random numbers that depend on (first_id + s, position) alone.
wf_kv op_kv(wf_backend *be, wf_dtype dtype, int32_t page_tokens, int32_t n_kv_heads,
            int32_t head_dim, const op_seq *seqs, int32_t n_seqs, int32_t first_id);
size_t op_kv_bytes(const wf_kv *kv); // of the cache made last

#endif
