// Bytes and least times of steps. See plan_step.h.
#include "launcher/plan_step.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/text.h"
#include "jobs/layout/machine.h"
#include "launcher/machine_option.h"

#define GIB ((double)(1 << 30))

static void take(const wf_machine *m, const char *name, wf_plan_step *out)
{
    out->bytes_per_s = m->memory_rate;
    snprintf(out->machine, sizeof out->machine, "%s", name);
}

// "h200" is a word of "NVIDIA H200".
static bool holds_word(const char *device, const char *name)
{
    size_t n = strlen(name);
    for (const char *at = device; *at; at++) {
        size_t same = 0;
        while (same < n && tolower((unsigned char)at[same]) == name[same])
            same++;
        bool begins = at == device || !isalnum((unsigned char)at[-1]);
        if (same == n && begins && !isalnum((unsigned char)at[n])) return true;
    }
    return false;
}

wf_status wf_plan_step_ask(const wf_cli *cli, const char *device, wf_plan_step *out)
{
    wf_machine machine;
    char *text = NULL;
    *out = (wf_plan_step){0};
    if (wf_cli_has(cli, "machine")) {
        wf_status st = wf_machine_option(cli, &machine, &text);
        if (st == WF_OK) {
            take(&machine, wf_cli_value(cli, "machine"), out);
            wf_machine_free(&machine);
        }
        free(text);
        return st;
    }
    for (size_t i = 0; wf_machine_name(i) && !out->machine[0]; i++) {
        const wf_machine_source source = {.name = wf_machine_name(i)};
        if (!holds_word(device, source.name)) continue;
        WF_TRY(wf_machine_make(&source, &machine));
        take(&machine, source.name, out);
        wf_machine_free(&machine);
    }
    return WF_OK;
}

void wf_plan_step_print(const wf_plan_step *step, const wf_jobspec *spec, const wf_arch *arch,
                        const wf_numerics *num, int32_t n_tokens)
{
    static const int32_t rows[] = {1, 8, 64, 256};
    int32_t tp = spec->parallel.tensor;
    if (arch->encode.task != WF_TASK_GENERATE) return;
    bool experts = wf_arch_experts_touched(arch, 1) > 0;
    printf("steps     what one reads at least, per rank, of contexts of %d tokens%s", n_tokens,
           experts ? " and experts chosen evenly" : "");
    if (step->bytes_per_s > 0)
        printf("; %s reads %.0f GB/s\n", step->machine, step->bytes_per_s / 1e9);
    else
        printf("; --machine NAME says how long\n");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        wf_arch_step s = wf_arch_step_bytes(arch, num, tp, rows[i], n_tokens);
        double all = (double)(s.weights + s.experts + s.kv);
        printf("  %3d row%s  %10.3f GiB", rows[i], rows[i] == 1 ? " " : "s", all / GIB);
        if (step->bytes_per_s > 0) printf(", %.3f ms", all / step->bytes_per_s * 1e3);
        printf(": weights %.3f", (double)s.weights / GIB);
        if (experts) printf(", experts %.3f", (double)s.experts / GIB);
        printf(", KV %.3f\n", (double)s.kv / GIB);
    }
}
