// Sums and gathers among devices of one host that write into each other's memory.
//
//   every rank's region:  [pattern][gather: 2 halves][buffer 0][buffer 1][buffer 2]
//
// Each rank maps the regions of all others (CUDA IPC) and pushes what they need into them; nobody
// reads remote memory. The data is its own flag: a buffer holds all ones until its words arrive, a
// word of all ones (a NaN in every dtype) is sent as another NaN. So there is no barrier, no fence
// and no flag to wait for. Call e uses buffer e % 3 and clears the one of call e - 1: whoever can
// write there next has heard from us since. The call counter lives on the device, hence calls can
// be captured. Sums are taken in f32 in the order of engine/comm/comm.h, rounded once, and are the
// same bits on every rank whichever way they were computed.
//
// Two ways: one-shot (everybody gets everything: fewest steps) and two-shot (each rank sums a slice
// and sends it round: fewest bytes). No NVLink multicast. A kernel that waits longer than limit_ns
// for a peer says so in host memory and ends.
// Source of the buffers that clear themselves: TensorRT-LLM's Lamport all-reduce; after Lamport,
// "Concurrent reading and writing", CACM 20(11), 1977.
//
// All functions are Local; those marked [peers] must be called by all ranks in the same order.
// Errors: WF_DEVICE, WF_NO_MEMORY.
#ifndef WF_KERNELS_CUDA_PEERS_H
#define WF_KERNELS_CUDA_PEERS_H

#ifdef __cplusplus
extern "C" {
#endif

#include "kernels/backend.h"

#define WF_PEERS_MOST         8  // ranks
#define WF_PEERS_HANDLE_BYTES 64 // of a region, to be sent to the other processes
#define WF_PEERS_GATHER_BYTES 262144

typedef struct wf_peers wf_peers;

typedef enum wf_peers_way { WF_PEERS_ONE_SHOT, WF_PEERS_TWO_SHOT } wf_peers_way;

typedef struct wf_peers_config {
    int rank, size;
    size_t most_bytes; // longest all-reduce
    int64_t limit_ns;  // how long a kernel waits for a peer
} wf_peers_config;

// What a kernel that gave up left behind.
typedef struct wf_peers_trouble {
    int32_t happened;   // 0: all is well
    uint32_t missing;   // bit r: rank r's data had not come
    uint32_t call;      // all-reduces (or gathers) since the start
    int32_t was_gather; // 1: a gather, 0: a sum
} wf_peers_trouble;

// Makes this rank's region, about 6 * most_bytes. be (cuda) is borrowed. Caller owns *out.
wf_status wf_peers_create(wf_backend *be, const wf_peers_config *config, wf_peers **out);
// Maps the regions of all ranks: handles[r] is what wf_peers_handle gave rank r. WF_DEVICE where a
// device cannot be reached: another host, a device that this process does not see, no peer access.
wf_status wf_peers_handle(const wf_peers *p, void *handle);
wf_status wf_peers_open(wf_peers *p, const char (*handles)[WF_PEERS_HANDLE_BYTES]);
// Unmaps. Every rank must have unmapped before any destroys.
void wf_peers_close(wf_peers *p);
void wf_peers_destroy(wf_peers *p); // takes NULL

// Peer access can be granted and not work. All ranks write, meet, check, meet.
wf_status wf_peers_write_pattern(wf_peers *p);
wf_status wf_peers_check_pattern(wf_peers *p);

// [peers] data[i] = sum over ranks; data 16-byte aligned, at most most_bytes (one-shot: as
// wf_peers_fits says).
bool wf_peers_fits(const wf_peers *p, wf_peers_way way, const void *data, int64_t n, wf_dtype t);
wf_status wf_peers_all_reduce(wf_peers *p, wf_stream *s, wf_peers_way way, void *data, int64_t n,
                              wf_dtype dtype);

// [peers] x = sum over ranks of x; residual += x; y = rmsnorm of the residual: the bits of
// wf_peers_all_reduce and the back end's rmsnorm. x holds anything afterwards.
bool wf_peers_rmsnorm_fits(const wf_peers *p, wf_peers_way way, const wf_rmsnorm_args *a);
wf_status wf_peers_all_reduce_rmsnorm(wf_peers *p, wf_stream *s, wf_peers_way way,
                                      const wf_rmsnorm_args *a);

// [peers] recv[r * stride ...] = rank r's send; bytes and stride multiples of 4, bytes at most
// WF_PEERS_GATHER_BYTES.
wf_status wf_peers_all_gather(wf_peers *p, wf_stream *s, const void *send, size_t bytes, void *recv,
                              size_t stride);

// What the kernels reported so far.
wf_peers_trouble wf_peers_look(const wf_peers *p);

// out[i] = sum of parts[r][i] over r in the order of engine/comm/comm.h; parts [n_parts][n].
wf_status wf_cuda_sum_parts(wf_backend *be, wf_stream *s, const void *parts, int n_parts, int64_t n,
                            wf_dtype dtype, void *out);

#ifdef __cplusplus
}
#endif
#endif
