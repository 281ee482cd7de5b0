/* SPDX-License-Identifier: MIT */
/* A path is found one component at a time. Writers go through a tree in the order of its
 * keys, so the folder of the last path is mostly that of the next one: it is remembered for
 * the time of a transaction.
 *
 * A new path is tried as an insertion first; a second statement is needed only if it was
 * there.
 */
#include "catalog/node.h"

#include "base/error.h"
#include "catalog/checksum.h"
#include "catalog/handle.h"

#include <assert.h>
#include <errno.h>
#include <sqlite3.h>
#include <string.h>

static const char sql_find[] =
	"SELECT id, checksum FROM node WHERE parent = ? AND name = ?";
static const char sql_insert[] = "INSERT OR IGNORE INTO node VALUES(?, ?, ?, ?)";
static const char sql_children[] =
	"SELECT name, id, checksum FROM node WHERE parent = ? ORDER BY name";

uint32_t node_checksum(const struct node *node, const uint8_t *name, size_t size)
{
	return checksum_of((uint64_t)node->id, (uint64_t)node->parent,
			   checksum_bytes(name, size));
}

int node_child(struct catalog *catalog, int64_t parent, const uint8_t *name, size_t size,
	       struct node *node_out, struct error *err)
{
	autostatement struct statement s = { 0 };
	struct node node = { .parent = parent };
	int r;

	statement_begin(&s, catalog, sql_find);
	statement_bind_i64(&s, parent);
	statement_bind_blob(&s, name, size);
	r = statement_step(&s, err);
	if (r != 0)
		return r;
	node.id = statement_i64(&s);
	if (statement_u64(&s) != node_checksum(&node, name, size))
		return catalog_damaged(err, "a path");
	*node_out = node;
	return 0;
}

static int insert_child(struct catalog *catalog, int64_t parent, const uint8_t *name,
			size_t size, struct node *node_out, bool *new_out,
			struct error *err)
{
	autostatement struct statement s = { 0 };
	struct node node = { .parent = parent, .id = catalog->next_node };
	int r;

	statement_begin(&s, catalog, sql_insert);
	statement_bind_i64(&s, parent);
	statement_bind_blob(&s, name, size);
	statement_bind_i64(&s, node.id);
	statement_bind_u64(&s, node_checksum(&node, name, size));
	r = statement_run(&s, err);
	if (r < 0)
		return r;

	*new_out = sqlite3_changes(catalog->db) > 0;
	if (!*new_out) {
		r = node_child(catalog, parent, name, size, node_out, err);
		return r == CATALOG_END ? catalog_damaged(err, "a path") : r;
	}
	catalog->next_node++;
	*node_out = node;
	return 0;
}

/* The size of the first component. */
static size_t component_size(const uint8_t *key, size_t size)
{
	const uint8_t *zero = memchr(key, 0, size);

	return zero ? (size_t)(zero - key) : size;
}

int node_find(struct catalog *catalog, const uint8_t *key, size_t size,
	      struct node *node_out, struct error *err)
{
	struct node node = { 0 };
	size_t at = 0;

	if (!key_valid(key, size))
		return CATALOG_END;
	while (at < size) {
		size_t n = component_size(key + at, size - at);
		int r = node_child(catalog, node.id, key + at, n, &node, err);

		if (r != 0)
			return r;
		at += n + 1;
	}
	*node_out = node;
	return 0;
}

static bool is_folder_of_last(const struct catalog *catalog, const uint8_t *key,
			      size_t size)
{
	return catalog->folder && catalog->folder_size == size &&
	       memcmp(catalog->folder_key, key, size) == 0;
}

/* The node of the folder @key (0 bytes: the top). */
static int make_folder(struct catalog *catalog, const uint8_t *key, size_t size,
		       int64_t *id_out, struct error *err)
{
	struct node node = { 0 };
	bool new;
	size_t at = 0;

	if (size && is_folder_of_last(catalog, key, size)) {
		*id_out = catalog->folder;
		return 0;
	}
	while (at < size) {
		size_t n = component_size(key + at, size - at);
		int r = insert_child(catalog, node.id, key + at, n, &node, &new, err);

		if (r < 0)
			return r;
		at += n + 1;
	}
	catalog->folder = node.id;
	catalog->folder_size = size;
	memcpy(catalog->folder_key, key, size);
	*id_out = node.id;
	return 0;
}

