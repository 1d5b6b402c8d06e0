// See hf_stranger.h.
#include "io/weights/hf_stranger.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "io/base/text.h"

#define ONLY "only Hugging Face folders with safetensors are read; "
#define GGUF "a GGUF file (llama.cpp); " ONLY "take the model's original folder"
#define LORA                                                                                       \
    "a LoRA adapter; merge it into its model first (peft: merge_and_unload, save_pretrained)"
#define NATIVE                                                                                     \
    "the maker's own format; " ONLY "take the folder that holds config.json and "                  \
    "model*.safetensors"
#define PICKLE                                                                                     \
    "PyTorch's .bin files; " ONLY "convert them with save_pretrained(..., "                        \
    "safe_serialization=True)"
#define NO_INDEX                                                                                   \
    "files of a checkpoint without its model.safetensors.index.json; download it as well"

// By the beginning and the end of a file's name, the first that fits. Two rows of one kind may
// stand for different makers.
static const struct {
    const char *begin, *end, *words;
} kinds[] = {
    {"adapter_config", ".json", LORA},
    {"adapter_model", ".safetensors", LORA},
    {"", ".gguf", GGUF},
    {"consolidated", ".safetensors", NATIVE},
    {"consolidated", ".pth", NATIVE},
    {"params", ".json", NATIVE},
    {"pytorch_model", ".bin", PICKLE},
    {"pytorch_model", ".bin.index.json", PICKLE},
    {"model-", ".safetensors", NO_INDEX},
};
enum { N_KINDS = sizeof kinds / sizeof *kinds };

static int kind_of(const char *name)
{
    int i = 0;
    while (i < N_KINDS && !(strncmp(name, kinds[i].begin, strlen(kinds[i].begin)) == 0 &&
                            wf_text_ends_with(name, kinds[i].end)))
        i++;
    return i;
}

const char *wf_hf_stranger(const char *path)
{
    const char *slash = strrchr(path, '/');
    int best = kind_of(slash ? slash + 1 : path);
    DIR *dir = opendir(path);
    if (dir) best = N_KINDS;
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        int kind = kind_of(entry->d_name);
        if (kind < best) best = kind;
    }
    if (dir) closedir(dir);
    return best < N_KINDS ? kinds[best].words : NULL;
}

bool wf_hf_is_lfs_pointer(const char *path)
{
    static const char begin[] = "version https://git-lfs.github.com/spec/";
    char text[sizeof begin - 1];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    bool is = read(fd, text, sizeof text) == (ssize_t)sizeof text &&
              memcmp(text, begin, sizeof text) == 0;
    close(fd);
    return is;
}

const char *wf_hf_strange_tensor(const char *name)
{
    static const struct {
        const char *end, *words;
    } ends[] = {
        {".qweight", "a quantised checkpoint (GPTQ or AWQ)"},
        {".qzeros", "a quantised checkpoint (GPTQ or AWQ)"},
        {".g_idx", "a quantised checkpoint (GPTQ)"},
        {".absmax", "a quantised checkpoint (bitsandbytes)"},
        {".SCB", "a quantised checkpoint (bitsandbytes)"},
        {".weight_scale", "a quantised checkpoint (FP8 or compressed-tensors)"},
        {".weight_scale_inv", "a quantised checkpoint (FP8)"},
        {".weight_packed", "a quantised checkpoint (compressed-tensors)"},
        {".lora_A.weight", "a LoRA adapter"},
        {".lora_B.weight", "a LoRA adapter"},
    };
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (wf_text_ends_with(name, ends[i].end)) return ends[i].words;
    return NULL;
}
