/* SPDX-License-Identifier: MIT */
#pragma once
/* How far the kernel reads ahead of applications on a mount. Any thread. */
#include <stddef.h>

/* Let it be at least @size bytes on the mount at @path, where this user may say so: only root
 * may. The kernel's own 128 KiB make eight requests of what can be one. */
void kernel_reading_widen(const char *path, size_t size);
