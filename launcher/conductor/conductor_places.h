// Places: where ranks of a conducted job can run, who sits there, and where a lost group can go.
//
//   place 0 1 2 3 | 4 5 6 7          node 0 | node 1, four places each: a device, or a share of the
//         A A B B | C C - -          cores; a group of 2 that loses node 0's B finds 6 and 7
//
// A group goes back to where it was while that is good, else to one node with room, else across
// nodes in their order. Places of a dead node are bad for good; a place where a group has failed
// again and again is bad too. Pure. Local.
#ifndef WF_LAUNCHER_CONDUCTOR_PLACES_H
#define WF_LAUNCHER_CONDUCTOR_PLACES_H

#include <stdbool.h>

typedef struct wf_place {
    int node;  // from 0; places are ordered by node, then local
    int local; // index on its node: which device, which cores
    int group; // who sits here; -1: nobody
    bool bad;
} wf_place;

// Picks `tensor` free good places for a group, ascending; `was` [tensor] are those it had (-1s: it
// had none). False when there are not enough.
bool wf_places_pick(const wf_place *place, int n, int tensor, const int *was, int *out);

// Seats a group, or empties its seats (group -1 frees).
void wf_places_seat(wf_place *place, const int *seats, int tensor, int group);

// Could `tensor` places ever be had, if everybody left?
bool wf_places_enough(const wf_place *place, int n, int tensor);

#endif
