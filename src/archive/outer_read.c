/* SPDX-License-Identifier: MIT */
/* A range of the codeword, not a shard: byte x of the wanted shard needs byte x of k others.
 * The members come first, then as many parity shards as there are members missing. A member
 * that ends before the range counts as zeroes there and is not read at all.
 *
 * Parity that is lost is made again in the same way, with the headers of its frames.
 *
 * The work is cut into pieces that are small enough for the memory that is left. What could
 * not be read for one piece is tried again for the next: leaves are lost one by one.
 */
#include "archive/outer_read.h"

#include "archive/volume_set.h"
#include "base/budget.h"
#include "base/error.h"
#include "base/hex.h"
#include "catalog/groups.h"
#include "chunker/parity.h"
#include "chunker/skippable.h"

#include <string.h>

#define PIECE_MAX (128u << 10) /* bytes of each shard */
#define PIECE_MIN 4096u
#define SHARDS_MAX (GROUP_DATA_MAX + GROUP_PARITY_MAX)

/* One group at work for one range of a member. */
struct solver {
	struct volume_set *set;
	const struct group_place *group;
	const struct group_shard *wanted;
	struct parity *code;
	struct buffer buffer; /* a piece for each shard */
	size_t piece;         /* bytes of it */
	int code_lost;        /* why shards are missing; -ENOMEDIUM if any is away */
	struct error why;     /* names their volumes */
};

static void solver_done(struct solver *solver)
{
	buffer_free(&solver->buffer);
	parity_free(solver->code);
}
#define autosolver __attribute__((__cleanup__(solver_done)))

static int solver_init(struct solver *solver, struct error *err)
{
	unsigned shards = solver->group->data + solver->group->parity;
	int r = -ENOMEM;

	for (solver->piece = PIECE_MAX; r < 0 && solver->piece >= PIECE_MIN;) {
		r = buffer_alloc(&solver->buffer, volume_set_budget(solver->set),
				 shards * solver->piece, "shards of a group", err);
		if (r < 0)
			solver->piece /= 2;
	}
	if (r < 0)
		return r;
	return parity_new(solver->group->data, solver->group->parity, &solver->code, err);
}

static void note_lost(struct solver *solver, const struct group_shard *shard, int r,
		      const struct error *why)
{
	char hex[2 * UUID_SIZE + 1];

	if (solver->code_lost != -ENOMEDIUM)
		solver->code_lost = r;
	if (solver->why.text[0] == '\0') {
		solver->why = *why;
		return;
	}
	hex_encode(shard->volume.bytes, UUID_SIZE, hex);
	if (!strstr(solver->why.text, hex))
		(void)error_prefix(&solver->why, r, "volume %s, too", hex);
}

/* Read up to @size bytes at @offset of a member; what lies behind its end is zero. */
static int read_member(struct solver *solver, const struct group_shard *shard,
		       uint64_t offset, uint8_t *data, size_t size, struct error *err)
{
	size_t part = size;

	if (shard->log_size - offset < part)
		part = (size_t)(shard->log_size - offset);
	memset(data + part, 0, size - part);
	return volume_set_read(solver->set, &shard->volume, shard->log_start + offset,
			       data, part, err);
}

static int read_parity(struct solver *solver, const struct group_shard *shard,
		       uint64_t offset, uint8_t *data, size_t size, struct error *err)
{
	while (size > 0) {
		uint32_t left;
		uint64_t log_offset = group_find(shard->runs, shard->run_count,
						 solver->group->size, offset, &left);
		size_t part = left < size ? left : size;
		int r = volume_set_read(solver->set, &shard->volume, log_offset, data,
					part, err);

		if (r < 0)
			return r;
		offset += part;
		data += part;
		size -= part;
	}
	return 0;
}

/* The state of one piece. */
struct piece {
	uint64_t offset; /* in the shard */
	size_t size;
	const uint8_t *shards[SHARDS_MAX];
	bool zero[SHARDS_MAX];
	unsigned known; /* shards with bytes, or zero */
};

