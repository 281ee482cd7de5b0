/* SPDX-License-Identifier: MIT */
/* Bytes to records. The hash comes first, but it only proves that the bytes are the ones
 * written, not by whom: a hostile volume has valid hashes. So every count is compared with
 * the bytes that are left before memory is allocated for it (an entry in memory is at most
 * twice its wire form), and every sum that others will form later (where a stripe, segment
 * or page ends) is checked for overflow and against the record's own coverage here, once.
 */
#include "volume/record_wire.h"

#include "base/error.h"
#include "chunker/segment.h"
#include "chunker/skippable.h"

#include <assert.h>
#include <string.h>

static int damaged(struct error *err, const char *what)
{
	return error_set(err, -EBADMSG, "record: %s", what);
}

void record_take(struct record_input *in, void *wire, size_t size)
{
	assert(size <= in->size);
	memcpy(wire, in->data, size);
	in->data += size;
	in->size -= size;
}

static int check_frame(const uint8_t *data, size_t size, struct record_wire *wire,
		       struct hash *hash_out, struct error *err)
{
	struct hash stored;

	if (size < sizeof(*wire) + HASH_SIZE || size > RECORD_SIZE_MAX)
		return damaged(err, "impossible size");
	memcpy(wire, data, sizeof(*wire));
	if (memcmp(wire->magic, RECORD_MAGIC, sizeof(wire->magic)) != 0)
		return damaged(err, "no magic");
	if (le32_get(wire->size) != size)
		return damaged(err, "size differs");
	hash_bytes(data, size - HASH_SIZE, hash_out);
	memcpy(&stored, data + size - HASH_SIZE, HASH_SIZE);
	if (!hash_equal(hash_out, &stored))
		return damaged(err, "hash differs");
	if (le16_get(wire->version) != RECORD_VERSION)
		return error_set(err, -EPROTONOSUPPORT, "record: unknown version %u",
				 le16_get(wire->version));
	if (le32_get(wire->flags) & RECORD_INCOMPATIBLE & ~RECORD_FLAG_GROUPS)
		return error_set(err, -EPROTONOSUPPORT, "record: unknown flags %#x",
				 le32_get(wire->flags));
	return 0;
}

static int decode_head(const struct record_wire *wire, struct record *record,
		       struct error *err)
{
	if (wire->kind < STRIPE_HEADER || wire->kind > STRIPE_END ||
	    wire->kind == STRIPE_DATA)
		return damaged(err, "unknown kind");
	record->kind = wire->kind;
	record->checkpoint = le32_get(wire->flags) & RECORD_FLAG_CHECKPOINT;
	memcpy(record->volume.bytes, wire->volume, UUID_SIZE);
	memcpy(record->epoch.bytes, wire->epoch, UUID_SIZE);
	record->archive_id = wire->archive_id;
	record->sequence = le64_get(wire->sequence);
	record->previous_offset = le64_get(wire->previous_offset);
	record->previous_hash = wire->previous_hash;
	record->log_start = le64_get(wire->log_start);
	record->log_end = le64_get(wire->log_end);
	record->stripe_number = le64_get(wire->stripe_number);

	if (record->log_start > record->log_end)
		return damaged(err, "log ends before it starts");
	if ((record->sequence == 0) != (record->previous_offset == RECORD_OFFSET_NONE))
		return damaged(err, "sequence and previous offset disagree");
	return 0;
}

/* Whether [start, start + size) neither overflows nor exceeds @end. */
static bool range_within(uint64_t start, uint64_t size, uint64_t end)
{
	uint64_t sum;

	return !__builtin_add_overflow(start, size, &sum) && sum <= end;
}

