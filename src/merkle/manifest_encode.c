/* SPDX-License-Identifier: MIT */
/* Manifests to JSON lines (docs/format.md 7.3). `path` comes first, so that
 * manifest_decode_key() need not look further; the order of the rest is free, but always the
 * same, because the tree's pages are compared by their hashes.
 */
#include "merkle/manifest.h"

#include "base/base64.h"
#include "base/error.h"
#include "base/json_writer.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define TIME_TEXT_MAX 32 /* bytes: 64-bit seconds, a point, nine digits, NUL */

static void write_path(struct json_writer *w, const struct bytes *key)
{
	uint8_t path[MANIFEST_KEY_MAX];

	assert(key->size <= sizeof(path));
	for (size_t i = 0; i < key->size; i++)
		path[i] = key->data[i] ? key->data[i] : '/';
	json_write_bytes(w, "path", path, key->size);
}

static void write_bytes(struct json_writer *w, const char *name,
			const struct bytes *bytes)
{
	if (bytes->size)
		json_write_bytes(w, name, bytes->data, bytes->size);
}

static void write_time(struct json_writer *w, const char *name,
		       const struct entry_time *time)
{
	char text[TIME_TEXT_MAX];

	(void)snprintf(text, sizeof(text), "%" PRId64 ".%09" PRIu32, time->seconds,
		       time->nanoseconds);
	json_write_string(w, name, text);
}

static void write_pack(struct json_writer *w, const struct pack_place *pack)
{
	json_write_object(w, "pack");
	json_write_hex(w, "segment", pack->segment.bytes, HASH_SIZE);
	json_write_u32(w, "offset", pack->offset);
	json_write_end(w);
}

static void write_hashes(struct json_writer *w, const char *name,
			 const struct hash *hashes, size_t count)
{
	if (count == 0)
		return;
	json_write_array(w, name);
	for (size_t i = 0; i < count; i++)
		json_write_hex(w, NULL, hashes[i].bytes, HASH_SIZE);
	json_write_end(w);
}

static void write_holes(struct json_writer *w, const struct manifest *manifest)
{
	if (manifest->hole_count == 0)
		return;
	json_write_array(w, "holes");
	for (size_t i = 0; i < manifest->hole_count; i++) {
		json_write_u64(w, NULL, manifest->holes[i].offset);
		json_write_u64(w, NULL, manifest->holes[i].size);
	}
	json_write_end(w);
}

static void write_file(struct json_writer *w, const struct manifest *manifest)
{
	json_write_u64(w, "size", manifest->size);
	json_write_hex(w, "hash", manifest->hash.bytes, HASH_SIZE);
	if (!hash_is_zero(&manifest->pack.segment))
		write_pack(w, &manifest->pack);
	write_hashes(w, "segments", manifest->segments, manifest->segment_count);
	write_hashes(w, "segment_pages", manifest->segment_pages,
		     manifest->segment_page_count);
	write_holes(w, manifest);
	write_bytes(w, "link", &manifest->link);
}

static void write_xattr(struct json_writer *w, const struct manifest_xattr *xattr)
{
	char value[4 * (MANIFEST_XATTR_INLINE_MAX / 3 + 1) + 1];

	json_write_object(w, NULL);
	json_write_bytes(w, "name", xattr->name.data, xattr->name.size);
	if (xattr->size <= MANIFEST_XATTR_INLINE_MAX) {
		base64_encode(xattr->value.data, xattr->value.size, value);
		value[base64_size(xattr->value.size)] = '\0';
		json_write_string(w, "value", value);
	} else {
		json_write_u64(w, "size", xattr->size);
		json_write_hex(w, "hash", xattr->hash.bytes, HASH_SIZE);
		write_pack(w, &xattr->pack);
	}
	json_write_end(w);
}

static void write_xattrs(struct json_writer *w, const struct manifest *manifest)
{
	if (manifest->xattr_count == 0)
		return;
	json_write_array(w, "xattrs");
	for (size_t i = 0; i < manifest->xattr_count; i++)
		write_xattr(w, &manifest->xattrs[i]);
	json_write_end(w);
}

static void write_manifest(struct json_writer *w, const struct manifest *manifest)
{
	json_write_object(w, NULL);
	write_path(w, &manifest->key);
	json_write_string(w, "type", entry_type_name(manifest->type));
	json_write_u32(w, "version", manifest->version);
	json_write_u32(w, "mode", manifest->mode);
	json_write_u32(w, "uid", manifest->uid);
	json_write_u32(w, "gid", manifest->gid);
	write_bytes(w, "user", &manifest->user);
	write_bytes(w, "group", &manifest->group);
	write_time(w, "mtime", &manifest->mtime);
	write_time(w, "ctime", &manifest->ctime);
	json_write_u64(w, "inode", manifest->inode);
	if (manifest->type == ENTRY_FILE)
		write_file(w, manifest);
	write_bytes(w, "target", &manifest->target);
	if (manifest->type == ENTRY_CHAR || manifest->type == ENTRY_BLOCK)
		json_write_u64(w, "device", manifest->device);
	write_xattrs(w, manifest);
	write_bytes(w, "source", &manifest->source);
	json_write_end(w);
}

int manifest_encode(const struct manifest *manifest, struct text *out, struct error *err)
{
	const char *problem = manifest_problem(manifest);
	size_t start = out->size;
	struct json_writer writer;
	int r;

	if (problem)
		return error_set(err, -EINVAL, "manifest: %s", problem);
	json_writer_init(&writer, out);
	write_manifest(&writer, manifest);
	r = json_writer_finish(&writer);
	if (r == 0)
		r = text_append_char(out, '\n');
	if (r == 0 && out->size - start > MANIFEST_LINE_MAX)
		r = -EINVAL;
	if (r == 0)
		return 0;

	text_truncate(out, start);
	return r == -EINVAL ? error_set(err, r, "manifest: longer than %u bytes",
					MANIFEST_LINE_MAX)
			    : error_set(err, r, "no memory for a manifest");
}
