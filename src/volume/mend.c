/* SPDX-License-Identifier: MIT */
/* Damage goes back to the medium in these steps:
 *
 *   1. What is to be written was proved by the caller.
 *   2. The session is opened, which takes the volume's lock.
 *   3. The medium is read again. What is right by now was somebody else's repair.
 *   4. Some page of the stripe must stand where it belongs, and the file must not begin as
 *      another volume. Else these are not, or soon will not be, the blocks of that stripe any
 *      more (another volume was copied over the file, or is just now), and writing would
 *      destroy what is somebody else's. This is looked at once a session.
 *   5. The blocks that differ are overwritten, neighbours together.
 *   6. They are synced once, and each place is read again and must be right.
 *
 * A crash anywhere leaves every block as it was or right: the next reader repairs what is
 * left. So there is no journal, and no order among the blocks. Nothing is written behind the
 * end of what exists: a leaf that a truncated file lost has lost all its parity with it,
 * which stands behind it, so it can't be rebuilt anyway; and a file that grows by repair
 * could meet a writer.
 *
 * One foreign block at the very start, with the volume's own pages behind it, may be damage
 * or the beginning of a copy. Readers take it for a copy. A scrub has looked at all of the
 * stripe meanwhile, and a copy would be past the first extent's pages by then.
 */
#include "volume/mend.h"

#include "base/crash_point.h"
#include "base/error.h"
#include "volume/backend.h"
#include "volume/page_row.h"
#include "volume/rewriter.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* A session under way. Both buffers hold a leaf and are aligned. */
struct mending {
	const struct mend_terms *terms;
	const struct stripe_view *view;
	struct rewriter *rewriter;
	uint8_t *found;    /* on the medium */
	uint8_t *right;    /* what must be there; scratch before that */
	uint16_t readable; /* blocks of @found */
	bool place_known;  /* step 4 was taken */
	bool wrote;
};

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
static int check_medium(struct mending *mending, const struct damage *damage,
			struct error *err)
{
	int r = read_blocks(mending->rewriter, damage->offset, mending->found,
			    damage->size, &mending->readable, err);

	if (r < 0)
		return r;
	return mending->readable == block_bits(damage->size) &&
	       is_right(damage, mending->found);
}

static bool exists(const struct rewriter *rewriter, uint64_t offset, uint64_t size)
{
	return size <= rewriter->size && offset <= rewriter->size - size;
}

/* Whether one of the pages of @extent stands in its place. */
static int extent_in_place(struct mending *mending, unsigned extent, bool *in_place_out,
			   struct error *err)
{
	const struct stripe_view *view = mending->view;
	unsigned pages = extent_page_count(view->info, extent);
	uint64_t offset = extent_offset(view->info, extent);
	uint16_t readable;
	struct page page;
	int r;

	if (!exists(mending->rewriter, offset, (uint64_t)pages * PAGE_SIZE_BYTES))
		return 0;
	r = read_blocks(mending->rewriter, offset, mending->right,
			pages * PAGE_SIZE_BYTES, &readable, err);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < pages && !*in_place_out; i++)
		*in_place_out = page_expected(
			view, extent, i, mending->right + (size_t)i * PAGE_SIZE_BYTES,
			&page);
	return 0;
}

/* Whether block @number of the file is a sound page of this volume's first extent. */
static bool is_own_first_page(const struct mending *mending, unsigned number,
			      const uint8_t *bytes)
{
	struct page page;

	return page_decode(bytes, &page, NULL) == 0 && page.identity.stripe_offset == 0 &&
	       page.identity.shard == 0 && page.identity.page == number &&
	       memcmp(&page.identity.volume, mending->view->volume, UUID_SIZE) == 0;
}

/* Whether the file begins with a sound page of another volume: one that is being copied over
 * this one has come past it before it does any damage. */
static int begins_as_another(struct mending *mending, bool *another_out,
			     struct error *err)
{
	uint64_t size = mending->rewriter->size;
	uint16_t readable;
	struct page page;
	int r;

	if (size > LEAF_SIZE)
		size = LEAF_SIZE;
	r = read_blocks(mending->rewriter, 0, mending->right, (uint32_t)size, &readable,
			err);
	if (r < 0)
		return r;
	*another_out =
		page_decode(mending->right, &page, NULL) == 0 &&
		memcmp(&page.identity.volume, mending->view->volume, UUID_SIZE) != 0;
	if (!mending->terms->foreign_block_is_damage)
		return 0;
	for (unsigned i = 1; i < size / PAGE_SIZE_BYTES && *another_out; i++)
		*another_out = !is_own_first_page(
			mending, i, mending->right + (size_t)i * PAGE_SIZE_BYTES);
	return 0;
}

/* Step 4. The damaged extent's own pages are the likeliest, so they come first. */
static int check_place(struct mending *mending, unsigned extent, struct error *err)
{
	const struct stripe_info *info = mending->view->info;
	unsigned count = stripe_extent_count(info);
	bool in_place = false;
	bool another = false;
	int r;

	if (mending->place_known)
		return 0;
	r = begins_as_another(mending, &another, err);
	if (r < 0)
		return r;
	if (another)
		return error_set(err, -ESTALE, "it begins as another volume");
	for (unsigned i = 0; i < count && !in_place; i++) {
		r = extent_in_place(mending, (extent + i) % count, &in_place, err);
		if (r < 0)
			return r;
	}
	if (!in_place)
		return error_set(err, -ESTALE, "this is not the volume's stripe %llu",
				 (unsigned long long)info->number);
	mending->place_known = true;
	return 0;
}

