/* SPDX-License-Identifier: MIT */
#pragma once
/* What was worked out from all rows of a catalog, kept until its cause changes: numbers under
 * a name, with a hash over all that they depend on. In no dump. Threads: as the catalog.
 */
#include "catalog/catalog.h"
#include "merkle/hash.h"

#include <stddef.h>
#include <stdint.h>

#define REMEMBERED_MAX 16u /* numbers */

/* The @count numbers that were remembered as @name, if @cause is still the same. CATALOG_END
 * if not, or if there is none that is sound. */
int catalog_recall(struct catalog *catalog, const char *name, const struct hash *cause,
		   uint64_t *numbers, size_t count, struct error *err);

/* Replaces what was remembered as @name. Never waits for another writer: -EBUSY. */
int catalog_remember(struct catalog *catalog, const char *name, const struct hash *cause,
		     const uint64_t *numbers, size_t count, struct error *err);
