/* SPDX-License-Identifier: MIT */
#include "support/scrubbed_volume.h"

#include "base/budget.h"
#include "base/error.h"
#include "base/file.h"
#include "base/pool.h"
#include "volume/stripe_view.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define MEMORY (UINT64_C(256) << 20)

void publish(struct scrubbed *f)
{
	assert_int_equal(ftruncate(f->fd, 0), 0);
	assert_int_equal(pwrite_full(f->fd, f->image.bytes, f->image.size, 0), 0);
}

int scrubbed_setup(void **state)
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
	(void)snprintf(f->path, sizeof(f->path), "scrubbed.XXXXXX");
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

int scrubbed_teardown(void **state)
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

	assert_true(f->finding_count < SCRUBBED_FINDINGS_MAX);
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

int scrub(struct scrubbed *f, bool repair)
{
	const struct scrub_options options = {
		.backend = f->backend,
		.volume = f->image.volume,
		.pool = f->pool,
		.budget = f->budget,
		.repair = repair,
		.one_pass = f->one_pass,
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

void noise(struct scrubbed *f, uint64_t offset, size_t size)
{
	uint8_t *bytes = malloc(size);

	assert_non_null(bytes);
	fill_random(bytes, size, offset + 77);
	assert_int_equal(pwrite_full(f->fd, bytes, size, offset), 0);
	free(bytes);
}

const struct stripe_info *info_of(const struct scrubbed *f, unsigned stripe)
{
	return &f->image.stripes[stripe];
}

uint64_t leaf_of(const struct scrubbed *f, unsigned stripe, unsigned extent, unsigned row)
{
	const struct stripe_info *info = info_of(f, stripe);

	return entry_offset(info, extent, row_entry(info, extent, row));
}

uint8_t *look(const struct scrubbed *f)
{
	uint8_t *bytes = malloc(f->image.size);

	assert_non_null(bytes);
	assert_int_equal(pread_full(f->fd, bytes, f->image.size, 0, NULL), 0);
	return bytes;
}

void expect_bytes(const struct scrubbed *f, const uint8_t *want)
{
	uint8_t *bytes = look(f);

	for (size_t at = 0; at < f->image.size; at += PAGE)
		if (memcmp(bytes + at, want + at, PAGE) != 0)
			fail_msg("block %zu is not what it should be", at / PAGE);
	free(bytes);
}

void expect_healed(const struct scrubbed *f)
{
	expect_bytes(f, f->image.bytes);
}

static uint64_t sum(const struct scrub_report *report)
{
	return report->repairable + report->repaired + report->not_written + report->lost;
}

void expect_repair(struct scrubbed *f)
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

void erase_whole(struct scrubbed *f, unsigned stripe, unsigned extent)
{
	const struct stripe_info *info = info_of(f, stripe);
	uint64_t end = extent + 1 < stripe_extent_count(info)
			       ? extent_offset(info, extent + 1)
			       : info->offset + stripe_physical_size(info);
	uint64_t start = extent_offset(info, extent);

	noise(f, start, (size_t)(end - start));
}
