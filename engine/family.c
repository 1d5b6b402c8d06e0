// The table of model families, put together of its kinds, and what is asked of a row.
#include "engine/family_rows.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const wf_family *rows;
    const size_t *n;
} kinds[] = {
#define KIND(kind) {wf_family_##kind, &wf_family_##kind##_count},
    WF_FAMILY_KINDS(KIND)
#undef KIND
};

bool wf_family_packs_experts(const wf_family *family)
{
    const char *name = family->names[WF_ROLE_EXPERT_GATE_UP];
    return name && !strstr(name, "{E}");
}

const char *wf_family_bare_name(const wf_family *family, char *text)
{
    const char *embed = family->names[WF_ROLE_EMBED], *dot = strchr(embed, '.');
    size_t n = dot ? (size_t)(dot - embed) + 1 : 0;
    if (strncmp(text, embed, n) == 0) memmove(text, text + n, strlen(text + n) + 1);
    return text;
}

size_t wf_family_count(void)
{
    size_t n = 0;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        n += *kinds[i].n;
    return n;
}

const wf_family *wf_family_at(size_t i)
{
    size_t kind = 0;
    for (; i >= *kinds[kind].n; kind++)
        i -= *kinds[kind].n;
    return &kinds[kind].rows[i];
}

// Equal but for capitals and what joins the words: "GPT-NeoX" and "gpt_neox".
static bool written_otherwise(const char *a, const char *b)
{
    for (;; a++, b++) {
        a += strspn(a, "-_. ");
        b += strspn(b, "-_. ");
        if (tolower((unsigned char)*a) != tolower((unsigned char)*b)) return false;
        if (!*a) return true;
    }
}

wf_status wf_family_find(const char *place, const char *model_type, const wf_family **out)
{
    char known[512] = "";
    const char *meant = NULL;
    for (size_t i = 0; i < wf_family_count(); i++) {
        for (const char *const *type = wf_family_at(i)->model_types; *type; type++) {
            if (strcmp(*type, model_type) == 0) {
                *out = wf_family_at(i);
                return WF_OK;
            }
            if (wf_family_at(i)->when[0].key) continue; // named with the last of its type
            size_t at = strlen(known);
            snprintf(known + at, sizeof known - at, "%s%s", at ? ", " : "", *type);
            if (written_otherwise(*type, model_type)) meant = *type;
        }
    }
    return wf_fail(WF_DATA, "%s: model_type: '%.64s' is not a family this engine knows%s%s%s (%s)",
                   place, model_type, meant ? ", did you mean '" : "", meant ? meant : "",
                   meant ? "'?" : "", known);
}

const char *wf_naming_apply(const wf_naming *naming, char *text, size_t text_bytes)
{
    for (size_t i = 0; i < sizeof naming->prefix / sizeof *naming->prefix; i++) {
        const char *ours = naming->prefix[i].ours, *theirs = naming->prefix[i].theirs;
        size_t n = ours ? strlen(ours) : 0, m = ours ? strlen(theirs) : 0, rest;
        if (n == 0 || strncmp(text, ours, n) != 0) continue;
        rest = strlen(text + n) + 1;
        if (m + rest > text_bytes) rest = text_bytes - m;
        memmove(text + m, text + n, rest);
        memcpy(text, theirs, m);
        text[m + rest - 1] = '\0';
        return text;
    }
    return text;
}

const char *wf_family_tensor_name(const wf_family *family, wf_role role, int i_layer, int i_expert,
                                  const char *suffix, char *text, size_t text_bytes)
{
    const char *pattern = family->names[role];
    size_t at = 0;
    assert(pattern);
    const char *end = pattern + strlen(pattern);
    if (end[-1] == '=') {
        end--;
        if (suffix[0] == '.') suffix = strcmp(suffix, ".bias") == 0 ? "_bias" : "";
    }
    for (const char *c = pattern; c < end && at < text_bytes;) {
        bool hole = c[0] == '{' && (c[1] == 'L' || c[1] == 'E') && c[2] == '}';
        int n = hole ? snprintf(text + at, text_bytes - at, "%d", c[1] == 'L' ? i_layer : i_expert)
                     : snprintf(text + at, text_bytes - at, "%c", *c);
        at += (size_t)n;
        c += hole ? 3 : 1;
    }
    if (at < text_bytes) snprintf(text + at, text_bytes - at, "%s", suffix);
    return text;
}
