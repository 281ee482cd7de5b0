/* SPDX-License-Identifier: MIT */
/* Whole volumes are damaged in every way that has a name, scrubbed, and must be byte for byte
 * what they were meant to be wherever the maths allows that.
 */
#include "support/backend_watched.h"
#include "support/volume_image.h"

#include "base/budget.h"
#include "base/error.h"
#include "base/file.h"
#include "base/pool.h"
#include "volume/scrub.h"
#include "volume/stripe_view.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define PAGE ((size_t)PAGE_SIZE_BYTES)
#define MEMORY (UINT64_C(256) << 20)
#define FINDINGS_MAX 4096

enum { HEADER, WIDE, FIRST, NARROW, SPREAD, LAST, STRIPES }; /* stripes of the image */

struct scrubbed {
	struct image image;
	char path[32];
	int fd;
	struct watch watch;
	struct backend *backend;
	struct pool *pool;
	struct budget *budget;
	uint64_t rate;
	struct scrub_report report;
	struct scrub_finding findings[FINDINGS_MAX];
	size_t finding_count;
	size_t stripe_count; /* told as done */
	unsigned margin;     /* the least that was told */
	uint64_t progress;
	uint64_t unwanted; /* stripe number that is left out; 0: none */
	size_t stop_at;    /* stripes; 0: never */
	char crash_at[64];
};

static void publish(struct scrubbed *f)
{
	assert_int_equal(ftruncate(f->fd, 0), 0);
	assert_int_equal(pwrite_full(f->fd, f->image.bytes, f->image.size, 0), 0);
}

