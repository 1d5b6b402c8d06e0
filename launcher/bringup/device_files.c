// GPUs by their files. See device_files.h.
#include "launcher/bringup/device_files.h"

#include <ctype.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/base/file.h"

// /dev/nvidia0, not /dev/nvidiactl. access() asks a job's device cgroup, as open() would.
static bool is_ours(const char *folder, const char *name)
{
    char path[PATH_MAX];
    if (strncmp(name, "nvidia", 6) != 0 || !isdigit((unsigned char)name[6])) return false;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return access(path, R_OK | W_OK) == 0;
}

int wf_device_files_count(const char *folder)
{
    wf_paths names = {0};
    int n = 0;
    if (!folder) folder = getenv("WEFT_DEV");
    if (!folder || !folder[0]) folder = "/dev";
    if (wf_file_list(folder, &names) != WF_OK) return 0;
    for (size_t i = 0; i < names.n; i++)
        n += is_ours(folder, names.item[i]);
    wf_paths_destroy(&names);
    return n;
}

int wf_devices_visible(const char *visible, int there)
{
    int n;
    if (!visible) return there;
    n = visible[0] != '\0' && visible[0] != '-';
    for (const char *c = visible; n > 0 && *c; c++)
        n += *c == ',';
    return n;
}
