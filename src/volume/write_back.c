/* SPDX-License-Identifier: MIT */
/* One damaged leaf or page goes back to the medium in these steps:
 *
 *   1. What is to be written matches its hash. A leaf must match its entry in a table that
 *      matches a record; a table page is nothing but such entries and an identity that the
 *      record gives, so it is made from them.
 *   2. The session is opened, which takes the volume's lock.
 *   3. The medium is read again. If it is right by now, somebody else was faster.
 *   4. Some page of the stripe must stand where it belongs, and the file must not begin as
 *      another volume. Else these are not, or soon will not be, the blocks of that stripe any
 *      more (another volume was copied over the file, or is just now), and writing would
 *      destroy what is somebody else's.
 *   5. The blocks that differ are overwritten, each by itself, and synced.
 *   6. The medium is read again and must be right.
 *
 * A crash anywhere leaves every block as it was or right: the next reader repairs what is
 * left. So there is no journal, and no order among the blocks. Nothing is written behind the
 * end of what exists: a leaf that a truncated file lost has lost all its parity with it,
 * which stands behind it, so it can't be rebuilt anyway; and a file that grows by repair
 * could meet a writer.
 *
 * The header pages of extents are not put back here: readers of a log do not need them, and
 * what they say about earlier records is in no hash that a reader has.
 *
 * The mutex is held over all of this, I/O included, so that readers of one volume queue for
 * its repair and memory is bounded: two leaves a volume. It is taken while no other lock is
 * held, and none is taken under it but the volume's own.
 */
#include "volume/write_back.h"

#include "base/crash_point.h"
#include "base/error.h"
#include "base/mutex.h"
#include "volume/backend.h"
#include "volume/extent_table.h"
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

/* What is damaged, and what it must be. */
struct damage {
	const struct stripe_view *view;
	unsigned extent;
	enum repair_kind kind;
	uint64_t offset;
	uint32_t size;                  /* bytes; whole blocks */
	const struct leaf_entry *entry; /* of a leaf; NULL for a page */
	const uint8_t *right;
};

/* A repair under way. Both buffers hold a leaf and are aligned. */
struct repair {
	const struct damage *damage;
	struct rewriter *rewriter;
	uint8_t *found;    /* on the medium */
	uint8_t *right;    /* what must be there; scratch before that */
	uint16_t readable; /* blocks of @found */
	unsigned blocks;   /* written */
};

enum { SOUND = 1 }; /* nothing had to be written */

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

static bool is_right(const struct damage *damage, const uint8_t *bytes)
{
	if (damage->entry)
		return leaf_entry_matches(damage->entry, bytes, damage->size);
	return memcmp(bytes, damage->right, damage->size) == 0;
}

static uint16_t block_bits(uint32_t size)
{
	return (uint16_t)((1u << size / PAGE_SIZE_BYTES) - 1);
}

/* Read whole blocks, as many as a leaf has at most; what is unreadable is zero, and missing
 * from *readable_out. */
static int read_blocks(struct rewriter *rewriter, uint64_t offset, uint8_t *data,
		       uint32_t size, uint16_t *readable_out, struct error *err)
{
	unsigned count = size / PAGE_SIZE_BYTES;
	int r = rewriter_read(rewriter, offset, data, size, err);

	*readable_out = block_bits(size);
	if (r == 0 || !is_medium_error(r))
		return r;
	for (unsigned i = 0; i < count; i++) {
		uint8_t *block = data + (size_t)i * PAGE_SIZE_BYTES;

		r = rewriter_read(rewriter, offset + (uint64_t)i * PAGE_SIZE_BYTES, block,
				  PAGE_SIZE_BYTES, err);
		if (r < 0 && !is_medium_error(r))
			return r;
		if (r == 0)
			continue;
		memset(block, 0, PAGE_SIZE_BYTES);
		*readable_out &= (uint16_t) ~(1u << i);
	}
	return 0;
}

/* Read the medium. 1 if it is as it must be, 0 if not. */
static int check_medium(struct repair *repair, struct error *err)
{
	const struct damage *damage = repair->damage;
	int r = read_blocks(repair->rewriter, damage->offset, repair->found, damage->size,
			    &repair->readable, err);

	if (r < 0)
		return r;
	return repair->readable == block_bits(damage->size) &&
	       is_right(damage, repair->found);
}

static bool exists(const struct rewriter *rewriter, uint64_t offset, uint64_t size)
{
	return size <= rewriter->size && offset <= rewriter->size - size;
}

/* Whether one of the pages of @extent stands in its place. */
static int extent_in_place(struct repair *repair, unsigned extent, bool *in_place_out,
			   struct error *err)
{
	const struct stripe_view *view = repair->damage->view;
	unsigned pages = extent_page_count(view->info, extent);
	uint64_t offset = extent_offset(view->info, extent);
	uint16_t readable;
	struct page page;
	int r;

	if (!exists(repair->rewriter, offset, (uint64_t)pages * PAGE_SIZE_BYTES))
		return 0;
	r = read_blocks(repair->rewriter, offset, repair->right, pages * PAGE_SIZE_BYTES,
			&readable, err);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < pages && !*in_place_out; i++)
		*in_place_out =
			page_expected(view, extent, i,
				      repair->right + (size_t)i * PAGE_SIZE_BYTES, &page);
	return 0;
}

/* Whether the file begins with a sound page of another volume: one that is being copied over
 * this one has come past it before it does any damage. */
static int begins_as_another(struct repair *repair, bool *another_out, struct error *err)
{
	uint16_t readable;
	struct page page;
	int r;

	r = read_blocks(repair->rewriter, 0, repair->right, PAGE_SIZE_BYTES, &readable,
			err);
	if (r < 0)
		return r;
	*another_out = page_decode(repair->right, &page, NULL) == 0 &&
		       memcmp(&page.identity.volume, repair->damage->view->volume,
			      UUID_SIZE) != 0;
	return 0;
}

