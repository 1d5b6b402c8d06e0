// What the rooms behind wf_arch_read share: a reader that notes a problem and goes on with what is
// left, so that one run shows all that is wrong with a configuration.
//
//   model_arch.c   the order of reading, what must hold between values
//   arch_family.c  which row of the table of families it is, and how the checkpoint names tensors
//   arch_parts.c   folders of several parts: where the text part's configuration stands
//   arch_read.c    the reader; sizes, flags, activation, dtype
//   arch_rope.c    rotary positions
//   arch_window.c  which layers see a window
//   arch_experts.c experts: which layers have them, how they are chosen, where a group has them
//   arch_latent.c  latent attention
//   arch_tokens.c  the tokens that end a text
//   arch_quant.c   quantised matrices
//   arch_keys.c    keys that are not understood
//
// A value that config.json does not give is the family's (`absent` of its row). Private. All Local.
#ifndef WF_ENGINE_ARCH_READER_H
#define WF_ENGINE_ARCH_READER_H

#include "engine/model_arch.h"

typedef struct wf_arch_reader {
    const wf_hf_folder *folder;
    wf_json_ref whole;        // config.json
    wf_json_ref root;         // what says the text model: the same, or a part of it
    const wf_text_part *part; // NULL: the whole is the text model
    const char *type;         // model_type of the text model, as its configuration says it
    const wf_family *family;
    bool trust;                     // what is not understood is passed over, aloud
    wf_arch_layer every;            // layer, where nothing says that one differs
    wf_arch_layer expert;           // its columns of experts, where layers have them
    bool dense[WF_ARCH_MAX_LAYERS]; // layers that have none
    char problems[WF_ERROR_MAX];
    size_t used;
    int n_problems;
} wf_arch_reader;

// Adds the last error to the problems where `st` is one; the file's name is kept in the first only.
bool wf_arch_noted(wf_arch_reader *r, wf_status st);

// A problem with the file as a whole.
void wf_arch_complain(wf_arch_reader *r, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

// A warning, once for all ranks of a world: they read the same file.
void wf_arch_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

// A value's place: the name it has in this file, else the first it may have.
wf_json_ref wf_arch_place(const wf_arch_reader *r, wf_config_key key);

// The key is one of the family's and stands in the file; maybe as null.
bool wf_arch_has(const wf_arch_reader *r, wf_config_key key);

// Each reads one value into *out, which keeps what it holds where that is refused. A size must be
// there, but where the family's row has a number for it.
void wf_arch_read_size(wf_arch_reader *r, wf_config_key key, int32_t max, int32_t *out);
// The same; null means `null`, and so does a missing key where the family's row has no number.
void wf_arch_read_size_or(wf_arch_reader *r, wf_config_key key, int32_t max, int32_t null,
                          int32_t *out);
void wf_arch_read_real(wf_arch_reader *r, wf_config_key key, double min, double max, double *out);
// What a missing key means: the class's default where the text part of several says little, else
// the family's row; 0: nothing.
double wf_arch_absent(const wf_arch_reader *r, wf_config_key key);
void wf_arch_read_flag_or(wf_arch_reader *r, wf_config_key key, bool otherwise, bool *out);

// Goes to the configuration of the text model: `part`, `root` and `type`. WF_DATA.
wf_status wf_arch_enter_text(wf_arch_reader *r);

// Whether a key of a folder of several parts says nothing of text alone.
bool wf_arch_of_other_parts(const wf_arch_reader *r, wf_json_ref item);

// A value of the whole, else of the text part; absent where neither says it.
wf_json_ref wf_arch_whole_first(const wf_arch_reader *r, const char *name);

// Of the families of a model type, the first whose conditions hold. WF_DATA: there is none, and the
// nearest is named; a condition's key is of another kind. `place` opens the message.
wf_status wf_arch_choose_family(wf_arch_reader *r, const char *place, const char *model_type);

// Parts of the architecture, in the order in which they are read.
void wf_arch_read_names(wf_arch_reader *r, wf_arch *a);
void wf_arch_read_values(wf_arch_reader *r, wf_arch *a);
void wf_arch_read_rope(wf_arch_reader *r, wf_arch *a);    // needs head_dim; raises max_context
void wf_arch_read_tokens(wf_arch_reader *r, wf_arch *a);  // needs n_vocab
void wf_arch_read_windows(wf_arch_reader *r, wf_arch *a); // of all layers, which are there

// Of families that have it: the mixer of every layer, head_dim and the scale of scores; and, when
// positions are read, what stretched ones add to that scale.
void wf_arch_read_latent(wf_arch_reader *r, wf_arch *a);
void wf_arch_scale_latent(wf_arch *a);

void wf_arch_read_experts(wf_arch_reader *r, wf_arch *a); // needs n_layers

// Layer i as it was read: `every`, and what makes it another.
wf_arch_layer wf_arch_layer_read(const wf_arch_reader *r, int32_t i_layer);

void wf_arch_read_quant(wf_arch_reader *r, wf_arch *a); // arch_quant.c; needs n_layers

// Refuses keys that nobody here reads and that are not known to be harmless: of the whole, where
// that is another, too.
void wf_arch_check_keys(wf_arch_reader *r, const wf_arch *a);

#endif
