/* SPDX-License-Identifier: MIT */
#pragma once
/* Entries by the numbers of their nodes: what a file system asks for. A node is a path, 0 is
 * the top; its number stays as long as catalog_generation() does. Rows come with their lines
 * and are released with version_row_done(); every line's path was followed from the top and
 * leads to the node. Threads: as the catalog.
 */
#include "catalog/history.h"

/* A random number that a catalog got when it was made, not 0: after a rebuild, nodes have
 * other numbers and this one is another, too. */
uint32_t catalog_generation(const struct catalog *catalog);

/* The entry @name of folder node @parent, alive at commit @at. CATALOG_END if none. */
int entry_child(struct catalog *catalog, int64_t parent, const struct bytes *name,
		uint64_t at, struct version_row *row_out, struct error *err);

/* The node of @name in folder node @parent, alive or not. CATALOG_END if there never was
 * one. */
int entry_child_node(struct catalog *catalog, int64_t parent, const struct bytes *name,
		     int64_t *node_out, struct error *err);

/* What node @node is at commit @at. CATALOG_END if it is not there then. */
int entry_at(struct catalog *catalog, int64_t node, uint64_t at,
	     struct version_row *row_out, struct error *err);

/* Version @number of @node. CATALOG_END if there is none. */
int entry_version(struct catalog *catalog, int64_t node, uint32_t number,
		  struct version_row *row_out, struct error *err);

/* The newest version of @node, alive or not. CATALOG_END if there is none. */
int entry_newest(struct catalog *catalog, int64_t node, struct version_row *row_out,
		 struct error *err);

/* The next version of @node above @number that is no folder, without its line and name.
 * CATALOG_END. */
int entry_next_version(struct catalog *catalog, int64_t node, uint32_t number,
		       struct version_row *row_out, struct error *err);

/* How many folders are in folder node @parent at @at, at most @limit. A catalog that is filled
 * on demand says @limit: nobody counted. */
int entry_count_folders(struct catalog *catalog, int64_t parent, uint64_t at,
			uint64_t limit, uint64_t *count_out, struct error *err);

/* The names of one file: those alive at @at whose manifests have the same link (@path) and
 * inode number. How many, and the node of the first one made (0 if none). */
int entry_links(struct catalog *catalog, const struct bytes *path, uint64_t inode,
		uint64_t at, uint64_t *count_out, int64_t *node_out, struct error *err);

/* These names, as a visit of their rows; of other files, too, whose links can't be told from
 * @path in the table. Stops at the first non-zero result of @visit and returns it. */
int entry_visit_names(struct catalog *catalog, const struct bytes *path, uint64_t inode,
		      uint64_t at,
		      int (*visit)(void *context, const struct version_row *row,
				   struct error *err),
		      void *context, struct error *err);

/* Whether version @number of @node is one of several names of a file. */
int entry_is_linked(struct catalog *catalog, int64_t node, uint32_t number,
		    bool *linked_out, struct error *err);

/* Every version that began or ended in the commits (@after, @last]; one that did both comes
 * twice. Stops at the first non-zero result of @visit and returns it. */
int entry_visit_changes(struct catalog *catalog, uint64_t after, uint64_t last,
			int (*visit)(void *context, const struct version_row *row,
				     struct error *err),
			void *context, struct error *err);

/* Paths that there ever were. */
int entry_count(struct catalog *catalog, uint64_t *count_out, struct error *err);
