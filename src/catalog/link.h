/* SPDX-License-Identifier: MIT */
#pragma once
/* Two tables that follow from the versions: which are names of files with several names, and
 * which are folders in a folder. For this folder only.
 */
#include "catalog/catalog.h"
#include "merkle/key.h"

/* What stands for the path in `link` in the table: its hash's first bytes. */
int64_t link_path_number(const struct bytes *path);

/* The version of @node that begins with commit @first has @path in its `link`. In a
 * transaction. */
int link_insert(struct catalog *catalog, int64_t node, uint64_t first,
		const struct bytes *path, struct error *err);

/* The same for a version that is a folder in folder node @parent. */
int link_insert_folder(struct catalog *catalog, int64_t parent, int64_t node,
		       uint64_t first, struct error *err);

/* That version, a folder, ends with commit @end. */
int link_end_folder(struct catalog *catalog, int64_t parent, int64_t node, uint64_t first,
		    uint64_t end, struct error *err);

/* That version goes; it need not be in one of the tables. */
int link_remove(struct catalog *catalog, int64_t parent, int64_t node, uint64_t first,
		struct error *err);
