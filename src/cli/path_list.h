/* SPDX-License-Identifier: MIT */
#pragma once
/* Paths from a file, for --files-from. Main thread. */
#include "base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>

struct error;

#define PATH_LIST_MAX (64u << 20) /* bytes of the file */

struct path_list {
	char *data;   /* owned: what the paths point into */
	char **paths; /* owned */
	size_t count;
};

/* Read the paths in @file ("-": standard input): one a line, or, with @nul, separated by NUL
 * bytes; empty ones are passed over. Appended to *list, which starts as { 0 } and is
 * released with path_list_done(), also after an error. */
int path_list_read(struct path_list *list, const char *file, bool nul, struct error *err);
void path_list_done(struct path_list *list);
