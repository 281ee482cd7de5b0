/* SPDX-License-Identifier: MIT */
/* An atom never crosses an extent, so every extent but a stripe's last may end up to one
 * atom less a byte early: whole stripes are counted as holding only what is sure.
 */
#include "volume/room.h"

#include "volume/record_writer.h"
#include "volume/stripe_writer.h"

#define RECORD_TEXT (64u << 10) /* bytes: a commit's head */
#define FRAMES_MIN_SIZE (512u << 10)
#define STAGED_STEP (512u << 10)           /* bytes */
#define PAYLOAD_ENOUGH (UINT64_C(4) << 30) /* bytes: nobody asks for more at once */

unsigned room_record_parity(unsigned parity)
{
	return parity < 2 ? 2 : parity;
}

struct space room_add(struct space a, struct space b)
{
	return (struct space){ a.bytes + b.bytes, a.span + b.span };
}

bool room_within(struct space need, struct space have)
{
	return need.bytes <= have.bytes && need.span <= have.span;
}

struct space room_stripe(const struct geometry *geometry, unsigned extents, uint64_t area,
			 uint32_t rows)
{
	uint64_t data = (uint64_t)PAGE_SIZE_BYTES * geometry_data_pages(geometry);
	uint64_t parity =
		data + (uint64_t)PAGE_SIZE_BYTES * geometry_parity_pages(geometry);

	return (struct space){
		.bytes = extents * data + area + geometry->parity * (parity + rows),
		.span = (extents + geometry->parity) * geometry->stride,
	};
}

struct space room_record(const struct room_policy *policy, size_t size)
{
	uint32_t area = geometry_area_size(record_payload(size));
	struct geometry geometry;

	record_geometry(&geometry, room_record_parity(policy->parity), size,
			policy->spread);
	return room_stripe(&geometry, 1, area, area);
}

struct space room_reserve(const struct room_policy *policy, uint64_t lists)
{
	struct space text = room_record(policy, ROOM_RECORD_EXTRA + RECORD_TEXT);
	struct space need = room_add(text, text);
	uint64_t full = lists / RECORD_LISTS_MAX;
	struct space one = room_record(policy, ROOM_RECORD_SIZE);

	need.bytes += full * one.bytes;
	need.span += full * one.span;
	return room_add(need, room_record(policy, lists % ROOM_RECORD_SIZE));
}

/* The largest stripe of @frames. */
static struct space full_stripe(const struct room_policy *policy, unsigned frames)
{
	struct geometry geometry;
	uint32_t area;

	geometry_init(&geometry, policy->data, policy->parity, frames, policy->spread);
	area = LEAF_SIZE * geometry_leaves(&geometry);
	return room_stripe(&geometry, policy->data, (uint64_t)policy->data * area, area);
}

unsigned room_stream_frames(const struct room_policy *policy, uint64_t bytes,
			    struct space have)
{
	uint64_t each = bytes / policy->data;
	unsigned frames;

	frames = geometry_frames_for(each < FRAMES_MIN_SIZE ? FRAMES_MIN_SIZE : each);
	if (frames > policy->frames_max)
		frames = policy->frames_max;
	while (frames > EXTENT_FRAMES_MIN &&
	       !room_within(full_stripe(policy, frames), have))
		frames--;
	return frames;
}

/* What an extent of @frames holds when atoms of up to @largest bytes stop fitting. */
static uint64_t sure_payload(unsigned frames, size_t largest)
{
	struct geometry geometry = { .data = 1, .frames = frames };

	return geometry_payload_max(&geometry) - (largest - 1);
}

unsigned room_frames_holding(unsigned data, uint64_t bytes, size_t largest)
{
	unsigned first = geometry_frames_for((bytes + data - 1) / data);

	for (unsigned f = first; f <= EXTENT_FRAMES_MAX; f++)
		if ((data - 1) * sure_payload(f, largest) + sure_payload(f, 1) >= bytes)
			return f;
	return EXTENT_FRAMES_MAX + 1;
}

/* Data extents of @frames that fit with their parity into @have, up to k. */
static unsigned extents_fitting(const struct room_policy *policy, unsigned frames,
				struct space have)
{
	struct geometry geometry;
	uint32_t area;

	geometry_init(&geometry, policy->data, policy->parity, frames, policy->spread);
	area = LEAF_SIZE * geometry_leaves(&geometry);
	for (unsigned count = policy->data; count > 0; count--)
		if (room_within(
			    room_stripe(&geometry, count, (uint64_t)count * area, area),
			    have))
			return count;
	return 0;
}

struct space room_fill(const struct stripe_fill *fill, size_t size, bool new_extent)
{
	uint32_t filled = fill->filled + (uint32_t)size;
	uint64_t area = fill->closed_area;
	uint32_t rows = fill->rows;
	uint32_t last;

	if (new_extent && fill->extents) {
		last = geometry_area_size(fill->filled);
		area += last;
		rows = last > rows ? last : rows;
	}
	last = geometry_area_size(new_extent ? (uint32_t)size : filled);
	area += last;
	rows = last > rows ? last : rows;
	return room_stripe(&fill->geometry, fill->extents + new_extent, area, rows);
}

