/* SPDX-License-Identifier: MIT */
/* Objects from the archive's own volumes.
 *
 * Every object may lie in several places: copies on other volumes, or content that was
 * stored again because its first place had rotted. A look-up walks the places in the
 * catalog's order until one gives bytes that match the hash or id asked for, whatever the
 * catalog or a volume says.
 *
 * A segment that was found is bound to its place, since another place may hold the same
 * content compressed differently. When frames can't be read there, the same frames are
 * tried at places whose table is equal. If there is none, the place is remembered as bad
 * and the segment dropped from the cache: whoever asks for the segment again gets another
 * place, if there is one.
 *
 * A cold read of 4 KiB takes from the volumes, at most (leaves of 64 KiB, tables of 52 KiB):
 * the header (2 leaves), the tables behind the frames (2), one frame (6), and for a large
 * file a list of its segments (2), each in an extent of its own with a table: 976 KiB.
 *
 * Where all places have failed, the outer code is asked for what they should hold
 * (outer_read.c, segment_recover.c).
 *
 * Of several failures the one to report is the one that can be helped: attach the volume.
 */
#include "archive/source_local.h"

#include "archive/bad_places.h"
#include "archive/outer_read.h"
#include "archive/page_atom.h"
#include "archive/segment_cache.h"
#include "archive/segment_recover.h"
#include "archive/segment_rescue.h"
#include "archive/volume_set.h"
#include "base/budget.h"
#include "base/error.h"
#include "catalog/placement.h"
#include "chunker/skippable.h"

#include <stdbool.h>
#include <string.h>

struct source_local {
	struct source base;
	struct volume_set *volumes; /* borrowed */
	struct budget *budget;      /* borrowed */
	size_t reserved;            /* bytes of it */
	struct segment_cache *cache;
	struct bad_places bad;
};

/* The failure to report when all places have failed. */
struct failure {
	int r;
	struct error err;
};

static struct source_local *local_of(struct source *source)
{
	return (struct source_local *)source;
}

static struct cached_segment *cached_of(const struct segment_ref *ref)
{
	return (struct cached_segment *)(uintptr_t)ref; /* made here, not const */
}

/* Whether another place may help where this result came from. */
static bool may_go_on(int r)
{
	return r == -EBADMSG || r == -ENOMEDIUM || r == -EIO || r == -ENOENT ||
	       r == -EPROTONOSUPPORT || r == -EACCES;
}

/* That something is in no group is no news; what its group lacks is. */
static void note_failure(struct failure *failure, int r, const struct error *err,
			 bool recover)
{
	if (recover ? r == -ENOENT : failure->r != 0 && r != -ENOMEDIUM)
		return;
	failure->r = r == -ENOENT ? -EBADMSG : r; /* a place that is not is damage */
	failure->err = *err;
}

static int report_failure(const struct failure *failure, const char *what,
			  const struct hash *hash, struct error *err)
{
	char hex[HASH_HEX_SIZE];

	hash_to_hex(hash, hex);
	if (failure->r == 0)
		return error_set(err, -ENOENT, "%s %s is not in the catalog", what, hex);
	if (err)
		*err = failure->err;
	return error_prefix(err, failure->r, "%s %s", what, hex);
}

/* Pages. */

/* Read the page at @place, or recover it; its payload is moved to the front of the buffer. */
static int read_page(struct source_local *local, const struct page_place *place,
		     const struct uuid *volume, bool recover, const struct hash *hash,
		     struct bytes *payload_out, struct error *err)
{
	autofree uint8_t *atom = NULL;
	size_t size = place->stored_size;
	int r;

	if (size <= SKIPPABLE_HEADER_SIZE || size > ATOM_SIZE_MAX)
		return error_set(err, -EBADMSG, "impossible size %zu", size);
	atom = malloc(size);
	if (!atom)
		return error_set(err, -ENOMEM, "no memory for a page of %zu bytes", size);
	if (recover)
		r = outer_read(local->volumes, volume, place->log_offset, atom, size,
			       err);
	else
		r = volume_set_read(local->volumes, volume, place->log_offset, atom, size,
				    err);
	if (r < 0)
		return r;
	r = page_atom_check(place, hash, atom, err);
	if (r < 0)
		return r;
	size -= SKIPPABLE_HEADER_SIZE;
	memmove(atom, atom + SKIPPABLE_HEADER_SIZE, size);
	payload_out->size = size;
	payload_out->data = take_ptr(atom);
	return 0;
}