static int try_shard(struct solver *solver, struct piece *piece,
		     const struct group_shard *shard, struct error *err)
{
	uint8_t *data = solver->buffer.data + shard->shard * solver->piece;
	struct error why = { 0 };
	int r;

	if (shard->runs)
		r = read_parity(solver, shard, piece->offset, data, piece->size, &why);
	else
		r = read_member(solver, shard, piece->offset, data, piece->size, &why);
	if (r == -ENOMEM)
		return error_set(err, r, "%s", why.text);
	if (r < 0) {
		note_lost(solver, shard, r, &why);
		return 0;
	}
	piece->shards[shard->shard] = data;
	piece->known++;
	return 0;
}

/* Members that are zero here, absent ones included. */
static void mark_zeroes(const struct solver *solver, struct piece *piece)
{
	const struct group_place *group = solver->group;

	for (unsigned i = 0; i < group->data; i++)
		piece->zero[i] = true;
	for (size_t i = 0; i < group->shard_count; i++) {
		const struct group_shard *shard = &group->shards[i];

		if (!shard->runs && shard->log_size > piece->offset)
			piece->zero[shard->shard] = false;
	}
	for (unsigned i = 0; i < group->data; i++)
		piece->known += piece->zero[i];
}

static int read_shards(struct solver *solver, struct piece *piece, struct error *err)
{
	const struct group_place *group = solver->group;
	int r = 0;

	solver->code_lost = -EBADMSG;
	solver->why = (struct error){ 0 };
	mark_zeroes(solver, piece);
	for (size_t i = 0; i < group->shard_count && r == 0; i++) {
		const struct group_shard *shard = &group->shards[i];

		if (shard->shard == solver->wanted->shard ||
		    piece->shards[shard->shard] || piece->zero[shard->shard])
			continue;
		if (shard->runs && piece->known >= group->data)
			break;
		r = try_shard(solver, piece, shard, err);
	}
	if (r < 0)
		return r;
	if (piece->known >= group->data)
		return 0;
	return error_set(err, solver->code_lost,
			 "only %u of the %u shards that it takes are left: %s",
			 piece->known, group->data, solver->why.text);
}

static int solve_piece(struct solver *solver, uint64_t offset, uint8_t *data, size_t size,
		       struct error *err)
{
	struct piece piece = { .offset = offset, .size = size };
	unsigned wanted = solver->wanted->shard;
	int r = read_shards(solver, &piece, err);

	if (r < 0)
		return r;
	return parity_decode(solver->code, piece.shards, piece.zero, size, &wanted, 1,
			     &data, err);
}

/* All of @size bytes at @offset of the wanted shard. */
static int solve(struct volume_set *set, const struct group_place *group,
		 const struct group_shard *wanted, uint64_t offset, uint8_t *data,
		 size_t size, struct error *err)
{
	autosolver struct solver solver = { .set = set,
					    .group = group,
					    .wanted = wanted };
	int r;

	r = solver_init(&solver, err);
	while (r == 0 && size > 0) {
		size_t part = size < solver.piece ? size : solver.piece;

		r = solve_piece(&solver, offset, data, part, err);
		offset += part;
		data += part;
		size -= part;
	}
	return r;
}

/* As much of @size bytes at @log_offset as one frame of the wanted parity has of its header, or
 * else of its chunk; *size_out bytes. */
