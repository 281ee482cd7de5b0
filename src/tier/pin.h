/* SPDX-License-Identifier: MIT */
#pragma once
/* A pinned file does not become a stub, nor does anything in a pinned folder. The pin is the
 * attribute trusted.blockframe.pin, without a value, so that it stays with the file whatever
 * it is renamed to. Calls to the kernel, any thread.
 */
#include "archive/xattrs.h"

#include <stdbool.h>

#define PIN_NAME XATTR_PIN

/* Of a file or folder that is open, O_PATH included; of @name in @folder, not followed. */
bool pin_get(int fd);
bool pin_get_at(int folder, const char *name);

/* Pin what is open as O_PATH, or let go of it; neither is an error if it is so already. Durable
 * on return: the file system of the open folder @folder is flushed. -errno. */
int pin_set(int fd, int folder, bool pinned);
