// Finds and opens the module weft_cuda (module.h).
#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/base/log.h"
#include "kernels/cuda/module.h"

static void host_log(int level, const char *text)
{
    wf_log((wf_log_level)level, "%s", text);
}

static const wf_cuda_host host = {
    .fail_v = wf_fail_v,
    .error = wf_error,
    .log = host_log,
};

// The folder of the running program, without the slash.
static bool program_folder(char out[PATH_MAX])
{
    ssize_t n = readlink("/proc/self/exe", out, PATH_MAX - 1);
    if (n <= 0) return false;
    out[n] = '\0';
    char *slash = strrchr(out, '/');
    if (slash == NULL) return false;
    *slash = '\0';
    return true;
}

// The module's path: where it was said to be, beside the program, where an installation has it, or
// one or two folders up (programs of a build tree's sub-folders). Empty: nowhere.
static void find_file(char out[PATH_MAX])
{
    char folder[PATH_MAX];
    const char *said = getenv("WEFT_MODULE_DIR");
    if (said != NULL && said[0] != '\0') {
        snprintf(out, PATH_MAX, "%s/%s", said, WF_CUDA_MODULE_FILE);
        if (access(out, R_OK) == 0) return;
    } else if (program_folder(folder)) {
        static const char *const places[] = {"", "/../lib/weft", "/../lib", "/..", "/../.."};
        for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
            int n = snprintf(out, PATH_MAX, "%s%s/%s", folder, places[i], WF_CUDA_MODULE_FILE);
            if (n > 0 && n < PATH_MAX && access(out, R_OK) == 0) return;
        }
    }
    out[0] = '\0';
}

// A machine without a driver is told apart from a broken module: the driver is looked for first.
static wf_status probe_driver(void)
{
    void *driver = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL);
    char name[HOST_NAME_MAX + 1] = "this host";
    if (driver != NULL) return WF_OK; // kept open: cudart takes the same one
    (void)gethostname(name, sizeof name - 1);
    return wf_fail(WF_DEVICE,
                   "parallel.backend: %s has no CUDA driver (libcuda.so.1 not found); run on a GPU "
                   "node (sbatch --gpus-per-node) or set parallel.backend: cpu",
                   name);
}

static wf_status open_module(const wf_cuda_module **out)
{
    char path[PATH_MAX];
    find_file(path);
    if (path[0] == '\0')
        return wf_fail(WF_NOT_BUILT,
                       "parallel.backend: cuda is not built: no " WF_CUDA_MODULE_FILE
                       " beside this program, in ../lib/weft from there, or in WEFT_MODULE_DIR; "
                       "install it, or configure with -DWEFT_CUDA=ON where the CUDA toolkit is");
    WF_TRY(probe_driver());
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (module == NULL)
        return wf_fail(WF_DEVICE,
                       "%s: cannot be opened: %s; load the CUDA toolkit it was built with "
                       "(module load cuda) or set LD_LIBRARY_PATH",
                       path, dlerror());
    wf_cuda_module_enter_fn *entry = NULL;
    *(void **)&entry = dlsym(module, WF_CUDA_MODULE_ENTRY);
    const wf_cuda_module *found = entry != NULL ? entry(wf_cuda_module_version(), &host) : NULL;
    if (found == NULL) {
        dlclose(module);
        return wf_fail(WF_MISMATCH, "%s: is of another build of weft; install both together", path);
    }
    *out = found; // never closed: its threads and contexts live as long as the process
    return WF_OK;
}

wf_status wf_cuda_module_get(const wf_cuda_module **out)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static const wf_cuda_module *opened;
    pthread_mutex_lock(&lock);
    wf_status st = opened != NULL ? WF_OK : open_module(&opened);
    *out = opened;
    pthread_mutex_unlock(&lock);
    return st;
}

wf_status wf_cuda_module_backend(const wf_backend_ops **out)
{
    const wf_cuda_module *module = NULL;
    WF_TRY(wf_cuda_module_get(&module));
    *out = module->backend;
    return WF_OK;
}

wf_status wf_cuda_list(wf_cuda_devices *out)
{
    const wf_cuda_module *module = NULL;
    WF_TRY(wf_cuda_module_get(&module));
    return module->list(out);
}