/* From the first place that works; 0 with payload_out->data NULL: none. */
static int find_page(struct source_local *local, const struct hash *hash, bool recover,
		     struct bytes *payload_out, struct failure *failure,
		     struct error *err)
{
	struct error why = { 0 };

	for (unsigned nth = 0;; nth++) {
		struct page_place place;
		struct uuid volume;
		int r;

		r = volume_set_find_page(local->volumes, hash, nth, &place, &volume, err);
		if (r == CATALOG_END)
			return 0;
		if (r < 0)
			return r;
		r = read_page(local, &place, &volume, recover, hash, payload_out, &why);
		if (r == 0)
			return 0;
		note_failure(failure, r, &why, recover);
		if (!may_go_on(r))
			return report_failure(failure, "tree page", hash, err);
	}
}

static int local_page(struct source *source, const struct hash *hash,
		      struct bytes *payload_out, struct error *err)
{
	struct source_local *local = local_of(source);
	struct bytes payload = { 0 };
	struct failure failure = { 0 };
	int r;

	r = find_page(local, hash, false, &payload, &failure, err);
	if (r == 0 && !payload.data)
		r = find_page(local, hash, true, &payload, &failure, err);
	if (r < 0)
		return r;
	if (!payload.data)
		return report_failure(&failure, "tree page", hash, err);
	*payload_out = payload;
	return 0;
}

/* Segments. */

#define PART_LOST 1 /* beyond repair; what is there instead is not looked at */

/* Read @size stored bytes at @offset. 0, PART_LOST, or another error. */
static int read_part(struct source_local *local, struct cached_segment *segment,
		     uint32_t offset, uint8_t *data, size_t size, struct error *err)
{
	const struct uuid *volume = &segment->place.volume;
	struct error why = { 0 };
	int recovered;
	int r;

	r = segment_runs_read(&segment->runs, local->volumes, volume, offset, data, size,
			      err);
	if (r == 0 || (r != -EBADMSG && !segment->recovered))
		return r;
	recovered = segment_runs_recover(&segment->runs, local->volumes, volume, offset,
					 data, size, &why);
	if (recovered == 0)
		return 0;
	if (segment->recovered && recovered != -ENOENT)
		return error_set(err, recovered, "%s", why.text);
	return r == -EBADMSG ? PART_LOST : r;
}

static int check_header(const struct cached_segment *segment, struct error *err)
{
	const struct segment_place *place = &segment->place;
	const struct segment_info *info = &segment->ref.info;

	if (!hash_equal(&info->id, &place->id) || info->index != place->index ||
	    info->frame_count != place->frame_count ||
	    info->content_size != place->content_size)
		return error_set(err, -EBADMSG, "another segment is at its place");
	return 0;
}

/* The header atom without metadata, as all are that this version writes, and how large it is
 * with. PART_LOST. */
static int read_header_size(struct source_local *local, struct cached_segment *segment,
			    size_t *size_out, struct error *err)
{
	uint8_t bytes[SEGMENT_HEADER_SIZE];
	uint32_t payload_size;
	unsigned kind;
	int r;

	if (segment->place.stored_size < sizeof(bytes))
		return error_set(err, -EBADMSG, "impossible size %u",
				 segment->place.stored_size);
	r = read_part(local, segment, 0, bytes, sizeof(bytes), err);
	if (r != 0)
		return r;
	r = skippable_get(bytes, sizeof(bytes), &kind, &payload_size);
	if (r < 0 || payload_size < sizeof(bytes) - SKIPPABLE_HEADER_SIZE ||
	    payload_size > segment_header_size(SEGMENT_METADATA_MAX) ||
	    payload_size + SKIPPABLE_HEADER_SIZE > segment->place.stored_size)
		return error_set(err, -EBADMSG, "another segment is at its place");
	*size_out = payload_size + SKIPPABLE_HEADER_SIZE;
	segment->header = malloc(*size_out);
	if (!segment->header)
		return error_set(err, -ENOMEM, "no memory for a segment's header");
	memcpy(segment->header, bytes, sizeof(bytes));
	return 0;
}

