/* SPDX-License-Identifier: MIT */
#pragma once
/* A source file whose content is wanted: how to open it, what it looked like, and how often
 * that was tried. Threads: a plain value that belongs to one thread at a time.
 */
#include "base/cleanup.h"

#include <sys/stat.h>

struct change;
struct folder;

#define READING_ATTEMPTS_MAX 3u /* a file that changed each time is left out */

struct reading {
	struct change *change; /* borrowed from the queue of changes */
	struct folder *folder; /* owned reference */
	char *name;            /* owned: in the folder */
	struct stat stat;      /* before it was read */
	unsigned attempts;     /* begun */
	struct reading *next;  /* for whoever holds it */
};

/* The caller frees *reading_out with reading_free(). -ENOMEM. */
int reading_new(struct change *change, struct folder *folder, const char *name,
		const struct stat *stat, struct reading **reading_out);
void reading_free(struct reading *reading);
DEFINE_AUTOPTR(reading);
