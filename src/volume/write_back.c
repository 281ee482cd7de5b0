/* SPDX-License-Identifier: MIT */
/* What goes back was proved: a leaf must match its entry in a table that matches a record; a
 * table page is nothing but such entries and an identity that the record gives, so it is made
 * from them. How it goes back is volume/mend.c.
 *
 * The header pages of extents are not put back here: readers of a log do not need them, and
 * what they say about earlier records is in no hash that a reader has.
 *
 * The mutex is held over all of a repair, I/O included, so that readers of one volume queue
 * for it and memory is bounded: two leaves a volume. It is taken while no other lock is
 * held, and none is taken under it but the volume's own.
 */
#include "volume/write_back.h"

#include "base/error.h"
#include "base/mutex.h"
#include "volume/backend.h"
#include "volume/extent_table.h"
#include "volume/mend.h"
#include "volume/page_row.h"
#include "volume/rewriter.h"
#include "volume/stripe_view.h"

#include <errno.h>
#include <string.h>

struct write_back {
	struct backend *backend;
	struct uuid volume;
	enum write_back_mode mode;
	struct repair_observer observer;
	struct mutex mutex; /* one repair at a time; guards what follows */
	bool impatient; /* the lock was not to be had in time: don't wait for it again */
	int last_code;  /* of the last repair: 0, or why it was not written */
};

int write_back_new(struct backend *backend, const struct uuid *volume,
		   enum write_back_mode mode, const struct repair_observer *observer,
		   struct write_back **write_back_out, struct error *err)
{
	struct write_back *write_back = calloc(1, sizeof(*write_back));

	if (!write_back)
		return error_set_errno(err, -ENOMEM, "repairing '%s'", backend->name);
	write_back->backend = backend;
	write_back->volume = *volume;
	write_back->mode = mode;
	if (observer)
		write_back->observer = *observer;
	mutex_init(&write_back->mutex);
	*write_back_out = write_back;
	return 0;
}

void write_back_free(struct write_back *write_back)
{
	if (!write_back)
		return;
	mutex_done(&write_back->mutex);
	free(write_back);
}

static void tell(const struct write_back *write_back, struct repair_event *event)
{
	event->volume = &write_back->volume;
	event->name = write_back->backend->name;
	if (write_back->observer.event)
		write_back->observer.event(write_back->observer.context, event);
}

/* Mend it. MEND_SOUND, MEND_WRITTEN, or why not. */
static int mend_locked(struct write_back *write_back, const struct stripe_view *view,
		       struct damage *damage, struct error *err)
	requires_mutex(write_back->mutex)
{
	const struct mend_terms terms = {
		.patience_ms = write_back->impatient ? 0 : REWRITER_PATIENCE_MS,
	};
	int r = mend(write_back->backend, view, &terms, damage, 1, err);

	write_back->impatient = r == -EBUSY;
	write_back->last_code = r;
	return r < 0 ? r : damage->result;
}

/* Write back what matches its hash, and tell. True if it was right on the medium. */
static bool settle(struct write_back *write_back, const struct stripe_view *view,
		   enum repair_kind kind, struct damage *damage)
{
	struct repair_event event = {
		.kind = kind,
		.outcome = REPAIR_OFF,
		.offset = damage->offset,
		.size = damage->size,
	};
	struct error why = { 0 };

	if (write_back->mode == WRITE_BACK_IN_PLACE) {
		mutex_scope(&write_back->mutex);
		int last = write_back->last_code;
		int r = mend_locked(write_back, view, damage, &why);

		event.repeated = r < 0 && r == last;
		if (r == MEND_SOUND)
			return true;
		event.blocks = damage->blocks;
		event.outcome = r < 0 ? REPAIR_NOT_WRITTEN : REPAIR_WRITTEN;
		event.code = r;
		event.reason = r < 0 ? why.text : NULL;
	}
	tell(write_back, &event);
	return false;
}

/* What a table is worth: all or nothing of it matches a record. */
static bool is_authentic(const struct stripe_view *view, const struct extent_table *table)
{
	return view->authentic && table->verified;
}

bool write_back_leaf(struct write_back *write_back, const struct stripe_view *view,
		     unsigned extent, const struct extent_table *table, unsigned entry,
		     const uint8_t *data)
{
	struct damage damage = {
		.extent = extent,
		.offset = entry_offset(view->info, extent, entry),
		.size = entry_size(view->info, extent, entry),
		.right = data,
	};

	if (!write_back || !is_authentic(view, table) ||
	    !leaf_entry_matches(&table->entries[entry], data, damage.size))
		return false;
	return settle(write_back, view, REPAIR_LEAF, &damage);
}

void write_back_page(struct write_back *write_back, const struct stripe_view *view,
		     unsigned extent, const struct extent_table *table, unsigned number)
{
	uint8_t right[PAGE_SIZE_BYTES];
	struct damage damage = {
		.extent = extent,
		.offset = extent_offset(view->info, extent) +
			  (uint64_t)PAGE_SIZE_BYTES * number,
		.size = PAGE_SIZE_BYTES,
		.right = right,
	};

	if (!write_back || !is_authentic(view, table))
		return;
	page_make_table(view, extent, number, table->entries, right);
	(void)settle(write_back, view, REPAIR_PAGE,
		     &damage); /* pages are counted when they are rebuilt */
}

void write_back_lost(struct write_back *write_back, enum repair_kind kind,
		     uint64_t offset, uint32_t size, bool repeated)
{
	struct repair_event event = {
		.kind = kind,
		.outcome = REPAIR_LOST,
		.offset = offset,
		.size = size,
		.repeated = repeated,
	};

	if (write_back)
		tell(write_back, &event);
}
