/* SPDX-License-Identifier: MIT */
/* A checkpoint is a copy of a tree plus a list, written through the same calls as a commit:
 * pages are atoms in data stripes, listed by the next record; segments of other volumes are
 * lines of records. The checkpoint is complete with the placement record that has the
 * checkpoint flag and the head.
 *
 * A page that the volume has already is left out: so an interrupted checkpoint is continued
 * and not repeated, and a commit that began on an earlier volume only adds what is missing
 * here. Whether the volume has a page is asked of the catalog, which knows what records
 * have listed; a page twice in one tree (a list page of two equal files) may come twice.
 *
 * The list of foreign segments grows with the archive, so it is cut into several records:
 * what waits for a record waits in memory.
 */
#include "archive/checkpoint.h"

#include "archive/active_volume.h"
#include "archive/head.h"
#include "archive/tree_diff.h"
#include "archive/tree_page.h"
#include "base/config.h"
#include "base/crash_point.h"
#include "base/error.h"
#include "base/size.h"
#include "catalog/history.h"
#include "catalog/placement.h"
#include "chunker/skippable.h"

#include <string.h>

#define SHARE 8u /* of max_size that a checkpoint may fill: one part in this many */
#define FOREIGN_BATCH 16384u /* lines in memory: 2 MiB; the log cuts them in records */

struct checkpoint {
	struct active_volume *active;
	uint64_t size;          /* bytes appended */
	uint64_t foreign_count; /* lines since the last record */
	bool full;
};

static int check_share(const struct checkpoint *checkpoint, struct error *err)
{
	uint64_t max_size = checkpoint->active->writing.config->volume.max_size;
	char text[SIZE_TEXT_MAX];

	if (checkpoint->size <= max_size / SHARE)
		return 0;
	return error_set(
		err, -EFBIG,
		"the list of all names that every volume begins with would fill more "
		"than an eighth of a volume of %s: set a larger [volume] max_size",
		size_format(max_size, text));
}

int checkpoint_has(const struct active_volume *active, const struct hash *hash,
		   struct error *err)
{
	for (unsigned nth = 0;; nth++) {
		struct page_place place;
		struct uuid volume;
		int r;

		r = catalog_find_page(active->writing.catalog, hash, nth, &place, &volume,
				      err);
		if (r < 0)
			return r;
		if (r == CATALOG_END)
			return 0;
		if (memcmp(&volume, &active->uuid, UUID_SIZE) == 0)
			return 1;
	}
}

/* Tree pages and list pages differ in the kind of their frames: the page itself says which
 * it is (docs/format.md 7.2, type 2). */
static unsigned page_kind(const uint8_t *payload, size_t size)
{
	return size > 5 && payload[5] == TREE_LIST ? SKIPPABLE_LIST_PAGE
						   : SKIPPABLE_TREE_PAGE;
}

static int append_page(struct checkpoint *checkpoint, const struct hash *hash,
		       const uint8_t *payload, size_t size, struct error *err)
{
	struct log_writer *writer = checkpoint->active->writer;
	struct page_place place = { .hash = *hash };
	uint8_t header[SKIPPABLE_HEADER_SIZE];
	struct atom atom = atom_of(header, sizeof(header));
	int r;

	place.kind = (uint8_t)page_kind(payload, size);
	place.stored_size = (uint32_t)(SKIPPABLE_HEADER_SIZE + size);
	skippable_put(header, place.kind, (uint32_t)size);
	atom_add(&atom, payload, size);
	r = log_append(writer, &atom, &place.log_offset, err);
	checkpoint->full = r == LOG_FULL;
	if (r != 0)
		return r == LOG_FULL ? -ENOSPC : r;
	return log_place_page(writer, &place, err);
}

static int visit_page(void *context, const struct hash *hash, const uint8_t *payload,
		      size_t size, struct error *err)
{
	struct checkpoint *checkpoint = context;
	int r;

	r = checkpoint_has(checkpoint->active, hash, err);
	if (r != 0)
		return r < 0 ? r : 0;
	checkpoint->size += SKIPPABLE_HEADER_SIZE + size;
	r = check_share(checkpoint, err);
	if (r < 0)
		return r;
	return append_page(checkpoint, hash, payload, size, err);
}

