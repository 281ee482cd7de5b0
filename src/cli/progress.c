/* SPDX-License-Identifier: MIT */
/* The line is cut to the terminal's width: a wrapped line could not be erased. The rate is
 * that of the whole command, which is what the time that is left follows from.
 */
#include "cli/progress.h"

#include "cli/command.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/size.h"
#include "base/text.h"
#include "base/timestamp.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define REDRAW_INTERVAL 100000000u /* nanoseconds */
#define WIDTH_DEFAULT 80u
#define ERASE_LINE "\r\033[K"

void progress_init(struct progress *progress, const struct invocation *invocation,
		   const char *verb)
{
	*progress = (struct progress){
		.enabled =
			isatty(STDERR_FILENO) && !invocation->quiet && !invocation->json,
		.verb = verb,
		.start = clock_monotonic_ns(),
	};
	progress->last = progress->start;
	mutex_init(&progress->mutex);
}

static void erase_locked(struct progress *progress) requires_mutex(progress->mutex)
{
	if (progress->drawn)
		(void)fputs(ERASE_LINE, stderr);
	progress->drawn = false;
}

void progress_done(struct progress *progress)
{
	mutex_lock(&progress->mutex);
	erase_locked(progress);
	mutex_unlock(&progress->mutex);
	mutex_done(&progress->mutex);
}

uint64_t progress_elapsed(const struct progress *progress)
{
	return clock_monotonic_ns() - progress->start;
}

static size_t terminal_width(void)
{
	struct winsize size;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
		return WIDTH_DEFAULT;
	return size.ws_col;
}

/* ", 42 %, 3m12s left" */
static void append_left(struct text *line, const struct progress *progress,
			uint64_t elapsed)
{
	char buf[TIMESTAMP_TEXT_MAX];
	double done;

	if (progress->byte_total == 0 || progress->bytes > progress->byte_total)
		return;
	done = (double)progress->bytes / (double)progress->byte_total;
	(void)text_appendf(line, ", %u %%", (unsigned)(done * 100));
	if (progress->bytes == 0)
		return;
	(void)text_appendf(
		line, ", %s left",
		duration_format((uint64_t)((double)elapsed * (1 - done) / done), buf));
}

/* "committed 12 of 20 files, " */
static void append_files(struct text *line, const struct progress *progress)
{
	(void)text_appendf(line, "%s ", progress->verb);
	if (progress->bytes_only)
		return;
	(void)text_appendf(line, "%" PRIu64, progress->files);
	if (progress->file_total > 0)
		(void)text_appendf(line, " of %" PRIu64, progress->file_total);
	(void)text_append(line, " files, ");
}

static void draw_locked(struct progress *progress, uint64_t now)
	requires_mutex(progress->mutex)
{
	uint64_t elapsed = now - progress->start;
	autotext struct text line = { 0 };
	char size[SIZE_TEXT_MAX];
	char rate[SIZE_TEXT_MAX];

	append_files(&line, progress);
	(void)text_append(&line, size_format(progress->bytes, size));
	if (progress->byte_total > 0)
		(void)text_appendf(&line, " of %s",
				   size_format(progress->byte_total, size));
	(void)text_appendf(&line, ", %s", format_rate(progress->bytes, elapsed, rate));
	append_left(&line, progress, elapsed);
	text_truncate(&line, terminal_width() - 1);
	(void)fprintf(stderr, ERASE_LINE "%s", text_string(&line));
	(void)fflush(stderr);
	progress->drawn = true;
	progress->last = now;
}

static void update_locked(struct progress *progress) requires_mutex(progress->mutex)
{
	uint64_t now;

	if (!progress->enabled)
		return;
	now = clock_monotonic_ns();
	if (now - progress->last >= REDRAW_INTERVAL)
		draw_locked(progress, now);
}

void progress_set(struct progress *progress, uint64_t files, uint64_t bytes,
		  uint64_t file_total, uint64_t byte_total)
{
	mutex_scope(&progress->mutex);
	progress->files = files;
	progress->bytes = bytes;
	progress->file_total = file_total;
	progress->byte_total = byte_total;
	update_locked(progress);
}

void progress_add(struct progress *progress, uint64_t files, uint64_t bytes)
{
	mutex_scope(&progress->mutex);
	progress->files += files;
	progress->bytes += bytes;
	update_locked(progress);
}

void progress_problem(struct progress *progress, const char *fmt, ...)
{
	char text[LOG_LINE_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);

	mutex_scope(&progress->mutex);
	erase_locked(progress);
	log_error("%s", text);
}

void progress_print(struct progress *progress, const char *text)
{
	mutex_scope(&progress->mutex);
	if (progress->enabled)
		erase_locked(progress);
	(void)puts(text);
}