/* A header, data of two shapes, one with gaps, and records in between. */
static int setup(void **state)
{
	static const struct image_shape wide = { 4, 3, 2, 0, 4, 290000, 4096 };
	static const struct image_shape narrow = { 6, 2, 3, 0, 3, 400000, 0 };
	static const struct image_shape spread = { 1, 3, 2, 1 << 20, 1, 70000, 0 };
	struct scrubbed *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	image_init(&f->image, 1, 1);
	image_add_record(&f->image, STRIPE_HEADER, 0, 100);
	image_add_data(&f->image, &wide);
	image_add_record(&f->image, STRIPE_PLACEMENT, 0, 300000);
	image_add_data(&f->image, &narrow);
	image_add_data(&f->image, &spread);
	image_add_record(&f->image, STRIPE_COMMIT, 0, 100);
	assert_int_equal(f->image.stripe_count, STRIPES);
	(void)snprintf(f->path, sizeof(f->path), "test_scrub.XXXXXX");
	f->fd = mkstemp(f->path);
	assert_true(f->fd >= 0);
	publish(f);
	watch_init(&f->watch);
	f->backend = backend_watched_open(f->path, &f->watch);
	assert_int_equal(pool_new(2, &f->pool, NULL), 0);
	assert_int_equal(budget_new(MEMORY, &f->budget), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct scrubbed *f = *state;

	pool_free(f->pool);
	budget_free(f->budget);
	backend_free(f->backend);
	image_done(&f->image);
	(void)close(f->fd);
	assert_int_equal(unlink(f->path), 0);
	free(f);
	return 0;
}

/* ---- the observer ---- */

static void found(void *context, const struct scrub_finding *finding)
{
	struct scrubbed *f = context;

	assert_true(f->finding_count < FINDINGS_MAX);
	assert_true((finding->outcome == SCRUB_NOT_WRITTEN) == (finding->code < 0));
	assert_true((finding->outcome == SCRUB_NOT_WRITTEN) == (finding->reason != NULL));
	f->findings[f->finding_count++] = *finding;
}

static int stripe(void *context, const struct scrub_stripe_result *result,
		  struct error *err)
{
	struct scrubbed *f = context;

	(void)err;
	f->stripe_count++;
	if (result->margin < f->margin)
		f->margin = result->margin;
	return 0;
}

static bool wanted(void *context, const struct stripe_info *info)
{
	struct scrubbed *f = context;

	return !f->unwanted || info->number != f->unwanted;
}

static void progress(void *context, uint64_t bytes)
{
	((struct scrubbed *)context)->progress += bytes;
}

static bool stopped(void *context)
{
	struct scrubbed *f = context;

	return f->stop_at && f->stripe_count >= f->stop_at;
}

static int scrub(struct scrubbed *f, bool repair)
{
	const struct scrub_options options = {
		.backend = f->backend,
		.volume = f->image.volume,
		.pool = f->pool,
		.budget = f->budget,
		.repair = repair,
		.rate = f->rate,
		.observer = { wanted, found, stripe, progress, stopped, f },
	};
	struct error err = { 0 };
	int r;

	f->finding_count = f->stripe_count = 0;
	f->progress = 0;
	f->margin = 99;
	r = scrub_volume(&options, &f->report, &err);
	if (r < 0 && r != -EINTR && r != -EBADMSG && r != -ENOMEM)
		fail_msg("%s", err.text);
	assert_int_equal(budget_available(f->budget), budget_size(f->budget));
	return r;
}

/* ---- damage, and what must come of it ---- */

static void noise(struct scrubbed *f, uint64_t offset, size_t size)
{
	uint8_t *bytes = malloc(size);

	assert_non_null(bytes);
	fill_random(bytes, size, offset + 77);
	assert_int_equal(pwrite_full(f->fd, bytes, size, offset), 0);
	free(bytes);
}

static const struct stripe_info *info_of(const struct scrubbed *f, unsigned stripe)
{
	return &f->image.stripes[stripe];
}

static uint64_t leaf_of(const struct scrubbed *f, unsigned stripe, unsigned extent,
			unsigned row)
{
	const struct stripe_info *info = info_of(f, stripe);

	return entry_offset(info, extent, row_entry(info, extent, row));
}

static uint8_t *look(const struct scrubbed *f)
{
	uint8_t *bytes = malloc(f->image.size);

	assert_non_null(bytes);
	assert_int_equal(pread_full(f->fd, bytes, f->image.size, 0, NULL), 0);
	return bytes;
}

static void expect_bytes(const struct scrubbed *f, const uint8_t *want)
{
	uint8_t *bytes = look(f);

	for (size_t at = 0; at < f->image.size; at += PAGE)
		if (memcmp(bytes + at, want + at, PAGE) != 0)
			fail_msg("block %zu is not what it should be", at / PAGE);
	free(bytes);
}

static void expect_healed(const struct scrubbed *f)
{
	expect_bytes(f, f->image.bytes);
}

static uint64_t sum(const struct scrub_report *report)
{
	return report->repairable + report->repaired + report->not_written + report->lost;
}

/* A check finds what the damage is and changes nothing; a repair heals it. */
static void expect_repair(struct scrubbed *f)
{
	uint8_t *before = look(f);
	size_t count;

	assert_int_equal(scrub(f, false), 0);
	count = f->finding_count;
	assert_true(count > 0);
	assert_int_equal(f->report.repairable, count);
	assert_int_equal(sum(&f->report), count);
	expect_bytes(f, before);
	assert_int_equal(scrub(f, true), 0);
	assert_int_equal(f->finding_count, count);
	assert_int_equal(f->report.repaired, count);
	assert_int_equal(sum(&f->report), count);
	expect_healed(f);
	assert_int_equal(scrub(f, false), 0);
	assert_int_equal(f->finding_count, 0);
	assert_int_equal(f->margin, 2); /* of the records and of one stripe */
	free(before);
}

static void a_sound_volume_is_read_once_and_left_alone(void **state)
{
	struct scrubbed *f = *state;
	uint64_t written = 0;

	for (unsigned i = 0; i < STRIPES; i++)
		written += stripe_written_size(info_of(f, i));
	assert_int_equal(scrub(f, true), 0);
	assert_int_equal(f->finding_count, 0);
	assert_int_equal(f->report.stripes, STRIPES);
	assert_int_equal(f->stripe_count, STRIPES);
	assert_int_equal(f->report.bytes, written);
	assert_int_equal(f->progress, written);
	assert_int_equal(f->report.records, 3);
	assert_int_equal(f->report.end, f->image.size);
	assert_int_equal(f->report.missing, 0);
	assert_int_equal(f->watch.sessions, 0);
	assert_int_equal(f->margin, 2);
}

/* One block of noise anywhere is found and healed: in a header, a table, a leaf, a gap. */
static void any_single_block_is_found_and_healed(void **state)
{
	struct scrubbed *f = *state;

	for (uint64_t at = 0; at < f->image.size; at += 23 * PAGE) {
		uint64_t offset = at;
		size_t size = PAGE;

		if (at % (2 * PAGE) == 0) { /* one bit */
			offset += at / PAGE % PAGE;
			size = 1;
		}
		noise(f, offset, size);
		assert_int_equal(scrub(f, true), 0);
		if (f->report.repaired == 0) { /* the noise may be what was there */
			assert_int_equal(f->finding_count, 0);
			expect_healed(f);
			continue;
		}
		assert_int_equal(f->finding_count, 1);
		assert_true(f->findings[0].offset <= at &&
			    at < f->findings[0].offset + f->findings[0].size);
		expect_healed(f);
	}
}

static void erase(struct scrubbed *f, unsigned stripe, unsigned extent)
{
	noise(f, extent_offset(info_of(f, stripe), extent),
	      (size_t)stripe_written_size(info_of(f, stripe)) /
		      stripe_extent_count(info_of(f, stripe)) / PAGE * PAGE);
}

static void erase_whole(struct scrubbed *f, unsigned stripe, unsigned extent)
{
	const struct stripe_info *info = info_of(f, stripe);
	uint64_t end = extent + 1 < stripe_extent_count(info)
			       ? extent_offset(info, extent + 1)
			       : info->offset + stripe_physical_size(info);
	uint64_t start = extent_offset(info, extent);

	noise(f, start, (size_t)(end - start));
}

/* Every choice of m extents of the data stripe with the most of them. */
static void any_m_extents_may_be_erased(void **state)
{
	struct scrubbed *f = *state;
	unsigned count = stripe_extent_count(info_of(f, WIDE));

	for (unsigned a = 0; a < count; a++) {
		for (unsigned b = a + 1; b < count; b++) {
			unsigned c = (a * 5 + b * 3) % count;

			erase_whole(f, WIDE, a);
			erase_whole(f, WIDE, b);
			erase(f, WIDE, c);
			assert_int_equal(scrub(f, true), 0);
			assert_int_equal(f->report.lost, 0);
			expect_healed(f);
		}
	}
	for (unsigned stripe = 0; stripe < STRIPES; stripe++) {
		unsigned last = stripe_extent_count(info_of(f, stripe)) - 1;

		erase_whole(f, stripe, last);
		erase_whole(f, stripe, 0);
		expect_repair(f);
	}
}

static void m_extents_and_one_more_are_a_loss_of_what_they_held(void **state)
{
	struct scrubbed *f = *state;
	const struct stripe_info *info = info_of(f, WIDE);
	uint64_t lost = 0;
	uint8_t *before;

	for (unsigned extent = 0; extent < 4; extent++)
		noise(f, leaf_of(f, WIDE, extent, 1), LEAF_SIZE);
	noise(f, leaf_of(f, WIDE, 2, 3), LEAF_SIZE); /* and one that can be repaired */
	before = look(f);
	memcpy(before + leaf_of(f, WIDE, 2, 3), f->image.bytes + leaf_of(f, WIDE, 2, 3),
	       LEAF_SIZE);
	assert_int_equal(scrub(f, true), 0);
	assert_int_equal(f->report.lost, 4);
	assert_int_equal(f->report.repaired, 1);
	assert_int_equal(f->margin, 0);
	for (size_t i = 0; i < f->finding_count; i++)
		if (f->findings[i].outcome == SCRUB_LOST) {
			assert_int_equal(f->findings[i].kind, SCRUB_LEAF);
			lost += f->findings[i].log_size;
			assert_int_equal(
				f->findings[i].log_offset,
				info->log_start + LEAF_SIZE +
					f->findings[i].extent * UINT64_C(290000) -
					4999u * (f->findings[i].extent *
						 (f->findings[i].extent - 1) / 2));
		}
	assert_int_equal(lost, 4 * LEAF_SIZE);
	expect_bytes(f, before);
	free(before);
}

static void what_is_lost_leaves_as_much_as_it_did(void **state)
{
	struct scrubbed *f = *state;

	noise(f, leaf_of(f, WIDE, 1, 1), LEAF_SIZE);
	assert_int_equal(scrub(f, false), 0);
	assert_int_equal(f->margin, 2);
	noise(f, leaf_of(f, WIDE, 2, 1), LEAF_SIZE);
	assert_int_equal(scrub(f, false), 0);
	assert_int_equal(f->margin, 1);
	assert_int_equal(f->report.repairable, 2);
	noise(f, leaf_of(f, WIDE, 5, 1), LEAF_SIZE);
	assert_int_equal(scrub(f, false), 0);
	assert_int_equal(f->margin, 0);
	assert_int_equal(f->report.repairable, 3);
}

static void rows_with_too_many_bad_leaves_are_decoded_by_column(void **state)
{
	struct scrubbed *f = *state;

	for (unsigned extent = 0; extent < 7; extent++)
		for (unsigned i = 0; i < 3; i++)
			noise(f,
			      leaf_of(f, WIDE, extent, 2) +
				      (extent * 5 + i * 2) % 16 * PAGE,
			      1);
	expect_repair(f);
}

/* With all pages of more than m extents gone there is no row of pages to decode. */
static void tables_come_back_from_the_leaves(void **state)
{
	struct scrubbed *f = *state;
	unsigned count = stripe_extent_count(info_of(f, WIDE));

	for (unsigned extent = 0; extent + 1 < count; extent++)
		noise(f, extent_offset(info_of(f, WIDE), extent),
		      PAGE * extent_page_count(info_of(f, WIDE), extent));
	expect_repair(f);
	/* And with some leaf bad in the extents that have none. */
	for (unsigned extent = 0; extent < 3; extent++)
		noise(f, extent_offset(info_of(f, WIDE), extent) + PAGE,
		      PAGE * (extent_page_count(info_of(f, WIDE), extent) - 1));
	for (unsigned extent = 4; extent < count; extent++)
		noise(f, entry_offset(info_of(f, WIDE), extent, 0), PAGE);
	noise(f, leaf_of(f, WIDE, 1, 2), PAGE);
	expect_repair(f);
}

static void a_burst_of_m_extents_is_healed_wherever_it_starts(void **state)
{
	struct scrubbed *f = *state;
	const struct stripe_info *info = info_of(f, WIDE);
	size_t burst = (size_t)(3 * info->geometry.stride - LEAF_SIZE);

	for (uint64_t offset = 0; offset + burst <= stripe_physical_size(info);
	     offset += 47 * PAGE) {
		noise(f, info->offset + offset, burst);
		assert_int_equal(scrub(f, true), 0);
		expect_healed(f);
	}
}

static void blocks_that_belong_elsewhere_are_put_right(void **state)
{
	struct scrubbed *f = *state;
	uint64_t a = leaf_of(f, WIDE, 0, 1), b = leaf_of(f, NARROW, 1, 2);
	uint64_t c = extent_offset(info_of(f, WIDE), 1);
	uint64_t d = extent_offset(info_of(f, WIDE), 2);
	struct image other;

	/* Swapped. */
	assert_int_equal(pwrite_full(f->fd, f->image.bytes + a, PAGE, b), 0);
	assert_int_equal(pwrite_full(f->fd, f->image.bytes + b, PAGE, a), 0);
	assert_int_equal(pwrite_full(f->fd, f->image.bytes + c, PAGE, d), 0);
	assert_int_equal(pwrite_full(f->fd, f->image.bytes + d, PAGE, c), 0);
	expect_repair(f);
	/* Another volume's, and the very first block. */
	image_init(&other, 2, 2);
	image_add_record(&other, STRIPE_HEADER, 0, 100);
	assert_int_equal(pwrite_full(f->fd, other.bytes, PAGE, 0), 0);
	assert_int_equal(pwrite_full(f->fd, other.bytes + PAGE, PAGE, d + PAGE), 0);
	expect_repair(f);
	image_done(&other);
}

static void the_beginning_of_another_volume_is_not_overwritten(void **state)
{
	struct scrubbed *f = *state;
	struct image other;
	uint8_t *before;

	image_init(&other, 2, 2);
	image_add_record(&other, STRIPE_HEADER, 0, 100);
	assert_int_equal(pwrite_full(f->fd, other.bytes, 8 * PAGE, 0), 0);
	before = look(f);
	assert_int_equal(scrub(f, true), 0);
	assert_true(f->report.not_written > 0);
	assert_int_equal(f->findings[0].code, -ESTALE);
	assert_int_equal(f->report.repaired, 0);
	expect_bytes(f, before);
	free(before);
	image_done(&other);
}

/* Without parity nothing brings a leaf back; but pages follow from records and leaves. */
static void pages_come_back_without_any_parity(void **state)
{
	static const struct image_shape bare = { 3, 0, 2, 0, 3, 300000, 0 };
	struct scrubbed *f = *state;
	const struct stripe_info *info;
	uint8_t *before;

	image_add_data(&f->image, &bare);
	image_add_record(&f->image, STRIPE_COMMIT, 0, 100);
	publish(f);
	backend_free(f->backend);
	f->backend = backend_watched_open(f->path, &f->watch);
	info = &f->image.stripes[STRIPES];
	noise(f, extent_offset(info, 0), 2 * PAGE);
	noise(f, extent_offset(info, 2), PAGE);
	assert_int_equal(scrub(f, true), 0);
	assert_int_equal(f->report.repaired, 3);
	expect_healed(f);

	noise(f, entry_offset(info, 1, 2), PAGE);
	before = look(f);
	assert_int_equal(scrub(f, true), 0);
	assert_int_equal(f->report.lost, 1);
	assert_int_equal(f->margin, 0);
	expect_bytes(f, before);
	free(before);
}

static void gaps_are_made_zero_and_the_tail_is_left_alone(void **state)
{
	static const struct image_shape torn = { 4, 3, 2, 0, 4, 290000, 0 };
	struct scrubbed *f = *state;
	const struct stripe_info *info = info_of(f, SPREAD);
	uint64_t gap = extent_offset(info, 1) - 200 * 1024;

	noise(f, gap, 100 * 1024);
	noise(f, extent_offset(info, 1) - 1, 1);
	assert_int_equal(scrub(f, false), 0);
	assert_int_equal(f->report.repairable, f->finding_count);
	for (size_t i = 0; i < f->finding_count; i++)
		assert_int_equal(f->findings[i].kind, SCRUB_GAP);
	expect_repair(f);

	image_add_torn(&f->image, &torn, 300000, 2);
	publish(f);
	noise(f, f->image.size - 100000, 50000);
	assert_int_equal(scrub(f, true), 0);
	assert_int_equal(f->finding_count, 0);
	assert_true(f->report.end < f->image.size);
}

static void a_lost_record_costs_what_it_listed(void **state)
{
	struct scrubbed *f = *state;
	const struct stripe_info *first = info_of(f, FIRST);
	uint8_t *before;

	noise(f, first->offset, (size_t)stripe_physical_size(first));
	noise(f, leaf_of(f, NARROW, 1, 1), PAGE);
	noise(f, leaf_of(f, HEADER, 1, 0), 100);
	noise(f, leaf_of(f, WIDE, 1, 1), PAGE);
	before = look(f);
	memcpy(before + leaf_of(f, NARROW, 1, 1),
	       f->image.bytes + leaf_of(f, NARROW, 1, 1), PAGE);
	memcpy(before + leaf_of(f, HEADER, 1, 0),
	       f->image.bytes + leaf_of(f, HEADER, 1, 0), PAGE);
	assert_int_equal(scrub(f, true), 0);
	assert_true(f->report.broken);
	assert_int_equal(f->report.lost, 1);
	assert_int_equal(f->report.repaired, 2);
	for (size_t i = 0; i < f->finding_count; i++) {
		if (f->findings[i].outcome != SCRUB_LOST)
			continue;
		assert_int_equal(f->findings[i].kind, SCRUB_RECORD);
		assert_int_equal(f->findings[i].offset,
				 stripe_physical_size(info_of(f, HEADER)));
		assert_int_equal(f->findings[i].offset + f->findings[i].size,
				 first->offset + stripe_physical_size(first));
	}
	expect_bytes(f, before);
	free(before);
}

static void a_volume_without_any_record_says_so(void **state)
{
	struct scrubbed *f = *state;

	noise(f, 0, f->image.size);
	assert_int_equal(scrub(f, true), -EBADMSG);
	assert_int_equal(f->watch.sessions, 0);
}

static void what_a_cut_took_is_counted_and_not_appended(void **state)
{
	struct scrubbed *f = *state;
	const struct stripe_info *last = info_of(f, LAST);
	off_t cut = (off_t)(extent_offset(last, 1) + 5 * PAGE + 100);

	assert_int_equal(ftruncate(f->fd, cut), 0);
	noise(f, extent_offset(last, 1), PAGE);
	backend_free(f->backend);
	f->backend = backend_watched_open(f->path, &f->watch);
	assert_int_equal(scrub(f, true), 0);
	assert_int_equal(f->report.missing, f->image.size - (size_t)cut);
	assert_int_equal(f->report.repaired, 1);
	assert_int_equal(f->finding_count, 1);
	assert_int_equal(f->margin, 1);
	assert_int_equal(lseek(f->fd, 0, SEEK_END), cut);
}

static void stripes_can_be_left_out_and_the_scrub_stopped(void **state)
{
	struct scrubbed *f = *state;

	noise(f, leaf_of(f, WIDE, 1, 1), PAGE);
	f->unwanted = info_of(f, WIDE)->number;
	assert_int_equal(scrub(f, true), 0);
	assert_int_equal(f->finding_count, 0);
	assert_int_equal(f->report.skipped, 1);
	f->unwanted = 0;
	f->stop_at = 2;
	assert_int_equal(scrub(f, true), -EINTR);
	assert_int_equal(f->stripe_count, 2);
	expect_healed(f);
}

static void a_small_budget_makes_it_slow_and_not_wrong(void **state)
{
	struct scrubbed *f = *state;

	budget_free(f->budget);
	assert_int_equal(budget_new(UINT64_C(17) << 20, &f->budget), 0);
	erase_whole(f, WIDE, 1);
	erase_whole(f, WIDE, 3);
	erase_whole(f, WIDE, 6);
	expect_repair(f);
	budget_free(f->budget);
	assert_int_equal(budget_new(UINT64_C(1) << 20, &f->budget), 0);
	assert_int_equal(scrub(f, false), -ENOMEM);
}

static void a_medium_that_takes_no_repair_is_told(void **state)
{
	static const struct {
		enum watched_step step;
		int code;
	} failures[] = {
		{ WATCHED_OPEN, -EROFS },   { WATCHED_OPEN, -EACCES },
		{ WATCHED_WRITE, -ENOSPC }, { WATCHED_WRITE, -EIO },
		{ WATCHED_SYNC, -EIO },
	};
	struct scrubbed *f = *state;

	for (unsigned i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
		publish(f);
		erase_whole(f, WIDE, 1);
		f->watch.fail_step = failures[i].step;
		f->watch.fail_code = failures[i].code;
		assert_int_equal(scrub(f, true), 0);
		f->watch.fail_step = 0;
		assert_true(f->report.not_written > 0);
		assert_int_equal(f->report.lost, 0);
		for (size_t n = 0; n < f->finding_count; n++)
			if (f->findings[n].outcome == SCRUB_NOT_WRITTEN)
				assert_int_equal(f->findings[n].code, failures[i].code);
		assert_int_equal(scrub(f, true), 0);
		expect_healed(f);
	}
}

static void bad_sectors_are_rewritten(void **state)
{
	struct scrubbed *f = *state;
	const uint64_t places[] = {
		leaf_of(f, WIDE, 3, 2) + 6 * PAGE,           leaf_of(f, WIDE, 0, 0),
		extent_offset(info_of(f, WIDE), 2),          leaf_of(f, WIDE, 5, 1),
		extent_offset(info_of(f, SPREAD), 1) - PAGE,
	};

	for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		f->watch.bad_offset = places[i];
		f->watch.bad = true;
		assert_int_equal(scrub(f, false), 0);
		assert_int_equal(f->report.repairable, 1);
		assert_int_equal(scrub(f, true), 0);
		assert_int_equal(f->report.repaired, 1);
		assert_false(f->watch.bad);
		expect_healed(f);
	}
}