static bool extents_valid(const struct stripe_info *stripe)
{
	unsigned count = stripe->data_count + stripe->geometry.parity;
	uint32_t rows = 0;

	for (unsigned i = 0; i < stripe->data_count; i++) {
		const struct extent_info *extent = &stripe->extents[i];

		if (extent->payload_size > geometry_payload_max(&stripe->geometry) ||
		    extent->area_size != geometry_area_size(extent->payload_size))
			return false;
		if (extent->area_size > rows)
			rows = extent->area_size;
	}
	for (unsigned i = stripe->data_count; i < count; i++)
		if (stripe->extents[i].payload_size ||
		    stripe->extents[i].area_size != rows)
			return false;
	return true;
}

static bool stripe_valid(const struct stripe_info *stripe, uint64_t log_end)
{
	return stripe->offset % PAGE_SIZE_BYTES == 0 &&
	       range_within(stripe->offset, stripe_physical_size(stripe), INT64_MAX) &&
	       range_within(stripe->log_start, stripe_log_size(stripe), log_end);
}

static int decode_extents(struct record_input *in, struct stripe_info *stripe,
			  struct error *err)
{
	size_t count = stripe->data_count + stripe->geometry.parity;
	struct extent_wire wire;

	if (count > in->size / sizeof(wire))
		return damaged(err, "extents beyond the end");
	stripe->extents = calloc(count, sizeof(*stripe->extents));
	if (!stripe->extents)
		return error_set(err, -ENOMEM, "no memory for a stripe's extents");
	for (size_t i = 0; i < count; i++) {
		record_take(in, &wire, sizeof(wire));
		stripe->extents[i].payload_size = le32_get(wire.payload_size);
		stripe->extents[i].area_size = le32_get(wire.area_size);
		stripe->extents[i].hash = wire.hash;
	}
	return 0;
}

int record_take_stripe(struct record_input *in, uint64_t log_end,
		       struct stripe_info *stripe, struct error *err)
{
	struct stripe_wire wire;
	int r;

	if (sizeof(wire) > in->size)
		return damaged(err, "stripes beyond the end");
	record_take(in, &wire, sizeof(wire));
	stripe->number = le64_get(wire.number);
	stripe->offset = le64_get(wire.offset);
	stripe->log_start = le64_get(wire.log_start);
	memcpy(stripe->epoch.bytes, wire.epoch, UUID_SIZE);
	stripe->kind = wire.kind;
	stripe->geometry = (struct geometry){
		.data = le16_get(wire.data),
		.parity = le16_get(wire.parity),
		.frames = le16_get(wire.frames),
		.stride = le64_get(wire.stride),
	};
	stripe->data_count = le16_get(wire.data_count);

	if (wire.kind < STRIPE_HEADER || wire.kind > STRIPE_END)
		return damaged(err, "unknown stripe kind");
	if (!geometry_valid(&stripe->geometry))
		return damaged(err, "impossible geometry");
	if (stripe->data_count < 1 || stripe->data_count > stripe->geometry.data)
		return damaged(err, "impossible data count");
	r = decode_extents(in, stripe, err);
	if (r < 0)
		return r;
	if (!extents_valid(stripe) || !stripe_valid(stripe, log_end))
		return damaged(err, "impossible stripe");
	return 0;
}

int stripe_info_decode(const uint8_t *data, size_t size, struct stripe_info *stripe_out,
		       struct error *err)
{
	struct stripe_info stripe = { 0 };
	struct record_input in = { .data = data, .size = size };
	int r;

	r = record_take_stripe(&in, UINT64_MAX, &stripe, err);
	if (r == 0 && in.size)
		r = damaged(err, "bytes after a stripe");
	if (r < 0) {
		stripe_info_done(&stripe);
		return r;
	}
	*stripe_out = stripe;
	return 0;
}

static int decode_stripes(struct record_input *in, size_t count, struct record *record,
			  struct error *err)
{
	int r;

