/* SPDX-License-Identifier: MIT */
/* What is known of a volume comes from several sides and in any order: its own header and
 * records, the lists in other volumes' headers, foreign segments of checkpoints. So nothing
 * that is known is replaced by "unknown" (no label, number 0), and a volume that was sealed
 * stays sealed.
 */
#include "catalog/volumes.h"

#include "base/error.h"
#include "catalog/checksum.h"
#include "catalog/handle.h"

#include <errno.h>
#include <sqlite3.h>
#include <string.h>

#define COLUMNS                                                                    \
	"SELECT id, uuid, number, label, file, role, sealed, record_count, "       \
	"record_offset,"                                                           \
	" record_hash, log_end, stripe_count, payload_size, parity_size, retired," \
	" checksum"                                                                \
	" FROM volume "

static const char sql_forget[] = "DELETE FROM volume WHERE uuid = ? AND record_count = 0";
static const char sql_get[] = COLUMNS "WHERE uuid = ?";
static const char sql_all[] = COLUMNS "ORDER BY number, uuid";
static const char sql_insert[] =
	"INSERT INTO volume(number, label, file, role, sealed, record_count, "
	"record_offset,"
	" record_hash, log_end, stripe_count, payload_size, parity_size, retired,"
	" checksum, uuid) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
static const char sql_update[] =
	"UPDATE volume SET number = ?, label = ?, file = ?, role = ?, sealed = ?, "
	"record_count = ?,"
	" record_offset = ?, record_hash = ?, log_end = ?, stripe_count = ?,"
	" payload_size = ?, parity_size = ?, retired = ?, checksum = ? WHERE uuid = ?";

void volume_row_done(struct volume_row *volume)
{
	free(volume->label);
	free(volume->file);
	*volume = (struct volume_row){ 0 };
}

static uint64_t text_sum(const char *text)
{
	return text ? checksum_bytes(text, strlen(text)) : UINT64_MAX;
}

/* The row's own number is not in it: nothing but the tables in this file knows it. */
static uint32_t volume_checksum(const struct volume_row *v)
{
	return checksum_of(checksum_bytes(v->uuid.bytes, UUID_SIZE), v->number,
			   text_sum(v->label), text_sum(v->file), v->role, v->sealed,
			   v->record_count, v->record_offset,
			   checksum_bytes(v->record_hash.bytes, HASH_SIZE), v->log_end,
			   v->stripe_count, v->payload_size, v->parity_size, v->retired);
}

static int read_text(struct statement *s, char **text_out, struct error *err)
{
	size_t size;
	const char *text = statement_text(s, &size);

	if (!text)
		return 0;
	*text_out = strdup(text);
	return *text_out ? 0 : error_set(err, -ENOMEM, "no memory for a volume");
}

/* Fill @v, which is zero. */
static int read_columns(struct statement *s, struct volume_row *v, struct error *err)
{
	int r;

	v->id = statement_i64(s);
	statement_uuid(s, &v->uuid);
	v->number = statement_u64(s);
	r = read_text(s, &v->label, err);
	if (r == 0)
		r = read_text(s, &v->file, err);
	if (r < 0)
		return r;
	v->role = statement_u32(s) == VOLUME_PARITY ? VOLUME_PARITY : VOLUME_DATA;
	v->sealed = statement_i64(s);
	v->record_count = statement_u64(s);
	v->record_offset = statement_u64(s);
	statement_hash(s, &v->record_hash);
	v->log_end = statement_u64(s);
	v->stripe_count = statement_u64(s);
	v->payload_size = statement_u64(s);
	v->parity_size = statement_u64(s);
	v->retired = statement_i64(s);
	if (statement_u64(s) != volume_checksum(v))
		return catalog_damaged(err, "a volume");
	return 0;
}

static int read_volume(struct statement *s, struct volume_row *volume_out,
		       struct error *err)
{
	struct volume_row volume = { 0 };
	int r = read_columns(s, &volume, err);

	if (r < 0) {
		volume_row_done(&volume);
		return r;
	}
	*volume_out = volume;
	return 0;
}

static void bind_text(struct statement *s, const char *text)
{
	statement_bind_text(s, text, text ? strlen(text) : 0);
}