/* ---- kills ---- */

static void damage_much(struct scrubbed *f)
{
	publish(f);
	erase_whole(f, WIDE, 1);
	erase_whole(f, WIDE, 6);
	noise(f, extent_offset(info_of(f, FIRST), 0), 3 * PAGE);
	noise(f, leaf_of(f, NARROW, 1, 1) + PAGE, 2 * PAGE);
	noise(f, extent_offset(info_of(f, SPREAD), 1) - PAGE, PAGE);
}

/* Scrub in a child that dies at its session call @die_at, or at f->crash_at. */
static bool scrub_and_die(struct scrubbed *f, unsigned die_at)
{
	int status;
	pid_t child;

	pool_free(f->pool); /* threads do not fork */
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		f->watch.die_at = die_at;
		if (f->crash_at[0])
			(void)setenv("BLOCKFRAME_CRASH_AT", f->crash_at, 1);
		if (pool_new(1, &f->pool, NULL) < 0)
			_exit(1);
		_exit(scrub(f, true) == 0 ? 0 : 1);
	}
	assert_int_equal(pool_new(2, &f->pool, NULL), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WIFSIGNALED(status))
		return true;
	assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 9);
	return WEXITSTATUS(status) == 9;
}

/* Every block is as it was or as it must be; and the next scrub heals the rest. */
static bool kill_once(struct scrubbed *f, unsigned die_at)
{
	uint8_t *before, *now;
	bool died;

	damage_much(f);
	before = look(f);
	died = scrub_and_die(f, die_at);
	now = look(f);
	for (size_t at = 0; at < f->image.size; at += PAGE)
		assert_true(memcmp(now + at, before + at, PAGE) == 0 ||
			    memcmp(now + at, f->image.bytes + at, PAGE) == 0);
	free(before);
	free(now);
	assert_int_equal(scrub(f, true), 0);
	expect_healed(f);
	return died;
}