/* The header atom, which keeps the metadata alive. Nothing behind it is read: it may lie in
 * another extent. PART_LOST. */
static int read_header(struct source_local *local, struct cached_segment *segment,
		       struct error *err)
{
	size_t size = 0;
	int r;

	r = read_header_size(local, segment, &size, err);
	if (r == 0 && size > SEGMENT_HEADER_SIZE)
		r = read_part(local, segment, 0, segment->header, size, err);
	if (r != 0)
		return r;
	r = segment_header_decode(segment->header, size, &segment->ref.info, err);
	if (r < 0)
		return r;
	return check_header(segment, err);
}

/* PART_LOST. */
static int read_table(struct source_local *local, struct cached_segment *segment,
		      struct error *err)
{
	const struct segment_place *place = &segment->place;
	size_t size = segment_tail_size(place->frame_count);
	autofree uint8_t *tail = NULL;
	int r;

	if (size >= place->stored_size)
		return error_set(err, -EBADMSG, "impossible size %u", place->stored_size);
	tail = malloc(size);
	if (!tail)
		return error_set(err, -ENOMEM, "no memory for a segment's table");
	r = read_part(local, segment, place->stored_size - (uint32_t)size, tail, size,
		      err);
	if (r != 0)
		return r;
	r = segment_table_load(&segment->ref.info, tail, size, &segment->ref.table, err);
	if (r < 0)
		return r;
	if (segment->ref.table->stored_size != place->stored_size)
		return error_set(err, -EBADMSG, "another segment is at its place");
	return 0;
}

/* Header and table. Either proves, by the segment's id, that this is the segment; where one
 * of them is lost, the other is enough. */
static int read_head_and_tail(struct source_local *local, struct cached_segment *segment,
			      struct error *err)
{
	int header = read_header(local, segment, err);
	int table;

	if (header == PART_LOST)
		segment_rescue_info(segment);
	else if (header < 0)
		return header;
	table = read_table(local, segment, err);
	if (table != PART_LOST)
		return table;
	if (header == PART_LOST)
		return -EBADMSG;
	return segment_rescue_table(segment, local->volumes, err);
}

/* Read header and table of the segment at @place, or recover them. */
static int load_segment(struct source_local *local, const struct segment_place *place,
			bool recover, struct cached_segment **segment_out,
			struct error *err)
{
	autoptr(cached_segment) segment = calloc(1, sizeof(*segment));
	int r;

	if (!segment)
		return error_set(err, -ENOMEM, "no memory for a segment");
	if (place->frame_count == 0 || place->frame_count > SEGMENT_FRAME_MAX)
		return error_set(err, -EBADMSG, "impossible number of frames");
	segment->place = *place;
	segment->ref.id = place->id;
	segment->ref.index = place->index;
	segment->recovered = recover;
	memcpy(&segment->ref.medium, place->volume.bytes, sizeof(segment->ref.medium));
	r = segment_runs_find(local->volumes, place, &segment->runs, err);
	if (r < 0)
		return r;
	r = read_head_and_tail(local, segment, err);
	if (r < 0)
		return r;
	*segment_out = take_ptr(segment);
	return 0;
}

/* Which places to try, and how. */
enum attempt {
	ATTEMPT_GOOD, /* those that are not remembered as bad */
	ATTEMPT_BAD,  /* the others */
	ATTEMPT_RECOVER,
	ATTEMPTS,
};

/* Load the segment from its first place that works. 0 with *segment_out NULL: none. */
static int find_segment(struct source_local *local, const struct hash *id, uint64_t index,
			enum attempt attempt, struct cached_segment **segment_out,
			struct failure *failure, struct error *err)
{
	struct error why = { 0 };

