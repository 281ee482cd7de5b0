/* SPDX-License-Identifier: MIT */
/* The entry of a parity shard in a record. Its first part, up to the members, is equal in
 * all parity shards of a group, and its hash is the group's id: shards with one id can be
 * used together, and no others.
 *
 * An entry is checked as records are: counts against the bytes that are left before memory
 * is taken, ranges against overflow, and then that members lie within the stripes listed
 * and that the runs are all of the shard. Who uses a group need not ask again.
 */
#include "volume/group.h"

#include "base/error.h"
#include "chunker/skippable.h"
#include "volume/record_wire.h"

#include <assert.h>
#include <string.h>

#define CHUNK_FRAME (SKIPPABLE_HEADER_SIZE + GROUP_CHUNK_SIZE)

uint64_t group_chunk_count(uint64_t size)
{
	return (size + GROUP_CHUNK_SIZE - 1) / GROUP_CHUNK_SIZE;
}

uint32_t group_chunk_size(uint64_t size, uint64_t chunk)
{
	uint64_t left = size - chunk * GROUP_CHUNK_SIZE;

	return left < GROUP_CHUNK_SIZE ? (uint32_t)left : GROUP_CHUNK_SIZE;
}

/* ---- encode ---- */

static size_t members_size(const struct group *group)
{
	size_t size = group->member_count * sizeof(struct group_member_wire);

	for (size_t i = 0; i < group->member_count; i++)
		for (size_t j = 0; j < group->members[i].stripe_count; j++)
			size += stripe_entry_size(&group->members[i].stripes[j]);
	return size;
}

size_t group_entry_size(const struct group *group)
{
	return sizeof(struct group_wire) + members_size(group) +
	       group->run_count * sizeof(struct group_run_wire);
}

static uint8_t *encode_members(uint8_t *out, const struct group *group)
{
	for (size_t i = 0; i < group->member_count; i++) {
		const struct group_member *member = &group->members[i];
		struct group_member_wire wire = {
			.log_start = le64_make(member->log_start),
			.log_size = le64_make(member->log_size),
			.stripe_count = le32_make((uint32_t)member->stripe_count),
		};

		memcpy(wire.volume, member->volume.bytes, UUID_SIZE);
		memcpy(out, &wire, sizeof(wire));
		out += sizeof(wire);
		for (size_t j = 0; j < member->stripe_count; j++) {
			stripe_info_encode(&member->stripes[j], out);
			out += stripe_entry_size(&member->stripes[j]);
		}
	}
	return out;
}

static struct group_wire head_of(const struct group *group)
{
	return (struct group_wire){
		.data = le16_make((uint16_t)group->data),
		.parity = le16_make((uint16_t)group->parity),
		.member_count = le16_make((uint16_t)group->member_count),
		.size = le64_make(group->size),
	};
}

/* @members: as they stand in the entry. */
static void make_id(const struct group *group, const uint8_t *members, size_t size,
		    struct hash *id_out)
{
	struct group_wire head = head_of(group);
	struct hasher hasher;

	hasher_init(&hasher);
	hasher_update(&hasher, &head, sizeof(head));
	hasher_update(&hasher, members, size);
	hasher_final(&hasher, id_out);
}

void group_encode(struct group *group, uint8_t *out)
{
	struct group_wire head = head_of(group);
	uint8_t *members = out + sizeof(head);
	uint8_t *end = encode_members(members, group);

	make_id(group, members, (size_t)(end - members), &group->id);
	head.entry_size = le32_make((uint32_t)group_entry_size(group));
	head.number = le16_make((uint16_t)group->number);
	head.run_count = le32_make((uint32_t)group->run_count);
	head.id = group->id;
	memcpy(out, &head, sizeof(head));
	for (size_t i = 0; i < group->run_count; i++) {
		struct group_run_wire wire = {
			.first = le64_make(group->runs[i].first),
			.count = le64_make(group->runs[i].count),
			.log_offset = le64_make(group->runs[i].log_offset),
		};

		memcpy(end, &wire, sizeof(wire));
		end += sizeof(wire);
	}
}

/* ---- decode ---- */

static int damaged(struct error *err, const char *what)
{
	return error_set(err, -EBADMSG, "group: %s", what);
}

static int decode_head(const struct group_wire *wire, struct group *group,
		       struct error *err)
{
	group->data = le16_get(wire->data);
	group->parity = le16_get(wire->parity);
	group->number = le16_get(wire->number);
	group->size = le64_get(wire->size);
	group->id = wire->id;
	if (group->data < 1 || group->data > GROUP_DATA_MAX || group->parity < 1 ||
	    group->parity > GROUP_PARITY_MAX || group->number >= group->parity)
		return damaged(err, "impossible code");
	if (group->size < 1 || group->size > GROUP_SIZE_MAX)
		return damaged(err, "impossible size");
	if (le16_get(wire->member_count) < 1 ||
	    le16_get(wire->member_count) > group->data)
		return damaged(err, "impossible number of members");
	return 0;
}

