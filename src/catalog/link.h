/* SPDX-License-Identifier: MIT */
#pragma once
/* Which versions are names of files with several names. For this folder only. */
#include "catalog/catalog.h"
#include "merkle/key.h"

/* What stands for the path in `link` in the table: its hash's first bytes. */
int64_t link_path_number(const struct bytes *path);

/* The version of @node that begins with commit @first has @path in its `link`. In a
 * transaction. */
int link_insert(struct catalog *catalog, int64_t node, uint64_t first,
		const struct bytes *path, struct error *err);
/* That version goes; it need not have had one. */
int link_remove(struct catalog *catalog, int64_t node, uint64_t first, struct error *err);
