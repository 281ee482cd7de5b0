/* SPDX-License-Identifier: MIT */
#include "chunker/skippable.h"

#include "base/bytes.h"

#include <errno.h>

struct skippable_wire {
	le32 magic;
	le32 payload_size;
};
static_assert(sizeof(struct skippable_wire) == SKIPPABLE_HEADER_SIZE, "docs/format.md");

void skippable_put(uint8_t *out, unsigned kind, uint32_t payload_size)
{
	struct skippable_wire w;

	assert(kind < 16);
	w.magic = le32_make(SKIPPABLE_MAGIC + kind);
	w.payload_size = le32_make(payload_size);
	memcpy(out, &w, sizeof(w));
}

int skippable_get(const uint8_t *in, size_t size, unsigned *kind_out,
		  uint32_t *payload_size_out)
{
	struct skippable_wire w;
	uint32_t magic;

	if (size < sizeof(w))
		return -EBADMSG;
	memcpy(&w, in, sizeof(w));
	magic = le32_get(w.magic);
	if (magic < SKIPPABLE_MAGIC || magic - SKIPPABLE_MAGIC > 15)
		return -EBADMSG;

	if (kind_out)
		*kind_out = magic - SKIPPABLE_MAGIC;
	if (payload_size_out)
		*payload_size_out = le32_get(w.payload_size);
	return 0;
}
