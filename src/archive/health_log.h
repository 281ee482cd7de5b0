/* SPDX-License-Identifier: MIT */
#pragma once
/* `repair.log` in the archive's folder: what health did to the volumes, a line each, for
 * people. Lines are appended, never changed. One thread at a time.
 */
#include "base/cleanup.h"

struct error;

#define HEALTH_LOG_FILE "repair.log"

/* Open it, making it if it is not there. A descriptor, or a negative errno. */
int health_log_open(int folder_fd, struct error *err);

/* Append one line behind the time; a newline is added. */
int health_log_add(int fd, struct error *err, const char *fmt, ...)
	__attribute__((__format__(__printf__, 3, 4)));

/* What was added is durable on return. */
int health_log_sync(int fd, struct error *err);
