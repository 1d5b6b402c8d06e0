// What the checker's files share. Private.
#ifndef WF_RESULTS_CHECK_CHECK_INTERNAL_H
#define WF_RESULTS_CHECK_CHECK_INTERNAL_H

#include "results/check/check.h"

#include <hdf5.h>
#include <stddef.h>

// Number types of datasets, and fixed-length text.
typedef enum { T_U8, T_U16, T_U32, T_U64, T_I32, T_I64, T_F32, T_F64, T_TEXT } check_type;

// Columns of a results file that the row checks use; the rest is only read through.
typedef enum {
    C_SHARD,
    C_ROW,
    C_SAMPLE,
    C_ID,
    C_STATUS,
    C_REASON,
    C_ERROR_CODE,
    C_ARRIVAL,
    C_SUBMITTED,
    C_ADMITTED,
    C_FIRST,
    C_FINISH,
    C_PROMPT_LEN,
    C_CACHED,
    C_RUN,
    C_GROUP,
    C_ERROR_OFFSET,
    C_META_OFFSET,
    C_STOP_OFFSET,
    C_OUTPUT_OFFSET,
    C_TOKEN,
    C_TIME,
    N_USED,
    C_NONE = N_USED
} check_column;

// A dataset: what it must be, and what was found when it was opened.
typedef struct {
    const char *path, *name; // of the file, and of the dataset in it
    check_type type;
    int rank;          // 1, or 2: `width` values a row
    bool was_read;     // by the row checks
    hid_t id;          // -1: not open
    uint64_t n, width; // its sizes
} check_set;

// An input shard as the results name it, and what is done of it.
typedef struct {
    char *uid, *path;
    uint64_t rows;
    uint64_t **bits; // [n_samples] -> words, keys seen in this pass
    size_t n_samples, samples_capacity;
    // The shard's own file, while it is there.
    hid_t file;
    check_set sets[4]; // id, max_new_tokens, prompt_offset, n (may not be there)
    bool looked, open;
    uint64_t window, n_window;
    uint64_t *id, *offset;
    uint32_t *max_new, *n;
} check_shard;

typedef struct {
    FILE *out;
    wf_check_options options;
    wf_check_report report;
    char *root; // what was given, without a slash at its end
    check_shard *shards;
    size_t n_shards, shards_capacity;
    uint64_t digest;           // order-free sum over the rows of this pass
    uint64_t rows;             // of this pass
    uint64_t n_without_digest; // files
    uint32_t n_samples;        // of rows that do not say it themselves; 0: not known
} checker;

// What a file turned out to hold.
typedef struct {
    uint64_t rows;
    bool has_digest; // of its columns, written into it; `digest`: what they have
    uint64_t digest;
} check_found;

// A file being checked.
typedef struct {
    checker *c;
    const char *path; // for messages
    hid_t id;
    check_set sets[N_USED];
    uint64_t rows, tokens;
    uint64_t error_bytes, meta_bytes, stop_bytes;
    int64_t n_vocab;
    uint32_t *shard_map; // its /shards -> checker's
    size_t n_shards;
    uint16_t *runs, *groups; // its /runs
    size_t n_runs;
    bool sorted;      // merged: keys must rise
    bool again;       // its rows were counted in the segments
    bool void_failed; // its failed rows do not count: a later run does them again
    bool named;       // a segment: rows must be of this run and group
    bool vectors;     // it has a vector of every done row in place of tokens
    bool scores;      // or scores
    uint32_t run, group;
    uint64_t n_void; // rows found that do not count
    check_found found;
} check_file;

// One problem, one line.
void check_problem(checker *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
void check_note(checker *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

// --- check.c: the check itself, in this process ---
wf_status check_directly(const char *path, const wf_check_options *options, FILE *out,
                         wf_check_report *report);

// --- check_child.c ---
// Says what is read next: for the parent, and against hanging.
void check_at(checker *c, const char *path, const char *name);

// --- check_h5.c ---
hid_t check_open_file(checker *c, const char *path); // -1 after a problem was printed
const char *check_h5_reason(char text[256]);         // HDF5's innermost complaint
// Opens a dataset, looking first at its link, type, rank, storage and filters. False after a
// problem (or in silence, when it is missing and may be): its id is -1 then.
bool check_open_set(checker *c, hid_t file, bool may_miss, check_set *set);
// units, description, fletcher32.
void check_set_manners(checker *c, const check_set *set);
// Rows [start, start + n) into memory; false after a problem was printed.
bool check_read(checker *c, const check_set *set, uint64_t start, uint64_t n, void *values);
size_t check_type_bytes(check_type type);
// Fixed-length texts, each own in an own array; false after a problem.
bool check_read_texts(checker *c, const char *path, hid_t file, const char *name, char ***texts,
                      size_t *n);
bool check_text_attribute(hid_t object, const char *name, char *text, size_t size);
// The whole text, own; NULL: none, or not of fixed length.
char *check_long_attribute(hid_t object, const char *name);

// --- check_file.c ---
// Checks one results file whole; its rows are marked in the checker's shards.
wf_status check_results_file(checker *c, const char *path, const check_file *expect,
                             check_found *found);

// --- check_digest.c ---
#define CHECK_TEXTS_MAX_BYTES (UINT64_C(64) << 20)
// Reads everything through and compares it with the file's own digests; fills f->found.
wf_status check_digests(check_file *f, const check_set *sets, size_t n);
bool check_hex_attribute(hid_t object, const char *name, uint64_t *value); // 16 digits

// --- check_journal.c ---
typedef struct {
    char *segment; // own; "segments/g0/r0-e0-00000.h5"
    uint64_t rows, digest;
} check_journal_line;

typedef struct {
    bool read, there;
    uint32_t run, group, epoch;
    char name[96];
    check_journal_line *lines;
    size_t n, capacity;
} check_journal;

// Reads the journal of a group's life, unless it is the one that is read. Starts as {0}.
wf_status check_journal_read(checker *c, uint32_t run, uint32_t group, uint32_t epoch,
                             check_journal *journal);
void check_journal_free(check_journal *journal);
// A segment against its line.
void check_journal_compare(checker *c, const check_journal *journal, const char *segment,
                           const check_found *found);

// --- check_rows.c ---
wf_status check_rows(check_file *f);
const char *check_column_name(check_column column);

// --- check_cover.c ---
wf_status check_join_shard(checker *c, const char *uid, const char *path, uint64_t rows,
                           const char *where, uint32_t *index);
wf_status check_mark(checker *c, uint32_t shard, uint64_t row, uint16_t sample, bool *twice);
// What the shard's own file says of a row; false when it cannot be asked.
typedef struct {
    uint64_t id, prompt_len;
    uint32_t max_new;
} check_input;
bool check_ask_shard(checker *c, uint32_t shard, uint64_t row, check_input *input);
void check_count_missing(checker *c); // fills report.n_missing and prints where
void check_note_bad_rows(checker *c); // of prompts files, which have no results
void check_clear_marks(checker *c);
void check_free_shards(checker *c);

// --- check_folder.c ---
wf_status check_folder(checker *c);

#endif
