// GPUs as the operating system shows them, by their files: no driver, no library and no part of a
// device is taken. What lists them for use is kernels/cuda/module.h.
#ifndef WF_LAUNCHER_DEVICE_FILES_H
#define WF_LAUNCHER_DEVICE_FILES_H

// Files of GPUs in `folder` that this process may open: a batch job that was given none sees none.
// NULL: /dev, or WEFT_DEV where that is set (tests set it). Local.
int wf_device_files_count(const char *folder);

// How many of `there` are to be used by the word of CUDA_VISIBLE_DEVICES (`visible`; NULL: all).
// Pure.
int wf_devices_visible(const char *visible, int there);

#endif
