/* SPDX-License-Identifier: MIT */
#pragma once
/* What damage in volumes means for files: through the places of segments and the manifests
 * of all versions. What is said to be lost was tried: a copy elsewhere may still have it.
 * One thread at a time.
 */
#include "volume/stripe_info.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct archive;
struct damage_list;
struct error;

#define HEALTH_FILES_MAX 65536u  /* what comes after is counted only */
#define HEALTH_RANGES_MAX 65536u /* lost ranges of one file */

enum health_state {
	HEALTH_REPAIRED, /* whole again */
	HEALTH_DEGRADED, /* readable, with less protection than it should have */
	HEALTH_LOST,     /* some bytes can't be read any more */
};

struct lost_range {
	uint64_t offset, size; /* bytes, of the file's content */
};

/* One version of one file. */
struct health_file {
	char *path;          /* owned */
	uint64_t first, end; /* in commits [first, end) */
	uint32_t version;
	enum health_state state;
	unsigned segments; /* of it that were damaged */
	unsigned margin;   /* extents that the worst of its stripes can still lose */
	struct lost_range *lost; /* owned */
	size_t lost_count;
};

struct health_files {
	struct health_file *items; /* owned */
	size_t count;
	uint64_t states[HEALTH_LOST + 1]; /* versions of each, listed or not */
	uint64_t lost_bytes;
	uint64_t damaged_pages, lost_pages; /* tree and list pages */
	uint64_t deep;                      /* contents that were read and compared */
	uint64_t deep_bytes;                /* in them */
	uint64_t away; /* of these: on volumes that are not attached */
};

struct health_files_options {
	struct archive *archive;
	const struct uuid *volumes; /* that ranges name by number */
	size_t volume_count;
	bool (*stopped)(void *context); /* or NULL, like the next two; from any thread */
	void (*progress)(void *context, uint64_t bytes, uint64_t total); /* total 0: ? */
	void (*problem)(void *context, const char *text);
	void *context;
};

/* Find the files that @damage touches. -EINTR; -EBADMSG: the catalog is damaged. */
int health_files_find(const struct health_files_options *options,
		      const struct damage_list *damage, struct health_files *files,
		      struct error *err);

/* Read each content of the catalog once, on all workers, and add the files that differ. Of an
 * archive that another machine has: each file of the newest commit. */
int health_files_read(const struct health_files_options *options,
		      struct health_files *files, struct error *err);

void health_files_done(struct health_files *files);

const char *health_state_name(enum health_state state);
