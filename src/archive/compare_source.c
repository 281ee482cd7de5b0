/* SPDX-License-Identifier: MIT */
/* Which entry a folder on disk was committed to: entries that were named in a commit carry
 * their source. They usually stand near the top, so the first search does not look below
 * one; only if that finds nothing, the whole tree is searched.
 */
#include "archive/compare.h"

#include "archive/archive.h"
#include "archive/attributes.h"
#include "base/error.h"
#include "base/text.h"
#include "catalog/listing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct search {
	const char *disk;
	bool everywhere;
	struct bytes key; /* owned: of the best entry so far */
	size_t depth;     /* bytes of its source; 0: none yet */
	bool twice;       /* another one is as good */
	struct bytes other;
};

/* Bytes of @disk that @source covers, if it is the same or a folder above; else 0. */
static size_t covers(const struct bytes *source, const char *disk)
{
	size_t size = source->size;

	if (size == 0 || strncmp((const char *)source->data, disk, size) != 0)
		return 0;
	if (disk[size] == '\0' || disk[size] == '/' || disk[size - 1] == '/')
		return size;
	return 0;
}

static int note(struct search *search, const uint8_t *key, size_t key_size, size_t depth)
{
	struct bytes *to = depth == search->depth ? &search->other : &search->key;

	search->twice = depth == search->depth;
	search->depth = depth;
	free(to->data);
	return bytes_copy(to, key, key_size);
}

static int visit(void *context, const uint8_t *key, size_t key_size,
		 const struct version_row *row, struct error *err)
{
	struct search *search = context;
	struct manifest manifest = { 0 };
	size_t depth;
	int r;

	/* Cheap look before a full decode: few entries have a source. */
	if (!memmem(row->line, row->line_size, "\"source", 7))
		return 0;
	r = manifest_decode(row->line, row->line_size, &manifest, err);
	if (r < 0)
		return r;
	depth = covers(&manifest.source, search->disk);
	if (depth > 0 && depth >= search->depth)
		r = note(search, key, key_size, depth);
	if (r < 0)
		(void)error_set(err, r, "out of memory");
	if (r == 0 && manifest.source.size > 0 && !search->everywhere)
		r = WALK_SKIP;
	manifest_done(&manifest);
	return r;
}

static int search_tree(struct search *search, struct archive *archive, uint64_t at,
		       struct error *err)
{
	int r;

	r = catalog_walk(archive_catalog(archive), NULL, 0, at, visit, search, err);
	if (r < 0 || search->depth > 0)
		return r;
	search->everywhere = true;
	return catalog_walk(archive_catalog(archive), NULL, 0, at, visit, search, err);
}

static int refuse_ambiguous(const struct search *search, struct error *err)
{
	autofree char *a = NULL;
	autofree char *b = NULL;

	if (key_to_path(search->key.data, search->key.size, &a) < 0 ||
	    key_to_path(search->other.data, search->other.size, &b) < 0)
		return error_set(err, -ENOMEM, "out of memory");
	return error_set(err, -ENOTUNIQ, "was committed as '%s' and as '%s'", a, b);
}

/* The key of what lies @rest ("", "/a/b" or "a/b") below the entry. */
static int append_rest(const struct bytes *key, const char *rest, struct bytes *key_out)
{
	autotext struct text text = { 0 };

	if (text_append_bytes(&text, key->data, key->size) < 0)
		return -ENOMEM;
	while (*rest) {
		size_t size;

		rest += strspn(rest, "/");
		size = strcspn(rest, "/");
		if (size > 0 && (text_append_char(&text, '\0') < 0 ||
				 text_append_bytes(&text, rest, size) < 0))
			return -ENOMEM;
		rest += size;
	}
	return bytes_copy(key_out, text.data, text.size);
}

int compare_find_source(struct archive *archive, uint64_t at, const char *disk,
			struct bytes *key_out, struct error *err)
{
	struct search search = { .disk = disk };
	int r;

	r = search_tree(&search, archive, at, err);
	if (r >= 0 && search.depth == 0)
		r = error_set(err, -ENOENT, "nothing was committed from there");
	if (r >= 0 && search.twice)
		r = refuse_ambiguous(&search, err);
	if (r >= 0 && append_rest(&search.key, disk + search.depth, key_out) < 0)
		r = error_set(err, -ENOMEM, "out of memory");
	free(search.key.data);
	free(search.other.data);
	return r < 0 ? r : 0;
}
