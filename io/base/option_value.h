// The types of option values: text to storage and back. Used by the option engine only.
//
// Each type is a row of a table (option_value.c). Parsing fails with WF_DATA and a phrase without a
// place, or WF_NO_MEMORY; storage is written on success only. Local.
#ifndef WF_IO_BASE_OPTION_VALUE_H
#define WF_IO_BASE_OPTION_VALUE_H

#include "io/base/arena.h"
#include "io/base/option.h"
#include "io/base/text.h"

bool wf_option_is_list(const wf_option *option);

// Stores one text as the value of an option that is no list.
wf_status wf_option_store(const wf_option *option, const char *text, wf_arena *arena, void *config);

// Stores a list of `n` texts. On failure *i_bad is the item.
wf_status wf_option_store_list(const wf_option *option, const char *const *texts, size_t n,
                               wf_arena *arena, void *config, size_t *i_bad);

// Splits "[a, 'b, c']" or "a, b" into texts that live in the arena.
wf_status wf_option_split(const char *text, wf_arena *arena, const char *const **out, size_t *n);

// Appends the stored value as YAML.
void wf_option_write(const wf_option *option, const void *config, wf_text *out);

// Appends a text as a YAML scalar, quoted where a reader could take it for something else.
void wf_option_write_string(const char *string, wf_text *out);

// Appends what may be written: "whole number, 1 to 4096 rows, or auto".
void wf_option_describe(const wf_option *option, wf_text *out);

// The whole config as YAML, section by section; own, free().
wf_status wf_option_render_yaml(const wf_option *table, size_t n_options, const void *config,
                                char **out);

#endif