	for (unsigned nth = 0;; nth++) {
		struct segment_place place;
		int r;

		r = volume_set_find_segment(local->volumes, id, index, nth, &place, err);
		if (r == CATALOG_END)
			return 0;
		if (r < 0)
			return r;
		if (attempt != ATTEMPT_RECOVER &&
		    bad_places_have(&local->bad, &place) != (attempt == ATTEMPT_BAD))
			continue;
		r = load_segment(local, &place, attempt == ATTEMPT_RECOVER, segment_out,
				 &why);
		if (r == 0)
			return 0;
		note_failure(failure, r, &why, attempt == ATTEMPT_RECOVER);
		if (!may_go_on(r))
			return report_failure(failure, "segment", id, err);
	}
}

static int local_segment(struct source *source, const struct hash *id, uint64_t index,
			 const struct segment_ref **segment_out, struct error *err)
{
	struct source_local *local = local_of(source);
	struct cached_segment *segment = segment_cache_find(local->cache, id, index);
	struct failure failure = { 0 };
	int r = 0;

	if (!segment) {
		for (enum attempt i = 0; r == 0 && !segment && i < ATTEMPTS; i++)
			r = find_segment(local, id, index, i, &segment, &failure, err);
		if (r < 0)
			return r;
		if (!segment)
			return report_failure(&failure, "segment", id, err);
		segment = segment_cache_insert(local->cache, segment);
	}
	*segment_out = &segment->ref;
	return 0;
}

static void local_segment_unref(struct source *source, const struct segment_ref *segment)
{
	segment_cache_release(local_of(source)->cache, cached_of(segment));
}

/* Frames. */

/* Stored bytes of a segment, as offsets in it. */
struct stored_range {
	uint32_t offset;
	uint32_t size; /* bytes; 0: nobody knows where they are any more */
};

static int read_stored(struct source_local *local, const struct cached_segment *segment,
		       const struct stored_range *range, uint8_t *data, struct error *err)
{
	if (range->size == 0)
		return error_set(err, -EBADMSG,
				 "the segment's table and these frames are lost");
	return segment_runs_read(&segment->runs, local->volumes, &segment->place.volume,
				 range->offset, data, range->size, err);
}

static bool same_place(const struct segment_place *a, const struct segment_place *b)
{
	return a->log_offset == b->log_offset &&
	       memcmp(&a->volume, &b->volume, UUID_SIZE) == 0;
}

/* Read from a place other than the segment's own. 0; -EBADMSG if places that have these
 * bytes in the same form can't give them; -ENOENT if there is no such place. */
static int read_elsewhere(struct source_local *local,
			  const struct cached_segment *segment,
			  const struct stored_range *range, uint8_t *data)
{
	int failure = -ENOENT;

	for (unsigned nth = 0;; nth++) {
		autoptr(cached_segment) other = NULL;
		struct segment_place place;
		int r;

		r = volume_set_find_segment(local->volumes, &segment->ref.id,
					    segment->ref.index, nth, &place, NULL);
		if (r != 0)
			return failure;
		if (same_place(&place, &segment->place))
			continue;
		r = load_segment(local, &place, false, &other, NULL);
		if (r < 0 || !segment_same_frames(&other->ref, &segment->ref))
			continue;
		r = read_stored(local, other, range, data, NULL);
		if (r == 0)
			return 0;
		failure = -EBADMSG;
	}
}

#define PIECE_SIZE 4096u /* bytes: copies are put together from what is no smaller */

/* No place has all of the range, but each may have a part of it: halve it, and halve what is
 * lost again. */
static int read_pieces(struct source_local *local, const struct cached_segment *segment,
		       const struct stored_range *range, uint8_t *data)
{
	struct stored_range half = { range->offset, range->size / 2 };

	if (range->size < 2 * PIECE_SIZE)
		return -EBADMSG;
	for (unsigned i = 0; i < 2; i++) {
		if (read_stored(local, segment, &half, data, NULL) < 0 &&
		    read_elsewhere(local, segment, &half, data) < 0 &&
		    read_pieces(local, segment, &half, data) < 0)
			return -EBADMSG;
		data += half.size;
		half.offset += half.size;
		half.size = range->size - half.size;
	}
	return 0;
}

/* Read from the segment's place, or else from another, or else recover. */
static int read_anywhere(struct source_local *local, struct cached_segment *segment,
			 const struct stored_range *range, uint8_t *data,
			 struct error *err)
{
	struct failure failure = { 0 };
	struct error why = { 0 };
	int r;

