/* SPDX-License-Identifier: MIT */
/* Manifests as values: what makes one valid, when two are the same, and their end of life.
 * The JSON is in manifest_encode.c and manifest_decode.c; both ask manifest_problem(), so
 * that nothing is written that could not be read again.
 */
#include "merkle/manifest.h"

#include <string.h>

#define MODE_MAX 07777u
#define NANOSECONDS 1000000000u
#define TARGET_MAX 4095u      /* bytes: what Linux takes */
#define XATTR_NAME_LIMIT 255u /* bytes */

static const char *const type_names[] = {
	[ENTRY_FILE] = "file",       [ENTRY_DIRECTORY] = "directory",
	[ENTRY_SYMLINK] = "symlink", [ENTRY_FIFO] = "fifo",
	[ENTRY_SOCKET] = "socket",   [ENTRY_CHAR] = "char",
	[ENTRY_BLOCK] = "block",
};

const char *entry_type_name(enum entry_type type)
{
	return type_names[type];
}

static bool has_zero(const struct bytes *bytes)
{
	return bytes->size && memchr(bytes->data, 0, bytes->size);
}

static uint64_t divide_up(uint64_t a, uint64_t b)
{
	return a / b + (a % b != 0);
}

static const char *pack_problem(const struct pack_place *pack, uint64_t size)
{
	if (size > MANIFEST_SEGMENT_SIZE || pack->offset > MANIFEST_SEGMENT_SIZE - size)
		return "content reaches beyond its pack";
	return NULL;
}

static const char *holes_problem(const struct manifest *manifest)
{
	uint64_t position = 0;

	for (size_t i = 0; i < manifest->hole_count; i++) {
		const struct manifest_hole *hole = &manifest->holes[i];

		if (hole->size == 0 || hole->offset < position ||
		    hole->offset > manifest->size ||
		    hole->size > manifest->size - hole->offset)
			return "holes are not in order or beyond the end";
		position = hole->offset + hole->size;
	}
	return NULL;
}

static const char *content_problem(const struct manifest *manifest)
{
	uint64_t pieces = divide_up(manifest->size, MANIFEST_SEGMENT_SIZE);
	bool packed = !hash_is_zero(&manifest->pack.segment);
	bool listed = manifest->segment_count > 0;
	bool paged = manifest->segment_page_count > 0;

	if (manifest->size > INT64_MAX)
		return "impossible size";
	if (packed + listed + paged != (manifest->size > 0))
		return "content stands in no place or in several";
	if (packed)
		return pack_problem(&manifest->pack, manifest->size);
	if (manifest->pack.offset)
		return "an offset without a pack";
	if (listed &&
	    (pieces > MANIFEST_SEGMENTS_INLINE_MAX || manifest->segment_count != pieces))
		return "segments do not match the size";
	if (paged && (pieces <= MANIFEST_SEGMENTS_INLINE_MAX ||
		      manifest->segment_page_count !=
			      divide_up(pieces, MANIFEST_LIST_PAGE_SEGMENTS)))
		return "list pages do not match the size";
	return NULL;
}

static bool link_valid(const struct bytes *link)
{
	uint8_t key[MANIFEST_KEY_MAX];

	if (link->size == 0)
		return true;
	if (link->size > sizeof(key) || has_zero(link))
		return false;
	for (size_t i = 0; i < link->size; i++)
		key[i] = link->data[i] == '/' ? 0 : link->data[i];
	return key_valid(key, link->size);
}

static const char *file_problem(const struct manifest *manifest)
{
	const char *problem = content_problem(manifest);

	if (!problem)
		problem = holes_problem(manifest);
	if (!problem && !link_valid(&manifest->link))
		problem = "'link' is no path";
	return problem;
}

/* Fields that only some types have, in the others. */
static const char *stray_problem(const struct manifest *manifest)
{
	enum entry_type type = manifest->type;

	if (type != ENTRY_FILE &&
	    (manifest->size || !hash_is_zero(&manifest->hash) ||
	     !hash_is_zero(&manifest->pack.segment) || manifest->pack.offset ||
	     manifest->segment_count || manifest->segment_page_count ||
	     manifest->hole_count || manifest->link.size))
		return "content in an entry that is no file";
	if (type != ENTRY_SYMLINK && manifest->target.size)
		return "a target in an entry that is no symlink";
	if (type != ENTRY_CHAR && type != ENTRY_BLOCK && manifest->device)
		return "a device number in an entry that is no device";
	return NULL;
}

static const char *xattr_problem(const struct manifest_xattr *xattr)
{
	if (xattr->name.size < 1 || xattr->name.size > XATTR_NAME_LIMIT ||
	    has_zero(&xattr->name))
		return "impossible name of an extended attribute";
	if (xattr->size <= MANIFEST_XATTR_INLINE_MAX)
		return xattr->value.size == xattr->size
			       ? NULL
			       : "an extended attribute without its value";
	if (hash_is_zero(&xattr->pack.segment))
		return "an extended attribute in no pack";
	return pack_problem(&xattr->pack, xattr->size);
}

