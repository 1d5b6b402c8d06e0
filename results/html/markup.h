// Words and numbers as they stand in a page. Everything that comes from a file goes through
// wf_html_put. The page is well-formed XML too. All Local.
#ifndef WF_RESULTS_HTML_MARKUP_H
#define WF_RESULTS_HTML_MARKUP_H

#include <stdint.h>

#include "io/base/text.h"

#define WF_HTML_NUMBER_MAX 32

// Text or an attribute's value: markup escaped, bytes that are no UTF-8 or no XML as U+FFFD.
void wf_html_put(wf_text *out, const char *words);
void wf_html_put_cut(wf_text *out, const char *words, size_t most_bytes); // with an ellipsis
void wf_html_put_end(wf_text *out, const char *words, size_t most_bytes); // of a path: its end

// About three digits that mean something: "1,234", "56.7", "0.0123". Returns text.
char *wf_html_number(double value, char text[WF_HTML_NUMBER_MAX]);
// For axes: "1.2k", "3M".
char *wf_html_short(double value, char text[WF_HTML_NUMBER_MAX]);
// A time with its unit: "850 us", "12.3 ms", "1.50 s".
char *wf_html_time(double ns, char text[WF_HTML_NUMBER_MAX]);

#endif
