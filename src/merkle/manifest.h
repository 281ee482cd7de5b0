/* SPDX-License-Identifier: MIT */
#pragma once
/* One entry of an archive's tree at one version: attributes, BLAKE3 root and the segments
 * that hold the content (docs/format.md 7.3). A plain value; encode and decode are pure and
 * safe on hostile input.
 *
 * Times are seconds since the epoch plus 0 to 999,999,999 nanoseconds.
 */
#include "base/cleanup.h"
#include "merkle/hash.h"
#include "merkle/key.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct text;

#define MANIFEST_XATTR_INLINE_MAX 1024u /* bytes; longer values are content */
#define MANIFEST_SEGMENTS_INLINE_MAX 64u
#define MANIFEST_LINE_MAX 262143u                  /* bytes, newline included */
#define MANIFEST_SEGMENT_SIZE (UINT64_C(32) << 20) /* bytes of all but the last piece */
#define MANIFEST_LIST_PAGE_SEGMENTS 2000u          /* ids in all but the last list page */

enum entry_type {
	ENTRY_FILE = 1,
	ENTRY_DIRECTORY,
	ENTRY_SYMLINK,
	ENTRY_FIFO,
	ENTRY_SOCKET,
	ENTRY_CHAR,
	ENTRY_BLOCK,
};

struct entry_time {
	int64_t seconds;
	uint32_t nanoseconds;
};

/* Whole content inside a pack. */
struct pack_place {
	struct hash segment; /* zero: not in a pack */
	uint32_t offset;     /* bytes, in the pack's content */
};

struct manifest_xattr {
	struct bytes name;
	uint64_t size;      /* bytes of value */
	struct bytes value; /* if size <= MANIFEST_XATTR_INLINE_MAX */
	struct hash hash;   /* of longer values, and where they stand */
	struct pack_place pack;
};

struct manifest_hole {
	uint64_t offset; /* bytes */
	uint64_t size;
};

struct manifest {
	struct bytes key; /* components joined by NUL */
	enum entry_type type;
	uint32_t version; /* from 1 */
	uint32_t mode;    /* permission, set-id and sticky bits */
	uint32_t uid;
	uint32_t gid;
	struct bytes user; /* empty if unknown */
	struct bytes group;
	struct entry_time mtime;
	struct entry_time ctime;
	uint64_t inode;
	struct bytes link;   /* path ('/' joined) naming the inode; empty: one link */
	struct bytes target; /* of a symlink */
	uint64_t device;     /* st_rdev */
	struct bytes source; /* of a topmost entry */

	uint64_t size; /* bytes of a file */
	struct hash hash;
	struct pack_place pack;
	struct hash *segments; /* owned */
	size_t segment_count;
	struct hash *segment_pages; /* owned; in place of segments */
	size_t segment_page_count;
	struct manifest_hole *holes; /* owned, ascending */
	size_t hole_count;
	struct manifest_xattr *xattrs; /* owned, ascending by name */
	size_t xattr_count;
};

/* Name as used in JSON: "file", ... */
const char *entry_type_name(enum entry_type type);

/* Append the manifest as one JSON line, newline included, to @out. -EINVAL if it would be
 * longer than MANIFEST_LINE_MAX or manifest_decode() would refuse it, -ENOMEM. */
int manifest_encode(const struct manifest *manifest, struct text *out, struct error *err);

/* Decode one line (with or without its newline) into *manifest_out; release it with
 * manifest_done(). Unknown members are skipped. -EBADMSG for anything that is not exactly one
 * valid manifest, -ENOMEM. */
int manifest_decode(const char *line, size_t size, struct manifest *manifest_out,
		    struct error *err);

/* Only the key of a line, without a full parse where that is possible (what follows may be
 * damaged then): at most MANIFEST_KEY_MAX bytes into @key_out. -EBADMSG, -ENOMEM. */
int manifest_decode_key(const char *line, size_t size, uint8_t *key_out,
			size_t *key_size_out, struct error *err);

/* Everything but key, version and source is the same: no new version is needed. */
bool manifest_same(const struct manifest *a, const struct manifest *b);

/* What is wrong with @manifest, or NULL: the rules of docs/format.md 7.3 that go beyond the
 * types of the fields. A constant text. */
const char *manifest_problem(const struct manifest *manifest);

/* Free what @manifest owns and zero it. */
void manifest_done(struct manifest *manifest);
