/* SPDX-License-Identifier: MIT */
/* A message is formatted into a stack buffer, then copied byte by byte into the line with
 * everything escaped that is not plain text, then written with one write(2). There is no
 * lock: the kernel keeps writes of this size apart, and a lock held in a fork or a signal
 * would be worse than a mixed line. What cannot be written is dropped, since there is
 * nowhere to complain.
 */
#include "base/log.h"

#include "base/utf8.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define ESCAPE_MAX 4 /* bytes of \xNN, and of a UTF-8 character */
#define TAIL_SIZE 4  /* "..." and the newline */

static atomic_int current_level = LOG_LEVEL_INFO;
static atomic_int current_target = LOG_TARGET_STDERR;

static const char *const level_names[] = {
	[LOG_LEVEL_ERROR] = "error",
	[LOG_LEVEL_WARN] = "warning",
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_DEBUG] = "debug",
};

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&current_level, (int)level, memory_order_relaxed);
}

enum log_level log_get_level(void)
{
	return (enum log_level)atomic_load_explicit(&current_level, memory_order_relaxed);
}

static const int syslog_priorities[] = {
	[LOG_LEVEL_ERROR] = LOG_ERR,
	[LOG_LEVEL_WARN] = LOG_WARNING,
	[LOG_LEVEL_INFO] = LOG_INFO,
	[LOG_LEVEL_DEBUG] = LOG_DEBUG,
};

void log_set_target(enum log_target target)
{
	if (target == LOG_TARGET_SYSLOG)
		openlog("blockframe", LOG_PID | LOG_NDELAY, LOG_DAEMON);
	atomic_store_explicit(&current_target, (int)target, memory_order_relaxed);
}

/* "2024-05-01T14:30:00Z " at the start of @line, for a file. Returns its length. */
static size_t put_time(char *line, size_t size)
{
	struct timespec now = { 0 };
	struct tm parts;

	if (clock_gettime(CLOCK_REALTIME, &now) < 0 || !gmtime_r(&now.tv_sec, &parts))
		return 0;
	return strftime(line, size, "%Y-%m-%dT%H:%M:%SZ ", &parts);
}

/* Copy @text to @line[@used...] as printable characters. Returns the new length, which
 * leaves TAIL_SIZE bytes; *cut_out tells whether something was left out. */
static size_t append_escaped(char *line, size_t used, const char *text, bool *cut_out)
{
	size_t size = strlen(text);
	size_t i = 0;

	while (i < size && used + ESCAPE_MAX + TAIL_SIZE + 1 <= LOG_LINE_MAX) {
		size_t n = utf8_printable(text + i, size - i);

		if (n > 0) {
			memcpy(line + used, text + i, n);
			used += n;
			i += n;
		} else {
			used += (size_t)snprintf(line + used, ESCAPE_MAX + 1, "\\x%02x",
						 (unsigned char)text[i]);
			i++;
		}
	}
	*cut_out = i < size;
	return used;
}

void log_write(enum log_level level, const char *fmt, ...)
{
	char message[LOG_LINE_MAX];
	char line[LOG_LINE_MAX];
	int target = atomic_load_explicit(&current_target, memory_order_relaxed);
	int saved = errno;
	size_t used = 0;
	va_list ap;
	bool cut;
	int n;

	if (level > log_get_level())
		return;

	va_start(ap, fmt);
	n = vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	if (n < 0)
		return;

	if (target == LOG_TARGET_FILE)
		used = put_time(line, sizeof(line));
	if (target != LOG_TARGET_SYSLOG)
		used += (size_t)snprintf(line + used, sizeof(line) - used,
					 "blockframe: %s: ", level_names[level]);
	used = append_escaped(line, used, message, &cut);
	if (cut || (size_t)n >= sizeof(message)) {
		memcpy(line + used, "...", 3);
		used += 3;
	}
	if (target == LOG_TARGET_SYSLOG) {
		syslog(syslog_priorities[level], "%.*s", (int)used, line);
	} else {
		line[used++] = '\n';
		(void)!write(STDERR_FILENO, line, used);
	}
	errno = saved;
}
