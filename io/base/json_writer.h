// JSON written piece by piece into memory: reports, run files, status files.
//
//   wf_json_writer *w;
//   WF_TRY(wf_json_writer_create(2, &w));
//   wf_json_open_object(w, NULL);
//   wf_json_put_i64(w, "rows", 512);
//   wf_json_open_array(w, "hosts");
//   wf_json_put_string(w, NULL, host);
//   wf_json_close(w);
//   wf_json_close(w);
//   st = wf_json_writer_finish(w, &text, &n);
//
// The first failure (only memory can fail) is kept and returned by finish, so the calls between
// need no checks. `key` is the member's name inside an object and NULL elsewhere; opening and
// closing out of order is a bug of the caller and asserted. What comes out is always valid JSON:
// bytes that are not UTF-8 become U+FFFD, numbers that are not finite become null. All Local.
#ifndef WF_IO_BASE_JSON_WRITER_H
#define WF_IO_BASE_JSON_WRITER_H

#include "io/base/json.h"
#include "io/base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WF_JSON_WRITER_MAX_DEPTH 80 // the reader's, and what is put around a copy of its value

typedef struct wf_json_writer wf_json_writer;

// `indent` is the number of spaces per level; 0 writes one line.
wf_status wf_json_writer_create(int indent, wf_json_writer **out);
void wf_json_writer_destroy(wf_json_writer **writer);

void wf_json_open_object(wf_json_writer *w, const char *key);
void wf_json_open_array(wf_json_writer *w, const char *key);
void wf_json_close(wf_json_writer *w); // the innermost one

void wf_json_put_null(wf_json_writer *w, const char *key);
void wf_json_put_bool(wf_json_writer *w, const char *key, bool value);
void wf_json_put_i64(wf_json_writer *w, const char *key, int64_t value);
void wf_json_put_u64(wf_json_writer *w, const char *key, uint64_t value);
void wf_json_put_f64(wf_json_writer *w, const char *key, double value); // reads back the same
void wf_json_put_f32(wf_json_writer *w, const char *key, float value);  // 0.8 as 0.8
void wf_json_put_string(wf_json_writer *w, const char *key, const char *value); // NULL: null
void wf_json_put_bytes(wf_json_writer *w, const char *key, const char *value, size_t value_bytes);

// A value read from another document, with everything in it. An absent one is written as null.
// Errors: WF_DATA where it is nested too deeply to stand here; the writer is then good for nothing.
wf_status wf_json_copy(wf_json_ref value, wf_json_writer *w, const char *key);

// The finished text, ended by a newline and a NUL that `text_bytes` (may be NULL) does not count.
// Borrowed; valid until the writer is destroyed. Everything opened must be closed.
wf_status wf_json_writer_finish(wf_json_writer *w, const char **text, size_t *text_bytes);

#endif
