/* SPDX-License-Identifier: MIT */
#pragma once
/* POSIX ACLs as the kernel keeps them, in the xattrs system.posix_acl_access and
 * system.posix_acl_default: u32 version 2, then 8 bytes an entry (u16 tag, u16 permissions,
 * u32 id), little-endian. Pure functions, any thread, safe on hostile input.
 */
#include <stddef.h>
#include <stdint.h>

#define ACL_XATTR_ACCESS "system.posix_acl_access"
#define ACL_XATTR_DEFAULT "system.posix_acl_default"
#define ACL_ENTRIES_MAX 8191u /* what fits an xattr of 64 KiB */

enum acl_tag {
	ACL_TAG_OWNER = 0x01,
	ACL_TAG_USER = 0x02, /* the one that .id names */
	ACL_TAG_OWNING_GROUP = 0x04,
	ACL_TAG_GROUP = 0x08, /* the one that .id names */
	ACL_TAG_MASK = 0x10,
	ACL_TAG_OTHER = 0x20,
};

struct acl_entry {
	enum acl_tag tag;
	uint32_t permissions; /* 4 read, 2 write, 1 execute */
	uint32_t id;          /* of ACL_TAG_USER and ACL_TAG_GROUP, else 0 */
};

/* Decode a whole xattr value into a new array that the caller frees (NULL if there are no
 * entries). -EBADMSG if it is none, -ENOMEM. */
int acl_decode(const uint8_t *data, size_t size, struct acl_entry **entries_out,
	       size_t *count_out);
