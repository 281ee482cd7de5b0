/* SPDX-License-Identifier: MIT */
/* Folders are read in the order of the table of nodes, which is that of names; for each node
 * the newest version that is not younger than the commit is found by its key. Both steps are
 * seeks into neighbouring rows of narrow tables. Whether it was still alive then is asked
 * only when its checksum was right: otherwise a flipped bit would hide a file silently.
 *
 * Where something may have to be filled in between two rows (catalog/filler.h), each row is
 * looked for with a statement of its own: one that stays open would keep to what it saw first.
 */
#include "catalog/listing.h"

#include "base/error.h"
#include "catalog/handle.h"
#include "catalog/partial.h"
#include "catalog/version.h"

#include <errno.h>
#include <string.h>

#define NEWEST                                                             \
	" FROM node n CROSS JOIN version v ON v.node = n.id AND v.first =" \
	" (SELECT max(w.first) FROM version w WHERE w.node = n.id AND w.first <= ?1)"
#define OF_FOLDER " WHERE n.parent = ?2 AND n.name > ?3 ORDER BY n.name"

static const char sql_children[] =
	"SELECT n.name, n.id, n.checksum, " VERSION_COLUMNS NEWEST OF_FOLDER;
static const char sql_children_lines[] =
	"SELECT n.name, n.id, n.checksum, " VERSION_COLUMNS
	", " VERSION_LINE NEWEST VERSION_JOIN_LINE OF_FOLDER;
static const char sql_versions[] =
	"SELECT " VERSION_COLUMNS ", " VERSION_LINE " FROM version v" VERSION_JOIN_LINE
	" WHERE v.node = ? ORDER BY v.first";

struct listing {
	struct statement statement;
	struct catalog *resume; /* where the statement is to begin again; or NULL */
	bool children;
	bool with_lines;
	bool with_ended;
	uint64_t at;
	struct node node;  /* the path; of a folder only .id */
	size_t key_size;   /* of the path; 0 for a folder */
	size_t after_size; /* of a folder: of the name to begin behind */
	uint8_t key[];     /* of the path; for a folder the name to begin behind */
};

static struct listing *listing_new(size_t key_size, struct error *err)
{
	struct listing *listing = calloc(1, sizeof(*listing) + key_size);

	if (!listing)
		(void)error_set(err, -ENOMEM, "no memory for a listing");
	return listing;
}

int listing_children(struct catalog *catalog, int64_t parent, uint64_t at,
		     bool with_lines, struct listing **listing_out, struct error *err)
{
	const struct bytes none = { 0 };

	return listing_children_after(catalog, parent, at, with_lines, &none, listing_out,
				      err);
}

static void begin_children(struct listing *listing, struct catalog *catalog)
{
	struct statement *s = &listing->statement;

	statement_begin(s, catalog,
			listing->with_lines ? sql_children_lines : sql_children);
	statement_bind_i64(s, (int64_t)listing->at);
	statement_bind_i64(s, listing->node.id);
	statement_bind_blob(s, listing->key, listing->after_size);
}

static int list_children(struct catalog *catalog, int64_t parent, uint64_t at,
			 bool with_lines, const struct bytes *after,
			 struct listing **listing_out, struct error *err)
{
	struct listing *listing =
		listing_new(catalog->filler ? KEY_COMPONENT_MAX : after->size, err);

	if (!listing)
		return -ENOMEM;
	listing->children = true;
	listing->with_lines = with_lines;
	listing->at = (uint64_t)version_at(at);
	listing->node.id = parent;
	listing->after_size = after->size;
	if (after->size)
		memcpy(listing->key, after->data, after->size);
	begin_children(listing, catalog);
	*listing_out = listing;
	return 0;
}

int listing_children_after(struct catalog *catalog, int64_t parent, uint64_t at,
			   bool with_lines, const struct bytes *after,
			   struct listing **listing_out, struct error *err)
{
	int r;

