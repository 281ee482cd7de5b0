/* SPDX-License-Identifier: MIT */
#pragma once
/* Sums over the whole catalog. They read all of it (some seconds for millions of entries).
 * All sizes are bytes; sums that do not fit stand at UINT64_MAX. Threads: as the catalog.
 */
#include "catalog/catalog.h"
#include "merkle/manifest.h"

struct catalog_statistics {
	uint64_t commits;
	uint64_t entries[ENTRY_BLOCK + 1]; /* current ones of each type */
	uint64_t versions;                 /* of all paths, current ones included */
	uint64_t current_size;             /* of the current files' content */
	uint64_t version_size;             /* of all versions' content */
	uint64_t content_size;             /* of that, each content once */
	uint64_t segments;                 /* different ones */
	uint64_t segment_size;             /* content of different segments */
};

int catalog_statistics(struct catalog *catalog, struct catalog_statistics *out,
		       struct error *err);

/* What stands in one volume (struct volume_row has its payload and parity). */
struct volume_statistics {
	uint64_t segments;     /* places of segments */
	uint64_t segment_size; /* their content */
	uint64_t stored_size;  /* their size in the log, header to seek table */
	uint64_t pages;        /* places of tree and list pages */
	uint64_t page_size;    /* their size in the log */
};

/* @volume is volume_row.id. */
int catalog_volume_statistics(struct catalog *catalog, int64_t volume,
			      struct volume_statistics *out, struct error *err);
