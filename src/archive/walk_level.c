/* SPDX-License-Identifier: MIT */
/* The merge stops nowhere and keeps nothing that can be asked for again: an item has a name
 * and a state, not a stat. A new file is looked at once (when the walk gets to it), an
 * unchanged one once (here), a changed one twice.
 *
 * The catalog is read here in one go. So no cursor is open on it while the commit writes to
 * it, and the walk never sees the commit's own versions.
 *
 * What cannot be looked at is reported and counts as unchanged: an archive never forgets a
 * file because its source is broken. Nothing counts as gone in a folder that could not be
 * read to its end. A name that is excluded counts as not there.
 */
#include "archive/walk_level.h"

#include "archive/attributes.h"
#include "archive/commit_monitor.h"
#include "archive/lost_places.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/glob.h"
#include "base/text.h"
#include "catalog/listing.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define CACHE_TAG "CACHEDIR.TAG"
#define CACHE_SIGNATURE "Signature: 8a477f597d28d172789f06886806bc55"

struct merge {
	const struct walk_options *options;
	const struct level_request *request;
	struct walk_counters *counters;
	struct walk_level *level;
	struct text names; /* becomes the level's */
	size_t capacity;   /* of items */
	uint8_t key[MANIFEST_KEY_MAX + NAME_MAX + 2];
};

int source_root_path(const struct source_root *root, const uint8_t *key, size_t key_size,
		     char **path_out)
{
	autotext struct text path = { 0 };
	size_t last;
	int r;

	assert(key_size >= root->key_size);
	r = text_append(&path, root->path);
	if (r < 0)
		return r;
	last = path.size;
	r = text_append_bytes(&path, key + root->key_size, key_size - root->key_size);
	if (r < 0)
		return r;
	for (size_t i = last; i < path.size; i++)
		if (!path.data[i])
			path.data[i] = '/';
	*path_out = text_take(&path);
	return *path_out ? 0 : -ENOMEM;
}

void walk_problem(const struct walk_options *options, const struct source_root *root,
		  const uint8_t *key, size_t key_size, int r, const char *action)
{
	autofree char *path = NULL;
	struct error err = { 0 };
	enum commit_problem problem = COMMIT_UNREADABLE;

	if (r == -ENOENT || r == -ESTALE)
		problem = COMMIT_VANISHED;
	else if (r == -ENAMETOOLONG)
		problem = COMMIT_SKIPPED;
	error_set_errno(&err, r, "%s", action);
	(void)source_root_path(root, key, key_size,
			       &path); /* the report goes out anyhow */
	monitor_problem(options->monitor, problem, path ? path : root->path, &err);
}

void walk_level_done(struct walk_level *level)
{
	folder_unref(level->folder);
	free(level->names);
	free(level->items);
	*level = (struct walk_level){ 0 };
}

/* The key of @name in this folder, in merge->key; its size. */
static size_t item_key(struct merge *merge, const char *name, size_t name_size)
{
	size_t key_size = merge->request->key_size;

	assert(key_size <= MANIFEST_KEY_MAX && name_size <= NAME_MAX);
	memcpy(merge->key, merge->request->key, key_size);
	merge->key[key_size++] = 0;
	memcpy(merge->key + key_size, name, name_size);
	return key_size + name_size;
}

static void problem(struct merge *merge, const char *name, int r, const char *action)
{
	size_t key_size = item_key(merge, name, strlen(name));

	walk_problem(merge->options, merge->request->root, merge->key, key_size, r,
		     action);
}

static int add_item(struct merge *merge, const void *name, size_t name_size,
		    enum walk_state state, const struct version_row *row)
{
	struct walk_level *level = merge->level;
	struct walk_item *items = level->items;
	size_t start = merge->names.size;
	int r;

	if (level->count == merge->capacity) {
		size_t capacity = merge->capacity ? merge->capacity * 2 : 16;

		items = reallocarray(items, capacity, sizeof(*items));
		if (!items)
			return -ENOMEM;
		level->items = items;
		merge->capacity = capacity;
	}
	r = text_append_bytes(&merge->names, name, name_size);
	if (r == 0)
		r = text_append_char(&merge->names, 0);
	if (r < 0)
		return r;