static const char *xattrs_problem(const struct manifest *manifest)
{
	for (size_t i = 0; i < manifest->xattr_count; i++) {
		const struct bytes *name = &manifest->xattrs[i].name;
		const char *problem = xattr_problem(&manifest->xattrs[i]);

		if (problem)
			return problem;
		if (i > 0 &&
		    key_compare(name->data, name->size, manifest->xattrs[i - 1].name.data,
				manifest->xattrs[i - 1].name.size) <= 0)
			return "extended attributes are not in order";
	}
	return NULL;
}

static const char *common_problem(const struct manifest *manifest)
{
	if (!key_valid(manifest->key.data, manifest->key.size))
		return "impossible path";
	if (manifest->version == 0)
		return "version 0";
	if (manifest->mode > MODE_MAX)
		return "impossible mode";
	if (manifest->mtime.nanoseconds >= NANOSECONDS ||
	    manifest->ctime.nanoseconds >= NANOSECONDS)
		return "impossible time";
	if (has_zero(&manifest->user) || has_zero(&manifest->group) ||
	    has_zero(&manifest->source))
		return "a zero byte in a name";
	return NULL;
}

const char *manifest_problem(const struct manifest *manifest)
{
	const char *problem;

	if (manifest->type < ENTRY_FILE || manifest->type > ENTRY_BLOCK)
		return "unknown type";
	problem = common_problem(manifest);
	if (!problem)
		problem = stray_problem(manifest);
	if (!problem && manifest->type == ENTRY_FILE)
		problem = file_problem(manifest);
	if (!problem && manifest->type == ENTRY_SYMLINK &&
	    (manifest->target.size < 1 || manifest->target.size > TARGET_MAX ||
	     has_zero(&manifest->target)))
		problem = "impossible target of a symlink";
	return problem ? problem : xattrs_problem(manifest);
}

static bool bytes_same(const struct bytes *a, const struct bytes *b)
{
	return a->size == b->size &&
	       (a->size == 0 || memcmp(a->data, b->data, a->size) == 0);
}

static bool time_same(const struct entry_time *a, const struct entry_time *b)
{
	return a->seconds == b->seconds && a->nanoseconds == b->nanoseconds;
}

static bool pack_same(const struct pack_place *a, const struct pack_place *b)
{
	return hash_equal(&a->segment, &b->segment) && a->offset == b->offset;
}

static bool hashes_same(const struct hash *a, size_t a_count, const struct hash *b,
			size_t b_count)
{
	return a_count == b_count &&
	       (a_count == 0 || memcmp(a, b, a_count * sizeof(*a)) == 0);
}

static bool content_same(const struct manifest *a, const struct manifest *b)
{
	if (a->size != b->size || !hash_equal(&a->hash, &b->hash) ||
	    !pack_same(&a->pack, &b->pack) || a->hole_count != b->hole_count ||
	    !hashes_same(a->segments, a->segment_count, b->segments, b->segment_count) ||
	    !hashes_same(a->segment_pages, a->segment_page_count, b->segment_pages,
			 b->segment_page_count))
		return false;
	for (size_t i = 0; i < a->hole_count; i++)
		if (a->holes[i].offset != b->holes[i].offset ||
		    a->holes[i].size != b->holes[i].size)
			return false;
	return true;
}

static bool xattr_same(const struct manifest_xattr *a, const struct manifest_xattr *b)
{
	if (a->size != b->size || !bytes_same(&a->name, &b->name))
		return false;
	if (a->size <= MANIFEST_XATTR_INLINE_MAX)
		return bytes_same(&a->value, &b->value);
	return hash_equal(&a->hash, &b->hash) && pack_same(&a->pack, &b->pack);
}

static bool xattrs_same(const struct manifest *a, const struct manifest *b)
{
	if (a->xattr_count != b->xattr_count)
		return false;
	for (size_t i = 0; i < a->xattr_count; i++)
		if (!xattr_same(&a->xattrs[i], &b->xattrs[i]))
			return false;
	return true;
}

bool manifest_same(const struct manifest *a, const struct manifest *b)
{
	return a->type == b->type && a->mode == b->mode && a->uid == b->uid &&
	       a->gid == b->gid && a->inode == b->inode && a->device == b->device &&
	       bytes_same(&a->user, &b->user) && bytes_same(&a->group, &b->group) &&
	       time_same(&a->mtime, &b->mtime) && time_same(&a->ctime, &b->ctime) &&
	       bytes_same(&a->link, &b->link) && bytes_same(&a->target, &b->target) &&
	       content_same(a, b) && xattrs_same(a, b);
}

void manifest_done(struct manifest *manifest)
{
	for (size_t i = 0; i < manifest->xattr_count; i++) {
		free(manifest->xattrs[i].name.data);
		free(manifest->xattrs[i].value.data);
	}
	free(manifest->xattrs);
	free(manifest->holes);
	free(manifest->segments);
	free(manifest->segment_pages);
	free(manifest->key.data);
	free(manifest->user.data);
	free(manifest->group.data);
	free(manifest->link.data);
	free(manifest->target.data);
	free(manifest->source.data);
	*manifest = (struct manifest){ 0 };
}
