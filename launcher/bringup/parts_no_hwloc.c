// The launcher without hwloc: logical CPUs stand for cores, and nothing is bound. See parts.h.
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include "launcher/bringup/parts.h"

void wf_hwloc_version(char *text, size_t text_bytes)
{
    snprintf(text, text_bytes, "not built in");
}

wf_status wf_cores_count(const char *near, wf_cores *out)
{
    (void)near;
    cpu_set_t set;
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    out->n = n > 0 ? (int)n : 1;
    out->n_bound = out->n;
    if (sched_getaffinity(0, sizeof set, &set) == 0) out->n_bound = CPU_COUNT(&set);
    return WF_OK;
}

wf_status wf_cores_bind(const char *near, int first, int n)
{
    (void)near, (void)first, (void)n;
    return wf_fail(WF_NOT_BUILT, "binding to cores: hwloc is not built in");
}

char *wf_cores_bound(char *text, size_t text_bytes)
{
    if (text_bytes > 0) text[0] = '\0';
    return text;
}
