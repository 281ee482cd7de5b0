/* SPDX-License-Identifier: MIT */
#include "chunker/probe.h"

#include "chunker/frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h needs the ones above. */
#include <cmocka.h>

static uint8_t content[FRAME_SIZE_MAX];

static void fill_random(uint8_t *out, size_t size)
{
	static uint64_t x = UINT64_C(0xfeedbeefcafe);

	for (size_t i = 0; i < size; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		out[i] = (uint8_t)(x * UINT64_C(0x2545f4914f6cdd1d) >> 56);
	}
}

static void fill_text(uint8_t *out, size_t size)
{
	static const char text[] =
		"It was the best of times, it was the worst of times. ";

	for (size_t i = 0; i < size; i++)
		out[i] = (uint8_t)text[i % (sizeof(text) - 1)];
}

static void random_bytes_are_not_worth_a_try(void **state)
{
	(void)state;
	for (size_t size = PROBE_SIZE_MIN; size <= sizeof(content); size += 4999) {
		fill_random(content, size);
		assert_false(probe_compressible(content, size));
	}
}

static void small_content_always_is(void **state)
{
	(void)state;
	fill_random(content, PROBE_SIZE_MIN);
	assert_true(probe_compressible(content, PROBE_SIZE_MIN - 1));
	assert_true(probe_compressible(content, 1));
}

static void text_anywhere_in_random_bytes_is_seen(void **state)
{
	const size_t run = 16 * 1024;

	(void)state;
	for (size_t at = 0; at + run <= sizeof(content); at += 5000) {
		fill_random(content, sizeof(content));
		fill_text(content + at, run);
		assert_true(probe_compressible(content, sizeof(content)));
	}
}

static void a_small_skew_everywhere_is_seen(void **state)
{
	(void)state;
	/* 200 values of 256: no window stands out, the sample does. */
	fill_random(content, sizeof(content));
	for (size_t i = 0; i < sizeof(content); i++)
		content[i] = (uint8_t)(content[i] % 200);
	assert_true(probe_compressible(content, sizeof(content)));
}

static void copies_at_any_distance_and_shift_are_seen(void **state)
{
	const size_t length = sizeof(content) / 4;

	(void)state;
	for (size_t shift = 0; shift < 130; shift += 3) {
		fill_random(content, sizeof(content));
		memcpy(content + sizeof(content) - length - shift, content + 2 * shift,
		       length);
		assert_true(probe_compressible(content, sizeof(content)));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_bytes_are_not_worth_a_try),
		cmocka_unit_test(small_content_always_is),
		cmocka_unit_test(text_anywhere_in_random_bytes_is_seen),
		cmocka_unit_test(a_small_skew_everywhere_is_seen),
		cmocka_unit_test(copies_at_any_distance_and_shift_are_seen),
	};

	return cmocka_run_group_tests_name("probe", tests, NULL, NULL);
}
