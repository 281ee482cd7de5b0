/* SPDX-License-Identifier: MIT */
/* The chain of records is walked both ways, from anywhere. */
#include "support/backend_memory.h"
#include "support/chain_image.h"

#include "base/error.h"
#include "volume/chain.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void the_end_of_the_log_follows_the_last_record(void **state)
{
	struct image image;
	struct log_end end;

	(void)state;
	chain_image_make(&image, 1, 1);
	chain_image_end_after(&image, 3, &end);
	assert_memory_equal(end.volume.bytes, image.volume.bytes, UUID_SIZE);
	assert_int_equal(end.sequence, 4);
	assert_int_equal(end.previous_offset, image.previous_offset);
	assert_true(hash_equal(&end.previous_hash, &image.previous_hash));
	assert_int_equal(end.covered, image.records[3]->log_end);
	assert_int_equal(end.log_offset, image.log_size);
	assert_int_equal(end.stripe_number, image.next_number);
	assert_int_equal(end.own.offset, image.previous_offset);
	stripe_info_done(&end.own);
	image_done(&image);
}

static void an_undamaged_chain_is_walked_both_ways(void **state)
{
	struct image image;

	(void)state;
	chain_image_make(&image, 1, 1);
	chain_image_expect_identity(&image);
	chain_image_expect_last(&image, 3);
	chain_image_expect_walk_back(&image);
	for (size_t i = 0; i <= chain_image_last(&image); i++) {
		struct chain_visits visits = { &image, i + 1, 1, 0 };
		struct log_end end;

		chain_image_end_after(&image, i, &end);
		assert_int_equal(chain_visit_after(image.backend, &end, NULL,
						   chain_image_visit, &visits, NULL),
				 0);
		assert_int_equal(visits.count, chain_image_last(&image) - i);
		stripe_info_done(&end.own);
	}
	image_done(&image);
}

static void an_empty_catalog_sees_every_record(void **state)
{
	struct image image;
	struct chain_visits visits = { &image, 0, 1, 0 };
	struct log_end end = { .previous_offset = RECORD_OFFSET_NONE };

	(void)state;
	chain_image_make(&image, 1, 1);
	end.volume = image.volume;
	assert_int_equal(chain_visit_after(image.backend, &end, NULL, chain_image_visit,
					   &visits, NULL),
			 0);
	assert_int_equal(visits.count, image.record_count);
	image_done(&image);
}

/* More records than one trail has marks for, from the first and from one in the middle on. */
static void a_long_chain_is_walked_in_order(void **state)
{
	struct image image;
	struct log_end end;

	(void)state;
	image_init(&image, 1, 1);
	for (unsigned i = 0; i < 200; i++)
		image_add_record(&image, i ? STRIPE_COMMIT : STRIPE_HEADER, 0, 10);
	for (size_t first = 0; first < 200; first += 93) {
		struct chain_visits visits = { &image, first, 1, 0 };

		end = (struct log_end){ .volume = image.volume,
					.previous_offset = RECORD_OFFSET_NONE };
		if (first)
			chain_image_end_after(&image, first - 1, &end);
		assert_int_equal(chain_visit_after(image.backend, &end, NULL,
						   chain_image_visit, &visits, NULL),
				 0);
		assert_int_equal(visits.count, 200 - first);
		stripe_info_done(&end.own);
	}
	image_done(&image);
}

static void an_older_volume_and_a_fork_are_told_apart(void **state)
{
	struct image image, fork;
	struct log_end end;

	(void)state;
	chain_image_make(&image, 1, 1);
	chain_image_make(&fork, 1, 2);
	chain_image_end_after(&image, 3, &end);
	assert_int_equal(
		backend_memory_set(image.backend, image.bytes, end.previous_offset), 0);
	assert_int_equal(chain_visit_after(image.backend, &end, NULL, chain_image_visit,
					   NULL, NULL),
			 -ESTALE);
	assert_int_equal(chain_visit_after(fork.backend, &end, NULL, chain_image_visit,
					   NULL, NULL),
			 -EBADMSG);
	image_add_record(&fork, STRIPE_COMMIT, 0, 0);
	assert_int_equal(chain_visit_after(fork.backend, &end, NULL, chain_image_visit,
					   NULL, NULL),
			 -EBADMSG);
	stripe_info_done(&end.own);
	image_done(&image);
	image_done(&fork);
}

static int refuse(void *context, const struct record *record,
		  const struct stripe_info *own, struct error *err)
{
	size_t *count = context;

	(void)record;
	(void)own;
	++*count;
	return error_set(err, -ECANCELED, "enough");
}

static void a_visitor_ends_the_walk(void **state)
{
	struct image image;
	struct log_end end;
	size_t count = 0;

	(void)state;
	chain_image_make(&image, 1, 1);
	assert_int_equal(chain_visit_back(image.backend, &image.volume, NULL, refuse,
					  &count, NULL),
			 -ECANCELED);
	assert_int_equal(count, 1);
	chain_image_end_after(&image, 0, &end);
	assert_int_equal(
		chain_visit_after(image.backend, &end, NULL, refuse, &count, NULL),
		-ECANCELED);
	assert_int_equal(count, 2);
	stripe_info_done(&end.own);
	image_done(&image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_end_of_the_log_follows_the_last_record),
		cmocka_unit_test(an_undamaged_chain_is_walked_both_ways),
		cmocka_unit_test(an_empty_catalog_sees_every_record),
		cmocka_unit_test(a_long_chain_is_walked_in_order),
		cmocka_unit_test(an_older_volume_and_a_fork_are_told_apart),
		cmocka_unit_test(a_visitor_ends_the_walk),
	};

	return cmocka_run_group_tests_name("chain", tests, NULL, NULL);
}
