/* SPDX-License-Identifier: MIT */
/* Records are taken in as facts that do not contradict each other, so their order does not
 * matter and repeating one changes nothing: a stripe is counted when its row is new, and the
 * end of a volume only moves forward.
 *
 * A record's own stripe is known from the record itself and again from the next one. Both
 * give the same row.
 *
 * A segment or page may stand in a volume more than once (a checkpoint, content stored again
 * because the first copy is lost), so its place is part of the key, and the newest copy of a
 * volume is offered first.
 *
 * Checksums name the volume by its UUID, so that mixed up row numbers show.
 */
#include "catalog/placement.h"

#include "base/error.h"
#include "catalog/checksum.h"
#include "catalog/groups.h"
#include "catalog/handle.h"
#include "catalog/retirement.h"
#include "catalog/volumes.h"

#include <errno.h>
#include <sqlite3.h>
#include <string.h>

#define SEGMENT_COLUMNS                                                  \
	"SELECT s.id, s.position, v.uuid, s.log_offset, s.content_size," \
	" s.stored_size, s.frame_count, s.kind, s.checksum"              \
	" FROM segment s CROSS JOIN volume v ON v.id = s.volume "
#define PAGE_COLUMNS                                                             \
	"SELECT p.hash, v.uuid, p.log_offset, p.stored_size, p.kind, p.checksum" \
	" FROM page p CROSS JOIN volume v ON v.id = p.volume "

static const char sql_put_stripe[] =
	"INSERT OR IGNORE INTO stripe(volume, log_start, number, info, checksum)"
	" VALUES(?, ?, ?, ?, ?)";
static const char sql_find_stripe[] =
	"SELECT s.info, s.checksum FROM stripe s"
	" WHERE s.volume = (SELECT id FROM volume WHERE uuid = ?) AND s.log_start <= ?"
	" ORDER BY s.log_start DESC, s.number DESC LIMIT 1";
static const char sql_volume_stripes[] =
	"SELECT s.info, s.checksum FROM stripe s"
	" WHERE s.volume = (SELECT id FROM volume WHERE uuid = ?)"
	" ORDER BY s.log_start, s.number";
static const char sql_put_segment[] =
	"INSERT OR REPLACE INTO segment VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)";
static const char sql_find_segment[] =
	SEGMENT_COLUMNS "WHERE s.id = ? AND s.position = ?"
			" ORDER BY v.number, v.uuid, s.log_offset DESC LIMIT 1 OFFSET ?";
static const char sql_all_segments[] =
	SEGMENT_COLUMNS "WHERE (s.id, s.position) > (?, ?)"
			" ORDER BY s.id, s.position, v.number, v.uuid, s.log_offset";
static const char sql_put_page[] = "INSERT OR REPLACE INTO page VALUES(?, ?, ?, ?, ?, ?)";
static const char sql_find_page[] =
	PAGE_COLUMNS "WHERE p.hash = ?"
		     " ORDER BY v.number, v.uuid, p.log_offset DESC LIMIT 1 OFFSET ?";
static const char sql_all_pages[] =
	PAGE_COLUMNS "WHERE p.hash > ? ORDER BY p.hash, v.number, v.uuid, p.log_offset";

static uint64_t uuid_sum(const struct uuid *uuid)
{
	return checksum_bytes(uuid->bytes, UUID_SIZE);
}

/* The key to begin behind; all keys come behind the empty one. */
static void bind_after(struct statement *s, const struct hash *hash)
{
	if (hash)
		statement_bind_hash(s, hash);
	else
		statement_bind_blob(s, "", 0);
}

/* Stripes. */

static uint64_t parity_size(const struct stripe_info *stripe)
{
	uint64_t data = 0;

	for (unsigned i = 0; i < stripe->data_count; i++)
		data += (uint64_t)PAGE_SIZE_BYTES *
				geometry_data_pages(&stripe->geometry) +
			stripe->extents[i].area_size;
	return stripe_written_size(stripe) - data;
}

