/* SPDX-License-Identifier: MIT */
/* What has no place at all, or a list that is lost, counts as lost: then it is read and stored
 * once more, which harms nobody. A list on a volume that is away does not: a volume on the
 * shelf is no reason to store anything again.
 */
#include "archive/lost_places.h"

#include "archive/content.h"
#include "catalog/history.h"
#include "catalog/ledger.h"
#include "catalog/placement.h"

#include <errno.h>

int lost_places_init(struct catalog *catalog, struct lost_places *lost_out,
		     struct error *err)
{
	lost_out->catalog = catalog;
	return ledger_has_lost(catalog, &lost_out->any, err);
}

int lost_places_have(const struct lost_places *lost, const struct uuid *volume,
		     uint64_t log_offset, uint64_t size, bool *lost_out,
		     struct error *err)
{
	uint64_t offset = log_offset;

	*lost_out = false;
	while (lost->any && !*lost_out && offset < log_offset + size) {
		struct ledger_entry entry = { 0 };
		struct stripe_info stripe = { 0 };
		int r = catalog_find_stripe(lost->catalog, volume, offset, &stripe, err);

		if (r == CATALOG_END)
			return 0;
		if (r == 0)
			r = ledger_get(lost->catalog, volume, stripe.offset, &entry, err);
		*lost_out = r == 0 && entry.lost > 0;
		offset = stripe.log_start + stripe_log_size(&stripe);
		stripe_info_done(&stripe);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Whether all places of the segment are lost. */
static int segment_is_lost(const struct lost_places *lost, const struct hash *id,
			   uint64_t index, bool *lost_out, struct error *err)
{
	struct segment_place place;

	*lost_out = true;
	for (unsigned nth = 0; *lost_out; nth++) {
		int r = catalog_find_segment(lost->catalog, id, index, nth, &place, err);

		if (r == CATALOG_END)
			break;
		if (r == 0)
			r = lost_places_have(lost, &place.volume, place.log_offset,
					     place.stored_size, lost_out, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int pieces_touch(const struct lost_places *lost, struct source *source,
			const struct content *content, bool *touched_out,
			struct error *err)
{
	uint64_t offset = 0;

	while (!*touched_out && offset < content_size(content)) {
		struct content_piece piece;
		int r = content_locate(content, source, offset, &piece, err);

		if (r == -EBADMSG || r == -ENOMEDIUM) {
			*touched_out = r == -EBADMSG;
			return 0;
		}
		if (r == 0)
			r = segment_is_lost(lost, &piece.id, piece.index, touched_out,
					    err);
		if (r < 0)
			return r;
		offset = piece.offset + piece.size;
	}
	return 0;
}

static int manifest_touches(const struct lost_places *lost, struct source *source,
			    const struct manifest *manifest, bool *touched_out,
			    struct error *err)
{
	autoptr(content) content = NULL;
	int r = 0;

	for (size_t i = 0; r == 0 && !*touched_out && i < manifest->xattr_count; i++)
		if (!hash_is_zero(&manifest->xattrs[i].pack.segment))
			r = segment_is_lost(lost, &manifest->xattrs[i].pack.segment, 0,
					    touched_out, err);
	if (r < 0 || *touched_out)
		return r;
	if (!hash_is_zero(&manifest->pack.segment))
		return segment_is_lost(lost, &manifest->pack.segment, 0, touched_out,
				       err);
	r = content_open(manifest, &content, err);
	return r < 0 ? r : pieces_touch(lost, source, content, touched_out, err);
}

int lost_places_touch(const struct lost_places *lost, struct source *source,
		      const struct version_row *row, bool *touched_out, struct error *err)
{
	struct manifest manifest = { 0 };
	int r;

	*touched_out = false;
	if (!lost->any || row->type != ENTRY_FILE)
		return 0;
	r = manifest_decode(row->line, row->line_size, &manifest, err);
	if (r == 0)
		r = manifest_touches(lost, source, &manifest, touched_out, err);
	manifest_done(&manifest);
	return r;
}
