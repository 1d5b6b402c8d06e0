// The version of what the executable and the module exchange (module.h): FNV-1a over the names of
// operations and number formats and the sizes of all structs that cross. Compiled into both.
#include "kernels/cuda/module.h"

#define OP_TEXT(op, args)                               #op " " #args ";"
#define OP_BYTES(op, args)                              sizeof(args),
#define FORMAT_TEXT(name, words, long_words, bits, ...) #name " " #bits ";"

static uint64_t hash_of(uint64_t hash, const void *data, size_t n)
{
    const unsigned char *byte = data;
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ byte[i]) * UINT64_C(1099511628211);
    return hash;
}

uint64_t wf_cuda_module_version(void)
{
    static const char text[] = WEFT_VERSION ";" WF_OPS(OP_TEXT) WF_FORMATS(FORMAT_TEXT);
    static const size_t bytes[] = {WF_OPS(OP_BYTES) sizeof(wf_backend_ops),
                                   sizeof(wf_backend_config),
                                   sizeof(wf_backend_info),
                                   sizeof(wf_weight),
                                   sizeof(wf_weight_block),
                                   sizeof(wf_batch),
                                   sizeof(wf_kv),
                                   sizeof(wf_matrix),
                                   sizeof(wf_row_sampling),
                                   sizeof(wf_best),
                                   sizeof(wf_cuda_host),
                                   sizeof(wf_cuda_module),
                                   sizeof(wf_cuda_devices)};
    return hash_of(hash_of(UINT64_C(14695981039346656037), text, sizeof text), bytes, sizeof bytes);
}
