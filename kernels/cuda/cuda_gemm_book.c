// The book of GEMM plans (cuda_gemm_book.h): a list of chunks, so that plans stay where they are.
#include "kernels/cuda/cuda_gemm_book.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FORMAT_LINE "weft-gemm-plans 4"
#define NAME_SIZE   24 // of what computes a plan, and of a dtype

typedef struct entry {
    wf_gemm_plan plan;
    struct entry *next;
} entry;

struct wf_gemm_book {
    entry *first;
    char path[PATH_MAX]; // empty: memory only
    bool changed;
};

// The cache folder, made if it is not there; false: none.
static bool cache_folder(char out[PATH_MAX])
{
    const char *said = getenv("WEFT_CUDA_CACHE"), *xdg = getenv("XDG_CACHE_HOME");
    const char *home = getenv("HOME");
    if (said != NULL) {
        if (said[0] == '\0') return false;
        snprintf(out, PATH_MAX, "%s", said);
    } else if (xdg != NULL && xdg[0] == '/') {
        snprintf(out, PATH_MAX, "%s/weft", xdg);
    } else if (home != NULL && home[0] == '/') {
        snprintf(out, PATH_MAX, "%s/.cache", home);
        (void)mkdir(out, 0755);
        snprintf(out, PATH_MAX, "%s/.cache/weft", home);
    } else {
        return false;
    }
    return mkdir(out, 0755) == 0 || errno == EEXIST;
}

static void find_path(const char *tag, char out[PATH_MAX])
{
    char folder[PATH_MAX], name[128];
    size_t n = 0;
    out[0] = '\0';
    if (!cache_folder(folder)) return;
    for (; tag[n] != '\0' && n + 1 < sizeof name; n++)
        name[n] = isalnum((unsigned char)tag[n]) ? tag[n] : '-';
    name[n] = '\0';
    if (snprintf(out, PATH_MAX, "%s/gemm-%s.txt", folder, name) >= PATH_MAX) out[0] = '\0';
}

// What is no own kernel, by name.
static const char *const kind_names[] = {[WF_GEMM_LT] = "cublaslt",
                                         [WF_GEMM_OWN] = NULL,
                                         [WF_GEMM_GENERAL] = "general",
                                         [WF_GEMM_ACT8] = "fp8-cublaslt"};

static const char *name_of(const wf_gemm_plan *p)
{
    return p->kind == WF_GEMM_OWN ? wf_gemm_own_name(p->own) : kind_names[p->kind];
}

// False: nothing of this build is called so.
static bool take_name(const char *name, wf_gemm_plan *p)
{
    for (size_t i = 0; i < sizeof kind_names / sizeof *kind_names; i++)
        if (kind_names[i] != NULL && strcmp(name, kind_names[i]) == 0) {
            p->kind = (wf_gemm_kind)i;
            return true;
        }
    p->kind = WF_GEMM_OWN;
    p->own = wf_gemm_own_named(name);
    return p->own != NULL;
}

static bool parse_line(const char *line, wf_gemm_plan *p)
{
    char w[NAME_SIZE], y[NAME_SIZE], name[NAME_SIZE];
    int deterministic = 0, act8 = 0, at = 0;
    memset(p, 0, sizeof *p);
    if (sscanf(line,
               "%" SCNd64 " %" SCNd64 " %" SCNd32 " %23s %23s %" SCNd32 " %d %d %23s %f %f %n",
               &p->key.n, &p->key.k, &p->key.rows, w, y, &p->key.k_runs, &deterministic, &act8,
               name, &p->us, &p->lt_us, &at) != 11)
        return false;
    p->key.deterministic = deterministic != 0;
    p->key.act8 = act8 != 0;
    if (!wf_dtype_named(w, &p->key.w) || !wf_dtype_named(y, &p->key.y) || !take_name(name, p))
        return false;
    for (size_t i = 0; i < WF_GEMM_ALGO_BYTES / 8; i++) {
        int n = 0;
        if (sscanf(line + at, "%" SCNx64 "%n", &p->algo[i], &n) != 1) return false;
        at += n;
    }
    return true;
}