/* 0, CHECKPOINT_FULL or an error. */
static int append_tree(struct checkpoint *checkpoint, struct source *source,
		       const struct hash *root, struct error *err)
{
	int r;

	if (hash_is_zero(root))
		return 0;
	r = tree_visit_pages(source, root, visit_page, checkpoint, err);
	return r < 0 && checkpoint->full ? CHECKPOINT_FULL : r;
}

int checkpoint_append_tree(struct active_volume *active, struct source *source,
			   const struct hash *root, struct error *err)
{
	struct checkpoint checkpoint = { .active = active };

	return append_tree(&checkpoint, source, root, err);
}

/* Foreign segments. */

struct foreign {
	struct checkpoint *checkpoint;
	struct error *err;
};

static int place_foreign(struct checkpoint *checkpoint, const struct segment_place *place,
			 struct error *err)
{
	struct log_writer *writer = checkpoint->active->writer;
	int r;

	if (checkpoint->foreign_count == FOREIGN_BATCH) {
		r = log_write_record(writer, STRIPE_PLACEMENT, false, NULL, NULL, err);
		if (r < 0)
			return r;
		checkpoint->foreign_count = 0;
	}
	checkpoint->foreign_count++;
	checkpoint->size += sizeof(*place);
	r = check_share(checkpoint, err);
	if (r < 0)
		return r;
	return log_place_foreign(writer, place, err);
}

static int visit_segment(void *context, const struct segment_place *place)
{
	struct foreign *foreign = context;
	const struct active_volume *active = foreign->checkpoint->active;

	if (memcmp(&place->volume, &active->uuid, UUID_SIZE) == 0)
		return 0;
	return place_foreign(foreign->checkpoint, place, foreign->err);
}

static int append_foreign(struct checkpoint *checkpoint, struct error *err)
{
	struct error why = { 0 };
	struct foreign foreign = { .checkpoint = checkpoint, .err = &why };
	int r;

	r = catalog_visit_segments(checkpoint->active->writing.catalog, visit_segment,
				   &foreign, err);
	if (r < 0 && why.text[0] != 0 && err)
		*err = why; /* from the visitor, not the catalog */
	return r;
}

/* The whole checkpoint. */

static int write_all(struct active_volume *active, struct source *source,
		     const struct commit_row *commit, struct error *err)
{
	struct checkpoint checkpoint = { .active = active };
	struct head head = { 0 };
	struct hash root;
	int r;

	r = head_decode(commit->head, strlen(commit->head), &head, err);
	if (r < 0)
		return r;
	root = head.tree;
	head_done(&head);
	r = append_tree(&checkpoint, source, &root, err);
	if (r == CHECKPOINT_FULL)
		return error_set(err, -EFBIG,
				 "the list of all names does not fit: set a "
				 "larger [volume] max_size");
	if (r < 0)
		return r;
	crash_point("archive.checkpoint.tree");
	r = append_foreign(&checkpoint, err);
	if (r < 0)
		return r;
	return log_write_record(active->writer, STRIPE_PLACEMENT, true, commit->head,
				NULL, err);
}

int checkpoint_write(struct active_volume *active, struct source *source,
		     struct error *err)
{
	struct commit_row commit = { 0 };
	int r;

	r = catalog_get_commit(active->writing.catalog, VERSION_CURRENT, &commit, err);
	if (r == CATALOG_END)
		return error_set(err, -EBADMSG, "the catalog has no commit");
	if (r < 0)
		return r;
	r = write_all(active, source, &commit, err);
	if (r == 0)
		active->last_head = commit.hash;
	commit_row_done(&commit);
	if (r < 0)
		return error_prefix(err, r, "checkpoint of volume '%s'", active->label);
	crash_point("archive.checkpoint.written");
	active->begun = true;
	return 0;
}
