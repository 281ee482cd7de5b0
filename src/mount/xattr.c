/* SPDX-License-Identifier: MIT */
#include "mount/xattr.h"

#include "archive/acl.h"
#include "archive/archive.h"
#include "archive/content.h"
#include "archive/head.h"
#include "archive/open_file.h"
#include "archive/read_health.h"
#include "base/error.h"
#include "base/hex.h"
#include "base/text.h"
#include "catalog/history.h"
#include "catalog/placement.h"
#include "mount/entry.h"
#include "mount/file_system.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define OWN_PREFIX "user.blockframe."

static bool is_acl(const char *name)
{
	return strcmp(name, ACL_XATTR_ACCESS) == 0 ||
	       strcmp(name, ACL_XATTR_DEFAULT) == 0;
}

/* Folders of versions have no xattrs but the ACLs that guard what they stand for. */
static bool shows(const struct entry *entry, const char *name)
{
	if (entry->inode.kind != INODE_VERSIONS)
		return true;
	return entry->manifest.type == ENTRY_DIRECTORY && is_acl(name);
}

static int take_text(struct text *text, struct bytes *value_out)
{
	value_out->size = text->size;
	value_out->data = (uint8_t *)text_take(text);
	return value_out->data ? 0 : -ENOMEM;
}

/* A value that stands in the log. */
static int read_long(struct request *request, const struct manifest_xattr *xattr,
		     struct bytes *value_out)
{
	autofree uint8_t *data = malloc(xattr->size);
	autoptr(open_file) file = NULL;
	size_t got = 0;
	int r;

	if (!data)
		return -ENOMEM;
	r = open_file_new_xattr(backing_service(request->backing), xattr, &file,
				&request->err);
	if (r == 0)
		r = open_file_read(file, 0, data, xattr->size, &got, &request->err);
	if (r < 0 || got < xattr->size)
		return r < 0 ? r : -EIO;
	*value_out = (struct bytes){ take_ptr(data), xattr->size };
	return 0;
}

static int copy_value(struct request *request, const struct manifest_xattr *xattr,
		      struct bytes *value_out)
{
	autotext struct text text = { 0 };

	if (xattr->size > MANIFEST_XATTR_INLINE_MAX)
		return read_long(request, xattr, value_out);
	if (text_append(&text, "") < 0 ||
	    text_append_bytes(&text, xattr->value.data, xattr->value.size) < 0)
		return -ENOMEM;
	return take_text(&text, value_out);
}

static int get_stored(struct request *request, const struct entry *entry,
		      const char *name, struct bytes *value_out)
{
	const struct manifest *manifest = &entry->manifest;

	for (size_t i = 0; i < manifest->xattr_count; i++) {
		const struct manifest_xattr *xattr = &manifest->xattrs[i];

		if (xattr->name.size == strlen(name) &&
		    memcmp(xattr->name.data, name, xattr->name.size) == 0)
			return copy_value(request, xattr, value_out);
	}
	return -ENODATA;
}

/* The mount's own */

static int append_hash(const struct hash *hash, struct text *text)
{
	char hex[HASH_HEX_SIZE];

	hash_to_hex(hash, hex);
	return text_append(text, hex);
}

static int append_root(struct request *request, const struct entry *entry,
		       struct text *text)
{
	uint64_t at =
		entry->row.end == VERSION_CURRENT ? request->fs->at : entry->row.end - 1;
	struct commit_row commit = { 0 };
	struct head head = { 0 };
	int r;

	r = catalog_get_commit(request->catalog, at, &commit, &request->err);
	if (r == 0)
		r = head_decode(commit.head, strlen(commit.head), &head, &request->err);
	if (r == 0)
		r = append_hash(&head.tree, text);
	head_done(&head);
	commit_row_done(&commit);
	return r > 0 ? -ENODATA : r;
}

/* The volumes that were named already, of one xattr. */
struct volume_names {
	struct uuid *seen; /* owned */
	size_t count;
	struct text *text;
};

static int append_volume(struct request *request, struct volume_names *names,
			 const struct uuid *uuid)
{
	struct volume_row volume = { 0 };
	char hex[2 * sizeof(*uuid) + 1];
	struct uuid *seen;
	int r;

	for (size_t i = 0; i < names->count; i++)
		if (memcmp(&names->seen[i], uuid, sizeof(*uuid)) == 0)
			return 0;
	seen = reallocarray(names->seen, names->count + 1, sizeof(*seen));
	if (!seen)
		return -ENOMEM;
	names->seen = seen;
	names->seen[names->count++] = *uuid;

	hex_encode(uuid, sizeof(*uuid), hex);
	r = catalog_get_volume(request->catalog, uuid, &volume, &request->err);
	if (r >= 0)
		r = text_appendf(names->text, "%s%s", names->count > 1 ? ", " : "",
				 r == 0 && volume.label ? volume.label : hex);
	volume_row_done(&volume);
	return r;
}

