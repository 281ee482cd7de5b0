/* SPDX-License-Identifier: MIT */
/* A source is resolved once, before anything is read: symlinks on the way to it are followed,
 * it itself is not, unless its path ends with a slash. What the archive remembers as an
 * entry's source is that absolute path, so `commit photos` from two working folders are two
 * sources, and the second is refused instead of ending everything the first had brought.
 *
 * An entry without a source at a destination (part of another source's tree, or a folder
 * made for one) came from elsewhere just the same.
 */
#include "archive/commit_source.h"

#include "archive/commit.h"
#include "base/error.h"
#include "base/text.h"
#include "catalog/history.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* The folder part of an absolute @path, resolved, and its last component. */
static int resolve_link(const char *path, char **path_out)
{
	const char *slash = strrchr(path, '/');
	autofree char *parent =
		slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
	autofree char *resolved = NULL;

	if (!parent)
		return -ENOMEM;
	resolved = realpath(parent, NULL);
	if (!resolved)
		return -errno;
	if (asprintf(path_out, "%s/%s", resolved[1] ? resolved : "",
		     slash ? slash + 1 : path) < 0) {
		*path_out = NULL; /* undefined after a failure */
		return -ENOMEM;
	}
	return 0;
}

static int resolve(const char *path, char **path_out)
{
	struct stat stat;

	if (lstat(path, &stat) < 0)
		return -errno;
	if (S_ISLNK(stat.st_mode))
		return resolve_link(path, path_out);
	*path_out = realpath(path, NULL);
	return *path_out ? 0 : -errno;
}

/* The last component that @path names; the caller frees. NULL for the root folder. */
static int last_component(const char *path, char **name_out, struct error *err)
{
	autofree char *resolved = NULL;
	const char *end = path + strlen(path);
	const char *start;
	int r;

	while (end > path && end[-1] == '/')
		end--;
	start = end;
	while (start > path && start[-1] != '/')
		start--;
	*name_out = strndup(start, (size_t)(end - start));
	if (!*name_out)
		return error_set(err, -ENOMEM, "no memory for a path");
	if (**name_out && !is_dots(*name_out))
		return 0;

	/* ".", "..", "/": what it really is called. */
	free(*name_out);
	*name_out = NULL;
	r = resolve(path, &resolved);
	if (r < 0)
		return error_set_errno(err, r, "%s", path);
	start = strrchr(resolved, '/');
	if (!start || !start[1])
		return 0;
	*name_out = strdup(start + 1);
	return *name_out ? 0 : error_set(err, -ENOMEM, "no memory for a path");
}

/* Append the components of @path, with single slashes between and none around. */
static int append_clean(struct text *text, const char *path)
{
	const char *rest = path;

	while (*(rest += strspn(rest, "/"))) {
		size_t size = strcspn(rest, "/");
		int r = text->size > 0 ? text_append_char(text, '/') : 0;

		if (r == 0)
			r = text_append_bytes(text, rest, size);
		if (r < 0)
			return r;
		rest += size;
	}
	return 0;
}

int commit_destination(const char *path, const char *into, char **destination_out,
		       struct error *err)
{
	autofree char *name = NULL;
	autotext struct text text = { 0 };
	struct bytes key = { 0 };
	int r;

	r = last_component(path, &name, err);
	if (r < 0)
		return r;
	r = append_clean(&text, into ? into : "");
	if (r == 0 && name)
		r = append_clean(&text, name);
	if (r < 0)
		return error_set(err, r, "no memory for a path");
	if (text.size == 0)
		return error_set(err, -EINVAL,
				 "'%s' has no name: say where it goes (--into)", path);
	r = key_from_path(text.data, &key, err);
	if (r < 0)
		return r;
	free(key.data);
	*destination_out = text_take(&text);
	return *destination_out ? 0 : error_set(err, -ENOMEM, "no memory for a path");
}

void ready_source_done(struct ready_source *source)
{
	free(source->path);
	free(source->key.data);
	*source = (struct ready_source){ 0 };
}

void ready_sources_done(struct ready_sources *sources)
{
	for (size_t i = 0; i < sources->count; i++)
		ready_source_done(&sources->items[i]);
	free(sources->items);
	*sources = (struct ready_sources){ 0 };
}

static int make_source(const struct commit_source *given, struct ready_source *source,
		       struct error *err)
{
	int r;

	r = key_from_path(given->destination, &source->key, err);
	if (r < 0)
		return error_prefix(err, r, "destination '%s'", given->destination);
	if (source->key.size == 0)
		return error_set(err, -EINVAL, "the archive itself is no destination");
	source->fd = given->fd;
	if (given->path) {
		r = resolve(given->path, &source->path);
		if (r < 0)
			return error_set_errno(err, r, "%s", given->path);
	}
	source->root.path = source->path;
	source->root.key_size = source->key.size;
	return 0;
}

static int compare_sources(const void *a, const void *b)
{
	const struct ready_source *x = a;
	const struct ready_source *y = b;

	return key_compare(x->key.data, x->key.size, y->key.data, y->key.size);
}

