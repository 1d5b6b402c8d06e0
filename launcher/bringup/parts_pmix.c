// PMIx: facts about placement, straight from whoever started the job. See parts.h.
#include <pmix.h>
#include <stdio.h>
#include <string.h>

#include "launcher/bringup/parts.h"

void wf_pmix_version(char *text, size_t text_bytes)
{
    snprintf(text, text_bytes, "%.*s", (int)text_bytes - 1, PMIx_Get_version());
    for (char *c = text; *c; c++)
        if (*c == ',' || *c == '(' || *c == '\n') *c = '\0';
    for (size_t n = strlen(text); n > 0 && text[n - 1] == ' ';)
        text[--n] = '\0';
}

// A fact about this process, or (`of_job`) about all of its job.
static bool fact_get(const pmix_proc_t *self, bool of_job, const char *key, uint32_t *out)
{
    pmix_proc_t who = *self;
    pmix_value_t *value = NULL;
    if (of_job) who.rank = PMIX_RANK_WILDCARD;
    if (PMIx_Get(&who, key, NULL, 0, &value) != PMIX_SUCCESS || !value) return false;
    bool known = true;
    if (value->type == PMIX_UINT32)
        *out = value->data.uint32;
    else if (value->type == PMIX_UINT16)
        *out = value->data.uint16;
    else
        known = false;
    PMIX_VALUE_RELEASE(value);
    return known;
}

bool wf_pmix_place_get(wf_pmix_place *out)
{
    pmix_proc_t self;
    uint32_t local = 0;
    if (PMIx_Init(&self, NULL, 0) != PMIX_SUCCESS) return false;
    bool known = fact_get(&self, false, PMIX_NODEID, &out->node) &&
                 fact_get(&self, true, PMIX_JOB_SIZE, &out->job_size) &&
                 fact_get(&self, false, PMIX_LOCAL_RANK, &local) &&
                 fact_get(&self, true, PMIX_LOCAL_SIZE, &out->local_size);
    out->local_rank = (uint16_t)local;
    PMIx_Finalize(NULL, 0);
    return known;
}
