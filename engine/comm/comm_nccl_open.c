// Finds the NCCL communicator in the module weft_cuda (comm_nccl.h).
#include "engine/comm/comm_nccl.h"
#include "kernels/cuda/module.h"

static wf_status find(const wf_comm_nccl_module **out)
{
    const wf_cuda_module *module;
    WF_TRY(wf_cuda_module_get(&module));
    const wf_comm_nccl_module *found = module->comm;
    if (found && (found->config_bytes != sizeof(wf_comm_nccl_config) ||
                  found->ops_bytes != sizeof(wf_comm_ops)))
        return wf_fail(WF_MISMATCH, "comm: " WF_CUDA_MODULE_FILE " is of another build of weft; "
                                    "install both together");
    *out = found;
    if (found) return WF_OK;
    return wf_fail(WF_NOT_BUILT, "comm: " WF_CUDA_MODULE_FILE " was built without NCCL; install "
                                 "its header (nccl.h) and build again with -DWEFT_CUDA=ON");
}

wf_status wf_comm_nccl_create(wf_comm *control, wf_backend *be, const wf_comm_nccl_config *config,
                              wf_comm **out)
{
    const wf_comm_nccl_module *nccl = NULL;
    *out = NULL;
    WF_TRY(find(&nccl));
    return nccl->create(control, be, config, out);
}

wf_status wf_comm_nccl_version(char out[WF_COMM_NCCL_VERSION_MAX])
{
    const wf_comm_nccl_module *nccl = NULL;
    out[0] = '\0';
    WF_TRY(find(&nccl));
    return nccl->version(out);
}
