/* SPDX-License-Identifier: MIT */
/* JSON lines to manifests. base/json.h has decided what is JSON, and the getters check
 * types; here the members are put together, and manifest_problem() has the last word.
 *
 * Members of other types of entries (a target of a file, ...) are refused rather than
 * skipped: readers that disagree about what an entry is would disagree about its bytes.
 *
 * The key alone is wanted for every line of every tree page that is passed, so it has a way
 * of its own: `path` is the first member of what we write, and mostly stands there without
 * escapes. Whatever looks different gets the full parse.
 */
#include "merkle/manifest.h"

#include "base/base64.h"
#include "base/error.h"
#include "base/json.h"
#include "base/json_optional.h"
#include "base/number.h"
#include "base/utf8.h"

#include <errno.h>
#include <string.h>

#define NANOSECOND_DIGITS 9

static int damaged(struct error *err, const char *what)
{
	return error_set(err, -EBADMSG, "manifest: %s", what);
}

/* "<name>" or "<name>_base64", if either is there. */
static int get_bytes_or_none(const struct json *object, const char *name,
			     const char *name_base64, struct bytes *bytes_out,
			     struct error *err)
{
	struct bytes bytes = { 0 };
	int r;

	if (!json_has(object, name) && !json_has(object, name_base64))
		return 0;
	r = json_get_bytes(object, name, &bytes.data, &bytes.size, err);
	if (r < 0)
		return r;
	if (bytes.size == 0) {
		free(bytes.data);
		return damaged(err, "an empty name");
	}
	*bytes_out = bytes;
	return 0;
}

/* A path as JSON has it becomes a key in place. False if it is none. */
static bool path_to_key(uint8_t *path, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (path[i] == 0)
			return false;
		if (path[i] == '/')
			path[i] = 0;
	}
	return key_valid(path, size);
}

static int get_key(const struct json *object, struct bytes *key_out, struct error *err)
{
	autofree uint8_t *key = NULL;
	size_t size = 0;
	int r;

	r = json_get_bytes(object, "path", &key, &size, err);
	if (r < 0)
		return r;
	if (!path_to_key(key, size))
		return damaged(err, "impossible path");
	key_out->data = take_ptr(key);
	key_out->size = size;
	return 0;
}

static int get_type(const struct json *object, enum entry_type *type_out,
		    struct error *err)
{
	const char *name = NULL;
	int r;

	r = json_get_string(object, "type", &name, err);
	if (r < 0)
		return r;
	for (enum entry_type type = ENTRY_FILE; type <= ENTRY_BLOCK; type++) {
		if (strcmp(name, entry_type_name(type)) == 0) {
			*type_out = type;
			return 0;
		}
	}
	return damaged(err, "unknown type");
}

/* "-12.000000001": canonical seconds, a point, nine digits. */
static bool parse_time(const char *text, struct entry_time *time_out)
{
	char seconds[NUMBER_TEXT_MAX];
	const char *point = strchr(text, '.');
	uint32_t nanoseconds = 0;

	if (!point || (size_t)(point - text) >= sizeof(seconds) ||
	    strlen(point + 1) != NANOSECOND_DIGITS)
		return false;
	for (const char *digit = point + 1; *digit; digit++) {
		if (*digit < '0' || *digit > '9')
			return false;
		nanoseconds = nanoseconds * 10 + (uint32_t)(*digit - '0');
	}
	memcpy(seconds, text, (size_t)(point - text));
	seconds[point - text] = '\0';
	if (number_parse_i64(seconds, &time_out->seconds) < 0)
		return false;
	time_out->nanoseconds = nanoseconds;
	return true;
}

static int get_time(const struct json *object, const char *name,
		    struct entry_time *time_out, struct error *err)
{
	const char *text = NULL;
	int r;

	r = json_get_string(object, name, &text, err);
	if (r < 0)
		return r;
	return parse_time(text, time_out) ? 0 : damaged(err, "impossible time");
}

