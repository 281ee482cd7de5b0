/* SPDX-License-Identifier: MIT */
#pragma once
/* Files that are restored as stubs (restore_options.stubber): a batch is made without names,
 * guarded at once, and only then named. Threads: a batch belongs to one worker.
 */
#include "archive/restore_file.h"

struct restore_work;
struct restore_worker;
struct version_row;

/* Starts with work and worker only. */
struct restore_stubs {
	struct restore_work *work; /* borrowed, both */
	struct restore_worker *worker;
	struct restore_file *files[RESTORE_STUBS_MAX]; /* owned */
	size_t count;
};

/* Whether the file of @row can be a stub: it has content, and no capabilities, which it would
 * lose when its content comes back. */
bool restore_stubs_possible(const struct version_row *row);

/* Make the file of the manifest @line, to be at the relative @path. Problems are reported. */
void restore_stubs_add(struct restore_stubs *stubs, const char *line, size_t line_size,
		       const char *path);

/* Have all guarded, and give them their names; nothing is left in @stubs. */
void restore_stubs_finish(struct restore_stubs *stubs);
