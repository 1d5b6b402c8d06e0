// All manual pages and completions as files, as an installation has them below share/:
//
//   DIR/man/man1/weft.1, weft-run.1 ...
//   DIR/man/man5/weft-job.5
//   DIR/bash-completion/completions/weft, DIR/zsh/..., DIR/fish/...
//
// Local.
#ifndef WF_LAUNCHER_SHARE_H
#define WF_LAUNCHER_SHARE_H

#include "io/base/status.h"

// Makes the folders that are missing and replaces files of those names.
wf_status wf_share_write(const char *folder);

#endif
