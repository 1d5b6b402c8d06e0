// Strict reading of numbers, durations and sizes from text (job file, environment, command line).
//
// The whole text must be the value: no spaces, no trailing letters, no "+", no leading zeros, no
// hexadecimal. On failure the output is untouched and the detail is a phrase without a place, such
// as `"8e3" is not a whole number`, for the caller to put behind its file:line:col; the status is
// WF_DATA. All Local.
#ifndef WF_IO_BASE_PARSE_H
#define WF_IO_BASE_PARSE_H

#include "io/base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

wf_status wf_parse_bool(const char *text, bool *out); // true or false, nothing else

// Decimal digits, "-" allowed where min < 0. No exponent: 8e3 is refused.
wf_status wf_parse_i64(const char *text, int64_t min, int64_t max, int64_t *out);
wf_status wf_parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *out);

// Decimal with optional fraction and exponent. No nan, no inf, no overflow.
wf_status wf_parse_f64(const char *text, double min, double max, double *out);

// A duration in nanoseconds, never negative: a number, with up to nine decimals, and its unit (ns
// us ms s m h d) as in "300s", "0.5ms"; or Slurm's "04:00:00" and "1-04:00:00" (days-h:m:s). A
// bare number but 0 is refused, because nobody can tell its unit.
wf_status wf_parse_duration(const char *text, int64_t *out_ns);

// Bytes: "1GiB" (k, M, G, T with iB: powers of 1024), "256MB" or "64k" (powers of 1000), "512",
// "512B"; decimals where the result is whole.
wf_status wf_parse_bytes(const char *text, int64_t *out_bytes);

// The reverse, in the largest unit that divides the value: "300s", "1GiB". Reads back the same.
// Returns `text`.
#define WF_PARSE_TEXT_MAX 32
char *wf_duration_text(int64_t ns, char text[WF_PARSE_TEXT_MAX]);
char *wf_bytes_text(int64_t bytes, char text[WF_PARSE_TEXT_MAX]);

// For people, to three decimals in the largest unit that is not larger: "14.960 GiB", "6.919 MiB".
char *wf_bytes_round_text(int64_t bytes, char text[WF_PARSE_TEXT_MAX]);

// The shortest decimal text that wf_parse_f64 reads back as the same finite value. Returns `text`.
char *wf_f64_text(double value, char text[WF_PARSE_TEXT_MAX]);

// The same for a float: "0.8", not what a double makes of its bits, 0.800000011920929.
char *wf_f32_text(float value, char text[WF_PARSE_TEXT_MAX]);

#endif