int placement_put_stripe(struct catalog *catalog, struct volume_row *volume,
			 const struct stripe_info *stripe, struct error *err)
{
	autostatement struct statement s = { 0 };
	size_t size = stripe_entry_size(stripe);
	autofree uint8_t *info = malloc(size);
	int r;

	if (!info)
		return error_set(err, -ENOMEM, "no memory for a stripe");
	stripe_info_encode(stripe, info);
	statement_begin(&s, catalog, sql_put_stripe);
	statement_bind_i64(&s, volume->id);
	statement_bind_u64(&s, stripe->log_start);
	statement_bind_u64(&s, stripe->number);
	statement_bind_blob(&s, info, size);
	statement_bind_u64(
		&s, checksum_of(uuid_sum(&volume->uuid), checksum_bytes(info, size)));
	r = statement_run(&s, err);
	if (r < 0 || sqlite3_changes(catalog->db) == 0)
		return r;
	volume->stripe_count++;
	volume->payload_size += stripe_log_size(stripe);
	volume->parity_size += parity_size(stripe);
	return 0;
}

static int read_stripe(struct statement *s, const struct uuid *volume,
		       struct stripe_info *stripe_out, struct error *err)
{
	size_t size;
	const uint8_t *info = statement_blob(s, &size);

	if (statement_u64(s) != checksum_of(uuid_sum(volume), checksum_bytes(info, size)))
		return catalog_damaged(err, "a stripe");
	return stripe_info_decode(info, size, stripe_out, err);
}

int catalog_find_stripe(struct catalog *catalog, const struct uuid *volume,
			uint64_t log_offset, struct stripe_info *stripe_out,
			struct error *err)
{
	autostatement struct statement s = { 0 };
	struct stripe_info stripe = { 0 };
	int r;

	if (log_offset > INT64_MAX)
		return CATALOG_END;
	statement_begin(&s, catalog, sql_find_stripe);
	statement_bind_blob(&s, volume->bytes, UUID_SIZE);
	statement_bind_u64(&s, log_offset);
	r = statement_step(&s, err);
	if (r != 0)
		return r;
	r = read_stripe(&s, volume, &stripe, err);
	if (r < 0)
		return r;
	if (log_offset < stripe.log_start ||
	    log_offset - stripe.log_start >= stripe_log_size(&stripe)) {
		stripe_info_done(&stripe);
		return CATALOG_END;
	}
	*stripe_out = stripe;
	return 0;
}

int catalog_visit_stripes(struct catalog *catalog, const struct uuid *volume,
			  int (*visit)(void *context, const struct stripe_info *stripe),
			  void *context, struct error *err)
{
	autostatement struct statement s = { 0 };
	struct stripe_info stripe = { 0 };
	int r;

	statement_begin(&s, catalog, sql_volume_stripes);
	statement_bind_blob(&s, volume->bytes, UUID_SIZE);
	while ((r = statement_step(&s, err)) == 0) {
		r = read_stripe(&s, volume, &stripe, err);
		if (r < 0)
			return r;
		r = visit(context, &stripe);
		stripe_info_done(&stripe);
		if (r != 0)
			return r;
	}
	return r < 0 ? r : 0;
}

/* Segments. */

static uint32_t segment_checksum(const struct segment_place *place)
{
	return checksum_of(checksum_bytes(place->id.bytes, HASH_SIZE), place->index,
			   uuid_sum(&place->volume), place->log_offset,
			   place->content_size, place->stored_size, place->frame_count,
			   place->kind);
}

/* @volume is the row of place->volume. */
static int put_segment(struct catalog *catalog, int64_t volume,
		       const struct segment_place *place, struct error *err)
{
	autostatement struct statement s = { 0 };

	statement_begin(&s, catalog, sql_put_segment);
	statement_bind_hash(&s, &place->id);
	statement_bind_u64(&s, place->index);
	statement_bind_i64(&s, volume);
	statement_bind_u64(&s, place->log_offset);
	statement_bind_u64(&s, place->content_size);
	statement_bind_u64(&s, place->stored_size);
	statement_bind_u64(&s, place->frame_count);
	statement_bind_u64(&s, place->kind);
	statement_bind_u64(&s, segment_checksum(place));
	return statement_run(&s, err);
}

