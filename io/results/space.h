// Space on the disk of an output folder: how much is left, and a reserve to end a run with.
//
//   start of a writer:  <out>/segments/g<group>/reserve takes its bytes
//   before each write:  is there room for it beside the reserve?   no -> the reserve is given up,
//                       what is in memory is written and sealed in its place, the run ends (74)
//
// So a disk that fills up costs no finished request. A quota that statvfs does not tell of is met
// by a failing write instead: then the segment being written is lost and will be done again, what
// was sealed before stays. All Local.
#ifndef WF_IO_RESULTS_SPACE_H
#define WF_IO_RESULTS_SPACE_H

#include "io/base/status.h"

#include <stdint.h>

// Bytes that this user may still write below `folder`; UINT64_MAX where the system does not say.
uint64_t wf_space_free(const char *folder);

// The file's name in its folder; a start removes what a killed process left of it.
#define WF_SPACE_RESERVE_NAME "reserve"

// Fills <folder>/reserve with `bytes`, for good (posix_fallocate). WF_IO with path and bytes when
// they are not there.
wf_status wf_space_reserve(const char *folder, uint64_t bytes);
void wf_space_give_back(const char *folder); // fine when there is none

#endif
