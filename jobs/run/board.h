// Which group takes which arriving request, decided as it arrives: the one that has least tokens to
// do. All groups see all arrivals in one order; whoever comes to one first decides it for all.
//
//   <out>/leases/r<run>/split    [ tokens outstanding of each group ] [ taker of each item ]
//                                mapped by every group's first rank, which are on one host
//
// An item is a request, or a session, by its number in the order of arrival. Outstanding are the
// prompt's tokens and those to generate at most, from the decision until the request has ended.
// All Local; take() by one thread, add() by any.
#ifndef WF_JOBS_RUN_BOARD_H
#define WF_JOBS_RUN_BOARD_H

#include <stdint.h>

#include "io/base/status.h"

typedef struct wf_board wf_board;

// Makes the run's board, or opens it where another group was first. WF_IO, WF_NO_MEMORY. own.
wf_status wf_board_open(const char *out_dir, int64_t run, int n_groups, uint64_t n_items,
                        wf_board **out);
void wf_board_close(wf_board **board); // NULL inside is fine

// The group that takes an item of n_tokens. Undecided, it is the one with least outstanding, of
// several the first; the tokens are its from now on. WF_IO.
wf_status wf_board_take(wf_board *board, uint64_t item, int64_t n_tokens, int *out_group);

// More tokens are outstanding at a group; below 0: have ended.
void wf_board_add(wf_board *board, int group, int64_t n_tokens);

#endif
