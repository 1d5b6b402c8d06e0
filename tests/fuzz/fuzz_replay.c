// Runs a target over files, without a fuzzer: fuzz_<target> [-mutants N] FILE|FOLDER...
//
// Each file is given as it is, and N times with a few bytes changed, cut, doubled or moved; the
// changes are drawn from the file's own bytes, so a failure comes again.
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "io/base/file.h"
#include "io/base/hash.h"
#include "io/base/log.h"
#include "io/base/rng.h"
#include "tests/fuzz/fuzz.h"

enum { FILE_BYTES_MAX = 1 << 20, EDITS_MAX = 4, EDIT_BYTES_MAX = 16 };

typedef struct {
    long n_mutants;
    size_t n_files, n_inputs;
} replay;

static size_t draw(wf_rng *rng, size_t below)
{
    return wf_rng_below(wf_rng_next_u32(rng), (uint32_t)below);
}

// One edit of `n` bytes, which have room to grow; returns how many there are now.
static size_t edit(uint8_t *bytes, size_t n, wf_rng *rng)
{
    static const uint8_t dear[] = {0, 0xff, 0x80, '{', '[', '"', ':', ',', '\n', '-', '\\', '9'};
    if (n == 0) return 0;
    size_t at = draw(rng, n), length = 1 + draw(rng, EDIT_BYTES_MAX);
    if (length > n - at) length = n - at;
    switch (draw(rng, 6)) {
    case 0:
        bytes[at] = (uint8_t)draw(rng, 256);
        return n;
    case 1:
        bytes[at] = dear[draw(rng, sizeof dear)];
        return n;
    case 2:
        bytes[at] ^= (uint8_t)(1u << draw(rng, 8));
        return n;
    case 3: // cut some out
        memmove(bytes + at, bytes + at + length, n - at - length);
        return n - length;
    case 4: // double some
        memmove(bytes + at + length, bytes + at, n - at);
        return n + length;
    default: // the end is missing
        return at;
    }
}

static void mutants_run(replay *r, const uint8_t *bytes, size_t n)
{
    uint64_t seed = wf_hash64_of(bytes, n, 0);
    uint8_t *mutant = malloc(n + EDITS_MAX * EDIT_BYTES_MAX + 1);
    fuzz_must(mutant != NULL, "there is memory");
    for (long m = 0; m < r->n_mutants; m++) {
        wf_rng rng = wf_rng_make(seed, (uint64_t)m);
        size_t size = n;
        memcpy(mutant, bytes, n);
        for (size_t e = 1 + draw(&rng, EDITS_MAX); e > 0; e--)
            size = edit(mutant, size, &rng);
        LLVMFuzzerTestOneInput(mutant, size);
        r->n_inputs++;
    }
    free(mutant);
}

static void file_run(replay *r, const char *path)
{
    char *bytes = NULL;
    size_t n = 0;
    if (wf_file_read(path, FILE_BYTES_MAX, &bytes, &n) != WF_OK) {
        fprintf(stderr, "fuzz_replay: %s\n", wf_error());
        exit(66);
    }
    uint8_t *exact = malloc(n > 0 ? n : 1); // so that one byte too far is seen
    fuzz_must(exact != NULL, "there is memory");
    memcpy(exact, bytes, n);
    free(bytes);
    LLVMFuzzerTestOneInput(exact, n);
    r->n_files++;
    r->n_inputs++;
    mutants_run(r, exact, n);
    free(exact);
}

static void folder_run(replay *r, const char *path)
{
    wf_paths names = {0};
    char file[PATH_MAX];
    if (wf_file_list(path, &names) != WF_OK) exit(66);
    for (size_t i = 0; i < names.n; i++) {
        snprintf(file, sizeof file, "%s/%s", path, names.item[i]);
        file_run(r, file);
    }
    wf_paths_destroy(&names);
}

int main(int argc, char **argv)
{
    replay r = {0};
    wf_log_set_level(WF_LOG_ERROR);
    for (int i = 1; i < argc; i++) {
        struct stat info;
        if (strcmp(argv[i], "-mutants") == 0 && i + 1 < argc)
            r.n_mutants = strtol(argv[++i], NULL, 10);
        else if (stat(argv[i], &info) == 0 && S_ISDIR(info.st_mode))
            folder_run(&r, argv[i]);
        else
            file_run(&r, argv[i]);
    }
    printf("%zu files, %zu inputs\n", r.n_files, r.n_inputs);
    return r.n_files > 0 ? 0 : 66;
}
