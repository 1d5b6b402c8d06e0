// Picking places. See conductor_places.h.
#include "launcher/conductor/conductor_places.h"

static bool is_free(const wf_place *p)
{
    return p->group < 0 && !p->bad;
}

static bool all_free(const wf_place *place, int n, int tensor, const int *seats)
{
    for (int i = 0; i < tensor; i++)
        if (seats[i] < 0 || seats[i] >= n || !is_free(&place[seats[i]])) return false;
    return true;
}

// The first `tensor` free places of one node (-1: of all nodes).
static bool take_first(const wf_place *place, int n, int tensor, int node, int *out)
{
    int n_out = 0;
    for (int i = 0; i < n && n_out < tensor; i++)
        if (is_free(&place[i]) && (node < 0 || place[i].node == node)) out[n_out++] = i;
    return n_out == tensor;
}

bool wf_places_pick(const wf_place *place, int n, int tensor, const int *was, int *out)
{
    if (all_free(place, n, tensor, was)) {
        for (int i = 0; i < tensor; i++)
            out[i] = was[i];
        return true;
    }
    int n_nodes = n > 0 ? place[n - 1].node + 1 : 0;
    for (int node = 0; node < n_nodes; node++)
        if (take_first(place, n, tensor, node, out)) return true;
    return take_first(place, n, tensor, -1, out);
}

void wf_places_seat(wf_place *place, const int *seats, int tensor, int group)
{
    for (int i = 0; i < tensor; i++)
        if (seats[i] >= 0) place[seats[i]].group = group;
}

bool wf_places_enough(const wf_place *place, int n, int tensor)
{
    int n_good = 0;
    for (int i = 0; i < n; i++)
        n_good += !place[i].bad;
    return n_good >= tensor;
}