/* The pack of @object, required. */
static int get_pack(const struct json *object, struct pack_place *pack_out,
		    struct error *err)
{
	const struct json *pack = NULL;
	int r;

	r = json_get_object(object, "pack", &pack, err);
	if (r < 0)
		return r;
	r = json_get_hex(pack, "segment", pack_out->segment.bytes, HASH_SIZE, err);
	if (r < 0)
		return r;
	if (hash_is_zero(&pack_out->segment))
		return damaged(err, "a pack without id");
	return json_get_u32(pack, "offset", &pack_out->offset, err);
}

/* An array that may be missing but not be empty; NULL if it is missing. */
static int get_list(const struct json *object, const char *name,
		    const struct json **list_out, struct error *err)
{
	int r;

	r = json_get_array_or(object, name, NULL, list_out, err);
	if (r < 0)
		return r;
	if (*list_out && json_count(*list_out) == 0)
		return damaged(err, "an empty list");
	return 0;
}

static int get_hashes(const struct json *object, const char *name,
		      struct hash **hashes_out, size_t *count_out, struct error *err)
{
	autofree struct hash *hashes = NULL;
	const struct json *list = NULL;
	size_t count = 0;
	int r;

	r = get_list(object, name, &list, err);
	if (r < 0 || !list)
		return r;
	hashes = calloc(json_count(list), sizeof(*hashes));
	if (!hashes)
		return error_set(err, -ENOMEM, "no memory for a manifest");
	for (const struct json *v = json_first(list); v; v = json_next(v)) {
		r = json_get_hex(v, NULL, hashes[count++].bytes, HASH_SIZE, err);
		if (r < 0)
			return r;
	}
	*hashes_out = take_ptr(hashes);
	*count_out = count;
	return 0;
}

static int get_holes(const struct json *object, struct manifest *manifest,
		     struct error *err)
{
	const struct json *list = NULL;
	const struct json *v;
	size_t count;
	int r;

