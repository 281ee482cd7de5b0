/* SPDX-License-Identifier: MIT */
#include "archive/acl.h"

#include "base/bytes.h"
#include "base/cleanup.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define ACL_VERSION 2u

struct acl_entry_wire {
	le16 tag;
	le16 permissions;
	le32 id;
};
static_assert(sizeof(struct acl_entry_wire) == 8, "linux/posix_acl_xattr.h");

static bool has_id(unsigned tag)
{
	return tag == ACL_TAG_USER || tag == ACL_TAG_GROUP;
}

static bool valid_tag(unsigned tag)
{
	return has_id(tag) || tag == ACL_TAG_OWNER || tag == ACL_TAG_OWNING_GROUP ||
	       tag == ACL_TAG_MASK || tag == ACL_TAG_OTHER;
}

static int decode_entry(const uint8_t *data, struct acl_entry *entry_out)
{
	struct acl_entry_wire wire;
	unsigned tag;

	memcpy(&wire, data, sizeof(wire));
	tag = le16_get(wire.tag);
	if (!valid_tag(tag) || le16_get(wire.permissions) > 7)
		return -EBADMSG;
	*entry_out = (struct acl_entry){
		.tag = (enum acl_tag)tag,
		.permissions = le16_get(wire.permissions),
		.id = has_id(tag) ? le32_get(wire.id) : 0,
	};
	return 0;
}

int acl_decode(const uint8_t *data, size_t size, struct acl_entry **entries_out,
	       size_t *count_out)
{
	autofree struct acl_entry *entries = NULL;
	size_t count;
	le32 version;

	if (size < sizeof(version) ||
	    (size - sizeof(version)) % sizeof(struct acl_entry_wire) != 0)
		return -EBADMSG;
	memcpy(&version, data, sizeof(version));
	count = (size - sizeof(version)) / sizeof(struct acl_entry_wire);
	if (le32_get(version) != ACL_VERSION || count > ACL_ENTRIES_MAX)
		return -EBADMSG;
	if (count > 0) {
		entries = calloc(count, sizeof(*entries));
		if (!entries)
			return -ENOMEM;
	}
	for (size_t i = 0; i < count; i++) {
		int r = decode_entry(data + sizeof(version) +
					     i * sizeof(struct acl_entry_wire),
				     &entries[i]);
		if (r < 0)
			return r;
	}
	*entries_out = take_ptr(entries);
	*count_out = count;
	return 0;
}