int node_make(struct catalog *catalog, const uint8_t *key, size_t size,
	      struct node *node_out, bool *new_out, struct error *err)
{
	size_t name_size = key_name_size(key, size);
	size_t folder_size = size > name_size ? size - name_size - 1 : 0;
	int64_t folder = 0;
	int r;

	assert(catalog->writing);
	if (!key_valid(key, size))
		return error_set(err, -EINVAL, "catalog: impossible path");
	r = make_folder(catalog, key, folder_size, &folder, err);
	if (r < 0)
		return r;
	return insert_child(catalog, folder, key + size - name_size, name_size, node_out,
			    new_out, err);
}

/* A walk over all nodes: one statement a level, the key built up in place. */

struct level {
	struct statement children;
	size_t key_size; /* of the folder */
	int64_t node;
};

struct node_walk {
	struct catalog *catalog;
	struct level *levels;
	size_t count;
	size_t capacity;
	uint8_t key[MANIFEST_KEY_MAX];
};

static int push_level(struct node_walk *walk, int64_t node, size_t key_size,
		      struct error *err)
{
	struct level *level;

	if (walk->count == walk->capacity) {
		size_t capacity = walk->capacity ? 2 * walk->capacity : 16;

		level = reallocarray(walk->levels, capacity, sizeof(*level));
		if (!level)
			return error_set(err, -ENOMEM, "no memory for a walk");
		walk->levels = level;
		walk->capacity = capacity;
	}
	level = &walk->levels[walk->count++];
	*level = (struct level){ .key_size = key_size, .node = node };
	statement_begin(&level->children, walk->catalog, sql_children);
	statement_bind_i64(&level->children, node);
	return 0;
}

static int read_child(struct node_walk *walk, struct level *level, struct node *node_out,
		      size_t *key_size_out, struct error *err)
{
	size_t at = level->key_size ? level->key_size + 1 : 0;
	struct node node = { .parent = level->node };
	const uint8_t *name;
	size_t size;

	name = statement_blob(&level->children, &size);
	node.id = statement_i64(&level->children);
	if (statement_u64(&level->children) != node_checksum(&node, name, size))
		return catalog_damaged(err, "a path");
	if (size < 1 || size > MANIFEST_KEY_MAX - at)
		return catalog_damaged(err, "a path that is too long");
	if (at)
		walk->key[at - 1] = 0;
	memcpy(walk->key + at, name, size);
	*node_out = node;
	*key_size_out = at + size;
	return 0;
}

static int walk_on(struct node_walk *walk,
		   int (*visit)(void *context, const uint8_t *key, size_t size,
				const struct node *node, struct error *err),
		   void *context, struct error *err)
{
	struct level *level = &walk->levels[walk->count - 1];
	struct node node = { 0 };
	size_t key_size = 0;
	int r;

	r = statement_step(&level->children, err);
	if (r == CATALOG_END) {
		statement_end(&level->children);
		walk->count--;
		return 0;
	}
	if (r < 0)
		return r;
	r = read_child(walk, level, &node, &key_size, err);
	if (r < 0)
		return r;
	r = visit(context, walk->key, key_size, &node, err);
	return r != 0 ? r : push_level(walk, node.id, key_size, err);
}

int node_visit_all(struct catalog *catalog,
		   int (*visit)(void *context, const uint8_t *key, size_t size,
				const struct node *node, struct error *err),
		   void *context, struct error *err)
{
	struct node_walk walk = { .catalog = catalog };
	int r;

	r = push_level(&walk, 0, 0, err);
	while (r == 0 && walk.count > 0)
		r = walk_on(&walk, visit, context, err);
	while (walk.count > 0)
		statement_end(&walk.levels[--walk.count].children);
	free(walk.levels);
	return r;
}
