/* SPDX-License-Identifier: MIT */
#include "archive/compare_entry.h"

#include "archive/attributes.h"
#include "archive/compare.h"
#include "archive/xattrs.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char *const attribute_names[COMPARE_ATTRIBUTE_COUNT] = {
	"type", "size", "content", "mtime", "mode", "owner", "target", "xattrs", "device",
};

const char *compare_attribute_name(unsigned bit)
{
	return attribute_names[bit];
}

static bool bytes_equal(const struct bytes *a, const struct bytes *b)
{
	return a->size == b->size &&
	       (a->size == 0 || memcmp(a->data, b->data, a->size) == 0);
}

/* @archived may have the hash of a long value only. */
static bool xattr_equal(const struct manifest_xattr *archived,
			const struct manifest_xattr *found)
{
	struct hash hash;

	if (!bytes_equal(&archived->name, &found->name) || archived->size != found->size)
		return false;
	if (archived->size <= MANIFEST_XATTR_INLINE_MAX)
		return bytes_equal(&archived->value, &found->value);
	hash_bytes(found->value.data, found->value.size, &hash);
	return hash_equal(&hash, &archived->hash);
}

static bool xattrs_equal(const struct manifest *manifest, const struct xattrs *found)
{
	if (manifest->xattr_count != found->count)
		return false;
	for (size_t i = 0; i < found->count; i++)
		if (!xattr_equal(&manifest->xattrs[i], &found->items[i]))
			return false;
	return true;
}

static int compare_xattrs(const struct manifest *manifest, int dirfd, const char *name,
			  bool known, unsigned *attributes)
{
	struct xattrs found = { 0 };
	int r;

	r = xattrs_read_at(dirfd, name, &found);
	if (r < 0)
		return r;
	if (known)
		xattrs_drop(&found, XATTR_STUB);
	if (!xattrs_equal(manifest, &found))
		*attributes |= COMPARE_XATTRS;
	xattrs_done(&found);
	return 0;
}

static int compare_target(const struct manifest *manifest, int dirfd, const char *name,
			  unsigned *attributes)
{
	struct bytes target = { 0 };
	int r;

	r = attributes_read_target(dirfd, name, &target);
	if (r < 0)
		return r;
	if (!bytes_equal(&target, &manifest->target))
		*attributes |= COMPARE_TARGET;
	free(target.data);
	return 0;
}

static unsigned compare_stat(const struct manifest *manifest, const struct stat *stat)
{
	enum entry_type type = manifest->type;
	unsigned attributes = 0;

	if (type == ENTRY_FILE && manifest->size != (uint64_t)stat->st_size)
		attributes |= COMPARE_SIZE;
	if (manifest->mtime.seconds != stat->st_mtim.tv_sec ||
	    manifest->mtime.nanoseconds != (uint32_t)stat->st_mtim.tv_nsec)
		attributes |= COMPARE_MTIME;
	if (manifest->mode != (stat->st_mode & 07777))
		attributes |= COMPARE_MODE;
	if (manifest->uid != stat->st_uid || manifest->gid != stat->st_gid)
		attributes |= COMPARE_OWNER;
	if ((type == ENTRY_CHAR || type == ENTRY_BLOCK) &&
	    manifest->device != stat->st_rdev)
		attributes |= COMPARE_DEVICE;
	return attributes;
}

int compare_entry(const struct manifest *manifest, int dirfd, const char *name,
		  const struct stat *stat, bool known, unsigned *attributes_out)
{
	unsigned attributes;
	int r = 0;

	if (manifest->type != attributes_type(stat->st_mode)) {
		*attributes_out = COMPARE_TYPE;
		return 0;
	}
	attributes = compare_stat(manifest, stat);
	if (manifest->type == ENTRY_SYMLINK)
		r = compare_target(manifest, dirfd, name, &attributes);
	if (r == 0)
		r = compare_xattrs(manifest, dirfd, name, known, &attributes);
	if (r < 0)
		return r;
	*attributes_out = attributes;
	return 0;
}
