// Manual pages' markup: man(7), the little of it that the pages need. All Local.
#ifndef WF_LAUNCHER_ROFF_H
#define WF_LAUNCHER_ROFF_H

#include "io/base/text.h"

void wf_roff_head(wf_text *out, const char *page, int section);
void wf_roff_section(wf_text *out, const char *title);

// Running text, whatever is in it; `words in backquotes` are bold, nothing else is markup.
void wf_roff_put(wf_text *out, const char *words);

// The same with an empty line between paragraphs, ended by a line break.
void wf_roff_paragraphs(wf_text *out, const char *text);

// As it stands, line by line.
void wf_roff_example(wf_text *out, const char *text);

// A paragraph with a bold tag; the text behind it is put by the caller.
void wf_roff_tag(wf_text *out, const char *tag);

#endif