/* Whether the stripes follow each other and hold the member's range. */
static bool stripes_hold(const struct group_member *member)
{
	uint64_t end, next;

	if (__builtin_add_overflow(member->log_start, member->log_size, &end) ||
	    end > INT64_MAX || member->stripe_count == 0 ||
	    member->stripes[0].log_start > member->log_start)
		return false;
	next = member->stripes[0].log_start;
	for (size_t i = 0; i < member->stripe_count; i++) {
		if (member->stripes[i].log_start != next ||
		    next >= end) /* the next one holds nothing of it */
			return false;
		next += stripe_log_size(&member->stripes[i]);
		if (i == 0 && next <= member->log_start)
			return false;
	}
	return next >= end;
}

static int decode_stripes(struct record_input *in, size_t count,
			  struct group_member *member, struct error *err)
{
	int r;

	if (count > in->size / sizeof(struct stripe_wire))
		return damaged(err, "stripes beyond the end");
	if (count == 0)
		return damaged(err, "a member without stripes");
	member->stripes = calloc(count, sizeof(*member->stripes));
	if (!member->stripes)
		return error_set(err, -ENOMEM, "no memory for a group");
	for (; member->stripe_count < count; member->stripe_count++) {
		r = record_take_stripe(in, UINT64_MAX,
				       &member->stripes[member->stripe_count], err);
		if (r < 0) {
			stripe_info_done(&member->stripes[member->stripe_count]);
			return r;
		}
	}
	return 0;
}

static int decode_member(struct record_input *in, struct group_member *member,
			 struct error *err)
{
	struct group_member_wire wire;
	int r;

	if (sizeof(wire) > in->size)
		return damaged(err, "members beyond the end");
	record_take(in, &wire, sizeof(wire));
	memcpy(member->volume.bytes, wire.volume, UUID_SIZE);
	member->log_start = le64_get(wire.log_start);
	member->log_size = le64_get(wire.log_size);
	r = decode_stripes(in, le32_get(wire.stripe_count), member, err);
	if (r < 0)
		return r;
	if (member->log_size == 0 || !stripes_hold(member))
		return damaged(err, "a member outside its stripes");
	return 0;
}

static int decode_members(struct record_input *in, size_t count, struct group *group,
			  struct error *err)
{
	const uint8_t *start = in->data;
	uint64_t longest = 0;
	struct hash id;
	int r = 0;

	group->members = calloc(count, sizeof(*group->members));
	if (!group->members)
		return error_set(err, -ENOMEM, "no memory for a group");
	group->member_count = count;
	for (size_t i = 0; i < count && r == 0; i++) {
		r = decode_member(in, &group->members[i], err);
		if (group->members[i].log_size > longest)
			longest = group->members[i].log_size;
	}
	if (r < 0)
		return r;
	if (longest != group->size)
		return damaged(err, "its size is not that of its longest member");
	make_id(group, start, (size_t)(in->data - start), &id);
	return hash_equal(&id, &group->id) ? 0 : damaged(err, "its id differs");
}

/* The runs must be all chunks, in order. */
static int decode_runs(struct record_input *in, size_t count, struct group *group,
		       struct error *err)
{
	uint64_t chunks = group_chunk_count(group->size);
	uint64_t next = 0;

	if (count > in->size / sizeof(struct group_run_wire) || count > chunks)
		return damaged(err, "runs beyond the end");
	group->runs = calloc(count + 1, sizeof(*group->runs));
	if (!group->runs)
		return error_set(err, -ENOMEM, "no memory for a group");
	for (; group->run_count < count; group->run_count++) {
		struct group_run *run = &group->runs[group->run_count];
		struct group_run_wire wire;

		record_take(in, &wire, sizeof(wire));
		run->first = le64_get(wire.first);
		run->count = le64_get(wire.count);
		run->log_offset = le64_get(wire.log_offset);
		if (run->first != next || run->count < 1 || run->count > chunks - next ||
		    run->log_offset > INT64_MAX - run->count * CHUNK_FRAME)
			return damaged(err, "impossible run");
		next += run->count;
	}
	return next == chunks ? 0 : damaged(err, "its runs are not all of it");
}

static int decode_all(struct record_input *in, size_t size, struct group *group,
		      struct error *err)
{
	struct group_wire wire;
	size_t left;
	int r;

