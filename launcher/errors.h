// How a failure is told to a person, once, and which exit code it ends in.
#ifndef WF_LAUNCHER_ERRORS_H
#define WF_LAUNCHER_ERRORS_H

#include <stdio.h>

// "weft run: <detail>" on stderr, unless this thread has no detail: then another rank speaks.
// `command` may be NULL. Local.
void wf_error_print(const char *command, int rank);

// The exit codes and their meanings, a line each.
void wf_exit_codes_print(FILE *file);

#endif
