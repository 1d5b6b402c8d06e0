// Machines as a planner sees them: rates and sizes of one device, and of what joins them.
//
// A machine is a row, written as one writes a file of one's own (`weft plan --search --machine
// FILE.yaml`); both are read by the same table of keys, which refuses missing and absurd numbers.
// Pure; all Local.
#ifndef WF_JOBS_LAYOUT_MACHINE_H
#define WF_JOBS_LAYOUT_MACHINE_H

#include <stdbool.h>
#include <stddef.h>

#include "io/base/option.h"

// What matrices are multiplied in.
typedef enum wf_rate { WF_RATE_F32, WF_RATE_BF16, WF_RATE_INT8, WF_N_RATES } wf_rate;

// Weights in memory, and what is computed with them.
typedef struct wf_layout_format {
    const char *name;
    double weight_bytes, value_bytes; // of one weight; of one activation, key or value
    wf_rate rate;
    const char *dtype; // model.dtype of the job file; NULL: the engine has no such format
} wf_layout_format;

extern const wf_layout_format wf_layout_formats[]; // up to a row without a name
const wf_layout_format *wf_layout_format_find(const char *name);

// Rates are per second and device, in units (not tera or giga), one direction of a link.
typedef struct wf_machine {
    const char *name, *source; // where each number is from
    double flops[WF_N_RATES];  // 0: not computed in
    double memory_bytes, memory_rate;
    double link_rate;    // to the other devices of a node
    int node_devices;    // that are joined by it
    double network_rate; // beyond
    double hop_s;        // latency of one hop
    bool torus;          // a ring per axis, else a switch: log2(k) hops
    wf_options *keys;    // owns the texts
} wf_machine;

typedef struct wf_machine_source {
    const char *name;       // a row's name; NULL: all is in `text`
    const char *path;       // what `text` is called in messages
    const char *text;       // YAML of a user's own, or NULL
    const char *const *set; // [n_set] "link.bandwidth=300": over both
    size_t n_set;
} wf_machine_source;

// WF_CONFIG: no such machine (the message names all), a number missing or out of range (it names
// the key). Give *out to wf_machine_free.
wf_status wf_machine_make(const wf_machine_source *source, wf_machine *out);
void wf_machine_free(wf_machine *machine);

// Names of the rows, "tpu-v4, a100, ..."; the i-th name, NULL beyond the last.
char *wf_machine_names(char *text, size_t text_bytes);
const char *wf_machine_name(size_t i);

// The keys of a machine's file as text; own, free().
wf_status wf_machine_help(char **out);

#endif
