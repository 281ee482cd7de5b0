/* SPDX-License-Identifier: MIT */
#pragma once
/* Leveled messages on standard error, one line per call.
 *
 * Only program entry points (commands, mount, serve) log errors, warnings and
 * information, once for each event; library code returns errors and logs at debug only.
 * Each line leaves in one write(2), so lines of several threads do not mix. Control
 * characters and bytes that are not UTF-8 are escaped: a file name cannot forge a line
 * or drive the terminal.
 *
 * Threads: internally locked by the kernel's write; log_set_level() may be called any time.
 */

enum log_level {
	LOG_LEVEL_ERROR, /* the command failed */
	LOG_LEVEL_WARN,  /* it goes on, but somebody should know */
	LOG_LEVEL_INFO,  /* what it does */
	LOG_LEVEL_DEBUG, /* for who works on the code */
};

#define LOG_LINE_MAX 4096 /* bytes, newline included; longer lines end in "..." */

/* Drop messages above @level from now on. The start value is LOG_LEVEL_INFO. */
void log_set_level(enum log_level level);

enum log_level log_get_level(void);

enum log_target {
	LOG_TARGET_STDERR, /* at the start */
	LOG_TARGET_FILE,   /* the same, where that is a log file: times stand in front */
	LOG_TARGET_SYSLOG, /* for who has no terminal and no file */
};

/* Where messages go from now on. Before other threads are started, or while none logs. */
void log_set_target(enum log_target target);

/* Write "blockframe: <level>: <text>\n". Keeps errno. */
void log_write(enum log_level level, const char *fmt, ...)
	__attribute__((__format__(__printf__, 2, 3)));

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_write(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)