static int solve_frame(struct volume_set *set, const struct group_place *group,
		       const struct group_shard *wanted, uint64_t log_offset,
		       uint8_t *data, size_t size, size_t *size_out, struct error *err)
{
	uint8_t header[SKIPPABLE_HEADER_SIZE];
	uint64_t chunk;
	uint32_t into, end;

	if (!group_find_chunk(wanted->runs, wanted->run_count, group->size, log_offset,
			      &chunk, &into))
		return error_set(err, -ENOENT, "a record between parity");
	end = into < sizeof(header)
		      ? sizeof(header)
		      : sizeof(header) + group_chunk_size(group->size, chunk);
	*size_out = end - into < size ? end - into : size;
	skippable_put(header, SKIPPABLE_OUTER_PARITY,
		      group_chunk_size(group->size, chunk));
	if (into < sizeof(header)) {
		memcpy(data, header + into, *size_out);
		return 0;
	}
	return solve(set, group, wanted,
		     chunk * GROUP_CHUNK_SIZE + into - (uint32_t)sizeof(header), data,
		     *size_out, err);
}

static const struct group_shard *find_shard(const struct group_place *group, bool parity,
					    const struct uuid *volume,
					    uint64_t log_offset)
{
	for (size_t i = 0; i < group->shard_count; i++) {
		const struct group_shard *shard = &group->shards[i];

		if (!shard->runs == !parity &&
		    memcmp(&shard->volume, volume, UUID_SIZE) == 0 &&
		    log_offset >= shard->log_start &&
		    log_offset - shard->log_start < shard->log_size)
			return shard;
	}
	return NULL;
}

/* What is wanted of a log. */
struct wish {
	struct volume_set *set;
	const struct uuid *volume;
	uint64_t log_offset;
	uint8_t *data;
	size_t size;
};

/* As much of the range as the shard of one group holds; *size_out bytes. 0, CATALOG_END if
 * there is no such group. *size_out stays 0 if the catalog failed, and not the group. */
static int read_group(const struct wish *wish, bool parity, unsigned nth,
		      size_t *size_out, struct error *err)
{
	struct group_place group = { 0 };
	const struct group_shard *wanted;
	uint64_t left;
	int r;

	r = (parity ? volume_set_find_parity : volume_set_find_group)(
		wish->set, wish->volume, wish->log_offset, nth, &group, err);
	if (r != 0)
		return r;
	wanted = find_shard(&group, parity, wish->volume, wish->log_offset);
	if (!wanted) {
		r = error_set(err, -EBADMSG, "the catalog is damaged: a group");
	} else if (parity) {
		r = solve_frame(wish->set, &group, wanted, wish->log_offset, wish->data,
				wish->size, size_out, err);
	} else {
		left = wanted->log_start + wanted->log_size - wish->log_offset;
		*size_out = left < wish->size ? (size_t)left : wish->size;
		r = solve(wish->set, &group, wanted, wish->log_offset - wanted->log_start,
			  wish->data, *size_out, err);
	}
	group_place_done(&group);
	return r;
}

/* From the first group that can give it: of those that have it in a member, or as parity. */
static int read_some(const struct wish *wish, bool parity, size_t *size_out,
		     struct error *err)
{
	int failed = -ENOENT;

	for (unsigned nth = 0;; nth++) {
		struct error why = { 0 };
		size_t part = 0;
		int r = read_group(wish, parity, nth, &part, &why);

		if (r == CATALOG_END && nth == 0)
			return error_set(err, -ENOENT, "it is in no group");
		if (r == CATALOG_END)
			return failed; /* with the last group's text */
		if (r == 0) {
			*size_out = part;
			return 0;
		}
		failed = r;
		if (err)
			*err = why;
		if (r == -ENOMEM || (part == 0 && r != -ENOENT))
			return r; /* the catalog would fail for ever */
	}
}

int outer_read(struct volume_set *set, const struct uuid *volume, uint64_t log_offset,
	       void *data, size_t size, struct error *err)
{
	struct wish wish = { set, volume, log_offset, data, size };

	while (wish.size > 0) {
		size_t part = 0;
		int r = read_some(&wish, false, &part, err);

		if (r == -ENOENT)
			r = read_some(&wish, true, &part, err);
		if (r < 0)
			return r;
		wish.data += part;
		wish.log_offset += part;
		wish.size -= part;
	}
	return 0;
}
