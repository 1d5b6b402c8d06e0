// The back ends by name.
#include "kernels/backend.h"

#include <string.h>

#include "kernels/cpu/cpu.h"
#include "kernels/cuda/module.h"
#include "kernels/ref/ref.h"

wf_status wf_backend_create(const char *name, const wf_backend_config *config, wf_backend **out)
{
    const wf_backend_ops *const built[] = {&wf_ref_ops, &wf_cpu_ops};
    for (size_t i = 0; i < sizeof built / sizeof *built; i++)
        if (strcmp(name, built[i]->name) == 0) return built[i]->create(config, out);
    if (strcmp(name, "cuda") == 0) {
        const wf_cuda_module *module;
        WF_TRY(wf_cuda_module_get(&module));
        return module->backend->create(config, out);
    }
    return wf_fail(WF_CONFIG,
                   "parallel.backend: no back end is called '%s'; there are ref, cpu "
                   "and cuda",
                   name);
}

void wf_backend_destroy(wf_backend *be)
{
    if (be != NULL) be->ops->destroy(be);
}
