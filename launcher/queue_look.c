// What is known of the batch job from the folder alone: which one it is. See queue_look.h.
#include "launcher/queue_look.h"

#include <stdio.h>

void wf_queue_look_take(const wf_watch_view *view, wf_queue_look *out)
{
    *out = (wf_queue_look){.left_s = -1};
    snprintf(out->job_id, sizeof out->job_id, "%s", view->job_id);
}
