// PMIx: facts about placement, straight from whoever started the job. See parts.h.
#include <pmix.h>
#include <stdio.h>

#include "launcher/parts.h"

void wf_pmix_version(char *text, size_t text_bytes)
{
    snprintf(text, text_bytes, "%.*s", (int)text_bytes - 1, PMIx_Get_version());
    for (char *c = text; *c; c++) {
        if (*c == ',' || *c == '(' || *c == '\n') *c = '\0';
    }
}

bool wf_pmix_node(uint32_t *out)
{
    pmix_proc_t self;
    pmix_value_t *value = NULL;
    bool known = false;
    if (PMIx_Init(&self, NULL, 0) != PMIX_SUCCESS) return false;
    if (PMIx_Get(&self, PMIX_NODEID, NULL, 0, &value) == PMIX_SUCCESS && value) {
        known = value->type == PMIX_UINT32;
        if (known) *out = value->data.uint32;
        PMIX_VALUE_RELEASE(value);
    }
    PMIx_Finalize(NULL, 0);
    return known;
}