/* All places of one segment. */
static int append_places(struct request *request, struct volume_names *names,
			 const struct hash *id, uint64_t index)
{
	struct segment_place place;
	int r;

	for (unsigned nth = 0;; nth++) {
		r = catalog_find_segment(request->catalog, id, index, nth, &place,
					 &request->err);
		if (r == 0)
			r = append_volume(request, names, &place.volume);
		if (r != 0)
			return r == CATALOG_END ? 0 : r;
	}
}

static int append_volumes(struct request *request, const struct entry *entry,
			  struct text *text)
{
	struct source *source = archive_source(backing_archive(request->backing));
	struct volume_names names = { .text = text };
	autoptr(content) content = NULL;
	struct content_piece piece;
	uint64_t offset = 0;
	int r;

	r = content_open(&entry->manifest, &content, &request->err);
	while (r == 0 && offset < content_size(content)) {
		r = content_locate(content, source, offset, &piece, &request->err);
		if (r == 0)
			r = append_places(request, &names, &piece.id, piece.index);
		offset = piece.offset + piece.size;
	}
	free(names.seen);
	return r;
}

static int append_health(struct request *request, const struct entry *entry,
			 struct text *text)
{
	const struct bytes *key = &entry->manifest.key;
	autofree char *path = NULL;
	int r;

	r = key_to_path(key->data, key->size, &path);
	return r < 0 ? r : text_append(text, read_health_of(request->fs->health, path));
}

static int append_own(struct request *request, const struct entry *entry,
		      const char *name, struct text *text)
{
	bool is_file = entry->manifest.type == ENTRY_FILE;

	if (strcmp(name, "version") == 0)
		return text_appendf(text, "%" PRIu32, entry->row.version);
	if (strcmp(name, "commit") == 0)
		return text_appendf(text, "%" PRIu64, entry->row.first);
	if (strcmp(name, "root") == 0)
		return append_root(request, entry, text);
	if (is_file && strcmp(name, "hash") == 0)
		return append_hash(&entry->manifest.hash, text);
	if (is_file && strcmp(name, "volumes") == 0)
		return append_volumes(request, entry, text);
	if (is_file && strcmp(name, "health") == 0)
		return append_health(request, entry, text);
	return -ENODATA;
}

/* The top tells who serves it, so that who unmounts can wait for the end of that. */
static int append_pid(const struct entry *entry, const char *name, struct text *text)
{
	if (entry->inode.kind != INODE_LIVE || strcmp(name, "pid") != 0)
		return -ENODATA;
	return text_appendf(text, "%d", (int)getpid());
}

static int get_own(struct request *request, const struct entry *entry, const char *name,
		   struct bytes *value_out)
{
	autotext struct text text = { 0 };
	int r;

	if (entry->inode.kind == INODE_VERSIONS)
		return -ENODATA;
	r = text_append(&text, "");
	if (r == 0 && entry->inode.node == 0)
		r = append_pid(entry, name, &text);
	else if (r == 0)
		r = append_own(request, entry, name, &text);
	return r < 0 ? r : take_text(&text, value_out);
}

bool xattr_is_own(const char *name)
{
	return strncmp(name, OWN_PREFIX, strlen(OWN_PREFIX)) == 0;
}

/* What the file itself has goes first: it may come from a mount like this one. */
int xattr_get(struct request *request, const struct inode *inode, const char *name,
	      struct bytes *value_out)
{
	autoentry entry = { 0 };
	int r;

	if (inode->kind == INODE_SPECIAL)
		return -ENODATA;
	r = entry_load(request, inode, &entry);
	if (r < 0)
		return r;
	if (!shows(&entry, name))
		return -ENODATA;
	r = get_stored(request, &entry, name, value_out);
	if (r == -ENODATA && xattr_is_own(name))
		r = get_own(request, &entry, name + strlen(OWN_PREFIX), value_out);
	return r;
}

int xattr_list(struct request *request, const struct inode *inode,
	       struct bytes *names_out)
{
	autotext struct text text = { 0 };
	autoentry entry = { 0 };
	int r;

	r = text_append(&text, "");
	if (r == 0 && inode->kind != INODE_SPECIAL)
		r = entry_load(request, inode, &entry);
	if (r < 0)
		return r;
	for (size_t i = 0; r == 0 && i < entry.manifest.xattr_count; i++) {
		const struct bytes *name = &entry.manifest.xattrs[i].name;

		if (!shows(&entry, (const char *)name->data))
			continue;
		r = text_append_bytes(&text, name->data, name->size);
		if (r == 0)
			r = text_append_char(&text, '\0');
	}
	return r < 0 ? r : take_text(&text, names_out);
}
