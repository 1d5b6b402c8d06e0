// Sliding attention. Within its window it is full attention: the context is cut to it.
#include "engine/arch_reader.h"

#include <string.h>

#include "io/base/log.h"

void wf_arch_read_windows(wf_arch_reader *r, wf_arch *a)
{
    bool use;
    int32_t window = 0;
    wf_json_ref types = wf_json_find(r->root, "layer_types");
    for (size_t i = 0; i < wf_json_count(types); i++) {
        const char *type;
        if (wf_arch_noted(r, wf_json_read_string(wf_json_at(types, i), &type))) return;
        if (strcmp(type, "full_attention") != 0 && strcmp(type, "sliding_attention") != 0) {
            wf_arch_noted(
                r, wf_json_fail(wf_json_at(types, i), "'%.32s' layers are not known here", type));
            return;
        }
    }
    wf_arch_read_flag_or(r, WF_KEY_USE_WINDOW, true, &use);
    if (!use || !wf_arch_has(r, WF_KEY_WINDOW)) return;
    wf_arch_read_size(r, WF_KEY_WINDOW, INT32_MAX, &window);
    if (window == 0 || window >= a->max_context) return;
    wf_warn("%s: the context is limited to the %d tokens of the model's sliding window, not %d",
            wf_hf_folder_path(r->folder), window, a->max_context);
    a->max_context = window;
}
