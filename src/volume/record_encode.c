/* SPDX-License-Identifier: MIT */
/* Records to bytes. The sizes are known before anything is written, so the caller can lay
 * out a record's stripe before its hashes are known (log_writer.c does).
 */
#include "volume/record_wire.h"

#include "base/error.h"

#include <assert.h>
#include <string.h>

static uint8_t *put(uint8_t *out, const void *wire, size_t size)
{
	memcpy(out, wire, size);
	return out + size;
}

static size_t stripe_extents(const struct stripe_info *stripe)
{
	return stripe->data_count + stripe->geometry.parity;
}

size_t stripe_entry_size(const struct stripe_info *stripe)
{
	return sizeof(struct stripe_wire) +
	       stripe_extents(stripe) * sizeof(struct extent_wire);
}

size_t record_size(const struct record *record)
{
	size_t size = sizeof(struct record_wire) + HASH_SIZE;

	for (size_t i = 0; i < record->stripe_count; i++)
		size += stripe_entry_size(&record->stripes[i]);
	size += record->segment_count * sizeof(struct segment_wire);
	size += record->page_count * sizeof(struct place_wire);
	size += record->foreign_count * sizeof(struct foreign_wire);
	if (record->group_count)
		size += sizeof(le32);
	for (size_t i = 0; i < record->group_count; i++)
		size += group_entry_size(&record->groups[i]);
	return size + record->head_size + record->info_size;
}

static uint8_t *encode_head(uint8_t *out, const struct record *record, size_t size)
{
	uint32_t flags = (record->checkpoint ? RECORD_FLAG_CHECKPOINT : 0) |
			 (record->group_count ? RECORD_FLAG_GROUPS : 0);
	struct record_wire wire = {
		.magic = RECORD_MAGIC,
		.version = le16_make(RECORD_VERSION),
		.kind = (uint8_t)record->kind,
		.size = le32_make((uint32_t)size),
		.flags = le32_make(flags),
		.archive_id = record->archive_id,
		.sequence = le64_make(record->sequence),
		.previous_offset = le64_make(record->previous_offset),
		.previous_hash = record->previous_hash,
		.log_start = le64_make(record->log_start),
		.log_end = le64_make(record->log_end),
		.stripe_number = le64_make(record->stripe_number),
		.stripe_count = le32_make((uint32_t)record->stripe_count),
		.segment_count = le32_make((uint32_t)record->segment_count),
		.page_count = le32_make((uint32_t)record->page_count),
		.foreign_count = le32_make((uint32_t)record->foreign_count),
		.head_size = le32_make((uint32_t)record->head_size),
		.info_size = le32_make((uint32_t)record->info_size),
	};

	memcpy(wire.volume, record->volume.bytes, UUID_SIZE);
	memcpy(wire.epoch, record->epoch.bytes, UUID_SIZE);
	return put(out, &wire, sizeof(wire));
}

static uint8_t *encode_stripe(uint8_t *out, const struct stripe_info *stripe)
{
	struct stripe_wire wire = {
		.number = le64_make(stripe->number),
		.offset = le64_make(stripe->offset),
		.stride = le64_make(stripe->geometry.stride),
		.log_start = le64_make(stripe->log_start),
		.data = le16_make((uint16_t)stripe->geometry.data),
		.parity = le16_make((uint16_t)stripe->geometry.parity),
		.frames = le16_make((uint16_t)stripe->geometry.frames),
		.data_count = le16_make((uint16_t)stripe->data_count),
		.kind = (uint8_t)stripe->kind,
	};

	memcpy(wire.epoch, stripe->epoch.bytes, UUID_SIZE);
	out = put(out, &wire, sizeof(wire));
	for (size_t i = 0; i < stripe_extents(stripe); i++) {
		const struct extent_info *extent = &stripe->extents[i];
		struct extent_wire extent_wire = {
			.payload_size = le32_make(extent->payload_size),
			.area_size = le32_make(extent->area_size),
			.hash = extent->hash,
		};

		out = put(out, &extent_wire, sizeof(extent_wire));
	}
	return out;
}

void stripe_info_encode(const struct stripe_info *stripe, uint8_t *out)
{
	(void)encode_stripe(out, stripe);
}

static struct segment_wire segment_wire_make(const struct segment_place *segment)
{
	return (struct segment_wire){
		.id = segment->id,
		.index = le64_make(segment->index),
		.log_offset = le64_make(segment->log_offset),
		.content_size = le32_make(segment->content_size),
		.stored_size = le32_make(segment->stored_size),
		.frame_count = le32_make(segment->frame_count),
		.kind = segment->kind,
	};
}

static uint8_t *encode_places(uint8_t *out, const struct record *record)
{
	for (size_t i = 0; i < record->segment_count; i++) {
		struct segment_wire wire = segment_wire_make(&record->segments[i]);

		out = put(out, &wire, sizeof(wire));
	}
	for (size_t i = 0; i < record->page_count; i++) {
		const struct page_place *page = &record->pages[i];
		struct place_wire wire = {
			.hash = page->hash,
			.log_offset = le64_make(page->log_offset),
			.stored_size = le32_make(page->stored_size),
			.kind = page->kind,
		};

		out = put(out, &wire, sizeof(wire));
	}
	for (size_t i = 0; i < record->foreign_count; i++) {
		struct foreign_wire wire = {
			.segment = segment_wire_make(&record->foreign[i]),
		};

		memcpy(wire.volume, record->foreign[i].volume.bytes, UUID_SIZE);
		out = put(out, &wire, sizeof(wire));
	}
	return out;
}

static uint8_t *encode_groups(uint8_t *out, struct record *record)
{
	le32 count = le32_make((uint32_t)record->group_count);

	if (record->group_count)
		out = put(out, &count, sizeof(count));
	for (size_t i = 0; i < record->group_count; i++) {
		group_encode(&record->groups[i], out);
		out += group_entry_size(&record->groups[i]);
	}
	return out;
}

int record_encode(struct record *record, uint8_t **data_out, size_t *size_out,
		  struct error *err)
{
	size_t size = record_size(record);
	autofree uint8_t *data = NULL;
	uint8_t *out;

	if (size > RECORD_SIZE_MAX)
		return error_set(err, -E2BIG, "record of %zu bytes exceeds %u", size,
				 RECORD_SIZE_MAX);
	data = malloc(size);
	if (!data)
		return error_set(err, -ENOMEM, "no memory for a record of %zu bytes",
				 size);

	out = encode_head(data, record, size);
	for (size_t i = 0; i < record->stripe_count; i++)
		out = encode_stripe(out, &record->stripes[i]);
	out = encode_places(out, record);
	if (record->head_size)
		out = put(out, record->head, record->head_size);
	if (record->info_size)
		out = put(out, record->info, record->info_size);
	out = encode_groups(out, record);
	assert(out + HASH_SIZE == data + size);
	hash_bytes(data, size - HASH_SIZE, &record->hash);
	put(out, &record->hash, HASH_SIZE);

	*data_out = take_ptr(data);
	*size_out = size;
	return 0;
}
