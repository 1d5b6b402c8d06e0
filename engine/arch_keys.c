// Keys of config.json that are refused.
#include "engine/arch_reader.h"

void wf_arch_check_keys(wf_arch_reader *r)
{
    if (wf_json_has(r->root, "quantization_config")) {
        wf_arch_noted(r,
                      wf_json_fail(wf_json_find(r->root, "quantization_config"),
                                   "quantised checkpoints are not read; use the float checkpoint"));
    }
}
