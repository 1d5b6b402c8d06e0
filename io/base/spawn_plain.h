// Starts a command that is not ours: with plain signals, in a process group of its own (a Ctrl-C at
// the terminal is ours). Local.
#ifndef WF_IO_BASE_SPAWN_PLAIN_H
#define WF_IO_BASE_SPAWN_PLAIN_H

#include <sys/types.h>

// argv ends with NULL; argv[0] is looked for on PATH. `in`, `out` and `err`, borrowed, become its
// standard input, output and error; -1: nothing to read, the others as ours. Returns 0, or the
// errno that says why it was not started.
int wf_spawn_plain(const char *const argv[], int in, int out, int err, pid_t *pid);

#endif
