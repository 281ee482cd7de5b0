/* SPDX-License-Identifier: MIT */
/* The canonical dump: what the volumes can give back, in an order that follows from it.
 * Row numbers, the names of files and the order of insertion do not show. One line of JSON
 * an item, so that diff finds what differs:
 *
 *     archive · volumes by number, each with its stripes · groups of the outer code by id ·
 *     segments by id · pages by hash ·
 *     commits, newest first · versions by path and age
 */
#include "base/error.h"
#include "base/json_writer.h"
#include "base/text.h"
#include "catalog/database.h"
#include "catalog/groups.h"
#include "catalog/handle.h"
#include "catalog/listing.h"
#include "catalog/placement.h"
#include "catalog/version.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

static const char sql_versions[] =
	"SELECT " VERSION_COLUMNS ", " VERSION_LINE " FROM version v" VERSION_JOIN_LINE
	" WHERE v.node = ? ORDER BY v.first";

struct dump {
	struct catalog *catalog;
	FILE *out;
	struct text line;
	struct json_writer writer;
	struct error *err;
	struct uuid volume; /* of the stripes being dumped */
};

/* Write out the line. */
static int flush_line(struct dump *dump)
{
	int r = text_append_char(&dump->line, '\n');

	if (r < 0)
		return error_set(dump->err, r, "no memory for the dump");
	if (fwrite(dump->line.data, 1, dump->line.size, dump->out) != dump->line.size)
		return error_set_errno(dump->err, errno ? -errno : -EIO, "dump");
	text_clear(&dump->line);
	return 0;
}

static struct json_writer *begin_item(struct dump *dump, const char *item)
{
	json_writer_init(&dump->writer, &dump->line);
	json_write_object(&dump->writer, NULL);
	json_write_string(&dump->writer, "item", item);
	return &dump->writer;
}

static int end_item(struct dump *dump)
{
	int r;

	json_write_end(&dump->writer);
	r = json_writer_finish(&dump->writer);
	if (r < 0)
		return error_set(dump->err, r, "dump: an item that is no JSON");
	return flush_line(dump);
}

static int dump_archive(struct dump *dump)
{
	struct json_writer *w = begin_item(dump, "archive");

	json_write_hex(w, "id", dump->catalog->archive_id.bytes, HASH_SIZE);
	return end_item(dump);
}

static void write_extents(struct json_writer *w, const struct stripe_info *stripe)
{
	json_write_array(w, "extents");
	for (unsigned i = 0; i < stripe->data_count + stripe->geometry.parity; i++) {
		json_write_object(w, NULL);
		json_write_u32(w, "payload", stripe->extents[i].payload_size);
		json_write_u32(w, "area", stripe->extents[i].area_size);
		json_write_hex(w, "hash", stripe->extents[i].hash.bytes, HASH_SIZE);
		json_write_end(w);
	}
	json_write_end(w);
}

static int dump_stripe(void *context, const struct stripe_info *stripe)
{
	struct dump *dump = context;
	struct json_writer *w = begin_item(dump, "stripe");

	json_write_hex(w, "volume", dump->volume.bytes, UUID_SIZE);
	json_write_u64(w, "number", stripe->number);
	json_write_u32(w, "kind", stripe->kind);
	json_write_u64(w, "offset", stripe->offset);
	json_write_u64(w, "log_start", stripe->log_start);
	json_write_hex(w, "epoch", stripe->epoch.bytes, UUID_SIZE);
	json_write_u32(w, "data", stripe->geometry.data);
	json_write_u32(w, "parity", stripe->geometry.parity);
	json_write_u32(w, "frames", stripe->geometry.frames);
	json_write_u64(w, "stride", stripe->geometry.stride);
	write_extents(w, stripe);
	return end_item(dump);
}

static int dump_volume(void *context, const struct volume_row *volume)
{
	struct dump *dump = context;
	struct json_writer *w = begin_item(dump, "volume");
	int r;

	json_write_u64(w, "number", volume->number);
	json_write_hex(w, "uuid", volume->uuid.bytes, UUID_SIZE);
	if (volume->label)
		json_write_bytes(w, "label", volume->label, strlen(volume->label));
	if (volume->role == VOLUME_PARITY)
		json_write_string(w, "role", "parity");
	json_write_bool(w, "sealed", volume->sealed);
	if (volume->retired)
		json_write_bool(w, "retired", true);
	json_write_u64(w, "records", volume->record_count);
	json_write_u64(w, "record_offset", volume->record_offset);
	json_write_hex(w, "record_hash", volume->record_hash.bytes, HASH_SIZE);
	json_write_u64(w, "log_end", volume->log_end);
	json_write_u64(w, "stripes", volume->stripe_count);
	json_write_u64(w, "payload", volume->payload_size);
	json_write_u64(w, "parity", volume->parity_size);
	r = end_item(dump);
	if (r < 0)
		return r;
	dump->volume = volume->uuid;
	return catalog_visit_stripes(dump->catalog, &volume->uuid, dump_stripe, dump,
				     dump->err);
}

static void write_shard(struct json_writer *w, const struct group_shard *shard)
{
	json_write_object(w, NULL);
	json_write_u32(w, "shard", shard->shard);
	json_write_hex(w, "volume", shard->volume.bytes, UUID_SIZE);
	json_write_u64(w, "log_start", shard->log_start);
	json_write_u64(w, "log_size", shard->log_size);
	json_write_end(w);
}