static bool block_differs(const struct mending *mending, unsigned block)
{
	size_t at = (size_t)block * PAGE_SIZE_BYTES;

	return !(mending->readable & 1u << block) ||
	       memcmp(mending->found + at, mending->right + at, PAGE_SIZE_BYTES) != 0;
}

/* Step 5. */
static int overwrite(struct mending *mending, struct damage *damage, struct error *err)
{
	unsigned count = damage->size / PAGE_SIZE_BYTES;
	unsigned end;

	memcpy(mending->right, damage->right, damage->size);
	crash_point("volume.repair.write");
	for (unsigned i = 0; i < count; i = end + 1) {
		size_t at = (size_t)i * PAGE_SIZE_BYTES;
		int r;

		for (end = i; end < count && block_differs(mending, end);)
			end++;
		if (end == i)
			continue;
		if (mending->wrote)
			crash_point("volume.repair.between");
		r = rewriter_write(mending->rewriter, damage->offset + at,
				   mending->right + at,
				   (size_t)(end - i) * PAGE_SIZE_BYTES, err);
		if (r < 0)
			return r;
		mending->wrote = true;
		damage->blocks += end - i;
	}
	return 0;
}

/* Steps 3 to 5. */
static int mend_one(struct mending *mending, struct damage *damage, struct error *err)
{
	int r;

	if (!exists(mending->rewriter, damage->offset, damage->size))
		return error_set(err, -ERANGE, "it lies behind the end of the file");
	r = check_medium(mending, damage, err);
	if (r != 0)
		return r < 0 ? r : MEND_SOUND;
	r = check_place(mending, damage->extent, err);
	if (r < 0)
		return r;
	return overwrite(mending, damage, err);
}

/* Step 6 for what was written: sync all of it. */
static int sync_written(struct mending *mending, const struct damage *damages,
			size_t count, struct error *err)
{
	uint64_t start = UINT64_MAX;
	uint64_t end = 0;

	for (size_t i = 0; i < count; i++) {
		if (damages[i].blocks == 0)
			continue;
		if (damages[i].offset < start)
			start = damages[i].offset;
		if (damages[i].offset + damages[i].size > end)
			end = damages[i].offset + damages[i].size;
	}
	crash_point("volume.repair.written");
	return rewriter_sync(mending->rewriter, start, end - start, err);
}

static int check_written(struct mending *mending, const struct damage *damage,
			 struct error *err)
{
	int r = check_medium(mending, damage, err);

	if (r == 0)
		return error_set(err, -EIO, "the medium does not keep what is written");
	return r < 0 ? r : MEND_WRITTEN;
}

static void note(int r, const struct error *why, int *first, struct error *err)
{
	if (r >= 0 || *first < 0)
		return;
	*first = r;
	if (err)
		*err = *why;
}

/* Steps 3 to 6 for all; the first failure. */
static int mend_all(struct mending *mending, struct damage *damages, size_t count,
		    struct error *err)
{
	struct error why = { 0 };
	int first = 0;
	int r = 0;

	for (size_t i = 0; i < count; i++) {
		if (r >= 0 || r == -ERANGE) /* what is missing says nothing of the rest */
			r = mend_one(mending, &damages[i], &why);
		damages[i].result = r;
		note(r, &why, &first, err);
	}
	if (!mending->wrote)
		return first;
	r = sync_written(mending, damages, count, &why);
	note(r, &why, &first, err);
	if (r == 0)
		crash_point("volume.repair.synced");
	for (size_t i = 0; i < count; i++) {
		if (damages[i].result != MEND_WRITTEN)
			continue;
		damages[i].result = r < 0 ? r : check_written(mending, &damages[i], &why);
		note(damages[i].result, &why, &first, err);
	}
	return first;
}

static int fail_all(struct damage *damages, size_t count, int r)
{
	for (size_t i = 0; i < count; i++)
		damages[i].result = r;
	return r;
}

int mend(struct backend *backend, const struct stripe_view *view,
	 const struct mend_terms *terms, struct damage *damages, size_t count,
	 struct error *err)
{
	autofree uint8_t *buffers = aligned_alloc(BACKEND_ALIGNMENT, MEND_MEMORY);
	autoptr(rewriter) rewriter = NULL;
	struct mending mending = { .view = view, .terms = terms };
	int r;

	for (size_t i = 0; i < count; i++)
		damages[i].blocks = 0;
	if (!buffers)
		return fail_all(damages, count,
				error_set_errno(err, -ENOMEM, "two leaves"));
	crash_point("volume.repair.begin");
	r = backend_open_rewriter(backend, terms->patience_ms, &rewriter, err);
	if (r < 0)
		return fail_all(damages, count, r);
	crash_point("volume.repair.locked");
	mending.rewriter = rewriter;
	mending.found = buffers;
	mending.right = buffers + LEAF_SIZE;
	return mend_all(&mending, damages, count, err);
}
