/* SPDX-License-Identifier: MIT */
#pragma once
/* Tables that follow from the versions: which are names of files with several names, and
 * which are folders in a folder. The counts of names are kept with the former
 * (catalog/link_group.h). For this folder only.
 */
#include "catalog/catalog.h"
#include "merkle/key.h"

/* What stands for the path in `link` in the table: its hash's first bytes. */
int64_t link_path_number(const struct bytes *path);

/* The version of @node that begins with commit @first is current and has @path in its `link`
 * and this inode number. In a transaction, as all that follow. */
int link_insert(struct catalog *catalog, int64_t node, uint64_t first,
		const struct bytes *path, uint64_t inode, struct error *err);

/* That version ends with commit @end; it need not be in the table. */
int link_end(struct catalog *catalog, int64_t node, uint64_t first, uint64_t end,
	     struct error *err);

/* A version of @node that begins with commit @first is a folder in folder node @parent. */
int link_insert_folder(struct catalog *catalog, int64_t parent, int64_t node,
		       uint64_t first, struct error *err);

/* That version, a folder, ends with commit @end. */
int link_end_folder(struct catalog *catalog, int64_t parent, int64_t node, uint64_t first,
		    uint64_t end, struct error *err);

/* A current version goes; it need not be in one of the tables. */
int link_remove(struct catalog *catalog, int64_t parent, int64_t node, uint64_t first,
		struct error *err);
