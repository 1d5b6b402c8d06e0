// weft doctor: is this machine, as a job would find it, right? Started as a job would be: alone,
// under mpirun, or under srun --mpi=pmix inside an allocation.
#include <stdlib.h>
#include <string.h>

#include "io/base/arena.h"
#include "io/base/log.h"
#include "io/base/text.h"
#include "launcher/bringup/start.h"
#include "launcher/commands.h"
#include "launcher/watch/doctor.h"

const wf_cli_option wf_doctor_options_table[] = {
    {"out", 'o', "DIR", "the folder that results would go to (the working folder)"},
    {"tensor", 't', "N", "ranks per group, as parallel.tensor (2)"},
    {"json", 'j', NULL, "as one JSON object"},
    {NULL, 0, NULL, NULL},
};

typedef struct {
    const wf_cli *cli;
    wf_world *world;
    wf_rank_place own, *place; // [world size]
    wf_measures mine, *all;    // [world size]
    wf_measure *flat;          // all of them
    size_t n_flat;
    wf_finding finding[WF_N_CHECKS];
    size_t n_findings;
} doctor;

// ---- measuring ----------------------------------------------------------------------------------

// Ranks and devices: what a job with parallel.backend: auto would do.
static wf_status devices_look(doctor *d, int *out_device)
{
    char remark[WF_DEVICE_REMARK] = "", where[96];
    wf_own_device own;
    int *device = NULL;
    WF_TRY(wf_alloc((size_t)d->world->size, sizeof *device, &device));
    wf_status st =
        wf_devices_take(d->world, d->world->local, WF_DEVICES_IF_ANY, device, &own, remark);
    *out_device = st == WF_OK ? own.number : -1;
    snprintf(where, sizeof where, "rank %d on %s", d->own.rank, d->own.host);
    bool broken = st == WF_OK && own.broken;
    if (st == WF_DEVICE || broken || (st == WF_OK && own.number >= 0)) {
        double good = st != WF_OK || broken ? 0 : remark[0] ? 0.5 : 1;
        wf_measure_add(&d->mine, WF_CHECK_DEVICES, good, where);
        wf_measure *last = &d->mine.item[d->mine.n - 1];
        snprintf(last->note, sizeof last->note, "%.150s",
                 st != WF_OK ? wf_error()
                 : broken    ? own.why
                             : remark);
    }
    if (st == WF_OK && own.number >= 0) {
        d->own.device = own.number;
        d->own.numa = own.numa;
        snprintf(d->own.gpu, sizeof d->own.gpu, "%.47s", own.name);
        snprintf(d->own.pci, sizeof d->own.pci, "%s", own.pci);
    }
    free(device);
    return st == WF_DEVICE ? WF_OK : st;
}

static wf_status measure(doctor *d)
{
    const char *dir = wf_cli_value(d->cli, "out");
    long long tensor = 2;
    int device = -1;
    WF_TRY(wf_cli_i64(d->cli, "tensor", 1, 1 << 20, 2, &tensor));
    wf_doctor_host(d->world, &d->own, &d->mine);
    WF_TRY(devices_look(d, &device));
    wf_doctor_locked(d->world, &d->own, &d->mine);
    WF_TRY(wf_doctor_folder(d->world, dir ? dir : ".", &d->mine));
    return wf_doctor_links(d->world, (int)tensor, device, &d->mine);
}

// ---- gathering ----------------------------------------------------------------------------------

// Whoever differs from rank 0 says what it has.
static void compare(doctor *d)
{
    char where[96];
    const wf_rank_place *first = &d->place[0];
    snprintf(where, sizeof where, "rank %d on %s", d->own.rank, d->own.host);
    if (d->world->size == 1) return;
    wf_measure_add(&d->mine, WF_CHECK_BINARY, d->own.binary == first->binary, where);
    bool same = d->own.libraries == first->libraries;
    wf_measure_add(&d->mine, WF_CHECK_LIBRARIES, same, where);
    if (same) return;
    wf_measure *last = &d->mine.item[d->mine.n - 1];
    snprintf(last->note, sizeof last->note, "%.150s", d->own.versions);
}

static wf_status gather(doctor *d)
{
    wf_comm *comm = d->world->comm;
    size_t n = (size_t)d->world->size;
    WF_TRY(wf_alloc(n, sizeof *d->place, &d->place));
    WF_TRY(wf_alloc(n, sizeof *d->all, &d->all));
    WF_TRY(comm->ops->all_gather(comm, NULL, &d->own, sizeof d->own, d->place));
    compare(d);
    WF_TRY(comm->ops->all_gather(comm, NULL, &d->mine, sizeof d->mine, d->all));
    WF_TRY(wf_alloc(n * WF_MEASURES_MAX, sizeof *d->flat, &d->flat));
    for (size_t r = 0; r < n; r++)
        for (int i = 0; i < d->all[r].n; i++)
            d->flat[d->n_flat++] = d->all[r].item[i];
    d->n_findings = wf_doctor_judge(d->flat, d->n_flat, d->finding);
    return WF_OK;
}

static size_t n_of(const doctor *d, wf_verdict verdict)
{
    size_t n = 0;
    for (size_t i = 0; i < d->n_findings; i++)
        n += d->finding[i].verdict == verdict;
    return n;
}

// ---- telling ------------------------------------------------------------------------------------