static int dump_group(void *context, const struct group_place *group)
{
	struct dump *dump = context;
	struct json_writer *w = begin_item(dump, "group");

	json_write_hex(w, "id", group->id.bytes, HASH_SIZE);
	json_write_u32(w, "data", group->data);
	json_write_u32(w, "parity", group->parity);
	json_write_u64(w, "size", group->size);
	json_write_array(w, "shards");
	for (size_t i = 0; i < group->shard_count; i++)
		write_shard(w, &group->shards[i]);
	json_write_end(w);
	return end_item(dump);
}

static int dump_segment(void *context, const struct segment_place *place)
{
	struct dump *dump = context;
	struct json_writer *w = begin_item(dump, "segment");

	json_write_hex(w, "id", place->id.bytes, HASH_SIZE);
	json_write_u64(w, "index", place->index);
	json_write_hex(w, "volume", place->volume.bytes, UUID_SIZE);
	json_write_u64(w, "log_offset", place->log_offset);
	json_write_u32(w, "content", place->content_size);
	json_write_u32(w, "stored", place->stored_size);
	json_write_u32(w, "frames", place->frame_count);
	json_write_u32(w, "kind", place->kind);
	return end_item(dump);
}

static int dump_page(void *context, const struct page_place *place,
		     const struct uuid *volume)
{
	struct dump *dump = context;
	struct json_writer *w = begin_item(dump, "page");

	json_write_hex(w, "hash", place->hash.bytes, HASH_SIZE);
	json_write_hex(w, "volume", volume->bytes, UUID_SIZE);
	json_write_u64(w, "log_offset", place->log_offset);
	json_write_u32(w, "stored", place->stored_size);
	json_write_u32(w, "kind", place->kind);
	return end_item(dump);
}

/* Heads and manifests are JSON already, and stand as they are. */
static int dump_commit(void *context, const struct commit_row *commit)
{
	struct dump *dump = context;
	char hash[HASH_HEX_SIZE];
	int r;

	hash_to_hex(&commit->hash, hash);
	r = text_appendf(&dump->line,
			 "{\"item\":\"commit\",\"sequence\":\"%" PRIu64
			 "\",\"hash\":\"%s\",\"head\":%s}",
			 commit->sequence, hash, commit->head);
	if (r < 0)
		return error_set(dump->err, r, "no memory for the dump");
	return flush_line(dump);
}

static int dump_version(struct dump *dump, const struct version_row *row)
{
	int r;

	r = text_appendf(&dump->line, "{\"item\":\"version\",\"first\":\"%" PRIu64 "\",",
			 row->first);
	if (r == 0 && row->end != VERSION_CURRENT)
		r = text_appendf(&dump->line, "\"end\":\"%" PRIu64 "\",", row->end);
	if (r == 0)
		r = text_appendf(&dump->line, "\"manifest\":%s}", row->line);
	if (r < 0)
		return error_set(dump->err, r, "no memory for the dump");
	return flush_line(dump);
}

static int dump_node(void *context, const uint8_t *key, size_t size,
		     const struct node *node, struct error *err)
{
	autostatement struct statement s = { 0 };
	size_t name_size = key_name_size(key, size);
	struct stored_version version;
	struct dump *dump = context;
	int r;

	statement_begin(&s, dump->catalog, sql_versions);
	statement_bind_i64(&s, node->id);
	while ((r = statement_step(&s, err)) == 0) {
		r = version_read(&s, node, key + size - name_size, name_size, true,
				 &version, err);
		if (r == 0)
			r = version_check_key(&version.row, key, size, err);
		if (r == 0)
			r = dump_version(dump, &version.row);
		if (r < 0)
			return r;
	}
	return r < 0 ? r : 0;
}

static int dump_all(struct dump *dump)
{
	struct catalog *catalog = dump->catalog;
	struct error *err = dump->err;
	int r;

	r = dump_archive(dump);
	if (r < 0)
		return r;
	r = catalog_visit_volumes(catalog, dump_volume, dump, err);
	if (r < 0)
		return r;
	r = catalog_visit_groups(catalog, dump_group, dump, err);
	if (r < 0)
		return r;
	r = catalog_visit_segments(catalog, dump_segment, dump, err);
	if (r < 0)
		return r;
	r = catalog_visit_pages(catalog, dump_page, dump, err);
	if (r < 0)
		return r;
	r = catalog_visit_commits(catalog, dump_commit, dump, err);
	if (r < 0)
		return r;
	return node_visit_all(catalog, dump_node, dump, err);
}

int catalog_dump(struct catalog *catalog, FILE *out, struct error *err)
{
	struct dump dump = { .catalog = catalog, .out = out, .err = err };
	bool snapshot = !catalog->writing;
	int r = 0;

	if (snapshot)
		r = database_run(catalog->db, "BEGIN", err);
	if (r < 0)
		return r;
	r = dump_all(&dump);
	text_done(&dump.line);
	if (snapshot)
		(void)database_run(catalog->db, "ROLLBACK", NULL); /* it only read */
	if (r == 0 && fflush(out) != 0)
		r = error_set_errno(err, -errno, "dump");
	return r;
}
