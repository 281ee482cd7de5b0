/* SPDX-License-Identifier: MIT */
#pragma once
/* Search over all paths. With a hash it is a look-up; anything else reads the whole catalog.
 * Names are the caller's to match. Threads: as the catalog.
 */
#include "catalog/history.h"

struct search {
	uint64_t at;          /* alive at this commit, or VERSION_CURRENT */
	bool all;             /* all versions instead */
	const char *hash;     /* first digits (hex) of the content's hash, or NULL */
	enum entry_type type; /* or 0: any */
	uint64_t size_min;    /* bytes. Unless 0 and UINT64_MAX, only files are found */
	uint64_t size_max;
};

/* Visit what is found, with lines: by path and age, or with a hash by hash, newest first.
 * Stops at the first non-zero result of @visit and returns it. @visit must not change the
 * catalog. -EINVAL: @search->hash is not 1 to 64 lower-case digits. */
int catalog_search(struct catalog *catalog, const struct search *search,
		   int (*visit)(void *context, const uint8_t *path, size_t path_size,
				const struct version_row *row, struct error *err),
		   void *context, struct error *err);
