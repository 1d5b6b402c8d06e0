// A model folder: config.json, generation_config.json, model.safetensors.index.json and the one
// file a.safetensors, with "%%\n" between them. Promises: a model that is accepted has sizes, and
// they come out the same however many ranks ask; every tensor of an accepted folder lies in its
// file.
#include "engine/model_arch.h"
#include "io/weights/hf_folder.h"
#include "tests/fuzz/fuzz.h"

static void arch_look(const wf_hf_folder *folder)
{
    wf_arch arch;
    wf_arch_memory memory;
    if (wf_arch_read(folder, false, &arch) != WF_OK) return;
    for (int32_t tp = 1; tp <= 8; tp++) {
        if (wf_arch_check_tp(&arch, tp) != WF_OK) continue;
        const wf_numerics num = wf_numerics_of(WF_BF16);
        wf_arch_bytes(&arch, &num, tp, 0, &memory);
        fuzz_must(wf_arch_vocab_slice(&arch, tp) > 0, "a rank has words");
    }
}

static void tensors_look(const wf_hf_folder *folder)
{
    size_t at;
    for (size_t i = 0; i < wf_hf_folder_count(folder); i++) {
        wf_hf_tensor t = wf_hf_folder_at(folder, i);
        fuzz_must(t.tensor->begin + t.tensor->bytes <= wf_safetensors_file_bytes(t.file),
                  "a tensor lies in its file");
        fuzz_must(wf_hf_folder_find(folder, t.tensor->name, &at) == WF_OK && at == i,
                  "a tensor is found by its name");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"config.json", "generation_config.json",
                                        "model.safetensors.index.json", "a.safetensors"};
    wf_hf_folder *folder = NULL;
    fuzz_folder_put(names, 4, data, size);
    if (wf_hf_folder_open(fuzz_folder(), false, &folder) == WF_OK) arch_look(folder);
    wf_hf_folder_close(&folder);
    if (wf_hf_folder_open(fuzz_folder(), true, &folder) == WF_OK) tensors_look(folder);
    wf_hf_folder_close(&folder);
    return 0;
}
