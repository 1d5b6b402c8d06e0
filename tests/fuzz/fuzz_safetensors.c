// A safetensors file. Promises: tensors lie in the file, in order and without overlap; their shape
// is their size; their bytes can be read.
#include <string.h>
#include <unistd.h>

#include "io/weights/safetensors.h"
#include "tests/fuzz/fuzz.h"

static uint64_t bytes_of(const wf_st_tensor *t)
{
    uint64_t n = wf_st_dtype_bytes(t->dtype);
    for (int d = 0; d < t->rank; d++) {
        fuzz_must(t->shape[d] >= 0, "a dimension is no less than nothing");
        n *= (uint64_t)t->shape[d];
    }
    return n;
}

static void tensors_look(const wf_safetensors *file)
{
    uint64_t at = wf_safetensors_data_begin(file);
    char words[64], byte;
    for (size_t i = 0; i < wf_safetensors_count(file); i++) {
        const wf_st_tensor *t = wf_safetensors_at(file, i);
        fuzz_must(t->begin == at && t->bytes == bytes_of(t), "tensors follow each other");
        fuzz_must(wf_safetensors_find(file, t->name) != NULL, "a tensor is found by its name");
        wf_st_shape_words(t, words, sizeof words);
        at += t->bytes;
        if (t->bytes == 0) continue;
        fuzz_must(wf_safetensors_read(file, t, t->bytes - 1, 1, &byte) == WF_OK,
                  "a tensor's last byte can be read");
    }
    fuzz_must(at == wf_safetensors_file_bytes(file), "tensors fill the file");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[FUZZ_PATH_MAX];
    wf_safetensors *file = NULL;
    int fd = fuzz_file(data, size, path);
    if (wf_safetensors_open(path, &file) == WF_OK) tensors_look(file);
    wf_safetensors_close(&file);
    close(fd);
    return 0;
}