static int write_volume(struct catalog *catalog, const char *sql,
			const struct volume_row *v, struct error *err)
{
	autostatement struct statement s = { 0 };

	statement_begin(&s, catalog, sql);
	statement_bind_u64(&s, v->number);
	bind_text(&s, v->label);
	bind_text(&s, v->file);
	statement_bind_i64(&s, v->role);
	statement_bind_i64(&s, v->sealed);
	statement_bind_u64(&s, v->record_count);
	statement_bind_u64(&s, v->record_offset);
	statement_bind_hash(&s, &v->record_hash);
	statement_bind_u64(&s, v->log_end);
	statement_bind_u64(&s, v->stripe_count);
	statement_bind_u64(&s, v->payload_size);
	statement_bind_u64(&s, v->parity_size);
	statement_bind_i64(&s, v->retired);
	statement_bind_u64(&s, volume_checksum(v));
	statement_bind_blob(&s, v->uuid.bytes, UUID_SIZE);
	return statement_run(&s, err);
}

int volumes_update(struct catalog *catalog, const struct volume_row *volume,
		   struct error *err)
{
	return write_volume(catalog, sql_update, volume, err);
}

int catalog_get_volume(struct catalog *catalog, const struct uuid *uuid,
		       struct volume_row *volume_out, struct error *err)
{
	autostatement struct statement s = { 0 };
	int r;

	statement_begin(&s, catalog, sql_get);
	statement_bind_blob(&s, uuid->bytes, UUID_SIZE);
	r = statement_step(&s, err);
	return r != 0 ? r : read_volume(&s, volume_out, err);
}

int catalog_forget_volume(struct catalog *catalog, const struct uuid *uuid,
			  struct error *err)
{
	autostatement struct statement s = { 0 };

	statement_begin(&s, catalog, sql_forget);
	statement_bind_blob(&s, uuid->bytes, UUID_SIZE);
	return statement_run(&s, err);
}

int volumes_get_or_make(struct catalog *catalog, const struct uuid *uuid,
			struct volume_row *volume_out, struct error *err)
{
	struct volume_row volume = { .uuid = *uuid };
	int r;

	r = catalog_get_volume(catalog, uuid, volume_out, err);
	if (r != CATALOG_END)
		return r;
	r = write_volume(catalog, sql_insert, &volume, err);
	if (r < 0)
		return r;
	volume.id = sqlite3_last_insert_rowid(catalog->db);
	*volume_out = volume;
	return 0;
}

/* Put @volume's knowledge into the row of the catalog. */
static int update_known(struct catalog *catalog, const struct volume_row *volume,
			int64_t *id_out, struct error *err)
{
	struct volume_row known = { 0 };
	struct volume_row merged;
	int r;

	r = volumes_get_or_make(catalog, &volume->uuid, &known, err);
	if (r < 0)
		return r;
	merged = known;
	merged.sealed |= volume->sealed;
	if (volume->role)
		merged.role = volume->role;
	merged.retired |= volume->retired;
	if (volume->number)
		merged.number = volume->number;
	if (volume->label)
		merged.label = volume->label;
	if (volume->file)
		merged.file = volume->file;
	r = volumes_update(catalog, &merged, err);
	*id_out = known.id;
	volume_row_done(&known);
	return r;
}

int catalog_put_volume(struct catalog *catalog, struct volume_row *volume,
		       struct error *err)
{
	int64_t id = 0;
	bool own;
	int r;

	r = catalog_enter(catalog, &own, err);
	if (r < 0)
		return r;
	r = update_known(catalog, volume, &id, err);
	r = catalog_leave(catalog, own, r, err);
	if (r == 0)
		volume->id = id;
	return r;
}

int catalog_visit_volumes(struct catalog *catalog,
			  int (*visit)(void *context, const struct volume_row *volume),
			  void *context, struct error *err)
{
	autostatement struct statement s = { 0 };
	struct volume_row volume = { 0 };
	int r;

	statement_begin(&s, catalog, sql_all);
	while ((r = statement_step(&s, err)) == 0) {
		r = read_volume(&s, &volume, err);
		if (r < 0)
			return r;
		r = visit(context, &volume);
		volume_row_done(&volume);
		if (r != 0)
			return r;
	}
	return r < 0 ? r : 0;
}
