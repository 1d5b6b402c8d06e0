// Machines: rows and the keys that they are made of. See machine.h.
#include "jobs/layout/machine.h"

#include <stdio.h>
#include <string.h>

#include "io/base/text.h"

const wf_layout_format wf_layout_formats[] = {
    {"f32", 4, 4, WF_RATE_F32, "f32"},  {"bf16", 2, 2, WF_RATE_BF16, "bf16"},
    {"int8", 1, 2, WF_RATE_BF16, NULL}, // weights alone, as in the paper
    {"w8a8", 1, 2, WF_RATE_INT8, NULL}, {NULL, 0, 0, WF_RATE_F32, NULL},
};

const wf_layout_format *wf_layout_format_find(const char *name)
{
    for (const wf_layout_format *f = wf_layout_formats; f->name; f++)
        if (strcmp(f->name, name) == 0) return f;
    return NULL;
}

// As people write machines down: TFLOP/s, GB, GB/s, microseconds.
typedef struct {
    const char *name, *source;
    enum { SWITCH, TORUS } topology;
    double f32, bf16, int8, memory, memory_rate, link, network, hop;
    int node_devices;
} keys;

static const wf_option_word topologies[] = {{"switch", SWITCH}, {"torus", TORUS}, {NULL, 0}};

#define NUMBER(key, field, least, most, what, otherwise, text)                                     \
    {.name = key,                                                                                  \
     .type = WF_OPTION_F64,                                                                        \
     .offset = offsetof(keys, field),                                                              \
     .min = least,                                                                                 \
     .max = most,                                                                                  \
     .unit = what,                                                                                 \
     .default_text = otherwise,                                                                    \
     .example = "1",                                                                               \
     .help = text}

static const wf_option table[] = {
    {.name = "name",
     .type = WF_OPTION_STRING,
     .offset = offsetof(keys, name),
     .default_text = NULL,
     .example = "mine",
     .help = "what it is called"},
    {.name = "source",
     .type = WF_OPTION_STRING,
     .offset = offsetof(keys, source),
     .default_text = NULL,
     .example = "data sheet",
     .help = "where each number is from"},
    NUMBER("flops.f32", f32, 0, 1e5, "TFLOP/s", "0", "peak rate in f32; 0: not computed in"),
    NUMBER("flops.bf16", bf16, 0.001, 1e5, "TFLOP/s", NULL, "peak rate in bf16, without sparsity"),
    NUMBER("flops.int8", int8, 0, 1e5, "TOP/s", "0", "peak rate in int8; 0: not computed in"),
    NUMBER("memory.size", memory, 0.1, 1e5, "GB", NULL, "memory of one device, 1e9 bytes each"),
    NUMBER("memory.bandwidth", memory_rate, 1, 1e6, "GB/s", NULL, "of one device's memory"),
    NUMBER("link.bandwidth", link, 0.01, 1e5, "GB/s", NULL,
           "of one device to the others of its node, all its links together, one direction"),
    NUMBER("link.hop", hop, 0, 1e5, "us", NULL, "latency of one hop"),
    {.name = "link.node_devices",
     .type = WF_OPTION_I32,
     .offset = offsetof(keys, node_devices),
     .min = 1,
     .max = 65536,
     .unit = "devices",
     .default_text = NULL,
     .example = "8",
     .help = "that these links join; others are reached over the network"},
    {.name = "link.topology",
     .type = WF_OPTION_ENUM,
     .offset = offsetof(keys, topology),
     .words = topologies,
     .default_text = "switch",
     .help = "switch, or torus: a ring along each of three axes"},
    NUMBER("network.bandwidth", network, 0.001, 1e5, "GB/s", NULL,
           "of one device to other nodes, one direction"),
};

enum { N_KEYS = sizeof table / sizeof table[0] };

#define ASSUMED "; hop latency and network: assumed"

