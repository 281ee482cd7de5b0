/* SPDX-License-Identifier: MIT */
#pragma once
/* Catalogs that are filled on demand: the private ones of those who read an archive of another
 * machine. Whoever asks such a catalog for something asks its filler first, if the answer is
 * not there yet; the filler gets it, proves it, and puts it in through a handle of its own.
 * What a catalog does not have is so never taken for what an archive does not have.
 *
 * In such a catalog
 *  - a version is alive in [first, end) as far as that was seen, which may be less than it was
 *  - a node's number follows from its path, so that it is the same next time
 *  - "now" is the commit that the filler says
 *
 * Threads: fillers are internally locked. What is put in is put by one thread at a time.
 */
#include "catalog/history.h"

struct catalog_filler;

/* All give 0 or an error; a thing that is proved not to be there is no error. Keys of size 0
 * are the top. @at is a commit, not VERSION_CURRENT. None is called with a transaction or a
 * statement of the asking handle under way. */
struct catalog_filler_ops {
	/* The number of the commit that is current. -EIO: there is none to be trusted. */
	int (*current)(struct catalog_filler *filler, uint64_t *sequence_out,
		       struct error *err);
	/* What @key, and each folder on the way to it, is at commit @at. */
	int (*entry)(struct catalog_filler *filler, const uint8_t *key, size_t key_size,
		     uint64_t at, struct error *err);
	/* What is in folder @key at @at. */
	int (*folder)(struct catalog_filler *filler, const uint8_t *key, size_t key_size,
		      uint64_t at, struct error *err);
	/* All versions of @key. */
	int (*versions)(struct catalog_filler *filler, const uint8_t *key,
			size_t key_size, struct error *err);
	/* A version each of all paths that there ever were in folder @key. */
	int (*paths)(struct catalog_filler *filler, const uint8_t *key, size_t key_size,
		     struct error *err);
	/* The heads from commit @from to the current one. */
	int (*heads)(struct catalog_filler *filler, uint64_t from, struct error *err);
	/* As entry_visit_changes(), for the entries that are in the catalog. */
	int (*changes)(struct catalog_filler *filler, uint64_t after, uint64_t last,
		       int (*visit)(void *context, const struct version_row *row,
				    struct error *err),
		       void *context, struct error *err);
};

struct catalog_filler {
	const struct catalog_filler_ops *ops;
};

/* From now on @catalog asks @filler, which is borrowed. */
void catalog_set_filler(struct catalog *catalog, struct catalog_filler *filler);

/* For fillers, whose own handles have none. */

/* Give up durability, which is worth nothing in a catalog that nobody opens again. */
int catalog_be_disposable(struct catalog *catalog, struct error *err);

/* At @commit there is @manifest, whose line is @line. Its folder must be in already. -EBADMSG
 * if the same version of the same path has another line, or was followed by another one
 * before. In a transaction. */
int catalog_put_seen(struct catalog *catalog, uint64_t commit,
		     const struct manifest *manifest, const char *line, size_t line_size,
		     struct error *err);

/* What is known completely of a path. */
enum catalog_known {
	CATALOG_FOLDER = 1, /* what is in the folder */
	CATALOG_NAMES,      /* other names of the file */
	CATALOG_VERSIONS,   /* versions of the path */
	CATALOG_PATHS,      /* all paths that there ever were in the folder */
};

/* What @known says is known of @key as of @commit. In a transaction. */
int catalog_put_known(struct catalog *catalog, const uint8_t *key, size_t key_size,
		      enum catalog_known known, uint64_t commit, struct error *err);

/* Whether that was said. */
int catalog_get_known(struct catalog *catalog, const uint8_t *key, size_t key_size,
		      enum catalog_known known, uint64_t commit, bool *known_out,
		      struct error *err);

/* Nodes of @key and of its folder. CATALOG_END if it is not in. */
int catalog_find_node(struct catalog *catalog, const uint8_t *key, size_t key_size,
		      int64_t *node_out, int64_t *parent_out, struct error *err);
