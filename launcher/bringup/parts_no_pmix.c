// The launcher without PMIx: placement is found by MPI. See parts.h.
#include <stdio.h>

#include "launcher/bringup/parts.h"

void wf_pmix_version(char *text, size_t text_bytes)
{
    snprintf(text, text_bytes, "not built in");
}

bool wf_pmix_place_get(wf_pmix_place *out)
{
    (void)out;
    return false;
}
