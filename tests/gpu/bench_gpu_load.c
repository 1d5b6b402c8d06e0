// Loading a checkpoint: how fast by how many reading threads, as CSV on standard output.
//
//   bench_gpu_load BACKEND FOLDER [THREADS ...]
//
// Each line is one whole load onto a fresh model. What was in the page cache shows in storage_mb.
#include <stdio.h>
#include <stdlib.h>

#include "engine/model.h"
#include "io/base/log.h"

static void must(wf_status st, const char *what)
{
    if (st == WF_OK) return;
    fprintf(stderr, "bench: %s: %s: %s\n", what, wf_status_name(st), wf_error());
    exit(wf_status_exit_code(st));
}

static void load(wf_backend *be, const wf_arch *arch, const wf_hf_folder *folder, int n_readers)
{
    wf_model *m = NULL;
    wf_model_config c = {.tp_size = 1, .dtype = WF_MODEL_DTYPE_AUTO, .n_readers = n_readers};
    must(wf_model_load(be, arch, folder, &c, &m), "load");
    double s = (double)m->report.load_ns * 1e-9, gb = (double)m->report.file_bytes * 1e-9;
    printf("load,%d,%.3f,%.3f,%.2f,%.1f\n", m->report.n_readers, gb, s, gb / s,
           (double)m->report.storage_bytes * 1e-6);
    fflush(stdout);
    wf_model_destroy(&m);
}

int main(int argc, char **argv)
{
    wf_backend *be = NULL;
    wf_hf_folder *folder = NULL;
    wf_arch arch;
    if (argc < 3) {
        fprintf(stderr, "usage: bench_gpu_load BACKEND FOLDER [THREADS ...]\n");
        return 64;
    }
    wf_log_set_level(WF_LOG_WARN);
    must(wf_hf_folder_open(argv[2], true, &folder), "model");
    must(wf_arch_read(folder, false, &arch), "model");
    wf_backend_config bc = {.numerics = wf_numerics_of(arch.dtype)};
    must(wf_backend_create(argv[1], &bc, &be), "back end");
    printf("what,threads,gb,s,gb_per_s,storage_mb\n");
    for (int i = 3; i < argc; i++)
        load(be, &arch, folder, atoi(argv[i]));
    wf_backend_destroy(be);
    wf_hf_folder_close(&folder);
    return 0;
}
