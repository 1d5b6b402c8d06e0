// See safetensors_write.h.
#include "io/weights/safetensors_write.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/arena.h"
#include "io/base/json_writer.h"
#include "io/base/publish.h"

enum { ALIGN = 8 }; // data begins at a multiple of it, as transformers writes

struct wf_st_writer {
    wf_part *part;
    int64_t at;         // where the next byte goes
    uint64_t data, end; // bytes put, bytes that the tensors have
};

uint64_t wf_st_entry_bytes(const wf_st_entry *entry)
{
    uint64_t n = wf_st_dtype_bytes(entry->dtype);
    for (int i = 0; i < entry->rank; i++)
        n *= (uint64_t)entry->shape[i];
    return n;
}

static void put_entry(wf_json_writer *w, const wf_st_entry *e, uint64_t begin)
{
    wf_json_open_object(w, e->name);
    wf_json_put_string(w, "dtype", wf_st_dtype_name(e->dtype));
    wf_json_open_array(w, "shape");
    for (int i = 0; i < e->rank; i++)
        wf_json_put_i64(w, NULL, e->shape[i]);
    wf_json_close(w);
    wf_json_open_array(w, "data_offsets");
    wf_json_put_u64(w, NULL, begin);
    wf_json_put_u64(w, NULL, begin + wf_st_entry_bytes(e));
    wf_json_close(w);
    wf_json_close(w);
}

// The header's length, the header, and blanks up to where data begins.
static wf_status write_header(wf_st_writer *w, const char *text, size_t n)
{
    size_t padded = (n + ALIGN - 1) / ALIGN * ALIGN;
    uint8_t *bytes;
    WF_TRY(wf_alloc(8 + padded, 1, &bytes));
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)((uint64_t)padded >> 8 * i);
    memcpy(bytes + 8, text, n);
    memset(bytes + 8 + n, ' ', padded - n);
    wf_status st = wf_file_pwrite(wf_part_fd(w->part), wf_part_path(w->part), bytes, 8 + padded, 0);
    w->at = (int64_t)(8 + padded);
    free(bytes);
    return st;
}

static wf_status begin(wf_st_writer *w, const wf_st_entry *entries, size_t n)
{
    wf_json_writer *json = NULL;
    const char *text = "";
    size_t n_bytes = 0;
    WF_TRY(wf_json_writer_create(0, &json));
    wf_json_open_object(json, NULL);
    wf_json_open_object(json, "__metadata__");
    wf_json_put_string(json, "format", "pt");
    wf_json_close(json);
    for (size_t i = 0; i < n; i++) {
        put_entry(json, &entries[i], w->end);
        w->end += wf_st_entry_bytes(&entries[i]);
    }
    wf_json_close(json);
    wf_status st = wf_json_writer_finish(json, &text, &n_bytes);
    if (st == WF_OK) st = write_header(w, text, n_bytes);
    wf_json_writer_destroy(&json);
    return st;
}

wf_status wf_st_writer_create(const char *path, const wf_st_entry *entries, size_t n,
                              wf_st_writer **out)
{
    wf_st_writer *w;
    WF_TRY(wf_alloc(1, sizeof *w, &w));
    wf_status st = wf_part_create(path, &w->part);
    if (st == WF_OK) st = begin(w, entries, n);
    if (st != WF_OK) wf_st_writer_drop(&w);
    *out = w;
    return st;
}

wf_status wf_st_writer_put(wf_st_writer *w, const void *bytes, size_t n_bytes)
{
    WF_TRY(wf_file_pwrite(wf_part_fd(w->part), wf_part_path(w->part), bytes, n_bytes, w->at));
    w->at += (int64_t)n_bytes;
    w->data += n_bytes;
    return WF_OK;
}

wf_status wf_st_writer_publish(wf_st_writer **writer)
{
    wf_st_writer *w = *writer;
    wf_status st = WF_OK;
    if (w->data != w->end)
        st = wf_fail(WF_INTERNAL, "%s: %" PRIu64 " bytes were put into tensors of %" PRIu64,
                     wf_part_path(w->part), w->data, w->end);
    if (st == WF_OK) st = wf_part_publish(w->part, WF_PUBLISH_REPLACE);
    if (st == WF_OK) st = wf_part_close(&w->part);
    wf_st_writer_drop(writer);
    return st;
}

void wf_st_writer_drop(wf_st_writer **writer)
{
    wf_st_writer *w = *writer;
    if (!w) return;
    wf_part_drop(&w->part);
    free(w);
    *writer = NULL;
}
