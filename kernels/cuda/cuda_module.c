// The module's entry, and what its code finds of the host's: errors and the log.
#include <stdio.h>

#include "io/base/log.h"
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/module.h"

// Set once by the entry, before anything else runs.
static const wf_cuda_host *host;

wf_status wf_fail_v(wf_status status, const char *format, va_list args)
{
    return host->fail_v(status, format, args);
}

wf_status wf_fail(wf_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    wf_status st = host->fail_v(status, format, args);
    va_end(args);
    return st;
}

const char *wf_error(void)
{
    return host->error();
}

void wf_log(wf_log_level level, const char *format, ...)
{
    char text[WF_ERROR_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    host->log((int)level, text);
}

// engine/comm/comm_nccl.c defines it where NCCL is there.
extern const void *wf_comm_nccl_module_get(void) __attribute__((weak));

__attribute__((visibility("default"))) const wf_cuda_module *
wf_cuda_module_enter(uint64_t version, const wf_cuda_host *given);

const wf_cuda_module *wf_cuda_module_enter(uint64_t version, const wf_cuda_host *given)
{
    static wf_cuda_module module;
    if (version != wf_cuda_module_version()) return NULL;
    host = given;
    module.backend = &wf_cuda_ops;
    module.list = wf_cuda_list_devices;
    module.comm = wf_comm_nccl_module_get != NULL ? wf_comm_nccl_module_get() : NULL;
    return &module;
}