	r = partial_at(catalog, &at, err);
	if (r == 0)
		r = partial_fill_folder(catalog, parent, at, err);
	if (r < 0)
		return r;
	return list_children(catalog, parent, at, with_lines, after, listing_out, err);
}

int listing_paths_after(struct catalog *catalog, int64_t parent,
			const struct bytes *after, struct listing **listing_out,
			struct error *err)
{
	int r;

	r = partial_fill_paths(catalog, parent, err);
	if (r == 0)
		r = list_children(catalog, parent, VERSION_CURRENT, false, after,
				  listing_out, err);
	if (r == 0)
		(*listing_out)->with_ended = true;
	return r;
}

int listing_versions(struct catalog *catalog, const uint8_t *key, size_t key_size,
		     struct listing **listing_out, struct error *err)
{
	autoptr(listing) listing = listing_new(key_size, err);
	int r = 0;

	if (!listing)
		return -ENOMEM;
	listing->at = VERSION_CURRENT;
	r = partial_at(catalog, &listing->at, err);
	if (r == 0 && catalog->filler && key_valid(key, key_size))
		r = catalog->filler->ops->versions(catalog->filler, key, key_size, err);
	if (r == 0)
		r = node_find(catalog, key, key_size, &listing->node, err);
	if (r < 0)
		return r;
	listing->with_lines = true;
	listing->key_size = key_size;
	memcpy(listing->key, key, key_size);
	statement_begin(&listing->statement, catalog, sql_versions);
	statement_bind_i64(&listing->statement, listing->node.id); /* 0 has none */
	*listing_out = take_ptr(listing);
	return 0;
}

static int read_child(struct listing *listing, struct stored_version *version_out,
		      struct error *err)
{
	struct statement *s = &listing->statement;
	struct node node = { .parent = listing->node.id };
	const uint8_t *name;
	size_t size;

	name = statement_blob(s, &size);
	node.id = statement_i64(s);
	if (size < 1 || statement_u64(s) != node_checksum(&node, name, size))
		return catalog_damaged(err, "a path");
	return version_read(s, &node, name, size, listing->with_lines, version_out, err);
}

static int read_version(struct listing *listing, struct stored_version *version_out,
			struct error *err)
{
	size_t name_size = key_name_size(listing->key, listing->key_size);
	int r;

	r = version_read(&listing->statement, &listing->node,
			 listing->key + listing->key_size - name_size, name_size, true,
			 version_out, err);
	if (r < 0)
		return r;
	if (listing->statement.catalog->filler && version_out->row.end > listing->at)
		version_out->row.end = VERSION_CURRENT; /* as far as can be seen */
	return version_check_key(&version_out->row, listing->key, listing->key_size, err);
}

static int next_row(struct listing *listing, struct stored_version *version_out,
		    struct error *err)
{
	int r;

	do {
		r = statement_step(&listing->statement, err);
		if (r != 0)
			return r;
		r = listing->children ? read_child(listing, version_out, err)
				      : read_version(listing, version_out, err);
		if (r < 0)
			return r;
	} while (listing->children && !listing->with_ended &&
		 version_out->row.end <= listing->at);
	return 0;
}

/* End the statement behind @row; a new one goes on there. */
static void begin_again(struct listing *listing, const struct version_row *row)
{
	struct catalog *catalog = listing->statement.catalog;

	memcpy(listing->key, row->name.data, row->name.size);
	listing->after_size = row->name.size;
	statement_end(&listing->statement);
	listing->resume = catalog;
}

int listing_next(struct listing *listing, struct version_row *row, struct error *err)
{
	struct stored_version version;
	int r;

	version_row_done(row);
	if (listing->resume)
		begin_children(listing, listing->resume);
	listing->resume = NULL;
	r = next_row(listing, &version, err);
	if (r == 0)
		r = version_copy(&version.row, row, err);
	if (r == 0 && listing->children && listing->statement.catalog->filler)
		begin_again(listing, row);
	return r;
}

void listing_free(struct listing *listing)
{
	if (!listing)
		return;
	statement_end(&listing->statement);
	free(listing);
}
