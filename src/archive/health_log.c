/* SPDX-License-Identifier: MIT */
/* Each line is one write to a file opened for appending, so lines of two processes do not
 * mix.
 */
#include "archive/health_log.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "base/timestamp.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#define LINE_MAX_SIZE 1024 /* bytes */

int health_log_open(int folder_fd, struct error *err)
{
	int fd = openat(folder_fd, HEALTH_LOG_FILE,
			O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);

	return fd < 0 ? error_set_errno(err, -errno, "'%s'", HEALTH_LOG_FILE) : fd;
}

int health_log_add(int fd, struct error *err, const char *fmt, ...)
{
	autotext struct text line = { 0 };
	char time[TIMESTAMP_TEXT_MAX];
	char text[LINE_MAX_SIZE];
	va_list args;
	int r;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	r = text_appendf(&line, "%s  %s\n",
			 timestamp_format_local(clock_realtime_ns(), time), text);
	if (r == 0)
		r = write_full(fd, line.data, line.size);
	return r < 0 ? error_set_errno(err, r, "'%s'", HEALTH_LOG_FILE) : 0;
}

int health_log_sync(int fd, struct error *err)
{
	return fsync(fd) < 0 ? error_set_errno(err, -errno, "'%s'", HEALTH_LOG_FILE) : 0;
}
