// See goodput_search.h.
#include "jobs/study/goodput_search.h"

#include <stdio.h>
#include <stdlib.h>

wf_status wf_goodput_search(size_t n, wf_goodput_probe probe, void *context, size_t *n_meet)
{
    bool meets = false;
    *n_meet = 0;
    if (n == 0) return WF_OK;
    WF_TRY(probe(context, 0, &meets));
    if (!meets) return WF_OK;
    size_t good = 0, bad = n; // bad: the first that is known not to meet them, or n
    if (n > 1) WF_TRY(probe(context, n - 1, &meets));
    if (n > 1 && !meets) bad = n - 1;
    if (meets) good = n - 1;
    while (bad - good > 1) {
        size_t middle = good + (bad - good) / 2;
        WF_TRY(probe(context, middle, &meets));
        if (meets)
            good = middle;
        else
            bad = middle;
    }
    *n_meet = good + 1;
    return WF_OK;
}

static double rounded(double value)
{
    char text[32];
    snprintf(text, sizeof text, "%.3g", value);
    return strtod(text, NULL);
}

size_t wf_goodput_loads(double low, double high, double ratio, size_t most, double *loads)
{
    size_t n = 0;
    double last = 0;
    for (double load = low; load < high; load *= ratio) {
        double value = rounded(load);
        if (value <= last || value >= high) continue; // a ratio below what three digits tell apart
        if (n < most) loads[n] = value;
        last = value;
        n++;
    }
    if (n < most) loads[n] = high;
    return n + 1;
}