	if (count > in->size / sizeof(struct stripe_wire))
		return damaged(err, "stripes beyond the end");
	if (count == 0)
		return 0;
	record->stripes = calloc(count, sizeof(*record->stripes));
	if (!record->stripes)
		return error_set(err, -ENOMEM, "no memory for %zu stripes", count);
	record->stripe_count = count;
	for (size_t i = 0; i < count; i++) {
		r = record_take_stripe(in, record->log_end, &record->stripes[i], err);
		if (r < 0)
			return r;
	}
	return 0;
}

static bool decode_segment(const struct segment_wire *wire, uint64_t log_end,
			   struct segment_place *segment)
{
	segment->id = wire->id;
	segment->index = le64_get(wire->index);
	segment->log_offset = le64_get(wire->log_offset);
	segment->content_size = le32_get(wire->content_size);
	segment->stored_size = le32_get(wire->stored_size);
	segment->frame_count = le32_get(wire->frame_count);
	segment->kind = wire->kind;

	return (segment->kind == SEGMENT_PIECE || segment->kind == SEGMENT_PACK) &&
	       segment->index <= SEGMENT_INDEX_MAX && segment->content_size >= 1 &&
	       segment->content_size <= SEGMENT_SIZE_MAX && segment->frame_count >= 1 &&
	       segment->frame_count <= SEGMENT_FRAME_MAX &&
	       range_within(segment->log_offset, segment->stored_size, log_end);
}

static int decode_segments(struct record_input *in, size_t count, struct record *record,
			   struct error *err)
{
	struct segment_wire wire;

	if (count > in->size / sizeof(wire))
		return damaged(err, "segments beyond the end");
	if (count == 0)
		return 0;
	record->segments = calloc(count, sizeof(*record->segments));
	if (!record->segments)
		return error_set(err, -ENOMEM, "no memory for %zu segments", count);
	record->segment_count = count;
	for (size_t i = 0; i < count; i++) {
		record_take(in, &wire, sizeof(wire));
		record->segments[i].volume = record->volume;
		if (!decode_segment(&wire, record->log_end, &record->segments[i]))
			return damaged(err, "impossible segment");
	}
	return 0;
}

static int decode_pages(struct record_input *in, size_t count, struct record *record,
			struct error *err)
{
	struct place_wire wire;

	if (count > in->size / sizeof(wire))
		return damaged(err, "pages beyond the end");
	if (count == 0)
		return 0;
	record->pages = calloc(count, sizeof(*record->pages));
	if (!record->pages)
		return error_set(err, -ENOMEM, "no memory for %zu pages", count);
	record->page_count = count;
	for (size_t i = 0; i < count; i++) {
		struct page_place *page = &record->pages[i];

		record_take(in, &wire, sizeof(wire));
		page->hash = wire.hash;
		page->log_offset = le64_get(wire.log_offset);
		page->stored_size = le32_get(wire.stored_size);
		page->kind = wire.kind;
		if ((page->kind != SKIPPABLE_TREE_PAGE &&
		     page->kind != SKIPPABLE_LIST_PAGE) ||
		    page->stored_size > ATOM_SIZE_MAX ||
		    !range_within(page->log_offset, page->stored_size, record->log_end))
			return damaged(err, "impossible page");
	}
	return 0;
}

static int decode_foreign(struct record_input *in, size_t count, struct record *record,
			  struct error *err)
{
	struct foreign_wire wire;

	if (count > in->size / sizeof(wire))
		return damaged(err, "foreign segments beyond the end");
	if (count == 0)
		return 0;
	record->foreign = calloc(count, sizeof(*record->foreign));
	if (!record->foreign)
		return error_set(err, -ENOMEM, "no memory for %zu segments", count);
	record->foreign_count = count;
	for (size_t i = 0; i < count; i++) {
		struct segment_place *segment = &record->foreign[i];

		record_take(in, &wire, sizeof(wire));
		memcpy(segment->volume.bytes, wire.volume, UUID_SIZE);
		if (!decode_segment(&wire.segment, UINT64_MAX, segment))
			return damaged(err, "impossible foreign segment");
	}
	return 0;
}

