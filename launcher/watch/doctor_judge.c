// The table of checks, judged and put into words. Pure. See doctor.h.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "launcher/watch/doctor.h"

typedef enum { LOW, HIGH } better_way;

typedef struct {
    const char *name, *unit;
    better_way better;
    double fine, bad;
    const char *source, *advice;
} check_row;

static const check_row checks[] = {
#define CHECK_ROW(id, name, unit, better, fine, bad, source, advice)                               \
    {name, unit, better, fine, bad, source, advice},
    WF_CHECK_TABLE(CHECK_ROW)
#undef CHECK_ROW
};

void wf_measure_add(wf_measures *m, wf_check check, double value, const char *place)
{
    if (m->n >= WF_MEASURES_MAX) return;
    wf_measure *item = &m->item[m->n++];
    *item = (wf_measure){.check = (int32_t)check, .judged = 1, .value = value};
    snprintf(item->place, sizeof item->place, "%s", place);
}

static bool is_share(const check_row *row)
{
    return strcmp(row->unit, "x") == 0;
}

// The value as it is judged; NaN where there is nothing to judge by.
static double judged_value(const wf_measure *m)
{
    const check_row *row = &checks[m->check];
    if (!m->judged || (is_share(row) && m->reference <= 0)) return NAN;
    return is_share(row) ? m->value / m->reference : m->value;
}

static wf_verdict verdict_of(const wf_measure *m)
{
    const check_row *row = &checks[m->check];
    double value = judged_value(m);
    if (isnan(value)) return WF_VERDICT_OK;
    if (row->better == LOW) {
        return value <= row->fine ? WF_VERDICT_OK
               : value < row->bad ? WF_VERDICT_WARN
                                  : WF_VERDICT_BAD;
    }
    return value >= row->fine ? WF_VERDICT_OK : value > row->bad ? WF_VERDICT_WARN : WF_VERDICT_BAD;
}

static bool is_worse(const wf_measure *m, const wf_measure *than)
{
    double a = judged_value(m), b = judged_value(than);
    if (isnan(a) || isnan(b)) return isnan(b) && !isnan(a);
    return checks[m->check].better == LOW ? a > b : a < b;
}

size_t wf_doctor_judge(const wf_measure *measures, size_t n, wf_finding out[WF_N_CHECKS])
{
    size_t n_out = 0;
    for (int check = 0; check < WF_N_CHECKS; check++) {
        wf_finding f = {.check = (wf_check)check};
        for (size_t i = 0; i < n; i++) {
            if (measures[i].check != check) continue;
            if (!f.worst || is_worse(&measures[i], f.worst)) f.worst = &measures[i];
            f.n++;
        }
        if (!f.worst) continue;
        f.verdict = verdict_of(f.worst);
        out[n_out++] = f;
    }
    return n_out;
}

const char *wf_verdict_word(wf_verdict verdict)
{
    static const char *const words[] = {"ok", "warn", "BAD"};
    return words[verdict];
}

// Of units only "cores" has a singular: the others are symbols.
static int unit_length(const char *unit, double value)
{
    bool singular = value == 1 && strcmp(unit, "cores") == 0;
    return (int)strlen(unit) - singular;
}

static char *amount(const check_row *row, double value, char text[48])
{
    const char *unit = is_share(row) ? "GB/s" : row->unit;
    if (!unit[0])
        snprintf(text, 48, "%s", value >= 1 ? "yes" : value > 0 ? "in part" : "no");
    else if (isinf(value))
        snprintf(text, 48, "no limit");
    else if (value >= 1000)
        snprintf(text, 48, "%.0f %s", value, unit);
    else if (value < 0.001)
        snprintf(text, 48, "0 %s", unit);
    else
        snprintf(text, 48, "%.3g %.*s", value, unit_length(unit, value), unit);
    return text;
}

static char *expectation(const wf_finding *f, char text[64])
{
    const check_row *row = &checks[f->check];
    double fine = is_share(row) ? row->fine * f->worst->reference : row->fine;
    char number[48];
    if (isnan(judged_value(f->worst)))
        snprintf(text, 64, "nothing known");
    else if (!row->unit[0])
        snprintf(text, 64, "yes");
    else
        snprintf(text, 64, "%s %s", row->better == LOW ? "at most" : "at least",
                 amount(row, fine, number));
    return text;
}

void wf_finding_text(const wf_finding *f, wf_text *out)
{
    const check_row *row = &checks[f->check];
    char value[48], expected[64];
    wf_text_printf(out, "%-4s  %-40s %-14s (%s)", wf_verdict_word(f->verdict), row->name,
                   amount(row, f->worst->value, value), expectation(f, expected));
    if (f->verdict != WF_VERDICT_OK) wf_text_printf(out, "  %s", f->worst->place);
    if (f->worst->note[0]) wf_text_printf(out, "; %s", f->worst->note);
    wf_text_puts(out, "\n");
}

const char *wf_check_advice(const wf_finding *f)
{
    return checks[f->check].advice;
}

void wf_finding_json(const wf_finding *f, wf_json_writer *w)
{
    const check_row *row = &checks[f->check];
    char expected[64];
    wf_json_open_object(w, NULL);
    wf_json_put_string(w, "check", row->name);
    wf_json_put_string(w, "verdict",
                       f->verdict == WF_VERDICT_BAD ? "bad" : wf_verdict_word(f->verdict));
    wf_json_put_f64(w, "measured", f->worst->value);
    wf_json_put_string(w, "unit", is_share(row) ? "GB/s" : row->unit);
    wf_json_put_string(w, "expected", expectation(f, expected));
    wf_json_put_string(w, "source", row->source);
    wf_json_put_string(w, "place", f->worst->place);
    wf_json_put_string(w, "note", f->worst->note);
    wf_json_put_i64(w, "measures", (int64_t)f->n);
    wf_json_put_string(w, "advice", f->verdict == WF_VERDICT_OK ? "" : row->advice);
    wf_json_close(w);
}
