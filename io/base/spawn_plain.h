// Starts a command that is not ours: with plain signals, in a process group of its own (a Ctrl-C at
// the terminal is ours), with nothing on its standard input. Local.
#ifndef WF_IO_BASE_SPAWN_PLAIN_H
#define WF_IO_BASE_SPAWN_PLAIN_H

#include <sys/types.h>

// argv ends with NULL; argv[0] is looked for on PATH. `out` and `err`, borrowed, become its
// standard output and error; -1: as ours. Returns 0, or the errno that says why it was not started.
int wf_spawn_plain(const char *const argv[], int out, int err, pid_t *pid);

#endif