static int read_segment(struct statement *s, struct segment_place *place_out,
			struct error *err)
{
	struct segment_place place = { 0 };

	statement_hash(s, &place.id);
	place.index = statement_u64(s);
	statement_uuid(s, &place.volume);
	place.log_offset = statement_u64(s);
	place.content_size = statement_u32(s);
	place.stored_size = statement_u32(s);
	place.frame_count = statement_u32(s);
	place.kind = (uint8_t)statement_u32(s);
	if (statement_u64(s) != segment_checksum(&place))
		return catalog_damaged(err, "the place of a segment");
	*place_out = place;
	return 0;
}

int catalog_find_segment(struct catalog *catalog, const struct hash *id, uint64_t index,
			 unsigned nth, struct segment_place *place_out, struct error *err)
{
	autostatement struct statement s = { 0 };
	int r;

	statement_begin(&s, catalog, sql_find_segment);
	statement_bind_hash(&s, id);
	statement_bind_u64(&s, index);
	statement_bind_u64(&s, nth);
	r = statement_step(&s, err);
	return r != 0 ? r : read_segment(&s, place_out, err);
}

int catalog_visit_segments(struct catalog *catalog,
			   int (*visit)(void *context, const struct segment_place *place),
			   void *context, struct error *err)
{
	return catalog_visit_segments_after(catalog, NULL, 0, visit, context, err);
}

int catalog_visit_segments_after(struct catalog *catalog, const struct hash *id,
				 uint64_t index,
				 int (*visit)(void *context,
					      const struct segment_place *place),
				 void *context, struct error *err)
{
	autostatement struct statement s = { 0 };
	struct segment_place place;
	int r;

	statement_begin(&s, catalog, sql_all_segments);
	bind_after(&s, id);
	statement_bind_u64(&s, index);
	while ((r = statement_step(&s, err)) == 0) {
		r = read_segment(&s, &place, err);
		if (r == 0)
			r = visit(context, &place);
		if (r != 0)
			return r;
	}
	return r < 0 ? r : 0;
}

/* Pages. */

static uint32_t page_checksum(const struct page_place *place, const struct uuid *volume)
{
	return checksum_of(checksum_bytes(place->hash.bytes, HASH_SIZE), uuid_sum(volume),
			   place->log_offset, place->stored_size, place->kind);
}

static int put_page(struct catalog *catalog, const struct volume_row *volume,
		    const struct page_place *place, struct error *err)
{
	autostatement struct statement s = { 0 };

	statement_begin(&s, catalog, sql_put_page);
	statement_bind_hash(&s, &place->hash);
	statement_bind_i64(&s, volume->id);
	statement_bind_u64(&s, place->log_offset);
	statement_bind_u64(&s, place->stored_size);
	statement_bind_u64(&s, place->kind);
	statement_bind_u64(&s, page_checksum(place, &volume->uuid));
	return statement_run(&s, err);
}

static int read_page(struct statement *s, struct page_place *place_out,
		     struct uuid *volume_out, struct error *err)
{
	struct page_place place = { 0 };
	struct uuid volume;

	statement_hash(s, &place.hash);
	statement_uuid(s, &volume);
	place.log_offset = statement_u64(s);
	place.stored_size = statement_u32(s);
	place.kind = (uint8_t)statement_u32(s);
	if (statement_u64(s) != page_checksum(&place, &volume))
		return catalog_damaged(err, "the place of a page");
	*place_out = place;
	*volume_out = volume;
	return 0;
}

int catalog_find_page(struct catalog *catalog, const struct hash *hash, unsigned nth,
		      struct page_place *place_out, struct uuid *volume_out,
		      struct error *err)
{
	autostatement struct statement s = { 0 };
	int r;

	statement_begin(&s, catalog, sql_find_page);
	statement_bind_hash(&s, hash);
	statement_bind_u64(&s, nth);
	r = statement_step(&s, err);
	return r != 0 ? r : read_page(&s, place_out, volume_out, err);
}

int catalog_visit_pages(struct catalog *catalog,
			int (*visit)(void *context, const struct page_place *place,
				     const struct uuid *volume),
			void *context, struct error *err)
{
	return catalog_visit_pages_after(catalog, NULL, visit, context, err);
}