static void a_kill_at_any_call_leaves_what_the_next_scrub_heals(void **state)
{
	struct scrubbed *f = *state;
	unsigned die_at = 1;

	while (kill_once(f, die_at))
		die_at++;
	assert_true(die_at > 7);
}

#ifdef TEST_HOOKS
static void a_kill_at_a_named_point_leaves_what_the_next_scrub_heals(void **state)
{
	static const char *const points[] = {
		"repair.begin",   "repair.locked",  "repair.write",
		"repair.between", "repair.written", "repair.synced",
		"scrub.known",    "scrub.pages",    "scrub.rows",
	};
	struct scrubbed *f = *state;

	for (unsigned i = 0; i < sizeof(points) / sizeof(points[0]); i++)
		for (unsigned pass = 1; pass <= 2; pass++) {
			(void)snprintf(f->crash_at, sizeof(f->crash_at), "volume.%s:%u",
				       points[i], pass);
			assert_true(kill_once(f, 0) || pass > 1);
		}
}
#endif

#define scrub_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		scrub_test(a_sound_volume_is_read_once_and_left_alone),
		scrub_test(any_single_block_is_found_and_healed),
		scrub_test(any_m_extents_may_be_erased),
		scrub_test(m_extents_and_one_more_are_a_loss_of_what_they_held),
		scrub_test(what_is_lost_leaves_as_much_as_it_did),
		scrub_test(rows_with_too_many_bad_leaves_are_decoded_by_column),
		scrub_test(tables_come_back_from_the_leaves),
		scrub_test(a_burst_of_m_extents_is_healed_wherever_it_starts),
		scrub_test(blocks_that_belong_elsewhere_are_put_right),
		scrub_test(the_beginning_of_another_volume_is_not_overwritten),
		scrub_test(pages_come_back_without_any_parity),
		scrub_test(gaps_are_made_zero_and_the_tail_is_left_alone),
		scrub_test(a_lost_record_costs_what_it_listed),
		scrub_test(a_volume_without_any_record_says_so),
		scrub_test(what_a_cut_took_is_counted_and_not_appended),
		scrub_test(stripes_can_be_left_out_and_the_scrub_stopped),
		scrub_test(a_small_budget_makes_it_slow_and_not_wrong),
		scrub_test(a_medium_that_takes_no_repair_is_told),
		scrub_test(bad_sectors_are_rewritten),
		scrub_test(a_kill_at_any_call_leaves_what_the_next_scrub_heals),
#ifdef TEST_HOOKS
		scrub_test(a_kill_at_a_named_point_leaves_what_the_next_scrub_heals),
#endif
	};

	return cmocka_run_group_tests_name("scrub", tests, NULL, NULL);
}
