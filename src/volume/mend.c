/* SPDX-License-Identifier: MIT */
/* Damage goes back to the medium in these steps:
 *
 *   1. What is to be written was proved by the caller.
 *   2. The session is opened, which takes the volume's lock.
 *   3. The medium is read again. What is right by now was somebody else's repair.
 *   4. Some page of the stripe must stand where it belongs, and the file must not begin as
 *      another volume. Else these are not, or soon will not be, the blocks of that stripe any
 *      more (another volume was copied over the file, or is just now), and writing would
 *      destroy what is somebody else's. Where nothing is left of a stripe, one that was there a
 *      moment ago stands in for it. This is looked at once a session.
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

#define RUN_BLOCKS_MAX (MEND_RUN_MAX / PAGE_SIZE_BYTES)

/* A session under way. Both buffers hold the longest run and are aligned. */
struct mending {
	const struct mend_terms *terms;
	const struct stripe_view *view;
	struct rewriter *rewriter;
	uint8_t *found;                /* on the medium */
	uint8_t *right;                /* what must be there; scratch before that */
	bool readable[RUN_BLOCKS_MAX]; /* blocks of @found */
	bool place_known;              /* step 4 was taken */
	bool wrote;
};

/* Damages that lie side by side, and are read and written together. */
struct run {
	struct damage **damages;
	size_t count;
	uint64_t offset;
	size_t size; /* bytes */
};

/* Read whole blocks to @data; what is unreadable is zero, and false in @readable. */
static int read_blocks(struct rewriter *rewriter, uint64_t offset, uint8_t *data,
		       size_t size, bool *readable, struct error *err)
{
	size_t count = size / PAGE_SIZE_BYTES;
	int r = rewriter_read(rewriter, offset, data, size, err);

	for (size_t i = 0; i < count; i++)
		readable[i] = true;
	if (r == 0 || !is_medium_error(r))
		return r;
	for (size_t i = 0; i < count; i++) {
		uint8_t *block = data + i * PAGE_SIZE_BYTES;

		r = rewriter_read(rewriter, offset + i * PAGE_SIZE_BYTES, block,
				  PAGE_SIZE_BYTES, err);
		if (r < 0 && !is_medium_error(r))
			return r;
		if (r == 0)
			continue;
		memset(block, 0, PAGE_SIZE_BYTES);
		readable[i] = false;
	}
	return 0;
}

/* Whether @damage, in @run, is right as it was read. */
static bool found_right(const struct mending *mending, const struct run *run,
			const struct damage *damage)
{
	size_t at = (size_t)(damage->offset - run->offset);

	for (size_t i = 0; i < damage->size / PAGE_SIZE_BYTES; i++)
		if (!mending->readable[at / PAGE_SIZE_BYTES + i])
			return false;
	return memcmp(mending->found + at, damage->right, damage->size) == 0;
}

static int read_run(struct mending *mending, const struct run *run, struct error *err)
{
	return read_blocks(mending->rewriter, run->offset, mending->found, run->size,
			   mending->readable, err);
}

static bool exists(const struct rewriter *rewriter, uint64_t offset, uint64_t size)
{
	return size <= rewriter->size && offset <= rewriter->size - size;
}

