// Beam search in the engine: the sequences of a request's beams, from what is asked to what comes
// of it. Each beam is a sequence of its own with a row of its own; they share one search (beams.h),
// and the first of them stands for the request.
//
// Not for use but by the engine. All Local.
#ifndef WF_ENGINE_BEAM_SEQUENCES_H
#define WF_ENGINE_BEAM_SEQUENCES_H

#include "engine/sequence.h"

// What beam search has no meaning for, or is not built for. WF_REQ_SAMPLING. Pure.
wf_status wf_beams_check_sampling(const wf_engine_config *config, const wf_sampling *sampling);

// Whether the stop tokens leave enough candidates. WF_REQ_SAMPLING. Pure.
wf_status wf_beams_check_stops(const wf_engine_config *config, const wf_arch *arch,
                               const wf_engine_input *input);

// A sequence for each beam, in (*out)->owner. page_tokens as in wf_sequence_create(): of the
// prompt's pages the first sequence tells. Errors: as there.
wf_status wf_beam_sequences_create(const wf_engine_input *input, const wf_arch *arch,
                                   int32_t max_context, int32_t page_tokens, wf_beams **out);

// Ends those from `first` on: nobody takes them. Those that no step names are freed, the first one
// last: what they share goes with the last.
void wf_beam_sequences_release(wf_beams *b, int32_t first);

// After a choice: what is fed to each beam next is the last token of its text. WF_NO_MEMORY.
wf_status wf_beam_sequences_feed(wf_beams *b);

// When the search is over: its i-th text becomes the output of the i-th sequence.
wf_sequence *wf_beam_sequences_output(wf_beams *b, int32_t i);

// What a sequence's step came to, as the batcher is told; once for each.
wf_gain wf_beam_sequences_gain(wf_sequence *s);

#endif