static void put_map(const doctor *d, wf_text *out)
{
    enum { SHOWN = 64 };
    wf_text_printf(out, "%d rank%s on %d node%s (%s)\n", d->world->size, WF_S(d->world->size),
                   d->world->n_nodes, WF_S(d->world->n_nodes), d->world->placement);
    wf_text_printf(out, "  %s\n", d->place[0].versions);
    wf_text_puts(out, "   rank host             local  cores         memory  device\n");
    for (int r = 0; r < d->world->size && r < SHOWN; r++) {
        const wf_rank_place *p = &d->place[r];
        wf_text_printf(out, "  %5d %-16s %5d  %-12s %5.1f G  ", p->rank, p->host, p->local,
                       p->cores, p->memory_gib);
        if (p->device < 0) {
            wf_text_puts(out, "-\n");
            continue;
        }
        wf_text_printf(out, "%d %s %s", p->device, p->gpu, p->pci);
        if (p->numa >= 0) wf_text_printf(out, " NUMA %d", p->numa);
        wf_text_puts(out, "\n");
    }
    if (d->world->size > SHOWN) wf_text_printf(out, "  ... and %d more\n", d->world->size - SHOWN);
}

static void put_changes(const doctor *d, wf_text *out)
{
    size_t n = n_of(d, WF_VERDICT_WARN) + n_of(d, WF_VERDICT_BAD);
    wf_text_puts(out, n > 0 ? "what to change\n" : "nothing to change\n");
    for (int verdict = WF_VERDICT_BAD; verdict >= WF_VERDICT_WARN; verdict--) {
        for (size_t i = 0; i < d->n_findings; i++) {
            const wf_finding *f = &d->finding[i];
            if ((int)f->verdict != verdict) continue;
            const char *advice = wf_check_advice(f);
            wf_text_printf(out, "  %-4s  %s: %s\n", wf_verdict_word(f->verdict), f->worst->place,
                           advice[0] ? advice : f->worst->note);
        }
    }
}

static wf_status print_text(const doctor *d)
{
    wf_text out = {0};
    char *text = NULL;
    put_map(d, &out);
    for (size_t i = 0; i < d->n_findings; i++)
        wf_finding_text(&d->finding[i], &out);
    put_changes(d, &out);
    WF_TRY(wf_text_take(&out, &text));
    fputs(text, stdout);
    free(text);
    return WF_OK;
}

static void put_place_json(const wf_rank_place *p, wf_json_writer *w)
{
    wf_json_open_object(w, NULL);
    wf_json_put_i64(w, "rank", p->rank);
    wf_json_put_string(w, "host", p->host);
    wf_json_put_i64(w, "node", p->node);
    wf_json_put_i64(w, "local", p->local);
    wf_json_put_string(w, "cores", p->cores);
    wf_json_put_f64(w, "memory_gib", p->memory_gib);
    wf_json_put_i64(w, "device", p->device);
    wf_json_put_string(w, "gpu", p->gpu);
    wf_json_put_string(w, "pci", p->pci);
    wf_json_put_i64(w, "numa", p->numa);
    wf_json_put_string(w, "versions", p->versions);
    wf_json_close(w);
}

static wf_status print_json(const doctor *d)
{
    wf_json_writer *w = NULL;
    const char *text = NULL;
    WF_TRY(wf_json_writer_create(2, &w));
    wf_json_open_object(w, NULL);
    wf_json_put_string(w, "placement", d->world->placement);
    wf_json_put_i64(w, "nodes", d->world->n_nodes);
    wf_json_put_i64(w, "warn", (int64_t)n_of(d, WF_VERDICT_WARN));
    wf_json_put_i64(w, "bad", (int64_t)n_of(d, WF_VERDICT_BAD));
    wf_json_open_array(w, "ranks");
    for (int r = 0; r < d->world->size; r++)
        put_place_json(&d->place[r], w);
    wf_json_close(w);
    wf_json_open_array(w, "checks");
    for (size_t i = 0; i < d->n_findings; i++)
        wf_finding_json(&d->finding[i], w);
    wf_json_close(w);
    wf_json_close(w);
    wf_status st = wf_json_writer_finish(w, &text, NULL);
    if (st == WF_OK) fputs(text, stdout);
    wf_json_writer_destroy(&w);
    return st;
}

static wf_status tell(const doctor *d)
{
    WF_TRY(wf_cli_has(d->cli, "json") ? print_json(d) : print_text(d));
    size_t n = n_of(d, WF_VERDICT_BAD);
    if (n == 0) return WF_OK;
    return wf_fail(WF_UNFIT, "%zu check%s %s bad: what to change stands above", n, WF_S(n),
                   n == 1 ? "is" : "are");
}

wf_status wf_cmd_doctor(const wf_cli *cli)
{
    doctor *d = NULL;
    wf_start start = wf_start_detect(NULL, NULL);
    WF_TRY(wf_alloc(1, sizeof *d, &d));
    d->cli = cli;
    if (start.kind != WF_START_ALONE) wf_log_set_rank(start.rank);
    wf_status st = wf_world_start(&start, &d->world);
    if (st == WF_OK) st = measure(d);
    if (st == WF_OK) st = gather(d);
    if (st == WF_OK && d->world->rank == 0) st = tell(d);
    wf_world_stop(&d->world);
    free(d->place);
    free(d->all);
    free(d->flat);
    free(d);
    return st;
}
