/* SPDX-License-Identifier: MIT */
/* Facts that do not contradict each other, as in placement.c: each record tells of one parity
 * shard and of all members, so a group is known from any of its parity shards, and the same
 * rows come of them in any order. A shard that was lost and made again has two rows.
 *
 * A volume that was lost and made again may end earlier than it did, where not all of it was in
 * groups. A member that reached further is as good as retired: its stripes begin behind the
 * last record's own.
 */
#include "catalog/groups.h"

#include "base/bytes.h"
#include "base/error.h"
#include "catalog/checksum.h"
#include "catalog/handle.h"
#include "catalog/placement.h"
#include "catalog/volumes.h"

#include <errno.h>
#include <string.h>

static const char sql_put_group[] =
	"INSERT OR REPLACE INTO outer_group VALUES(?, ?, ?, ?, ?)";
static const char sql_get_group[] =
	"SELECT id, data, parity, size, checksum FROM outer_group WHERE id = ?";
static const char sql_all_groups[] =
	"SELECT id, data, parity, size, checksum FROM outer_group ORDER BY id";
static const char sql_groups_of[] =
	"SELECT id, data, parity, size, checksum FROM outer_group WHERE id IN"
	" (SELECT id FROM outer_shard WHERE runs IS NULL"
	" AND volume = (SELECT id FROM volume WHERE uuid = ?)) ORDER BY id";
static const char sql_put_shard[] =
	"INSERT OR REPLACE INTO outer_shard VALUES(?, ?, ?, ?, ?, ?, ?)";
static const char sql_shards[] =
	"SELECT s.shard, v.uuid, v.retired OR (s.runs IS NULL AND EXISTS(SELECT 1"
	" FROM stripe t WHERE t.volume = v.id AND t.log_start > v.log_end"
	" AND t.log_start < s.log_start + s.log_size)),"
	" s.log_start, s.log_size, s.runs, s.checksum"
	" FROM outer_shard s CROSS JOIN volume v ON v.id = s.volume WHERE s.id = ?"
	" ORDER BY s.shard, v.number, v.uuid, s.log_start";
static const char sql_find[] =
	"SELECT id FROM outer_shard WHERE volume = (SELECT id FROM volume WHERE uuid = ?)"
	" AND runs IS NULL AND log_start <= ? AND log_start + log_size > ?"
	" ORDER BY log_start DESC, id LIMIT 1 OFFSET ?";
static const char sql_find_parity[] =
	"SELECT id FROM outer_shard WHERE volume = (SELECT id FROM volume WHERE uuid = ?)"
	" AND runs IS NOT NULL AND log_start <= ? AND log_start + log_size > ?"
	" ORDER BY log_start DESC, id LIMIT 1 OFFSET ?";
static const char sql_members[] =
	"SELECT id, log_start, log_size FROM outer_shard"
	" WHERE volume = (SELECT id FROM volume WHERE uuid = ?) AND runs IS NULL"
	" ORDER BY log_start, log_size, id";

/* A run as it stands in the column. */
struct run_row {
	le64 first;
	le64 count;
	le64 log_offset;
};

void group_place_done(struct group_place *group)
{
	for (size_t i = 0; i < group->shard_count; i++)
		free(group->shards[i].runs);
	free(group->shards);
	*group = (struct group_place){ 0 };
}

static uint32_t group_checksum(const struct group_place *group)
{
	return checksum_of(checksum_bytes(group->id.bytes, HASH_SIZE), group->data,
			   group->parity, group->size);
}

static uint32_t shard_checksum(const struct hash *id, const struct group_shard *shard,
			       const void *runs, size_t size)
{
	return checksum_of(checksum_bytes(id->bytes, HASH_SIZE), shard->shard,
			   checksum_bytes(shard->volume.bytes, UUID_SIZE),
			   shard->log_start, shard->log_size,
			   size ? checksum_bytes(runs, size) : 0);
}

/* ---- taking in ---- */

static int put_row(struct catalog *catalog, const struct group *group, struct error *err)
{
	const struct group_place place = {
		.id = group->id,
		.data = group->data,
		.parity = group->parity,
		.size = group->size,
	};
	autostatement struct statement s = { 0 };

	statement_begin(&s, catalog, sql_put_group);
	statement_bind_hash(&s, &place.id);
	statement_bind_u64(&s, place.data);
	statement_bind_u64(&s, place.parity);
	statement_bind_u64(&s, place.size);
	statement_bind_u64(&s, group_checksum(&place));
	return statement_run(&s, err);
}

