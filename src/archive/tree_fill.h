/* SPDX-License-Identifier: MIT */
#pragma once
/* Fills a private catalog (catalog/filler.h) with what somebody looks at, out of the pages of
 * the commits' trees. Every entry that is put in, and that no other one stands between two,
 * follows from pages whose hashes lead to the tree root in a head, which the chain proves.
 *
 * Internally locked: any thread. Pages are got without a lock.
 */
#include "archive/head_chain.h"
#include "base/cleanup.h"

#include <stdint.h>

struct catalog_filler;
struct error;
struct source;
struct text;
struct tree_fill;

struct tree_fill_options {
	const char *path;         /* of the catalog, which is there */
	struct source *source;    /* borrowed */
	struct head_chain *chain; /* borrowed */
	/* The number of the commit that is current. -EIO: it is not to be trusted any more;
	 * the text says why. */
	int (*current)(void *context, uint64_t *sequence_out, struct error *err);
	/* Hints, which nobody has to believe: what they lead to is proved.
	 * Numbers of commits that have versions of @path, a line each: of each version the
	 * first and the last one. */
	int (*hint_versions)(void *context, const char *path, struct text *lines,
			     struct error *err);
	/* Manifests of the names of the file that is @path at commit @at, a line each. */
	int (*hint_names)(void *context, const char *path, uint64_t at,
			  struct text *lines, struct error *err);
	void *context;
};

/* *@options is copied. The caller frees *fill_out when no catalog asks it any more. */
int tree_fill_new(const struct tree_fill_options *options, struct tree_fill **fill_out,
		  struct error *err);
void tree_fill_free(struct tree_fill *fill);
DEFINE_AUTOPTR(tree_fill);

/* For catalog_set_filler(); borrowed. */
struct catalog_filler *tree_fill_filler(struct tree_fill *fill);
