// Numbers and times as logs write them, exactly. Every function is false, and changes nothing, when
// the text is none. Pure. Not for use elsewhere.
#ifndef WF_JOBS_STREAMS_IMPORT_NUMBER_H
#define WF_JOBS_STREAMS_IMPORT_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A decimal number ("12", "0.5", "5e-05") of `unit_ns` nanoseconds each, a power of ten. Without an
// exponent it is exact; what is finer than a nanosecond is cut. "-1" and "nan" are none.
bool wf_decimal_to_ns(const char *text, size_t n_bytes, int64_t unit_ns, int64_t *out_ns);

// "YYYY-MM-DD HH:MM:SS[.fffffff][+hh:mm]" as nanoseconds since 1970.
bool wf_date_to_ns(const char *text, size_t n_bytes, int64_t *out_ns);

// A count of tokens up to 2^31: "374"; or "374.0", and then *decimal becomes true.
bool wf_text_to_count(const char *text, size_t n_bytes, bool *decimal, uint64_t *out);

#define WF_TRACE_MAX_LENGTH (INT64_C(1) << 31)

#endif
