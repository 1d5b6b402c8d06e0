// Finds the NCCL communicator in the module weft_cuda (comm_nccl.h).
#include "engine/comm/comm_nccl.h"
#include "kernels/cuda/module.h"

wf_status wf_comm_nccl_create(wf_comm *control, wf_backend *be, const wf_comm_nccl_config *config,
                              wf_comm **out)
{
    const wf_cuda_module *module;
    *out = NULL;
    WF_TRY(wf_cuda_module_get(&module));
    const wf_comm_nccl_module *nccl = module->comm;
    if (!nccl)
        return wf_fail(WF_NOT_BUILT,
                       "comm: " WF_CUDA_MODULE_FILE " was built without NCCL; install "
                       "its header (nccl.h) and build again with -DWEFT_CUDA=ON");
    return nccl->create(control, be, config, out);
}
