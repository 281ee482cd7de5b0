/* SPDX-License-Identifier: MIT */
#pragma once
/* What this thread is busy with (the path of the file being read), for who reports what it
 * meets far below: a damaged block knows its volume, not the file that wanted it.
 *
 * Threads: each has its own subject. A thread that works for another one (reading ahead)
 * sets it anew.
 */
#include <stddef.h>

/* Make @subject (borrowed, NULL for none) this thread's until the next call. Returns the one
 * before, to be set again afterwards. */
const char *log_subject_set(const char *subject);

/* This thread's subject, or NULL. */
const char *log_subject(void);

/* Set for the rest of the enclosing block. */
#define log_subject_scope(subject) log_subject_scope_(subject, __LINE__)
#define log_subject_scope_(subject, line) log_subject_declare_(subject, line)
#define log_subject_declare_(subject, line)                                      \
	const char *log_subject_outer_##line                                     \
		__attribute__((__cleanup__(log_subject_restore_), __unused__)) = \
			log_subject_set(subject)

static inline void log_subject_restore_(const char **outer)
{
	(void)log_subject_set(*outer);
}