	r = get_list(object, "holes", &list, err);
	if (r < 0 || !list)
		return r;
	count = json_count(list);
	if (count % 2)
		return damaged(err, "a hole without size");
	manifest->holes = calloc(count / 2, sizeof(*manifest->holes));
	if (!manifest->holes)
		return error_set(err, -ENOMEM, "no memory for a manifest");
	for (v = json_first(list); v; v = json_next(v)) {
		struct manifest_hole *hole = &manifest->holes[manifest->hole_count++];

		r = json_get_u64(v, NULL, &hole->offset, err);
		if (r < 0)
			return r;
		v = json_next(v);
		r = json_get_u64(v, NULL, &hole->size, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int get_file(const struct json *object, struct manifest *manifest,
		    struct error *err)
{
	int r;

	r = json_get_u64(object, "size", &manifest->size, err);
	if (r < 0)
		return r;
	r = json_get_hex(object, "hash", manifest->hash.bytes, HASH_SIZE, err);
	if (r < 0)
		return r;
	if (json_has(object, "pack")) {
		r = get_pack(object, &manifest->pack, err);
		if (r < 0)
			return r;
	}
	r = get_hashes(object, "segments", &manifest->segments, &manifest->segment_count,
		       err);
	if (r < 0)
		return r;
	r = get_hashes(object, "segment_pages", &manifest->segment_pages,
		       &manifest->segment_page_count, err);
	if (r < 0)
		return r;
	r = get_holes(object, manifest, err);
	if (r < 0)
		return r;
	return get_bytes_or_none(object, "link", "link_base64", &manifest->link, err);
}

static int get_xattr_value(const struct json *object, struct manifest_xattr *xattr,
			   struct error *err)
{
	const char *text = NULL;
	int r;

	r = json_get_string(object, "value", &text, err);
	if (r < 0)
		return r;
	r = base64_decode(text, strlen(text), &xattr->value.data, &xattr->value.size);
	if (r == -ENOMEM)
		return error_set(err, r, "no memory for a manifest");
	if (r < 0 || xattr->value.size > MANIFEST_XATTR_INLINE_MAX)
		return damaged(err, "impossible value of an extended attribute");
	xattr->size = xattr->value.size;
	return 0;
}

static int get_xattr(const struct json *object, struct manifest_xattr *xattr,
		     struct error *err)
{
	int r;

	r = json_get_bytes(object, "name", &xattr->name.data, &xattr->name.size, err);
	if (r < 0)
		return r;
	if (json_has(object, "value"))
		return json_has(object, "pack")
			       ? damaged(err, "an extended attribute in two places")
			       : get_xattr_value(object, xattr, err);
	r = json_get_u64(object, "size", &xattr->size, err);
	if (r < 0)
		return r;
	r = json_get_hex(object, "hash", xattr->hash.bytes, HASH_SIZE, err);
	if (r < 0)
		return r;
	if (xattr->size <= MANIFEST_XATTR_INLINE_MAX)
		return damaged(err, "a short extended attribute outside");
	return get_pack(object, &xattr->pack, err);
}

static int get_xattrs(const struct json *object, struct manifest *manifest,
		      struct error *err)
{
	const struct json *list = NULL;
	int r;

	r = get_list(object, "xattrs", &list, err);
	if (r < 0 || !list)
		return r;
	manifest->xattrs = calloc(json_count(list), sizeof(*manifest->xattrs));
	if (!manifest->xattrs)
		return error_set(err, -ENOMEM, "no memory for a manifest");
	for (const struct json *v = json_first(list); v; v = json_next(v)) {
		r = get_xattr(v, &manifest->xattrs[manifest->xattr_count++], err);
		if (r < 0)
			return r;
	}
	return 0;
}

static bool has_any(const struct json *object, const char *const *names)
{
	for (; *names; names++)
		if (json_has(object, *names))
			return true;
	return false;
}

/* Members of other types. */
static int refuse_strays(const struct json *object, enum entry_type type,
			 struct error *err)
{
	static const char *const file[] = { "size",     "hash",          "pack",
					    "segments", "segment_pages", "holes",
					    "link",     "link_base64",   NULL };
	static const char *const symlink[] = { "target", "target_base64", NULL };

	if ((type != ENTRY_FILE && has_any(object, file)) ||
	    (type != ENTRY_SYMLINK && has_any(object, symlink)) ||
	    (type != ENTRY_CHAR && type != ENTRY_BLOCK && json_has(object, "device")))
		return damaged(err, "a member of another type of entry");
	return 0;
}

static int get_attributes(const struct json *object, struct manifest *manifest,
			  struct error *err)
{
	int r;

	r = json_get_u32(object, "version", &manifest->version, err);
	if (r < 0)
		return r;
	r = json_get_u32(object, "mode", &manifest->mode, err);
	if (r < 0)
		return r;
	r = json_get_u32(object, "uid", &manifest->uid, err);
	if (r < 0)
		return r;
	r = json_get_u32(object, "gid", &manifest->gid, err);
	if (r < 0)
		return r;
	r = get_bytes_or_none(object, "user", "user_base64", &manifest->user, err);
	if (r < 0)
		return r;
	r = get_bytes_or_none(object, "group", "group_base64", &manifest->group, err);
	if (r < 0)
		return r;
	r = get_time(object, "mtime", &manifest->mtime, err);
	if (r < 0)
		return r;
	r = get_time(object, "ctime", &manifest->ctime, err);
	if (r < 0)
		return r;
	r = json_get_u64(object, "inode", &manifest->inode, err);
	if (r < 0)
		return r;
	r = get_xattrs(object, manifest, err);
	if (r < 0)
		return r;
	return get_bytes_or_none(object, "source", "source_base64", &manifest->source,
				 err);
}

static int get_rest(const struct json *object, struct manifest *manifest,
		    struct error *err)
{
	switch (manifest->type) {
	case ENTRY_FILE:
		return get_file(object, manifest, err);
	case ENTRY_SYMLINK:
		return get_bytes_or_none(object, "target", "target_base64",
					 &manifest->target, err);
	case ENTRY_CHAR:
	case ENTRY_BLOCK:
		return json_get_u64(object, "device", &manifest->device, err);
	case ENTRY_DIRECTORY:
	case ENTRY_FIFO:
	case ENTRY_SOCKET:
		break;
	}
	return 0;
}

static int get_manifest(const struct json *object, struct manifest *manifest,
			struct error *err)
{
	const char *problem;
	int r;

	r = get_key(object, &manifest->key, err);
	if (r < 0)
		return r;
	r = get_type(object, &manifest->type, err);
	if (r < 0)
		return r;
	r = refuse_strays(object, manifest->type, err);
	if (r < 0)
		return r;
	r = get_attributes(object, manifest, err);
	if (r < 0)
		return r;
	r = get_rest(object, manifest, err);
	if (r < 0)
		return r;
	problem = manifest_problem(manifest);
	return problem ? damaged(err, problem) : 0;
}

static int parse_line(const char *line, size_t size, struct json **json_out,
		      struct error *err)
{
	int r;

	if (size > MANIFEST_LINE_MAX)
		return damaged(err, "too long");
	if (size && line[size - 1] == '\n')
		size--;
	if (size && memchr(line, '\n', size))
		return damaged(err, "more than one line");
	r = json_parse(line, size, MANIFEST_LINE_MAX, json_out, err);
	return r < 0 ? error_prefix(err, r, "manifest") : 0;
}

int manifest_decode(const char *line, size_t size, struct manifest *manifest_out,
		    struct error *err)
{
	autoptr(json) json = NULL;
	struct manifest manifest = { 0 };
	int r;

	r = parse_line(line, size, &json, err);
	if (r < 0)
		return r;
	r = get_manifest(json, &manifest, err);
	if (r < 0) {
		manifest_done(&manifest);
		return r;
	}
	*manifest_out = manifest;
	return 0;
}

/* The short way: @rest follows the quote of a first member "path". Returns false for what is
 * better left to the parser. */
static bool decode_plain_key(const char *rest, size_t size, uint8_t *key,
			     size_t *size_out)
{
	static const char escaped[] = "\"\\/bfnrt", plain[] = "\"\\/\b\f\n\r\t";
	size_t used = 0;

	for (size_t i = 0; i < size; i++) {
		unsigned char c = (unsigned char)rest[i];
		const char *letter;

		if (c == '"') {
			if (!utf8_is_text(key, used) || !path_to_key(key, used))
				return false;
			*size_out = used;
			return true;
		}
		if (c < ' ' || used == MANIFEST_KEY_MAX)
			return false;
		if (c == '\\') {
			if (++i == size || !rest[i])
				return false;
			letter = strchr(escaped, rest[i]);
			if (!letter)
				return false;
			c = (unsigned char)plain[letter - escaped];
		}
		key[used++] = c;
	}
	return false;
}

int manifest_decode_key(const char *line, size_t size, uint8_t *key_out,
			size_t *key_size_out, struct error *err)
{
	static const char start[] = "{\"path\":\"";
	const size_t start_size = sizeof(start) - 1;
	autoptr(json) json = NULL;
	struct bytes key = { 0 };
	int r;

	if (size > start_size && memcmp(line, start, start_size) == 0 &&
	    decode_plain_key(line + start_size, size - start_size, key_out, key_size_out))
		return 0;

	r = parse_line(line, size, &json, err);
	if (r < 0)
		return r;
	r = get_key(json, &key, err);
	if (r < 0)
		return r;
	memcpy(key_out, key.data, key.size);
	*key_size_out = key.size;
	free(key.data);
	return 0;
}