/* Whether one of the pages of @extent of @view's stripe stands in its place. */
static int extent_in_place(struct mending *mending, const struct stripe_view *view,
			   unsigned extent, bool *in_place_out, struct error *err)
{
	unsigned pages = extent_page_count(view->info, extent);
	uint64_t offset = extent_offset(view->info, extent);
	bool scratch[LEAF_SECTORS];
	struct page page;
	int r;

	if (!exists(mending->rewriter, offset, (uint64_t)pages * PAGE_SIZE_BYTES))
		return 0;
	r = read_blocks(mending->rewriter, offset, mending->right,
			(size_t)pages * PAGE_SIZE_BYTES, scratch, err);
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
	bool scratch[LEAF_SECTORS];
	struct page page;
	int r;

	if (size > LEAF_SIZE)
		size = LEAF_SIZE;
	r = read_blocks(mending->rewriter, 0, mending->right, (size_t)size, scratch, err);
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

/* Whether some page of the stripe stands in its place, those of @extent being the likeliest. */
static int stripe_in_place(struct mending *mending, const struct stripe_info *info,
			   unsigned extent, bool *in_place_out, struct error *err)
{
	struct stripe_view view = *mending->view;
	unsigned count = stripe_extent_count(info);

	view.info = info;
	for (unsigned i = 0; i < count && !*in_place_out; i++) {
		int r = extent_in_place(mending, &view, (extent + i) % count,
					in_place_out, err);

		if (r < 0)
			return r;
	}
	return 0;
}

/* Step 4. */
static int check_place(struct mending *mending, unsigned extent, struct error *err)
{
	const struct stripe_info *info = mending->view->info;
	const struct stripe_info *landmark = mending->terms->landmark;
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
	r = stripe_in_place(mending, info, extent, &in_place, err);
	if (r == 0 && !in_place && landmark)
		r = stripe_in_place(mending, landmark, 0, &in_place, err);
	if (r < 0)
		return r;
	if (!in_place)
		return error_set(err, -ESTALE, "this is not the volume's stripe %llu",
				 (unsigned long long)info->number);
	mending->place_known = true;
	return 0;
}

static bool block_differs(const struct mending *mending, size_t block)
{
	size_t at = block * PAGE_SIZE_BYTES;

	return !mending->readable[block] ||
	       memcmp(mending->found + at, mending->right + at, PAGE_SIZE_BYTES) != 0;
}

/* Note @count blocks from number @first of @run on as written, where they belong. */
static void count_blocks(const struct run *run, size_t first, size_t count)
{
	for (size_t i = 0; i < run->count; i++) {
		struct damage *damage = run->damages[i];
		size_t start = (size_t)(damage->offset - run->offset) / PAGE_SIZE_BYTES;
		size_t end = start + damage->size / PAGE_SIZE_BYTES;

		if (start < first)
			start = first;
		if (end > first + count)
			end = first + count;
		if (start < end)
			damage->blocks += (unsigned)(end - start);
	}
}

/* Step 5. What is right already is put in the place of what was found, so only damage
 * differs. */
static int overwrite(struct mending *mending, const struct run *run, struct error *err)
{
	size_t count = run->size / PAGE_SIZE_BYTES;
	size_t end;

	memcpy(mending->right, mending->found, run->size);
	for (size_t i = 0; i < run->count; i++) {
		const struct damage *damage = run->damages[i];

		if (damage->result != MEND_SOUND)
			memcpy(mending->right + (damage->offset - run->offset),
			       damage->right, damage->size);
	}
	crash_point("volume.repair.write");
	for (size_t i = 0; i < count; i = end + 1) {
		size_t at = i * PAGE_SIZE_BYTES;
		int r;

		for (end = i; end < count && block_differs(mending, end);)
			end++;
		if (end == i)
			continue;
		if (mending->wrote)
			crash_point("volume.repair.between");
		r = rewriter_write(mending->rewriter, run->offset + at,
				   mending->right + at, (end - i) * PAGE_SIZE_BYTES, err);
		if (r < 0)
			return r;
		mending->wrote = true;
		count_blocks(run, i, end - i);
	}
	return 0;
}

/* Steps 3 to 5. */
static int mend_run(struct mending *mending, const struct run *run, struct error *err)
{
	bool sound = true;
	int r;

	r = read_run(mending, run, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < run->count; i++) {
		struct damage *damage = run->damages[i];

		damage->result =
			found_right(mending, run, damage) ? MEND_SOUND : MEND_WRITTEN;
		sound &= damage->result == MEND_SOUND;
	}
	if (sound)
		return 0;
	r = check_place(mending, run->damages[0]->extent, err);
	if (r < 0)
		return r;
	return overwrite(mending, run, err);
}

/* ---- all of them ---- */

/* Damages in the order of the volume, those that exist. */
struct work {
	struct damage **damages;
	size_t count;
	int first;         /* failure; 0: none */
	struct error *err; /* of that */
};

static void note(struct work *work, int r, const struct error *why)
{
	if (r >= 0 || work->first < 0)
		return;
	work->first = r;
	if (work->err)
		*work->err = *why;
}

static int compare(const void *a, const void *b)
{
	const struct damage *x = *(struct damage *const *)a;
	const struct damage *y = *(struct damage *const *)b;

	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* What lies behind the end of the file fails by itself; it says nothing of the rest. */
static void sort(struct work *work, struct mending *mending, struct damage *damages,
		 size_t count)
{
	struct error why = { 0 };

	for (size_t i = 0; i < count; i++) {
		damages[i].result = MEND_WRITTEN;
		if (exists(mending->rewriter, damages[i].offset, damages[i].size)) {
			work->damages[work->count++] = &damages[i];
			continue;
		}
		damages[i].result =
			error_set(&why, -ERANGE, "it lies behind the end of the file");
		note(work, -ERANGE, &why);
	}
	if (work->count > 0)
		qsort(work->damages, work->count, sizeof(*work->damages), compare);
}

/* The run that begins with damage number @first. */
static struct run run_from(const struct work *work, size_t first)
{
	struct run run = { .damages = work->damages + first,
			   .offset = work->damages[first]->offset };

	for (size_t i = first; i < work->count; i++) {
		const struct damage *damage = work->damages[i];

		if (damage->offset != run.offset + run.size ||
		    run.size + damage->size > MEND_RUN_MAX)
			break;
		run.size += damage->size;
		run.count++;
	}
	return run;
}

static void fail_from(struct work *work, size_t first, int r, const struct error *why)
{
	for (size_t i = first; i < work->count; i++)
		if (work->damages[i]->result != MEND_SOUND)
			work->damages[i]->result = r;
	note(work, r, why);
}

/* Step 6: sync all of it. The range is that of one run: what is cached of the others is dropped
 * when they are read again, and dropping what lies in between would cost everybody who reads
 * the stripe. */
static int sync_written(struct mending *mending, const struct work *work,
			struct error *err)
{
	const struct run first = run_from(work, 0);

	crash_point("volume.repair.written");
	return rewriter_sync(mending->rewriter, first.offset, first.size, err);
}

/* And read it again. */
static void check_written(struct mending *mending, const struct run *run,
			  struct work *work)
{
	struct error why = { 0 };
	int r = read_run(mending, run, &why);

	for (size_t i = 0; i < run->count; i++) {
		struct damage *damage = run->damages[i];

		if (damage->result != MEND_WRITTEN)
			continue;
		if (r == 0 && !found_right(mending, run, damage))
			damage->result = error_set(
				&why, -EIO, "the medium does not keep what is written");
		else if (r < 0)
			damage->result = r;
		note(work, damage->result, &why);
	}
}

static bool any_written(const struct run *run)
{
	for (size_t i = 0; i < run->count; i++)
		if (run->damages[i]->result == MEND_WRITTEN)
			return true;
	return false;
}

/* Steps 3 to 6 for all. */
static void mend_all(struct mending *mending, struct work *work)
{
	struct error why = { 0 };
	struct run run;
	int r = 0;

	for (size_t i = 0; i < work->count && r == 0; i += run.count) {
		run = run_from(work, i);
		r = mend_run(mending, &run, &why);
		if (r < 0)
			fail_from(work, i, r, &why);
	}
	if (!mending->wrote)
		return;
	r = sync_written(mending, work, &why);
	if (r < 0) {
		fail_from(work, 0, r, &why);
		return;
	}
	crash_point("volume.repair.synced");
	for (size_t i = 0; i < work->count; i += run.count) {
		run = run_from(work, i);
		if (any_written(&run))
			check_written(mending, &run, work);
	}
}

/* Bytes of the longest run, at least a leaf: so much looking at pages takes. */
static size_t longest_run(const struct work *work)
{
	size_t longest = LEAF_SIZE;
	struct run run;

	for (size_t i = 0; i < work->count; i += run.count) {
		run = run_from(work, i);
		if (run.size > longest)
			longest = run.size;
	}
	return longest;
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
	autofree struct damage **order = calloc(count, sizeof(struct damage *));
	struct mending mending = { .view = view, .terms = terms };
	struct work work = { .damages = order, .err = err };
	autoptr(rewriter) rewriter = NULL;
	autofree uint8_t *buffers = NULL;
	size_t longest;
	int r;

	for (size_t i = 0; i < count; i++)
		damages[i].blocks = 0;
	crash_point("volume.repair.begin");
	r = order ? backend_open_rewriter(backend, terms->patience_ms, &rewriter, err)
		  : error_set_errno(err, -ENOMEM, "a repair");
	if (r < 0)
		return fail_all(damages, count, r);
	crash_point("volume.repair.locked");
	mending.rewriter = rewriter;
	sort(&work, &mending, damages, count);
	longest = longest_run(&work);
	buffers = aligned_alloc(BACKEND_ALIGNMENT, 2 * longest);
	if (!buffers)
		return fail_all(damages, count,
				error_set_errno(err, -ENOMEM, "a repair"));
	mending.found = buffers;
	mending.right = buffers + longest;
	mend_all(&mending, &work);
	return work.first;
}
