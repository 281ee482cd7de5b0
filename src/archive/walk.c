/* SPDX-License-Identifier: MIT */
/* A stack of levels (archive/walk_level.h). The topmost entry of a source stands alone in a
 * level below all others.
 *
 * A folder is yielded before its level is built, so what the entry's user does with it comes
 * first, and the level is built by the next call of walk_next(): `pending` remembers it. A
 * folder that is gone, or became something else, gets a level without a source, in which
 * everything is gone.
 *
 * Descriptors: the innermost OPEN_LEVELS_MAX folders stay open, those further out are retired
 * and opened again on the way back (archive/folder.h). A folder that cannot be found again
 * is reported once, and what is left of it stays as it was in the archive.
 */
#include "archive/walk.h"

#include "archive/attributes.h"
#include "archive/commit_monitor.h"
#include "base/error.h"
#include "catalog/history.h"
#include "merkle/manifest.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum {
	OPEN_LEVELS_MAX = 64,
};

/* The level to build next. */
struct pending_level {
	bool wanted;
	struct folder *folder; /* owned reference; NULL: all of it is gone */
	bool listed;
	int64_t node;
};

struct walk {
	struct walk_options options;
	struct walk_counters counters;
	const struct source_root *root;
	dev_t device; /* of the source's topmost entry */
	struct walk_level *levels;
	size_t depth;
	size_t capacity;
	struct pending_level pending;
	size_t key_size; /* of the last entry */
	uint8_t key[MANIFEST_KEY_MAX + NAME_MAX + 2];
};

int walk_new(const struct walk_options *options, struct walk **walk_out,
	     struct error *err)
{
	struct walk *walk = calloc(1, sizeof(*walk));

	if (!walk)
		return error_set(err, -ENOMEM, "no memory for a walk");
	walk->options = *options;
	*walk_out = walk;
	return 0;
}

void walk_free(struct walk *walk)
{
	if (!walk)
		return;
	while (walk->depth > 0)
		walk_level_done(&walk->levels[--walk->depth]);
	folder_unref(walk->pending.folder);
	free(walk->levels);
	free(walk);
}

const struct walk_counters *walk_counters(const struct walk *walk)
{
	return &walk->counters;
}

/* Push @level, which is taken over. */
static int push(struct walk *walk, struct walk_level *level)
{
	if (walk->depth == walk->capacity) {
		size_t capacity = walk->capacity ? walk->capacity * 2 : 16;
		struct walk_level *levels =
			reallocarray(walk->levels, capacity, sizeof(*levels));

		if (!levels) {
			walk_level_done(level);
			return -ENOMEM;
		}
		walk->levels = levels;
		walk->capacity = capacity;
	}
	walk->levels[walk->depth++] = *level;
	if (level->folder && walk->depth > OPEN_LEVELS_MAX)
		folder_retire(walk->levels[walk->depth - 1 - OPEN_LEVELS_MAX].folder);
	return 0;
}

/* The level of the topmost entry alone. */
static int push_top(struct walk *walk, struct folder *parent, const char *name,
		    const struct version_row *row)
{
	struct walk_level level = { .folder = parent };

	level.names = strdup(name);
	level.items = calloc(1, sizeof(*level.items));
	if (!level.names || !level.items) {
		walk_level_done(&level);
		return -ENOMEM;
	}
	level.count = 1;
	level.items[0] = (struct walk_item){ .state = row ? WALK_CHANGED : WALK_NEW };
	if (row) {
		level.items[0].node = row->node;
		level.items[0].was_folder = row->type == ENTRY_DIRECTORY;
	}
	return push(walk, &level);
}

/* Whether @row came from this very source. */
static int same_source(const struct version_row *row, const struct source_root *root,
		       struct error *err)
{
	struct manifest manifest = { 0 };
	int r;

	r = manifest_decode(row->line, row->line_size, &manifest, err);
	if (r < 0)
		return r;
	r = manifest.source.size == strlen(root->path) &&
	    memcmp(manifest.source.data, root->path, manifest.source.size) == 0;
	manifest_done(&manifest);
	return r;
}

/* A source that is one unchanged file: 1, and it is counted and passed over. */
static int pass_unchanged_file(struct walk *walk, const struct version_row *row,
			       const struct stat *stat, struct error *err)
{
	const struct walk_options *options = &walk->options;
	bool must_read;
	int r;

	r = walk_must_read(options, row, &must_read, err);
	if (r < 0 || !S_ISREG(stat->st_mode) || must_read || !attributes_match(row, stat))
		return r;
	r = same_source(row, walk->root, err);
	if (r <= 0)
		return r;
	walk->counters.unchanged_files++;
	walk->counters.unchanged_bytes += (uint64_t)stat->st_size;
	if (stat->st_nlink > 1 && options->linked) {
		r = options->linked(options->context, walk->key, walk->key_size, stat,
				    err);
		if (r < 0)
			return r;
	}
	return 1;
}

/* Another unchanged topmost entry is yielded as changed: whoever takes it compares manifests
 * anyhow, and may have to note another source. */
