// What every fuzz target shares: one entry that takes any bytes and must return.
//
//   fuzz_<target>.c   turns the bytes into the input of one reader, and aborts where the reader
//                     breaks a promise of its header; the sanitizers find the rest
//   fuzz_replay.c     gives them files, and mutants of these, where there is no fuzzer (ctest)
//
// With WEFT_FUZZ=ON (clang) each target is a libFuzzer program; CONTRIBUTING.md says how to run
// one. A finding becomes a file in corpus/<target>/ and a case of the reader's own test.
#ifndef WF_TESTS_FUZZ_H
#define WF_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

// Any bytes; returns 0. The name is libFuzzer's.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FUZZ_PATH_MAX = 64 };

// A regular file in memory that holds the bytes, and its path; close the descriptor when done.
int fuzz_file(const uint8_t *data, size_t size, char path[FUZZ_PATH_MAX]);

// A folder of this process, made by the first call and removed as the process ends.
const char *fuzz_folder(void);

// Writes the files of that folder: the bytes, cut at each "%%\n"; folders above them are made.
void fuzz_folder_put(const char *const *names, size_t n_names, const uint8_t *data, size_t size);

// Aborts with the words: a promise is broken.
void fuzz_must(int holds, const char *promise);

#endif