static void read_file(wf_gemm_book *book)
{
    char line[1024];
    wf_gemm_plan plan;
    const wf_gemm_plan *kept;
    FILE *f = book->path[0] != '\0' ? fopen(book->path, "re") : NULL;
    if (f == NULL) return;
    bool known =
        fgets(line, sizeof line, f) != NULL && strncmp(line, FORMAT_LINE, strlen(FORMAT_LINE)) == 0;
    while (known && fgets(line, sizeof line, f) != NULL)
        if (parse_line(line, &plan)) (void)wf_gemm_book_add(book, &plan, &kept);
    book->changed = false;
    fclose(f);
}

static void write_line(FILE *f, const wf_gemm_plan *p)
{
    fprintf(f, "%" PRId64 " %" PRId64 " %" PRId32 " %s %s %" PRId32 " %d %d %s %.3f %.3f", p->key.n,
            p->key.k, p->key.rows, wf_dtype_name(p->key.w), wf_dtype_name(p->key.y), p->key.k_runs,
            p->key.deterministic, p->key.act8, name_of(p), (double)p->us, (double)p->lt_us);
    for (size_t i = 0; i < WF_GEMM_ALGO_BYTES / 8; i++)
        fprintf(f, " %" PRIx64, p->algo[i]);
    fputc('\n', f);
}

// Several processes may end at once: each writes a file of its own and renames it.
static void write_file(const wf_gemm_book *book)
{
    char part[PATH_MAX + 32];
    if (book->path[0] == '\0' || !book->changed) return;
    snprintf(part, sizeof part, "%s.%ld.part", book->path, (long)getpid());
    FILE *f = fopen(part, "we");
    if (f == NULL) return;
    fprintf(f, "%s\n", FORMAT_LINE);
    for (const entry *e = book->first; e != NULL; e = e->next)
        if (e->plan.us < WF_GEMM_UNMEASURED || e->plan.kind == WF_GEMM_GENERAL)
            write_line(f, &e->plan);
    bool good = ferror(f) == 0;
    good = fclose(f) == 0 && good;
    if (!good || rename(part, book->path) != 0) (void)unlink(part);
}

wf_status wf_gemm_book_create(const char *tag, wf_gemm_book **out)
{
    wf_gemm_book *book = calloc(1, sizeof *book);
    if (book == NULL) return wf_fail(WF_NO_MEMORY, "GEMM plans: out of memory");
    if (tag != NULL) find_path(tag, book->path);
    read_file(book);
    *out = book;
    return WF_OK;
}

void wf_gemm_book_destroy(wf_gemm_book *book)
{
    if (book == NULL) return;
    write_file(book);
    for (entry *e = book->first, *next; e != NULL; e = next) {
        next = e->next;
        free(e);
    }
    free(book);
}

bool wf_gemm_same_key(const wf_gemm_key *a, const wf_gemm_key *b)
{
    return a->n == b->n && a->k == b->k && a->rows == b->rows && a->k_runs == b->k_runs &&
           a->w == b->w && a->y == b->y && a->deterministic == b->deterministic &&
           a->act8 == b->act8;
}

const wf_gemm_plan *wf_gemm_book_find(const wf_gemm_book *book, const wf_gemm_key *key)
{
    for (const entry *e = book->first; e != NULL; e = e->next)
        if (wf_gemm_same_key(&e->plan.key, key)) return &e->plan;
    return NULL;
}

wf_status wf_gemm_book_add(wf_gemm_book *book, const wf_gemm_plan *plan, const wf_gemm_plan **out)
{
    entry *e = malloc(sizeof *e);
    if (e == NULL) return wf_fail(WF_NO_MEMORY, "GEMM plans: out of memory");
    e->plan = *plan;
    e->next = book->first;
    book->first = e;
    book->changed = true;
    *out = &e->plan;
    return WF_OK;
}
