/* SPDX-License-Identifier: MIT */
#include "mount/inode.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka.h needs the ones above. */
#include <cmocka.h>

static uint64_t encode(const struct inode *inode)
{
	uint64_t number = 0;

	assert_int_equal(inode_encode(inode, &number), 0);
	return number;
}

static void every_inode_comes_back(void **state)
{
	static const int64_t nodes[] = { 0, 1, 77, INODE_NODE_MAX };
	static const uint32_t numbers[] = { 0, 1, INODE_NUMBER_MAX };

	(void)state;
	for (unsigned kind = INODE_LIVE; kind <= INODE_SPECIAL; kind++)
		for (unsigned epoch = 0; epoch <= INODE_EPOCH_MAX; epoch++)
			for (size_t i = 0; i < 12; i++) {
				struct inode inode = {
					.epoch = epoch,
					.kind = (enum inode_kind)kind,
					.number = numbers[i % 3],
					.node = nodes[i / 3],
				};
				struct inode got;

				if (kind == INODE_LIVE || kind == INODE_VERSIONS)
					inode.number = 0;
				if (kind == INODE_LIVE && inode.node == 0)
					inode.epoch = 0;
				assert_true(inode_decode(encode(&inode), &got));
				assert_int_equal(got.epoch, inode.epoch);
				assert_int_equal(got.kind, inode.kind);
				assert_int_equal(got.number, inode.number);
				assert_int_equal(got.node, inode.node);
			}
}

static void the_top_is_fuses_root_in_every_epoch(void **state)
{
	const struct inode top = { .kind = INODE_LIVE, .epoch = 7 };
	struct inode got;

	(void)state;
	assert_int_equal(encode(&top), INODE_ROOT);
	assert_true(inode_decode(INODE_ROOT, &got));
	assert_int_equal(got.kind, INODE_LIVE);
	assert_int_equal(got.node, 0);
}

static void what_does_not_fit_is_refused(void **state)
{
	uint64_t number = 5;

	(void)state;
	assert_int_equal(
		inode_encode(&(struct inode){ .node = INODE_NODE_MAX + 1 }, &number),
		-EOVERFLOW);
	assert_int_equal(inode_encode(&(struct inode){ .node = -1 }, &number),
			 -EOVERFLOW);
	assert_int_equal(inode_encode(&(struct inode){ .kind = INODE_VERSION,
						       .number = INODE_NUMBER_MAX + 1 },
				      &number),
			 -EOVERFLOW);
	assert_int_equal(
		inode_encode(&(struct inode){ .epoch = INODE_EPOCH_MAX + 1 }, &number),
		-EOVERFLOW);
	assert_int_equal(number, 5);
}

static void numbers_that_no_inode_has_are_refused(void **state)
{
	struct inode got;

	(void)state;
	assert_false(inode_decode(0, &got));
	assert_false(inode_decode(UINT64_C(7) << 56, &got));     /* no node */
	assert_false(inode_decode(UINT64_C(5) << 56 | 1, &got)); /* no such kind */
	assert_false(
		inode_decode(UINT64_C(1) << 34 | 1, &got)); /* a live folder's version */
	assert_false(inode_decode(UINT64_MAX, &got));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_inode_comes_back),
		cmocka_unit_test(the_top_is_fuses_root_in_every_epoch),
		cmocka_unit_test(what_does_not_fit_is_refused),
		cmocka_unit_test(numbers_that_no_inode_has_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