unsigned room_staged_data(const struct room_policy *policy, uint64_t bytes)
{
	return policy->tiered && bytes < LOG_TIER_SIZE ? 1 : policy->data;
}

struct space room_staged(const struct room_policy *policy, unsigned data, uint64_t bytes,
			 unsigned atoms, size_t largest)
{
	unsigned frames = room_frames_holding(data, bytes, largest);
	unsigned extents = atoms < data ? atoms : data;
	struct geometry geometry;
	uint32_t rows;

	if (frames > EXTENT_FRAMES_MAX)
		return (struct space){ UINT64_MAX, UINT64_MAX };
	geometry_init(&geometry, data, policy->parity, frames, policy->spread);
	rows = LEAF_SIZE * geometry_leaves(&geometry);
	if (bytes < rows)
		rows = geometry_area_size((uint32_t)bytes);
	/* Behind each payload: the padding frame, rounded up. */
	return room_stripe(&geometry, extents,
			   bytes + (uint64_t)extents * 2 * PAGE_SIZE_BYTES, rows);
}

static struct space take_space(struct space have, struct space need)
{
	return (struct space){ have.bytes - need.bytes, have.span - need.span };
}

/* As room_payload(), in the worst case of how atoms fall into extents. */
static uint64_t new_stripes(const struct room_policy *policy, uint64_t bytes,
			    struct space have)
{
	struct space record = room_record(policy, RECORD_TEXT);
	uint64_t total = 0;

	while (total < PAYLOAD_ENOUGH) {
		unsigned frames = room_stream_frames(policy, bytes + total, have);
		struct space need = room_add(full_stripe(policy, frames), record);
		unsigned count = extents_fitting(policy, frames, have);

		total += count * sure_payload(frames, ATOM_SIZE_MAX);
		if (count < policy->data || !room_within(need, have))
			break;
		have = take_space(have, need);
	}
	return total;
}

/* Leave some for what the bounds do not see: other choices of f on the way, and places. */
static uint64_t with_margin(uint64_t total)
{
	return total - total / 8;
}

uint64_t room_payload(const struct room_policy *policy, uint64_t bytes, struct space have)
{
	return with_margin(new_stripes(policy, bytes, have));
}

uint64_t room_open(const struct room_policy *policy, const struct stripe_fill *fill,
		   uint64_t bytes, struct space have)
{
	uint32_t area = LEAF_SIZE * geometry_leaves(&fill->geometry);
	uint64_t sure = sure_payload(fill->geometry.frames, ATOM_SIZE_MAX);
	struct space need = { 0 };
	uint64_t total;
	unsigned count;

	for (count = policy->data; count >= fill->extents && count > 0; count--) {
		unsigned open = count - fill->extents + 1;

		need = room_stripe(&fill->geometry, count,
				   fill->closed_area + (uint64_t)open * area, area);
		if (room_within(need, have))
			break;
	}
	if (count < fill->extents || count == 0)
		return 0;
	total = (count - fill->extents) * sure;
	total += sure > fill->filled ? sure - fill->filled : 0;
	need = room_add(need, room_record(policy, RECORD_TEXT));
	if (count == policy->data && room_within(need, have))
		total += new_stripes(policy, bytes + total, take_space(have, need));
	return with_margin(total);
}

uint64_t room_unstaged(const struct room_policy *policy, uint64_t staged, uint64_t limit,
		       struct space have)
{
	struct space need = { 0 };
	uint64_t more = 0;

	if (limit <= staged)
		return room_payload(policy, staged, have);
	while (more < limit - staged) {
		uint64_t next = more + STAGED_STEP < limit - staged ? more + STAGED_STEP
								    : limit - staged;
		uint64_t bytes = staged + next;
		unsigned data = room_staged_data(policy, bytes);

		need = room_staged(policy, data, bytes, data, ATOM_SIZE_MAX);
		if (!room_within(need, have))
			return with_margin(more);
		more = next;
	}
	/* Whatever goes beyond the limit has all of it spread, tiered or not. */
	need = room_staged(policy, policy->data, limit, policy->data, ATOM_SIZE_MAX);
	need = room_add(need, room_record(policy, RECORD_TEXT));
	if (room_within(need, have))
		more += new_stripes(policy, limit, take_space(have, need));
	return with_margin(more);
}

bool room_in_new(const struct room_policy *policy, uint64_t limit, uint64_t max_size,
		 uint64_t bytes)
{
	struct space begin = room_record(policy, ROOM_RECORD_EXTRA + RECORD_TEXT);
	struct space need = room_add(room_add(begin, begin), room_reserve(policy, 0));
	struct space have = { .span = UINT64_MAX / 2 };

	if (max_size < need.bytes)
		return false;
	have.bytes = max_size - need.bytes;
	return room_unstaged(policy, 0, limit, have) >= bytes;
}