	items[level->count++] = (struct walk_item){
		.name = start,
		.node = row ? row->node : 0,
		.state = state,
		.was_folder = row && row->type == ENTRY_DIRECTORY,
	};
	return 0;
}

/* Whether the folder has a cache directory tag, which must start with its signature. */
static bool is_cache(const struct folder *folder, const struct folder_names *names)
{
	char signature[sizeof(CACHE_SIGNATURE) - 1];
	autoclose int fd = -1;
	bool listed = false;

	for (size_t i = 0; i < names->count && !listed; i++)
		listed = strcmp(folder_name(names, i), CACHE_TAG) == 0;
	if (!listed)
		return false;
	fd = openat(folder->fd, CACHE_TAG,
		    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	return fd >= 0 && read_full(fd, signature, sizeof(signature), NULL) == 0 &&
	       memcmp(signature, CACHE_SIGNATURE, sizeof(signature)) == 0;
}

static bool is_folder(const struct folder *folder, const struct folder_names *names,
		      size_t i)
{
	struct stat stat;

	if (folder_name_type(names, i) != DT_UNKNOWN)
		return folder_name_type(names, i) == DT_DIR;
	return fstatat(folder->fd, folder_name(names, i), &stat, AT_SYMLINK_NOFOLLOW) ==
		       0 &&
	       S_ISDIR(stat.st_mode);
}

/* Drop the names that patterns exclude. */
static int exclude(const struct merge *merge, struct folder_names *names)
{
	const struct walk_options *options = merge->options;
	const struct level_request *request = merge->request;
	autofree char *folder_path = NULL;
	autotext struct text path = { 0 };
	size_t kept = 0;
	size_t prefix;
	int r;

	if (options->exclude_count == 0)
		return 0;
	r = source_root_path(request->root, request->key, request->key_size,
			     &folder_path);
	if (r < 0)
		return r;
	r = text_appendf(&path, "%s/", folder_path);
	if (r < 0)
		return r;
	prefix = path.size;
	for (size_t i = 0; i < names->count; i++) {
		text_truncate(&path, prefix);
		r = text_append(&path, folder_name(names, i));
		if (r < 0)
			return r;
		if (!glob_match_any(options->excludes, options->exclude_count, path.data,
				    is_folder(request->folder, names, i)))
			names->starts[kept++] = names->starts[i];
	}
	names->count = kept;
	return 0;
}

static void keep_cache_tag_only(struct folder_names *names)
{
	size_t kept = 0;

	for (size_t i = 0; i < names->count; i++)
		if (strcmp(folder_name(names, i), CACHE_TAG) == 0)
			names->starts[kept++] = names->starts[i];
	names->count = kept;
}

int walk_must_read(const struct walk_options *options, const struct version_row *row,
		   bool *must_out, struct error *err)
{
	*must_out = options->read_all;
	if (*must_out || !options->lost || !options->lost->any)
		return 0;
	return lost_places_touch(options->lost, options->source, row, must_out, err);
}

/* @name is in both lists. */
static int compare_entry(struct merge *merge, const char *name,
			 const struct version_row *row, struct error *err)
{
	const struct walk_options *options = merge->options;
	struct walk_counters *counters = merge->counters;
	struct stat stat;
	enum walk_state state = WALK_CHANGED;
	bool must_read;
	int r;

	if (fstatat(merge->request->folder->fd, name, &stat, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno == ENOENT) /* went after it was listed: as if it had not been */
			return add_item(merge, name, strlen(name), WALK_GONE, row);
		problem(merge, name, -errno, "looking at it");
		return 0;
	}
	if (attributes_match(row, &stat))
		state = WALK_SAME;
	r = walk_must_read(options, row, &must_read, err);
	if (r < 0)
		return r;
	if (S_ISREG(stat.st_mode) && must_read)
		state = WALK_CHANGED;
	if (state != WALK_SAME || S_ISDIR(stat.st_mode))
		return add_item(merge, name, strlen(name), state, row);

	counters->unchanged_files++;
	if (!S_ISREG(stat.st_mode))
		return 0;
	counters->unchanged_bytes += (uint64_t)stat.st_size;
	if (stat.st_nlink > 1 && options->linked)
		return options->linked(options->context, merge->key,
				       item_key(merge, name, strlen(name)), &stat, err);
	return 0;
}

static int take_new(struct merge *merge, const char *name)
{
	if (merge->request->key_size + 1 + strlen(name) > MANIFEST_KEY_MAX) {
		problem(merge, name, -ENAMETOOLONG, "path in the archive");
		return 0;
	}
	return add_item(merge, name, strlen(name), WALK_NEW, NULL);
}

/* Order of a name and a row; what has ended comes last. */
static int compare_heads(const char *name, const struct version_row *row)
{
	if (!name || !row)
		return name ? -1 : 1;
	return key_compare((const uint8_t *)name, strlen(name), row->name.data,
			   row->name.size);
}

/* Walk both lists. @complete: what is not among @names is gone. */
static int merge_lists(struct merge *merge, const struct folder_names *names,
		       bool complete, struct listing *listing, struct version_row *row,
		       struct error *err)
{
	bool rows = listing != NULL;
	size_t i = 0;
	int r;

	if (rows) {
		r = listing_next(listing, row, err);
		if (r < 0)
			return r;
		rows = r != CATALOG_END;
	}
	while (i < names->count || rows) {
		const char *name = i < names->count ? folder_name(names, i) : NULL;
		int order = compare_heads(name, rows ? row : NULL);

		r = 0;
		if (order < 0)
			r = take_new(merge, name);
		else if (order == 0)
			r = compare_entry(merge, name, row, err);
		else if (complete)
			r = add_item(merge, row->name.data, row->name.size, WALK_GONE,
				     row);
		if (r < 0)
			return r;
		if (order <= 0)
			i++;
		if (order < 0)
			continue;
		r = listing_next(listing, row, err);
		if (r < 0)
			return r;
		rows = r != CATALOG_END;
	}
	return 0;
}

/* The names of the source's folder that count. */
static int read_names(struct merge *merge, struct folder_names *names, bool *complete_out)
{
	const struct level_request *request = merge->request;
	int r;

	*complete_out = true;
	if (!request->folder)
		return 0;
	r = folder_read(request->folder, names);
	if (r == -ENOMEM)
		return r;
	if (r < 0) {
		*complete_out = false;
		walk_problem(merge->options, request->root, request->key,
			     request->key_size, r, "reading the folder");
		return 0;
	}
	if (merge->options->exclude_caches && is_cache(request->folder, names))
		keep_cache_tag_only(names);
	return exclude(merge, names);
}

static int build(struct merge *merge, struct error *err)
{
	const struct level_request *request = merge->request;
	autofolder_names struct folder_names names = { 0 };
	autoptr(listing) listing = NULL;
	struct version_row row = { 0 };
	bool complete;
	int r;

	r = read_names(merge, &names, &complete);
	if (r < 0)
		return error_set_errno(err, r, "reading a folder");
	if (request->listed) {
		r = listing_children(
			merge->options->catalog, request->node, VERSION_CURRENT,
			merge->options->lost && merge->options->lost->any, &listing, err);
		if (r < 0)
			return r;
	}
	r = merge_lists(merge, &names, complete, listing, &row, err);
	version_row_done(&row);
	if (r == -ENOMEM)
		return error_set(err, r, "no memory for a folder's names");
	return r;
}

int walk_level_build(const struct walk_options *options,
		     const struct level_request *request, struct walk_counters *counters,
		     struct walk_level *level_out, struct error *err)
{
	struct walk_level level = { .folder = request->folder,
				    .key_size = request->key_size };
	const struct walk_counters before = *counters;
	struct merge merge = {
		.options = options,
		.request = request,
		.counters = counters,
		.level = &level,
	};
	int r;

	r = build(&merge, err);
	monitor_advance(options->monitor,
			counters->unchanged_files - before.unchanged_files,
			counters->unchanged_bytes - before.unchanged_bytes);
	level.names = merge.names.data;
	if (r < 0) {
		walk_level_done(&level);
		return r;
	}
	*level_out = level;
	return 0;
}