/* @volume is the row of shard->volume. */
static int put_shard(struct catalog *catalog, int64_t volume, const struct hash *id,
		     const struct group_shard *shard, struct error *err)
{
	size_t size = shard->run_count * sizeof(struct run_row);
	autofree struct run_row *runs = size ? malloc(size) : NULL;
	autostatement struct statement s = { 0 };

	if (size && !runs)
		return error_set(err, -ENOMEM, "no memory for a group");
	for (size_t i = 0; i < shard->run_count; i++)
		runs[i] = (struct run_row){
			.first = le64_make(shard->runs[i].first),
			.count = le64_make(shard->runs[i].count),
			.log_offset = le64_make(shard->runs[i].log_offset),
		};
	statement_begin(&s, catalog, sql_put_shard);
	statement_bind_hash(&s, id);
	statement_bind_u64(&s, shard->shard);
	statement_bind_i64(&s, volume);
	statement_bind_u64(&s, shard->log_start);
	statement_bind_u64(&s, shard->log_size);
	statement_bind_blob(&s, runs, size);
	statement_bind_u64(&s, shard_checksum(id, shard, runs, size));
	return statement_run(&s, err);
}

static int put_member(struct catalog *catalog, const struct group *group, unsigned number,
		      struct error *err)
{
	const struct group_member *member = &group->members[number];
	const struct group_shard shard = {
		.shard = number,
		.volume = member->volume,
		.log_start = member->log_start,
		.log_size = member->log_size,
	};
	struct volume_row volume = { 0 };
	int r;

	r = volumes_get_or_make(catalog, &member->volume, &volume, err);
	for (size_t i = 0; r == 0 && i < member->stripe_count; i++)
		r = placement_put_stripe(catalog, &volume, &member->stripes[i], err);
	if (r == 0)
		r = volumes_update(catalog, &volume, err);
	if (r == 0)
		r = put_shard(catalog, volume.id, &group->id, &shard, err);
	volume_row_done(&volume);
	return r;
}

int catalog_put_group(struct catalog *catalog, const struct volume_row *volume,
		      const struct group *group, struct error *err)
{
	const struct group_shard shard = {
		.shard = group->data + group->number,
		.volume = volume->uuid,
		.log_start = group->runs[0].log_offset,
		.log_size = group_log_end(group) - group->runs[0].log_offset,
		.runs = group->runs,
		.run_count = group->run_count,
	};
	int r;

	r = put_row(catalog, group, err);
	for (unsigned i = 0; r == 0 && i < group->member_count; i++)
		r = put_member(catalog, group, i, err);
	return r < 0 ? r : put_shard(catalog, volume->id, &group->id, &shard, err);
}

/* ---- looking up ---- */

static int read_runs(struct statement *s, struct group_shard *shard, const void **blob,
		     size_t *size_out, struct error *err)
{
	const struct run_row *rows;

	rows = *blob = statement_blob(s, size_out);
	shard->run_count = *size_out / sizeof(*rows);
	if (shard->run_count == 0)
		return 0;
	shard->runs = calloc(shard->run_count, sizeof(*shard->runs));
	if (!shard->runs)
		return error_set(err, -ENOMEM, "no memory for a group");
	for (size_t i = 0; i < shard->run_count; i++)
		shard->runs[i] = (struct group_run){
			.first = le64_get(rows[i].first),
			.count = le64_get(rows[i].count),
			.log_offset = le64_get(rows[i].log_offset),
		};
	return 0;
}

static int read_shard(struct statement *s, const struct hash *id,
		      struct group_shard *shard, struct error *err)
{
	const void *blob;
	size_t size;
	int r;

	shard->shard = statement_u32(s);
	statement_uuid(s, &shard->volume);
	shard->retired = statement_i64(s);
	shard->log_start = statement_u64(s);
	shard->log_size = statement_u64(s);
	r = read_runs(s, shard, &blob, &size, err);
	if (r < 0)
		return r;
	if (statement_u64(s) != shard_checksum(id, shard, blob, size))
		return catalog_damaged(err, "a shard of a group");
	return 0;
}

static int read_shards(struct catalog *catalog, struct group_place *group,
		       struct error *err)
{
	autostatement struct statement s = { 0 };
	int r;

	statement_begin(&s, catalog, sql_shards);
	statement_bind_hash(&s, &group->id);
	while ((r = statement_step(&s, err)) == 0) {
		struct group_shard *grown = reallocarray(
			group->shards, group->shard_count + 1, sizeof(*grown));

		if (!grown)
			return error_set(err, -ENOMEM, "no memory for a group");
		group->shards = grown;
		grown[group->shard_count] = (struct group_shard){ 0 };
		r = read_shard(&s, &group->id, &grown[group->shard_count++], err);
		if (r == 0 &&
		    grown[group->shard_count - 1].shard >= group->data + group->parity)
			r = catalog_damaged(err, "a shard of a group");
		if (r < 0)
			return r;
	}
	return r < 0 ? r : 0;
}

