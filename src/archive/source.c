/* SPDX-License-Identifier: MIT */
#include "archive/source.h"

#include "base/error.h"
#include "merkle/tree.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

int source_page(struct source *source, const struct hash *hash, struct bytes *payload_out,
		struct error *err)
{
	return source->ops->page(source, hash, payload_out, err);
}

int source_segment(struct source *source, const struct hash *id, uint64_t index,
		   const struct segment_ref **segment_out, struct error *err)
{
	return source->ops->segment(source, id, index, segment_out, err);
}

void source_segment_unref(struct source *source, const struct segment_ref *segment)
{
	if (segment)
		source->ops->segment_unref(source, segment);
}

int source_frames(struct source *source, const struct segment_ref *segment,
		  uint32_t first, uint32_t count, uint8_t *data, struct error *err)
{
	return source->ops->frames(source, segment, first, count, data, err);
}

bool segment_same_frames(const struct segment_ref *a, const struct segment_ref *b)
{
	const struct segment_table *first = a->table;
	const struct segment_table *second = b->table;

	return first->frame_count == second->frame_count &&
	       memcmp(first->frames, second->frames,
		      first->frame_count * sizeof(*first->frames)) == 0;
}

int segment_check_frame(const struct segment_ref *segment, uint32_t number,
			const uint8_t *data, struct error *err)
{
	const struct segment_frame *frame = &segment->table->frames[number];
	struct hash hash;

	if (segment->unproven)
		return 0;
	if (segment->info.kind == SEGMENT_PACK)
		hash_bytes(data, frame->content_size, &hash);
	else
		tree_subtree_cv(
			data, frame->content_size,
			(segment->index * SEGMENT_SIZE_MAX + frame->content_offset) /
				TREE_CHUNK_SIZE,
			&hash);
	if (!hash_equal(&hash, &segment->table->hashes[number]))
		return error_set(err, -EBADMSG, "frame %" PRIu32 " has another hash",
				 number);
	return 0;
}

bool source_has_parts(const struct source *source)
{
	return source->ops->part != NULL;
}

int source_part(struct source *source, const struct segment_ref *segment, uint32_t offset,
		uint32_t size, uint8_t *data, struct error *err)
{
	return source->ops->part(source, segment, offset, size, data, err);
}

void source_expect(struct source *source, const struct segment_ref *segment,
		   uint32_t offset, uint32_t size)
{
	if (source->ops->expect)
		source->ops->expect(source, segment, offset, size);
}

bool source_has_more(const struct source *source)
{
	return source->ops->again != NULL;
}

int source_again(struct source *source, const struct segment_ref *segment,
		 uint32_t number, uint8_t *data, struct error *err)
{
	return source->ops->again(source, segment, number, data, err);
}

uint64_t source_window(struct source *source)
{
	return source->ops->window ? source->ops->window(source) : 0;
}

void source_free(struct source *source)
{
	if (source)
		source->ops->free(source);
}
