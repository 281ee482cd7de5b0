/* SPDX-License-Identifier: MIT */
/* A walk keeps a listing for each folder that it is in. Listings of children know only
 * names, so each line's path is compared with the one that led to it.
 *
 * The topmost listing also keeps the snapshot that SQLite reads from: whatever a writer
 * commits meanwhile, a walk sees one state.
 */
#include "base/error.h"
#include "catalog/handle.h"
#include "catalog/listing.h"
#include "catalog/partial.h"
#include "catalog/version.h"

#include <errno.h>
#include <string.h>

typedef int (*walk_visit)(void *context, const uint8_t *path, size_t path_size,
			  const struct version_row *row, struct error *err);

struct level {
	struct listing *listing;
	size_t key_size; /* of the folder */
};

struct walk {
	struct catalog *catalog;
	uint64_t at;
	walk_visit visit;
	void *context;
	struct level *levels;
	size_t count;
	size_t capacity;
	struct version_row row;
	uint8_t key[MANIFEST_KEY_MAX];
};

static int push_folder(struct walk *walk, int64_t node, size_t key_size,
		       struct error *err)
{
	struct level *levels;
	int r;

	if (walk->count == walk->capacity) {
		size_t capacity = walk->capacity ? 2 * walk->capacity : 16;

		levels = reallocarray(walk->levels, capacity, sizeof(*levels));
		if (!levels)
			return error_set(err, -ENOMEM, "no memory for a walk");
		walk->levels = levels;
		walk->capacity = capacity;
	}
	r = listing_children(walk->catalog, node, walk->at, true,
			     &walk->levels[walk->count].listing, err);
	if (r < 0)
		return r;
	walk->levels[walk->count++].key_size = key_size;
	return 0;
}

static void pop_folder(struct walk *walk)
{
	listing_free(walk->levels[--walk->count].listing);
}

/* Visit the row, and enter it if it is a folder. */
static int visit_row(struct walk *walk, size_t key_size, struct error *err)
{
	int r = walk->visit(walk->context, walk->key, key_size, &walk->row, err);

	if (r < 0 || walk->row.type != ENTRY_DIRECTORY || r == WALK_SKIP)
		return r < 0 ? r : 0;
	return push_folder(walk, walk->row.node, key_size, err);
}

static int walk_on(struct walk *walk, struct error *err)
{
	const struct level *level = &walk->levels[walk->count - 1];
	size_t at = level->key_size ? level->key_size + 1 : 0;
	const struct bytes *name = &walk->row.name;
	int r;

	r = listing_next(level->listing, &walk->row, err);
	if (r == CATALOG_END) {
		pop_folder(walk);
		return 0;
	}
	if (r < 0)
		return r;
	if (name->size > MANIFEST_KEY_MAX - at)
		return catalog_damaged(err, "a path that is too long");
	if (at)
		walk->key[at - 1] = 0;
	memcpy(walk->key + at, name->data, name->size);
	r = version_check_key(&walk->row, walk->key, at + name->size, err);
	return r < 0 ? r : visit_row(walk, at + name->size, err);
}

static int walk_start(struct walk *walk, const uint8_t *key, size_t key_size,
		      struct error *err)
{
	int r;

	if (key_size == 0)
		return push_folder(walk, 0, 0, err);
	r = catalog_get_version(walk->catalog, key, key_size, walk->at, &walk->row, err);
	if (r == CATALOG_END)
		return error_set(err, -ENOENT, "no such path in the archive");
	if (r < 0)
		return r;
	memcpy(walk->key, key, key_size); /* it was found, so it is not too long */
	return visit_row(walk, key_size, err);
}

int catalog_walk(struct catalog *catalog, const uint8_t *key, size_t key_size,
		 uint64_t at, walk_visit visit, void *context, struct error *err)
{
	struct walk walk = {
		.catalog = catalog,
		.at = at,
		.visit = visit,
		.context = context,
	};
	int r;

	r = partial_at(catalog, &walk.at, err);
	if (r == 0)
		r = walk_start(&walk, key, key_size, err);
	while (r == 0 && walk.count > 0)
		r = walk_on(&walk, err);
	while (walk.count > 0)
		pop_folder(&walk);
	free(walk.levels);
	version_row_done(&walk.row);
	return r;
}