/* Bytes of the longest key, without a separator behind it, that both are below or at. */
static size_t common_key(const struct bytes *a, const struct bytes *b)
{
	size_t shared = 0;
	size_t i = 0;

	while (i < a->size && i < b->size && a->data[i] == b->data[i]) {
		if (a->data[i] == 0)
			shared = i;
		i++;
	}
	if ((i == a->size || a->data[i] == 0) && (i == b->size || b->data[i] == 0))
		shared = i;
	return shared;
}

/* In the order of keys, what lies in a folder stands right behind it. */
static int check_pair(const struct ready_source *before, struct ready_source *source,
		      struct error *err)
{
	autofree char *path = NULL;

	source->shared = common_key(&before->key, &source->key);
	if (source->shared < before->key.size)
		return 0;
	(void)key_to_path(source->key.data, source->key.size, &path);
	return error_set(err, -EINVAL,
			 "two sources have the same destination, or one in the "
			 "other: '%s'",
			 path ? path : "?");
}

static int check_overlap(struct ready_sources *sources, struct error *err)
{
	int r = 0;

	for (size_t i = 1; i < sources->count && r == 0; i++)
		r = check_pair(&sources->items[i - 1], &sources->items[i], err);
	return r;
}

static bool same_source(const struct ready_source *source, const struct bytes *earlier)
{
	size_t size = source->path ? strlen(source->path) : 0;

	return size == earlier->size &&
	       (size == 0 || memcmp(source->path, earlier->data, size) == 0);
}

static int refuse(const struct ready_source *source, const struct bytes *earlier,
		  struct error *err)
{
	autofree char *path = NULL;

	(void)key_to_path(source->key.data, source->key.size, &path);
	if (earlier->size == 0)
		return error_set(err, -EEXIST,
				 "'%s' in the archive did not come from here: choose "
				 "another place (--into), or --replace it",
				 path ? path : "?");
	return error_set(err, -EEXIST,
			 "'%s' in the archive came from '%.*s': choose another place "
			 "(--into), or --replace it",
			 path ? path : "?", (int)earlier->size,
			 (const char *)earlier->data);
}

/* Whether what the archive has at the destination came from this source. */
static int check_source(struct ready_source *source, const struct commit_options *options,
			struct catalog *catalog, struct error *err)
{
	struct version_row row = { 0 };
	struct manifest manifest = { 0 };
	int r;

	r = catalog_get_version(catalog, source->key.data, source->key.size,
				VERSION_CURRENT, &row, err);
	if (r != 0)
		return r == CATALOG_END ? 0 : r;
	r = manifest_decode(row.line, row.line_size, &manifest, err);
	version_row_done(&row);
	if (r < 0)
		return r;
	source->forced = !same_source(source, &manifest.source);
	if (!source->path && manifest.type != ENTRY_FILE)
		r = error_set(err, -EISDIR, "a stream can only take the place of a file");
	else if (source->forced && !options->replace)
		r = refuse(source, &manifest.source, err);
	manifest_done(&manifest);
	return r;
}

int ready_sources_make(const struct commit_options *options, struct catalog *catalog,
		       struct ready_sources *sources_out, struct error *err)
{
	struct ready_sources sources = { 0 };
	int r = 0;

	sources.items = calloc(options->source_count + 1, sizeof(*sources.items));
	if (!sources.items)
		return error_set(err, -ENOMEM, "no memory for sources");
	while (r == 0 && sources.count < options->source_count) {
		const struct commit_source *given = &options->sources[sources.count];

		r = make_source(given, &sources.items[sources.count++], err);
	}
	if (r == 0 && sources.count > 1)
		qsort(sources.items, sources.count, sizeof(sources.items[0]),
		      compare_sources);
	if (r == 0)
		r = check_overlap(&sources, err);
	for (size_t i = 0; r == 0 && i < sources.count; i++)
		r = check_source(&sources.items[i], options, catalog, err);
	if (r < 0) {
		ready_sources_done(&sources);
		return r;
	}
	*sources_out = sources;
	return 0;
}

int ready_source_make(const struct commit_options *options, struct catalog *catalog,
		      const struct commit_source *given,
		      const struct ready_source *before, struct ready_source *source_out,
		      struct error *err)
{
	struct ready_source source = { 0 };
	int r;

	r = make_source(given, &source, err);
	if (r == 0 && before->key.size > 0) {
		assert(compare_sources(before, &source) <= 0);
		r = check_pair(before, &source, err);
	}
	if (r == 0)
		r = check_source(&source, options, catalog, err);
	if (r < 0) {
		ready_source_done(&source);
		return r;
	}
	*source_out = source;
	return 0;
}

int ready_source_open(const struct ready_source *source, struct folder **folder_out,
		      const char **name_out, struct error *err)
{
	const char *slash = strrchr(source->path, '/');
	autofree char *parent = strndup(source->path, (size_t)(slash - source->path) + 1);
	int r;

	if (!parent)
		return error_set(err, -ENOMEM, "no memory for a path");
	r = folder_open(AT_FDCWD, parent, folder_out);
	if (r < 0)
		return error_set_errno(err, r, "%s", parent);
	*name_out = slash[1] ? slash + 1 : ".";
	return 0;
}
