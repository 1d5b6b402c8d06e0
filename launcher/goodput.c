// See goodput.h.
#include "launcher/goodput.h"

#include <stdio.h>
#include <string.h>

#include "io/base/parse.h"

wf_status wf_goodput_parse(const char *text, wf_goodput_limits *out)
{
    const struct {
        const char *name;
        int64_t *ns;
    } limits[] = {{"ttft:", &out->ttft_ns}, {"tpot:", &out->tpot_ns}, {"e2el:", &out->e2el_ns}};
    const char *at = text ? text + strspn(text, ", ") : "";
    while (*at) {
        char number[32];
        double ms = 0;
        size_t n = strcspn(at, ", "), k = 0;
        while (k < 3 && strncmp(at, limits[k].name, strlen(limits[k].name)) != 0)
            k++;
        if (k == 3 || n - 5 >= sizeof number)
            return wf_fail(WF_USAGE, "'%.*s': ttft:MS, tpot:MS or e2el:MS", (int)n, at);
        snprintf(number, sizeof number, "%.*s", (int)n - 5, at + 5);
        if (wf_parse_f64(number, 1e-6, 1e9, &ms) != WF_OK) {
            char why[WF_ERROR_MAX];
            snprintf(why, sizeof why, "%s", wf_error());
            return wf_fail(WF_USAGE, "'%.*s': %.900s", (int)n, at, why);
        }
        *limits[k].ns = (int64_t)(ms * 1e6 + 0.5);
        at += n + strspn(at + n, ", ");
    }
    return WF_OK;
}