/* Step 4. The damaged extent's own pages are the likeliest, so they come first. */
static int check_place(struct repair *repair, struct error *err)
{
	const struct damage *damage = repair->damage;
	unsigned count = stripe_extent_count(damage->view->info);
	bool in_place = false;
	bool another = false;
	int r;

	r = begins_as_another(repair, &another, err);
	if (r < 0)
		return r;
	if (another)
		return error_set(err, -ESTALE, "it begins as another volume");
	for (unsigned i = 0; i < count && !in_place; i++) {
		r = extent_in_place(repair, (damage->extent + i) % count, &in_place, err);
		if (r < 0)
			return r;
	}
	if (!in_place)
		return error_set(err, -ESTALE, "this is not the volume's stripe %llu",
				 (unsigned long long)damage->view->info->number);
	return 0;
}

/* Step 5. */
static int overwrite(struct repair *repair, struct error *err)
{
	const struct damage *damage = repair->damage;

	memcpy(repair->right, damage->right, damage->size);
	crash_point("volume.repair.write");
	for (unsigned i = 0; i < damage->size / PAGE_SIZE_BYTES; i++) {
		size_t at = (size_t)i * PAGE_SIZE_BYTES;
		int r;

		if (repair->readable & 1u << i &&
		    memcmp(repair->found + at, repair->right + at, PAGE_SIZE_BYTES) == 0)
			continue;
		if (repair->blocks > 0)
			crash_point("volume.repair.between");
		r = rewriter_write(repair->rewriter, damage->offset + at,
				   repair->right + at, PAGE_SIZE_BYTES, err);
		if (r < 0)
			return r;
		repair->blocks++;
	}
	crash_point("volume.repair.written");
	return rewriter_sync(repair->rewriter, damage->offset, damage->size, err);
}

/* Steps 3 to 6. */
static int run(struct repair *repair, struct error *err)
{
	const struct damage *damage = repair->damage;
	int r;

	if (!exists(repair->rewriter, damage->offset, damage->size))
		return error_set(err, -ERANGE, "it lies behind the end of the file");
	r = check_medium(repair, err);
	if (r != 0)
		return r < 0 ? r : SOUND;
	r = check_place(repair, err);
	if (r < 0)
		return r;
	r = overwrite(repair, err);
	if (r < 0)
		return r;
	crash_point("volume.repair.synced");
	r = check_medium(repair, err);
	if (r == 0)
		return error_set(err, -EIO, "the medium does not keep what is written");
	return r < 0 ? r : 0;
}

/* Steps 2 to 6. SOUND, 0 if it was written, or why not. */
static int repair_locked(struct write_back *write_back, const struct damage *damage,
			 unsigned *blocks_out, struct error *err)
	requires_mutex(write_back->mutex)
{
	unsigned patience = write_back->impatient ? 0 : REWRITER_PATIENCE_MS;
	autofree uint8_t *buffers =
		aligned_alloc(BACKEND_ALIGNMENT, 2 * (size_t)LEAF_SIZE);
	autoptr(rewriter) rewriter = NULL;
	struct repair repair = { .damage = damage };
	int r;

	if (!buffers)
		return error_set_errno(err, -ENOMEM, "two leaves");
	crash_point("volume.repair.begin");
	r = backend_open_rewriter(write_back->backend, patience, &rewriter, err);
	write_back->impatient = r == -EBUSY;
	if (r < 0)
		return r;
	crash_point("volume.repair.locked");
	repair.rewriter = rewriter;
	repair.found = buffers;
	repair.right = buffers + LEAF_SIZE;
	r = run(&repair, err);
	*blocks_out = repair.blocks;
	return r;
}

/* Write back what matches its hash, and tell. True if it was right on the medium. */
static bool settle(struct write_back *write_back, const struct damage *damage)
{
	struct repair_event event = {
		.kind = damage->kind,
		.outcome = REPAIR_OFF,
		.offset = damage->offset,
		.size = damage->size,
	};
	struct error why = { 0 };

	if (write_back->mode == WRITE_BACK_IN_PLACE) {
		mutex_scope(&write_back->mutex);
		int r = repair_locked(write_back, damage, &event.blocks, &why);

		event.repeated = r < 0 && r == write_back->last_code;
		write_back->last_code = r < 0 ? r : 0;
		if (r == SOUND)
			return true;
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
	const struct damage damage = {
		.view = view,
		.extent = extent,
		.kind = REPAIR_LEAF,
		.offset = entry_offset(view->info, extent, entry),
		.size = entry_size(view->info, extent, entry),
		.entry = &table->entries[entry],
		.right = data,
	};

	if (!write_back || !is_authentic(view, table) || !is_right(&damage, data))
		return false;
	return settle(write_back, &damage);
}

void write_back_page(struct write_back *write_back, const struct stripe_view *view,
		     unsigned extent, const struct extent_table *table, unsigned number)
{
	uint8_t right[PAGE_SIZE_BYTES];
	const struct damage damage = {
		.view = view,
		.extent = extent,
		.kind = REPAIR_PAGE,
		.offset = extent_offset(view->info, extent) +
			  (uint64_t)PAGE_SIZE_BYTES * number,
		.size = PAGE_SIZE_BYTES,
		.right = right,
	};

	if (!write_back || !is_authentic(view, table))
		return;
	page_make_table(view, extent, number, table->entries, right);
	(void)settle(write_back, &damage); /* pages are counted when they are rebuilt */
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
