/* SPDX-License-Identifier: MIT */
#include "archive/page_atom.h"

#include "base/error.h"
#include "chunker/skippable.h"
#include "merkle/hash.h"
#include "volume/record.h"

#include <errno.h>

int page_atom_check(const struct page_place *place, const struct hash *hash,
		    const uint8_t *atom, struct error *err)
{
	uint32_t payload_size;
	struct hash found;
	unsigned kind;
	int r;

	r = skippable_get(atom, place->stored_size, &kind, &payload_size);
	if (r < 0 || kind != place->kind ||
	    payload_size != place->stored_size - SKIPPABLE_HEADER_SIZE)
		return error_set(err, -EBADMSG, "other data at its place");
	hash_bytes(atom + SKIPPABLE_HEADER_SIZE, payload_size, &found);
	if (!hash_equal(&found, hash))
		return error_set(err, -EBADMSG, "its hash does not match");
	return 0;
}