int walk_start(struct walk *walk, const struct source_root *root, struct folder *parent,
	       const char *name, const uint8_t *key, size_t key_size, struct error *err)
{
	struct version_row row = { 0 };
	struct stat stat;
	bool known;
	int r;

	assert(walk->depth == 0 && !walk->pending.wanted);
	assert(key_size > 0 && key_size <= MANIFEST_KEY_MAX);
	if (fstatat(parent->fd, name, &stat, AT_SYMLINK_NOFOLLOW) < 0) {
		r = error_set_errno(err, -errno, "%s", root->path);
		folder_unref(parent);
		return r;
	}
	r = catalog_get_version(walk->options.catalog, key, key_size, VERSION_CURRENT,
				&row, err);
	if (r < 0) {
		folder_unref(parent);
		return r;
	}
	walk->root = root;
	walk->device = stat.st_dev;
	memcpy(walk->key, key, key_size);
	walk->key_size = key_size;
	known = r != CATALOG_END;
	r = known ? pass_unchanged_file(walk, &row, &stat, err) : 0;
	if (r != 0) {
		version_row_done(&row);
		folder_unref(parent);
		return r < 0 ? r : 0;
	}
	r = push_top(walk, parent, name, known ? &row : NULL);
	version_row_done(&row);
	return r < 0 ? error_set(err, r, "no memory for a walk") : 0;
}

/* Build and push the level of the last entry, if it has one. */
static int enter_pending(struct walk *walk, struct error *err)
{
	struct pending_level pending = walk->pending;
	struct level_request request = {
		.folder = pending.folder,
		.listed = pending.listed,
		.node = pending.node,
		.key = walk->key,
		.key_size = walk->key_size,
		.root = walk->root,
	};
	struct walk_level level;
	int r;

	if (!pending.wanted)
		return 0;
	walk->pending = (struct pending_level){ 0 };
	r = walk_level_build(&walk->options, &request, &walk->counters, &level, err);
	if (r < 0)
		return r;
	r = push(walk, &level);
	return r < 0 ? error_set(err, r, "no memory for a walk") : 0;
}

static void problem(struct walk *walk, int r, const char *action)
{
	walk_problem(&walk->options, walk->root, walk->key, walk->key_size, r, action);
}

/* Leave the innermost level and make sure that the one around it is open. */
static void pop(struct walk *walk)
{
	struct walk_level *level = &walk->levels[--walk->depth];
	struct walk_level *around = walk->depth > 0 ? level - 1 : NULL;
	int r = 0;

	if (around && around->folder && level->folder)
		r = folder_reopen(around->folder, level->folder);
	if (r < 0 && around->next < around->count) {
		around->lost = true;
		walk->key_size = around->key_size;
		problem(walk, r, "opening the folder again");
	}
	walk_level_done(level);
}

/* The key of an item: that of its folder, and its name. The topmost one's stands already. */
static void set_key(struct walk *walk, const struct walk_level *level, const char *name)
{
	size_t size = strlen(name);

	if (walk->depth == 1)
		return;
	walk->key[level->key_size] = 0;
	memcpy(walk->key + level->key_size + 1, name, size);
	walk->key_size = level->key_size + 1 + size;
}

static bool is_own(const struct walk *walk, const struct folder *folder)
{
	for (size_t i = 0; i < walk->options.own.count; i++)
		if (folder->device == walk->options.own.items[i].device &&
		    folder->inode == walk->options.own.items[i].inode)
			return true;
	return false;
}

static void want_level(struct walk *walk, struct folder *folder,
		       const struct walk_item *item)
{
	walk->pending = (struct pending_level){
		.wanted = folder || item->was_folder,
		.folder = folder,
		.listed = item->was_folder,
		.node = item->node,
	};
}

/* An entry that is a folder in the source. 1: yield it, 0: pass it. */
static int visit_folder(struct walk *walk, const struct walk_level *level,
			const struct walk_item *item, struct walk_entry *entry)
{
	struct folder *folder = NULL;
	int r;

	r = folder_open(level->folder->fd, entry->name, &folder);
	if (r == -ENOMEM)
		return r;
	if (r < 0) {
		problem(walk, r, "opening the folder");
		return r == -ENOENT || item->state == WALK_SAME ? 0 : 1;
	}
	if (is_own(walk, folder)) {
		folder_unref(folder);
		return 0;
	}
	walk->counters.folders++;
	if (walk->options.one_file_system && folder->device != walk->device) {
		folder_unref(folder); /* the mount point stays, empty */
		folder = NULL;
	}
	want_level(walk, folder, item);
	entry->self = folder;
	return item->state == WALK_SAME ? 0 : 1;
}

static int visit(struct walk *walk, struct walk_level *level,
		 const struct walk_item *item, struct walk_entry *entry)
{
	*entry = (struct walk_entry){
		.state = item->state,
		.key = walk->key,
		.root = walk->root,
		.was_folder = item->was_folder,
		.name = level->names + item->name,
	};
	set_key(walk, level, entry->name);
	entry->key_size = walk->key_size;
	if (item->state == WALK_GONE) {
		want_level(walk, NULL, item);
		return 1;
	}
	if (level->lost)
		return 0;

	entry->parent = level->folder;
	if (fstatat(level->folder->fd, entry->name, &entry->stat, AT_SYMLINK_NOFOLLOW) <
	    0) {
		problem(walk, -errno, "looking at it");
		return 0;
	}
	if (S_ISDIR(entry->stat.st_mode))
		return visit_folder(walk, level, item, entry);
	want_level(walk, NULL, item);
	return 1;
}

int walk_next(struct walk *walk, struct walk_entry *entry_out, struct error *err)
{
	for (;;) {
		struct walk_level *level;
		int r;

		r = monitor_check(walk->options.monitor, err);
		if (r < 0)
			return r;
		r = enter_pending(walk, err);
		if (r < 0)
			return r;
		if (walk->depth == 0)
			return 0;
		level = &walk->levels[walk->depth - 1];
		if (level->next == level->count) {
			pop(walk);
			continue;
		}
		r = visit(walk, level, &level->items[level->next++], entry_out);
		if (r < 0)
			return error_set(err, r, "no memory for a walk");
		if (r > 0)
			return 1;
	}
}