	r = read_stored(local, segment, range, data, &why);
	if (r == 0)
		return 0;
	note_failure(&failure, r, &why, false);
	if (may_go_on(r)) {
		r = read_elsewhere(local, segment, range, data);
		if (r == 0 ||
		    (r == -EBADMSG && read_pieces(local, segment, range, data) == 0))
			return 0;
		r = segment_recover(segment, local->volumes, range->offset, data,
				    range->size, &why);
		if (r == 0)
			return 0;
		note_failure(&failure, r, &why, true);
		bad_places_add(&local->bad, &segment->place);
		segment_cache_drop(local->cache, segment);
	}
	return report_failure(&failure, "segment", &segment->ref.id, err);
}

static int local_frames(struct source *source, const struct segment_ref *ref,
			uint32_t first, uint32_t count, uint8_t *data, struct error *err)
{
	const struct segment_frame *begin, *last;
	struct stored_range range;

	if (count == 0 || first >= ref->table->frame_count ||
	    count > ref->table->frame_count - first)
		return error_set(err, -EINVAL, "frames %u to %u of %u", first,
				 first + count, ref->table->frame_count);
	begin = &ref->table->frames[first];
	last = &begin[count - 1];
	range.offset = begin->stored_offset;
	range.size = last->stored_offset + last->stored_size - begin->stored_offset;
	if (last->stored_size == 0)
		range.size = 0;
	return read_anywhere(local_of(source), cached_of(ref), &range, data, err);
}

static int local_part(struct source *source, const struct segment_ref *ref,
		      uint32_t offset, uint32_t size, uint8_t *data, struct error *err)
{
	struct stored_range range = { offset, size };

	if (size == 0 || offset > ref->table->stored_size ||
	    size > ref->table->stored_size - offset)
		return error_set(err, -EINVAL, "%u bytes at %u of a segment of %u", size,
				 offset, ref->table->stored_size);
	return read_anywhere(local_of(source), cached_of(ref), &range, data, err);
}

static void local_expect(struct source *source, const struct segment_ref *ref,
			 uint32_t offset, uint32_t size)
{
	const struct cached_segment *segment = cached_of(ref);

	segment_runs_expect(&segment->runs, local_of(source)->volumes,
			    &segment->place.volume, offset, size);
}

static void local_free(struct source *source)
{
	struct source_local *local = local_of(source);

	segment_cache_free(local->cache);
	budget_release(local->budget, local->reserved);
	bad_places_done(&local->bad);
	free(local);
}

static const struct source_ops local_ops = {
	.page = local_page,
	.segment = local_segment,
	.segment_unref = local_segment_unref,
	.frames = local_frames,
	.part = local_part,
	.expect = local_expect,
	.free = local_free,
};

/* Take memory for segment tables: as much as is good, but no large part of a small budget,
 * or as little as will do. */
static int reserve_tables(struct budget *budget, size_t *size_out, struct error *err)
{
	uint64_t part = budget_size(budget) / 16;

	*size_out = part < SOURCE_TABLES_MAX ? (size_t)part : SOURCE_TABLES_MAX;
	if (*size_out > SOURCE_TABLES_LEAST &&
	    budget_reserve(budget, *size_out, "segment tables", NULL) == 0)
		return 0;
	*size_out = SOURCE_TABLES_LEAST;
	return budget_reserve(budget, *size_out, "segment tables", err);
}

int source_local_new(struct volume_set *volumes, struct budget *budget,
		     struct source **source_out, struct error *err)
{
	struct source_local *local;
	size_t size;
	int r;

	r = reserve_tables(budget, &size, err);
	if (r < 0)
		return r;
	local = calloc(1, sizeof(*local));
	r = local ? segment_cache_new(size, &local->cache) : -ENOMEM;
	if (r < 0) {
		free(local);
		budget_release(budget, size);
		return error_set(err, r, "no memory for a source");
	}
	local->base.ops = &local_ops;
	local->volumes = volumes;
	local->budget = budget;
	local->reserved = size;
	bad_places_init(&local->bad);
	*source_out = &local->base;
	return 0;
}