	if (sizeof(wire) > in->size)
		return damaged(err, "too short");
	record_take(in, &wire, sizeof(wire));
	if (le32_get(wire.entry_size) > size ||
	    le32_get(wire.entry_size) < sizeof(wire) ||
	    le32_get(wire.entry_size) > GROUP_ENTRY_MAX)
		return damaged(err, "impossible size of an entry");
	left = size - le32_get(wire.entry_size);
	in->size -= left;
	r = decode_head(&wire, group, err);
	if (r == 0)
		r = decode_members(in, le16_get(wire.member_count), group, err);
	if (r == 0)
		r = decode_runs(in, le32_get(wire.run_count), group, err);
	if (r < 0)
		return r;
	return in->size ? damaged(err, "bytes after an entry") : 0;
}

int group_decode(const uint8_t *data, size_t size, struct group *group_out,
		 size_t *used_out, struct error *err)
{
	struct record_input in = { .data = data, .size = size };
	struct group group = { 0 };
	int r;

	r = decode_all(&in, size, &group, err);
	if (r < 0) {
		group_done(&group);
		return r;
	}
	*group_out = group;
	*used_out = (size_t)(in.data - data);
	return 0;
}

/* ---- places ---- */

uint64_t group_find(const struct group_run *runs, size_t run_count, uint64_t size,
		    uint64_t offset, uint32_t *left_out)
{
	uint64_t chunk = offset / GROUP_CHUNK_SIZE;
	uint32_t into = (uint32_t)(offset % GROUP_CHUNK_SIZE);

	assert(offset < size);
	while (run_count > 1 && chunk >= runs->first + runs->count) {
		runs++;
		run_count--;
	}
	*left_out = group_chunk_size(size, chunk) - into;
	return runs->log_offset + (chunk - runs->first) * CHUNK_FRAME +
	       SKIPPABLE_HEADER_SIZE + into;
}

bool group_find_chunk(const struct group_run *runs, size_t run_count, uint64_t size,
		      uint64_t log_offset, uint64_t *chunk_out, uint32_t *into_out)
{
	for (size_t i = 0; i < run_count; i++) {
		uint64_t into = log_offset - runs[i].log_offset;

		if (log_offset < runs[i].log_offset ||
		    into >= group_run_size(&runs[i], size))
			continue;
		*chunk_out = runs[i].first + into / CHUNK_FRAME;
		*into_out = (uint32_t)(into % CHUNK_FRAME);
		return true;
	}
	return false;
}

int group_add_chunk(struct group *group, uint64_t log_offset)
{
	struct group_run *last =
		group->run_count ? &group->runs[group->run_count - 1] : NULL;
	struct group_run *grown;

	if (last && log_offset == last->log_offset + last->count * CHUNK_FRAME) {
		last->count++;
		return 0;
	}
	grown = reallocarray(group->runs, group->run_count + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	group->runs = grown;
	grown[group->run_count] = (struct group_run){
		.first = group->run_count ? grown[group->run_count - 1].first +
						    grown[group->run_count - 1].count
					  : 0,
		.count = 1,
		.log_offset = log_offset,
	};
	group->run_count++;
	return 0;
}

uint64_t group_run_size(const struct group_run *run, uint64_t size)
{
	return (run->count - 1) * CHUNK_FRAME + SKIPPABLE_HEADER_SIZE +
	       group_chunk_size(size, run->first + run->count - 1);
}

uint64_t group_log_end(const struct group *group)
{
	const struct group_run *last = &group->runs[group->run_count - 1];

	return last->log_offset + group_run_size(last, group->size);
}

static int copy_member(const struct group_member *from, struct group_member *to)
{
	*to = *from;
	to->stripe_count = 0;
	to->stripes = calloc(from->stripe_count, sizeof(*to->stripes));
	if (!to->stripes)
		return -ENOMEM;
	for (; to->stripe_count < from->stripe_count; to->stripe_count++)
		if (stripe_info_copy(&from->stripes[to->stripe_count],
				     &to->stripes[to->stripe_count]) < 0)
			return -ENOMEM;
	return 0;
}

int group_copy_members(const struct group *from, struct group *to)
{
	int r = 0;

	to->members = calloc(from->member_count, sizeof(*to->members));
	if (!to->members)
		return -ENOMEM;
	while (r == 0 && to->member_count < from->member_count) {
		r = copy_member(&from->members[to->member_count],
				&to->members[to->member_count]);
		to->member_count++;
	}
	return r;
}

void group_done(struct group *group)
{
	for (size_t i = 0; i < group->member_count; i++) {
		struct group_member *member = &group->members[i];

		for (size_t j = 0; j < member->stripe_count; j++)
			stripe_info_done(&member->stripes[j]);
		free(member->stripes);
	}
	free(group->members);
	free(group->runs);
	*group = (struct group){ 0 };
}