static int read_group(struct statement *s, struct catalog *catalog,
		      struct group_place *group_out, struct error *err)
{
	struct group_place group = { 0 };
	int r;

	statement_hash(s, &group.id);
	group.data = statement_u32(s);
	group.parity = statement_u32(s);
	group.size = statement_u64(s);
	if (statement_u64(s) != group_checksum(&group))
		return catalog_damaged(err, "a group");
	r = read_shards(catalog, &group, err);
	if (r < 0) {
		group_place_done(&group);
		return r;
	}
	*group_out = group;
	return 0;
}

int catalog_get_group(struct catalog *catalog, const struct hash *id,
		      struct group_place *group_out, struct error *err)
{
	autostatement struct statement s = { 0 };
	int r;

	statement_begin(&s, catalog, sql_get_group);
	statement_bind_hash(&s, id);
	r = statement_step(&s, err);
	return r != 0 ? r : read_group(&s, catalog, group_out, err);
}

static int find_id(struct catalog *catalog, const char *sql, const struct uuid *volume,
		   uint64_t log_offset, unsigned nth, struct hash *id_out,
		   struct error *err)
{
	autostatement struct statement s = { 0 };
	int r;

	statement_begin(&s, catalog, sql);
	statement_bind_blob(&s, volume->bytes, UUID_SIZE);
	statement_bind_u64(&s, log_offset);
	statement_bind_u64(&s, log_offset);
	statement_bind_u64(&s, nth);
	r = statement_step(&s, err);
	if (r == 0)
		statement_hash(&s, id_out);
	return r;
}

static int find_group(struct catalog *catalog, const char *sql, const struct uuid *volume,
		      uint64_t log_offset, unsigned nth, struct group_place *group_out,
		      struct error *err)
{
	struct hash id;
	int r;

	if (log_offset > INT64_MAX)
		return CATALOG_END;
	r = find_id(catalog, sql, volume, log_offset, nth, &id, err);
	if (r == 0)
		r = catalog_get_group(catalog, &id, group_out, err);
	return r;
}

int catalog_find_group(struct catalog *catalog, const struct uuid *volume,
		       uint64_t log_offset, unsigned nth, struct group_place *group_out,
		       struct error *err)
{
	return find_group(catalog, sql_find, volume, log_offset, nth, group_out, err);
}

int catalog_find_parity(struct catalog *catalog, const struct uuid *volume,
			uint64_t log_offset, unsigned nth, struct group_place *group_out,
			struct error *err)
{
	return find_group(catalog, sql_find_parity, volume, log_offset, nth, group_out,
			  err);
}

static int visit_groups(struct statement *s, struct catalog *catalog,
			int (*visit)(void *context, const struct group_place *group),
			void *context, struct error *err)
{
	struct group_place group = { 0 };
	int r;

	while ((r = statement_step(s, err)) == 0) {
		r = read_group(s, catalog, &group, err);
		if (r < 0)
			return r;
		r = visit(context, &group);
		group_place_done(&group);
		if (r != 0)
			return r;
	}
	return r < 0 ? r : 0;
}

int catalog_visit_groups(struct catalog *catalog,
			 int (*visit)(void *context, const struct group_place *group),
			 void *context, struct error *err)
{
	autostatement struct statement s = { 0 };

	statement_begin(&s, catalog, sql_all_groups);
	return visit_groups(&s, catalog, visit, context, err);
}

int catalog_visit_groups_of(struct catalog *catalog, const struct uuid *volume,
			    int (*visit)(void *context, const struct group_place *group),
			    void *context, struct error *err)
{
	autostatement struct statement s = { 0 };

	statement_begin(&s, catalog, sql_groups_of);
	statement_bind_blob(&s, volume->bytes, UUID_SIZE);
	return visit_groups(&s, catalog, visit, context, err);
}

int catalog_visit_members(struct catalog *catalog, const struct uuid *volume,
			  int (*visit)(void *context, const struct hash *group,
				       uint64_t log_start, uint64_t log_size),
			  void *context, struct error *err)
{
	autostatement struct statement s = { 0 };
	int r;

	statement_begin(&s, catalog, sql_members);
	statement_bind_blob(&s, volume->bytes, UUID_SIZE);
	while ((r = statement_step(&s, err)) == 0) {
		struct hash id;
		uint64_t log_start, log_size;

		statement_hash(&s, &id);
		log_start = statement_u64(&s);
		log_size = statement_u64(&s);
		r = visit(context, &id, log_start, log_size);
		if (r != 0)
			return r;
	}
	return r < 0 ? r : 0;
}
