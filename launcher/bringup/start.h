// How this process was started, and what follows for its threads: decisions without side effects.
//
// Pure but for the look-up function. All Local.
#ifndef WF_LAUNCHER_START_H
#define WF_LAUNCHER_START_H

#include <stdbool.h>
#include <stddef.h>

typedef enum wf_start_kind {
    WF_START_ALONE,    // weft run ...
    WF_START_MPIRUN,   // mpirun, prterun ...
    WF_START_SRUN,     // srun --mpi=pmix
    WF_START_SRUN_BARE // srun of several tasks without an MPI plug-in: they cannot find each other
} wf_start_kind;

typedef struct wf_start {
    wf_start_kind kind;
    int rank; // as the starter says, before MPI is up; 0 when alone
} wf_start;

// How a variable is looked up; NULL where it is not set.
typedef const char *(*wf_start_getenv)(void *context, const char *name);

// `lookup` NULL: this process's environment.
wf_start wf_start_detect(wf_start_getenv lookup, void *context);

// What to type to start the same again: `line` with what stood before it, mpirun's own words where
// `mpirun` has them (else "mpirun" or "srun" and the number of ranks). Returns text.
char *wf_start_command(const wf_start *start, const char *mpirun, int n_ranks, const char *line,
                       char *text, size_t text_bytes);

// The words of the mpirun that started this process and is its parent, up to `program`, for a shell
// to read: "mpirun --oversubscribe -n 4". "" where there is none: alone, under srun, started by
// mpirun's daemon on another node. Returns text.
char *wf_start_mpirun(const char *program, char *text, size_t text_bytes);

// The same from a command line, words ended by NUL: "" if it is not mpirun's, or starts more than
// one program.
char *wf_start_mpirun_words(const char *line, size_t n, const char *program, char *text,
                            size_t text_bytes);

// What is known about the cores of a node and the ranks that share them.
typedef struct wf_thread_input {
    wf_start_kind kind;
    int n_cores;        // that the job may use on this node
    int n_bound;        // of them, those this process is bound to
    int local, n_local; // this rank among the ranks of the node
    int threads;        // parallel.threads; 0: auto
} wf_thread_input;

typedef struct wf_thread_plan {
    int threads;            // per rank, at least 1
    int bind_first, n_bind; // cores to bind to; n_bind 0: leave the binding as it is
} wf_thread_plan;

// Threads per rank = the node's cores divided by its ranks, each rank on cores of its own. A mask
// given by srun is kept, as the user's word; the narrow one that mpirun gives by default is not. A
// process that nobody bound and that is alone, or under mpirun, is not bound.
wf_thread_plan wf_threads_decide(const wf_thread_input *input);

// Threads that wait for work inside a step are to spin for microseconds, then sleep: on a node
// whose cores are shared (ranks, other jobs), a spinning thread keeps the one it waits for from
// running, and a step takes several times as long. The OpenMP library reads its settings when the
// program is loaded, so the program starts itself once more with them. Does nothing where the user
// has chosen (OMP_WAIT_POLICY, GOMP_SPINCOUNT); returns also when the restart fails. First thing in
// main.
void wf_start_calm(char **argv);

#endif
