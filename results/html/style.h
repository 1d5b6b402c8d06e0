// The page's style sheet: colours by prefers-color-scheme, one column on narrow screens, paper.
#ifndef WF_RESULTS_HTML_STYLE_H
#define WF_RESULTS_HTML_STYLE_H

extern const char *const wf_html_style;

#endif
