/* SPDX-License-Identifier: MIT */
/* Whatever acl_decode() accepts, it gives every entry of, with tags and permissions that
 * exist, and ids only where they mean something.
 */
#include "archive/acl.h"
#include "base/cleanup.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct acl_entry *entry)
{
	unsigned tag = entry->tag;

	if (tag == 0 || tag > ACL_TAG_OTHER || (tag & (tag - 1)) != 0)
		abort();
	if (entry->permissions > 7)
		abort();
	if (entry->id != 0 && tag != ACL_TAG_USER && tag != ACL_TAG_GROUP)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	autofree struct acl_entry *entries = NULL;
	size_t count;

	if (acl_decode(data, size, &entries, &count) < 0)
		return 0;
	if (size != 4 + 8 * count)
		abort();
	for (size_t i = 0; i < count; i++)
		check(&entries[i]);
	return 0;
}
