// What the parts of bench_gpu_kernels share: the back end, buffers, the clock and a row of the CSV.
#ifndef WF_TESTS_GPU_BENCH_H
#define WF_TESTS_GPU_BENCH_H

#include "kernels/backend.h"

extern wf_backend *be;
extern const wf_backend_ops *ops;
extern wf_stream *stream;
extern double copy_rate, flop_rate; // limits, per second

typedef struct timing {
    double median, least; // seconds per call
} timing;

void must(wf_status st); // ends the program with the error

void *device_bytes(size_t bytes);
void *device_ints(const int32_t *values, size_t n);
void drain(void); // waits for the stream

// run(data, i) queues call i; n_calls of them are captured and replayed. What a launch and a wait
// cost the host is taken off: the time of one replay is taken from that of three.
timing time_calls(void (*run)(void *data, int i), void *data, int n_calls);
// A row: `amount` of work a call, as a rate and as a share of the limit.
void report(const char *op, const char *shape, int64_t rows, timing t, double amount,
            const char *unit, double limit);

wf_weight *random_weights(wf_dtype dtype, int32_t n_groups, int64_t n, int64_t k);
wf_weight *random_weight(int64_t n, int64_t k);
wf_matrix random_matrix(int64_t n_rows, int64_t n_cols); // bf16

// Parts in files of their own (bench_attention.c).
void bench_decode(void);
void bench_prefill(void);
void bench_attention8(void);
void bench_asked(void);

#endif
