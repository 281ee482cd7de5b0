/* SPDX-License-Identifier: MIT */
/* Who gets repairs written back: openers that ask for it, unless the settings forbid it. */
#include "support/archive_fixture.h"

#include "archive/archive.h"
#include "archive/volume_set.h"
#include "base/file.h"
#include "volume/backend.h"
#include "volume/chain.h"
#include "volume/stripe_view.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define FILE_SIZE 100000u /* bytes */
#define SEED 7u

static int setup(void **state)
{
	const struct fixture_commit commit = { .count = 1,
					       .size = FILE_SIZE,
					       .seed = SEED };

	(void)archive_fixture_setup(state);
	archive_fixture_must_create(*state);
	archive_fixture_must_commit(*state, &commit);
	return 0;
}

static struct uuid identify(const char *path)
{
	autoptr(backend) backend = NULL;
	struct uuid uuid;

	assert_int_equal(backend_file_open(AT_FDCWD, path, 0, &backend, NULL), 0);
	assert_int_equal(chain_identify(backend, &uuid, NULL), 0);
	return uuid;
}

/* Change a byte in the first leaf of each data stripe of the only volume, or change it back. */
static void flip(struct archive_fixture *f)
{
	const char *path = archive_fixture_volume(f, 0);
	struct uuid uuid = identify(path);
	autoclose int fd = open(path, O_RDWR | O_CLOEXEC);
	autoptr(archive) archive = NULL;
	struct stripe_info stripe;
	uint64_t at = 0;

	assert_true(fd >= 0);
	assert_int_equal(archive_fixture_open(f, false, &archive), 0);
	while (volume_set_find_stripe(archive_volumes(archive), &uuid, at, &stripe,
				      NULL) == 0) {
		uint64_t offset = entry_offset(&stripe, 0, 0) + 4321;
		uint8_t byte;

		at = stripe.log_start + stripe_log_size(&stripe);
		if (stripe.kind == STRIPE_DATA) {
			assert_int_equal(pread_full(fd, &byte, 1, offset, NULL), 0);
			byte ^= 0x40;
			assert_int_equal(pwrite_full(fd, &byte, 1, offset), 0);
		}
		stripe_info_done(&stripe);
	}
	assert_true(at > 0);
}

struct told {
	unsigned written, off, others;
};

static void count(void *context, const struct repair_event *event)
{
	struct told *told = context;

	if (event->outcome == REPAIR_WRITTEN)
		told->written++;
	else if (event->outcome == REPAIR_OFF)
		told->off++;
	else
		told->others++;
}

/* Open as told, read the file, and return how many bytes of the volume changed by that. */
static size_t changed_by_reading(struct archive_fixture *f, bool write_back,
				 struct told *told)
{
	const struct archive_options options = {
		.directory = f->directory,
		.config = &f->config,
		.write_back = write_back,
		.observer = { .event = told ? count : NULL, .context = told },
	};
	autoptr(archive) archive = NULL;
	autofree uint8_t *before = NULL;
	autofree uint8_t *after = NULL;
	const char *path = archive_fixture_volume(f, 0);
	size_t size, size_after, changed = 0;

	assert_int_equal(file_read_all(AT_FDCWD, path, 1 << 30, &before, &size, NULL), 0);
	assert_int_equal(archive_open(&options, &archive, &f->err), 0);
	assert_int_equal(archive_fixture_read(archive, 0, FILE_SIZE, SEED), 0);
	assert_int_equal(
		file_read_all(AT_FDCWD, path, 1 << 30, &after, &size_after, NULL), 0);
	assert_int_equal(size, size_after);
	for (size_t i = 0; i < size; i++)
		changed += before[i] != after[i];
	return changed;
}

static void who_does_not_ask_writes_nothing(void **state)
{
	struct told told = { 0 };

	flip(*state);
	assert_int_equal(changed_by_reading(*state, false, NULL), 0);
	assert_int_equal(changed_by_reading(*state, false, &told), 0);
	assert_true(told.off > 0);
	assert_int_equal(told.written + told.others, 0);
}

static void who_asks_heals_what_it_reads(void **state)
{
	struct told told = { 0 };
	size_t changed;

	flip(*state);
	changed = changed_by_reading(*state, true, &told);
	assert_true(changed > 0);
	assert_int_equal(told.written, changed);
	assert_int_equal(told.off + told.others, 0);
	assert_int_equal(changed_by_reading(*state, true, &told), 0);
	assert_int_equal(told.written, changed); /* there was nothing more to tell */
}

static void the_settings_forbid_it(void **state)
{
	struct archive_fixture *f = *state;
	struct told told = { 0 };

	f->config.repair.write_back = CONFIG_WRITE_BACK_OFF;
	flip(f);
	assert_int_equal(changed_by_reading(f, true, &told), 0);
	assert_true(told.off > 0);
	assert_int_equal(told.written + told.others, 0);
}

static void nobody_need_listen(void **state)
{
	flip(*state);
	assert_true(changed_by_reading(*state, true, NULL) > 0);
	assert_int_equal(changed_by_reading(*state, true, NULL), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, archive_fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(who_does_not_ask_writes_nothing),
		CASE(who_asks_heals_what_it_reads),
		CASE(the_settings_forbid_it),
		CASE(nobody_need_listen),
	};

	return cmocka_run_group_tests_name("write_back_option", tests, NULL, NULL);
}