int catalog_visit_pages_after(struct catalog *catalog, const struct hash *hash,
			      int (*visit)(void *context, const struct page_place *place,
					   const struct uuid *volume),
			      void *context, struct error *err)
{
	autostatement struct statement s = { 0 };
	struct page_place place;
	struct uuid volume;
	int r;

	statement_begin(&s, catalog, sql_all_pages);
	bind_after(&s, hash);
	while ((r = statement_step(&s, err)) == 0) {
		r = read_page(&s, &place, &volume, err);
		if (r == 0)
			r = visit(context, &place, &volume);
		if (r != 0)
			return r;
	}
	return r < 0 ? r : 0;
}

/* Records. */

static int put_stripes(struct catalog *catalog, struct volume_row *volume,
		       const struct record *record, const struct stripe_info *own,
		       struct error *err)
{
	int r;

	for (size_t i = 0; i < record->stripe_count; i++) {
		r = placement_put_stripe(catalog, volume, &record->stripes[i], err);
		if (r < 0)
			return r;
	}
	return placement_put_stripe(catalog, volume, own, err);
}

static int put_places(struct catalog *catalog, const struct volume_row *volume,
		      const struct record *record, struct error *err)
{
	int r;

	for (size_t i = 0; i < record->segment_count; i++) {
		struct segment_place place = record->segments[i];

		place.volume = volume->uuid;
		r = put_segment(catalog, volume->id, &place, err);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < record->page_count; i++) {
		r = put_page(catalog, volume, &record->pages[i], err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Foreign segments mostly come volume by volume. */
static int put_foreign(struct catalog *catalog, const struct record *record,
		       struct error *err)
{
	struct volume_row volume = { 0 };
	int r = 0;

	for (size_t i = 0; i < record->foreign_count && r == 0; i++) {
		const struct segment_place *place = &record->foreign[i];

		if (!volume.id ||
		    memcmp(&volume.uuid, &place->volume, sizeof(volume.uuid)) != 0) {
			volume_row_done(&volume);
			r = volumes_get_or_make(catalog, &place->volume, &volume, err);
		}
		if (r == 0)
			r = put_segment(catalog, volume.id, place, err);
	}
	volume_row_done(&volume);
	return r;
}

static void move_end(struct volume_row *volume, const struct record *record,
		     const struct stripe_info *own)
{
	volume->sealed |= record->kind == STRIPE_END;
	if (record->sequence < volume->record_count)
		return;
	volume->record_count = record->sequence + 1;
	volume->record_offset = own->offset;
	volume->record_hash = record->hash;
	volume->log_end = record->log_end;
}

static int put_record(struct catalog *catalog, struct volume_row *volume,
		      const struct record *record, const struct stripe_info *own,
		      struct error *err)
{
	int r;

	r = put_stripes(catalog, volume, record, own, err);
	if (r < 0)
		return r;
	r = put_places(catalog, volume, record, err);
	if (r < 0)
		return r;
	move_end(volume, record, own);
	r = volumes_update(catalog, volume, err);
	if (r == 0)
		r = put_foreign(catalog, record, err);
	for (size_t i = 0; r == 0 && i < record->group_count; i++)
		r = catalog_put_group(catalog, volume, &record->groups[i], err);
	return r;
}

int catalog_put_record(struct catalog *catalog, const struct record *record,
		       const struct stripe_info *own, struct error *err)
{
	struct volume_row volume = { 0 };
	bool own_transaction;
	int r;

	r = catalog_enter(catalog, &own_transaction, err);
	if (r < 0)
		return r;
	r = catalog_get_volume(catalog, &record->volume, &volume, err);
	if (r == CATALOG_END)
		r = error_set(err, -ENOENT, "catalog: a record of an unknown volume");
	if (r == 0)
		r = put_record(catalog, &volume, record, own, err);
	if (r == 0)
		r = retirement_take(catalog, record, err);
	volume_row_done(&volume);
	return catalog_leave(catalog, own_transaction, r, err);
}