/* Copy @size bytes of text, NUL-terminated; NULL if @size is 0. */
static int decode_text(struct record_input *in, size_t size, char **text_out,
		       size_t *size_out, struct error *err)
{
	autofree char *text = NULL;

	if (size > in->size)
		return damaged(err, "text beyond the end");
	if (size == 0)
		return 0;
	text = malloc(size + 1);
	if (!text)
		return error_set(err, -ENOMEM, "no memory for %zu bytes of text", size);
	record_take(in, text, size);
	text[size] = '\0';
	*text_out = take_ptr(text);
	*size_out = size;
	return 0;
}

static int decode_groups(struct record_input *in, struct record *record,
			 struct error *err)
{
	size_t count, used;
	le32 wire;
	int r;

	if (sizeof(wire) > in->size)
		return damaged(err, "groups beyond the end");
	record_take(in, &wire, sizeof(wire));
	count = le32_get(wire);
	if (count < 1 || count > in->size / sizeof(struct group_wire))
		return damaged(err, "groups beyond the end");
	record->groups = calloc(count, sizeof(*record->groups));
	if (!record->groups)
		return error_set(err, -ENOMEM, "no memory for %zu groups", count);
	for (; record->group_count < count; record->group_count++) {
		struct group *group = &record->groups[record->group_count];

		r = group_decode(in->data, in->size, group, &used, err);
		if (r < 0)
			return error_prefix(err, r, "record");
		in->data += used;
		in->size -= used;
		if (group_log_end(group) > record->log_end) {
			record->group_count++;
			return damaged(err, "impossible group");
		}
	}
	return 0;
}

static int decode_lists(struct record_input *in, const struct record_wire *wire,
			struct record *record, struct error *err)
{
	int r;

	r = decode_stripes(in, le32_get(wire->stripe_count), record, err);
	if (r < 0)
		return r;
	r = decode_segments(in, le32_get(wire->segment_count), record, err);
	if (r < 0)
		return r;
	r = decode_pages(in, le32_get(wire->page_count), record, err);
	if (r < 0)
		return r;
	r = decode_foreign(in, le32_get(wire->foreign_count), record, err);
	if (r < 0)
		return r;
	r = decode_text(in, le32_get(wire->head_size), &record->head, &record->head_size,
			err);
	if (r < 0)
		return r;
	r = decode_text(in, le32_get(wire->info_size), &record->info, &record->info_size,
			err);
	if (r == 0 && le32_get(wire->flags) & RECORD_FLAG_GROUPS)
		r = decode_groups(in, record, err);
	if (r < 0)
		return r;
	return in->size ? damaged(err, "bytes left over") : 0;
}

int record_decode(const uint8_t *data, size_t size, struct record **record_out,
		  struct error *err)
{
	autoptr(record) record = NULL;
	struct record_wire wire;
	struct record_input in;
	int r;

	record = calloc(1, sizeof(*record));
	if (!record)
		return error_set(err, -ENOMEM, "no memory for a record");
	r = check_frame(data, size, &wire, &record->hash, err);
	if (r < 0)
		return r;
	r = decode_head(&wire, record, err);
	if (r < 0)
		return r;
	in.data = data + sizeof(wire);
	in.size = size - sizeof(wire) - HASH_SIZE;
	r = decode_lists(&in, &wire, record, err);
	if (r < 0)
		return r;

	*record_out = take_ptr(record);
	return 0;
}

void record_free(struct record *record)
{
	if (!record)
		return;
	for (size_t i = 0; i < record->stripe_count; i++)
		stripe_info_done(&record->stripes[i]);
	free(record->stripes);
	free(record->segments);
	free(record->pages);
	free(record->foreign);
	for (size_t i = 0; i < record->group_count; i++)
		group_done(&record->groups[i]);
	free(record->groups);
	free(record->head);
	free(record->info);
	free(record);
}