// Peak rates are the makers' without sparsity; links count one direction.
static const struct {
    const char *name, *yaml;
} rows[] = {
    {"tpu-v4", "name: TPU v4\n"
               "source: 'Pope et al. 2022, section 4: 275 TFLOP/s, 32 GiB, 1200 GB/s, 270 GB/s'\n"
               "flops: {bf16: 275, int8: 275}\nmemory: {size: 34.359738368, bandwidth: 1200}\n"
               "link: {bandwidth: 270, hop: 1, node_devices: 4096, topology: torus}\n"
               "network: {bandwidth: 25}\n"},
    {"a100", "name: NVIDIA A100 SXM 80 GB\nsource: 'NVIDIA A100 data sheet" ASSUMED "'\n"
             "flops: {f32: 19.5, bf16: 312, int8: 624}\nmemory: {size: 80, bandwidth: 2039}\n"
             "link: {bandwidth: 300, hop: 2, node_devices: 8}\nnetwork: {bandwidth: 25}\n"},
    {"h100", "name: NVIDIA H100 SXM 80 GB\nsource: 'NVIDIA H100 data sheet" ASSUMED "'\n"
             "flops: {f32: 67, bf16: 989, int8: 1979}\nmemory: {size: 80, bandwidth: 3350}\n"
             "link: {bandwidth: 450, hop: 2, node_devices: 8}\nnetwork: {bandwidth: 50}\n"},
    {"h200", "name: NVIDIA H200 SXM 141 GB\nsource: 'NVIDIA H200 data sheet" ASSUMED "'\n"
             "flops: {f32: 67, bf16: 989, int8: 1979}\nmemory: {size: 141, bandwidth: 4800}\n"
             "link: {bandwidth: 450, hop: 2, node_devices: 8}\nnetwork: {bandwidth: 50}\n"},
    {"h200-measured",
     "name: NVIDIA H200 as measured\n"
     "source: 'results/studies/gpu-models: copies 3.94 TB/s, GEMM 770 TFLOP/s; links and hops from "
     "sums over 4 GPUs; network: assumed'\n"
     "flops: {f32: 67, bf16: 770, int8: 1979}\nmemory: {size: 140, bandwidth: 3940}\n"
     "link: {bandwidth: 310, hop: 0.8, node_devices: 8}\nnetwork: {bandwidth: 50}\n"},
    {"mi300x", "name: AMD Instinct MI300X 192 GB\nsource: 'AMD MI300X data sheet" ASSUMED "'\n"
               "flops: {f32: 163.4, bf16: 1307, int8: 2614}\nmemory: {size: 192, bandwidth: 5300}\n"
               "link: {bandwidth: 448, hop: 2, node_devices: 8}\nnetwork: {bandwidth: 50}\n"},
    {"cpu", "name: 'a socket with 96 cores (AMD EPYC 9654), two to a node'\n"
            "source: 'computed: 96 cores x 2.4 GHz x 32 f32 operations, 12 channels DDR5-4800; "
            "memory, links, hop latency and network: assumed'\n"
            "flops: {f32: 7.4, bf16: 14.7, int8: 29.5}\nmemory: {size: 384, bandwidth: 460.8}\n"
            "link: {bandwidth: 64, hop: 2, node_devices: 2}\nnetwork: {bandwidth: 25}\n"},
};

enum { N_MACHINES = sizeof rows / sizeof rows[0] };

const char *wf_machine_name(size_t i)
{
    return i < N_MACHINES ? rows[i].name : NULL;
}

char *wf_machine_names(char *text, size_t text_bytes)
{
    size_t at = 0;
    text[0] = '\0';
    for (size_t i = 0; i < N_MACHINES && at < text_bytes; i++)
        at += (size_t)snprintf(text + at, text_bytes - at, "%s%s", i ? ", " : "", rows[i].name);
    return text;
}

wf_status wf_machine_help(char **out)
{
    return wf_option_help(table, N_KEYS, "", out);
}

static void convert(const keys *k, wf_options *options, wf_machine *out)
{
    *out = (wf_machine){.name = k->name,
                        .source = k->source,
                        .flops = {k->f32 * 1e12, k->bf16 * 1e12, k->int8 * 1e12},
                        .memory_bytes = k->memory * 1e9,
                        .memory_rate = k->memory_rate * 1e9,
                        .link_rate = k->link * 1e9,
                        .node_devices = k->node_devices,
                        .network_rate = k->network * 1e9,
                        .hop_s = k->hop * 1e-6,
                        .torus = k->topology == TORUS,
                        .keys = options};
}

static wf_status apply_row(wf_options *options, const char *name)
{
    char names[128];
    for (size_t i = 0; i < N_MACHINES; i++)
        if (strcmp(rows[i].name, name) == 0)
            return wf_options_apply_yaml(options, name, rows[i].yaml, strlen(rows[i].yaml));
    return wf_fail(WF_CONFIG,
                   "machine \"%s\": there is no such row; known: %s; or name a .yaml file", name,
                   wf_machine_names(names, sizeof names));
}

static wf_status apply(wf_options *options, const wf_machine_source *source)
{
    if (source->name) WF_TRY(apply_row(options, source->name));
    if (source->text)
        WF_TRY(wf_options_apply_yaml(options, source->path, source->text, strlen(source->text)));
    for (size_t i = 0; i < source->n_set; i++)
        WF_TRY(wf_options_apply_set(options, source->set[i]));
    return wf_options_finish(options);
}

wf_status wf_machine_make(const wf_machine_source *source, wf_machine *out)
{
    keys k = {0};
    wf_options *options = NULL;
    *out = (wf_machine){0};
    WF_TRY(wf_options_create(table, N_KEYS, &k, &options));
    wf_status st = apply(options, source);
    if (st == WF_OK)
        convert(&k, options, out);
    else
        wf_options_destroy(&options);
    return st;
}

void wf_machine_free(wf_machine *machine)
{
    wf_options_destroy(&machine->keys);
    *machine = (wf_machine){0};
}
