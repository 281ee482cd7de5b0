/* SPDX-License-Identifier: MIT */
#include "chunker/parity.h"

#include <errno.h>
#include <isa-l.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h needs the ones above. */
#include <cmocka.h>

enum {
	SHARD_MAX = PARITY_MAX_DATA + PARITY_MAX_PARITY,
	SIZE_MAX_TESTED = 4096 + 64,
};

/* A code with its shards; shard s is at bytes[s]. */
struct stripe {
	struct parity *parity;
	unsigned k;
	unsigned m;
	size_t size;
	uint8_t bytes[SHARD_MAX][SIZE_MAX_TESTED];
};

static uint64_t random_next(void)
{
	static uint64_t x = UINT64_C(0x123456789abcdef);

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x * UINT64_C(0x2545f4914f6cdd1d) >> 16;
}

/* The field by its definition, bit by bit. */
static uint8_t multiply(uint8_t a, uint8_t b)
{
	unsigned product = 0;

	for (unsigned bit = 0; bit < 8; bit++) {
		if (b >> bit & 1)
			product ^= (unsigned)a << bit;
	}
	for (unsigned bit = 15; bit >= 8; bit--) {
		if (product >> bit & 1)
			product ^= 0x11du << (bit - 8);
	}
	return (uint8_t)product;
}

static uint8_t inverse(uint8_t a)
{
	unsigned b = 1;

	while (multiply(a, (uint8_t)b) != 1)
		b++;
	return (uint8_t)b;
}

/* Random data, shards of which @zero (or NULL) says so all zero, and their parity. */
static struct stripe *stripe_new(unsigned k, unsigned m, size_t size, const bool *zero)
{
	struct stripe *stripe = calloc(1, sizeof(*stripe));
	uint8_t *accumulators[PARITY_MAX_PARITY];

	assert_non_null(stripe);
	stripe->k = k;
	stripe->m = m;
	stripe->size = size;
	assert_int_equal(parity_new(k, m, &stripe->parity, NULL), 0);
	for (unsigned i = 0; i < m; i++)
		accumulators[i] = stripe->bytes[k + i];
	for (unsigned j = 0; j < k; j++) {
		if (zero && zero[j])
			continue;
		for (size_t b = 0; b < size; b++)
			stripe->bytes[j][b] = (uint8_t)random_next();
		parity_update(stripe->parity, j, stripe->bytes[j], size, accumulators);
	}
	return stripe;
}

static void stripe_free(struct stripe *stripe)
{
	parity_free(stripe->parity);
	free(stripe);
}

/* Erase @erased and make them again. */
static void check_decode(const struct stripe *stripe, const unsigned *erased,
			 unsigned count, const bool *zero)
{
	static uint8_t made[PARITY_MAX_PARITY][SIZE_MAX_TESTED + 1];
	const uint8_t *shards[SHARD_MAX];
	uint8_t *out[PARITY_MAX_PARITY] = { NULL };

	for (unsigned s = 0; s < stripe->k + stripe->m; s++)
		shards[s] = zero && zero[s] ? NULL : stripe->bytes[s];
	for (unsigned e = 0; e < count; e++) {
		shards[erased[e]] = NULL;
		out[e] = made[e];
		memset(made[e], 0xa5, stripe->size + 1);
	}
	assert_int_equal(parity_decode(stripe->parity, shards, zero, stripe->size, erased,
				       count, out, NULL),
			 0);
	for (unsigned e = 0; e < count; e++) {
		assert_memory_equal(made[e], stripe->bytes[erased[e]], stripe->size);
		assert_int_equal(made[e][stripe->size], 0xa5);
	}
}

static unsigned check_all_patterns(unsigned k, unsigned m, size_t size)
{
	struct stripe *stripe = stripe_new(k, m, size, NULL);
	unsigned n = k + m, patterns = 0;

	for (unsigned a = 0; a < n; a++) {
		check_decode(stripe, (unsigned[]){ a }, 1, NULL);
		patterns++;
		for (unsigned b = a + 1; b < n; b++) {
			check_decode(stripe, (unsigned[]){ b, a }, 2, NULL);
			patterns++;
			for (unsigned c = b + 1; c < n; c++) {
				check_decode(stripe, (unsigned[]){ a, c, b }, 3, NULL);
				patterns++;
			}
		}
	}
	stripe_free(stripe);
	return patterns;
}

/* @count different shards below @n. */
static void choose(unsigned *chosen, unsigned count, unsigned n)
{
	unsigned shards[SHARD_MAX];

	for (unsigned s = 0; s < n; s++)
		shards[s] = s;
	for (unsigned c = 0; c < count; c++) {
		unsigned at = c + (unsigned)(random_next() % (n - c));
		unsigned taken = shards[at];

		shards[at] = shards[c];
		chosen[c] = taken;
	}
}

static void check_random_patterns(unsigned k, unsigned m, size_t size, unsigned rounds)
{
	struct stripe *stripe = stripe_new(k, m, size, NULL);

	for (unsigned round = 0; round < rounds; round++) {
		unsigned erased[PARITY_MAX_PARITY];
		unsigned count = m ? 1 + (unsigned)(random_next() % m) : 0;

		choose(erased, count, k + m);
		check_decode(stripe, erased, count, NULL);
	}
	stripe_free(stripe);
}

static void the_coefficients_are_those_of_isal_and_of_the_formula(void **state)
{
	static const unsigned shapes[][2] = {
		{ 1, 3 }, { 4, 3 }, { 30, 3 }, { 200, 16 }
	};

	(void)state;
	for (size_t s = 0; s < sizeof(shapes) / sizeof(shapes[0]); s++) {
		unsigned k = shapes[s][0], m = shapes[s][1];
		uint8_t *matrix = calloc(k + m, k);
		struct parity *parity = NULL;

		assert_non_null(matrix);
		gf_gen_cauchy1_matrix(matrix, (int)(k + m), (int)k);
		assert_int_equal(parity_new(k, m, &parity, NULL), 0);
		assert_int_equal(parity_data_count(parity), k);
		assert_int_equal(parity_parity_count(parity), m);
		for (unsigned i = 0; i < m; i++) {
			for (unsigned j = 0; j < k; j++) {
				uint8_t got = parity_coefficient(parity, i, j);

				assert_int_equal(got, matrix[(k + i) * k + j]);
				assert_int_equal(got, inverse((uint8_t)((k + i) ^ j)));
			}
		}
		parity_free(parity);
		free(matrix);
	}
}

static void every_size_and_alignment_is_encoded_by_the_formula(void **state)
{
	static uint8_t table[3][256];
	static uint8_t data[SIZE_MAX_TESTED], made[3][SIZE_MAX_TESTED];
	struct parity *parity = NULL;

	(void)state;
	assert_int_equal(parity_new(5, 3, &parity, NULL), 0);
	for (unsigned i = 0; i < 3; i++) {
		for (unsigned v = 0; v < 256; v++)
			table[i][v] =
				multiply((uint8_t)v, inverse((uint8_t)((5 + i) ^ 2)));
	}
	for (size_t b = 0; b < sizeof(data); b++)
		data[b] = (uint8_t)random_next();

	for (size_t size = 1; size <= 4096; size++) {
		size_t skew = size % 61;
		uint8_t *accumulators[3];

		for (unsigned i = 0; i < 3; i++) {
			memset(made[i], (int)(0x11 * i), sizeof(made[i]));
			accumulators[i] = made[i] + (skew + i) % 61;
		}
		parity_update(parity, 2, data + skew, size, accumulators);
		for (unsigned i = 0; i < 3; i++) {
			uint8_t before = (uint8_t)(0x11 * i);

			for (size_t b = 0; b < size; b++) {
				if (accumulators[i][b] !=
				    (before ^ table[i][data[skew + b]]))
					fail_msg("size %zu row %u byte %zu", size, i, b);
			}
			assert_int_equal(accumulators[i][size], before);
			if (accumulators[i] > made[i])
				assert_int_equal(accumulators[i][-1], before);
		}
	}
	parity_free(parity);
}

static void every_erasure_pattern_up_to_three_is_reconstructed(void **state)
{
	(void)state;
	assert_int_equal(check_all_patterns(1, 3, 70), 4 + 6 + 4);
	assert_int_equal(check_all_patterns(4, 3, 129), 7 + 21 + 35);
	assert_int_equal(check_all_patterns(30, 3, 33), 33 + 528 + 5456);
}

static void random_patterns_of_the_largest_codes_are_reconstructed(void **state)
{
	(void)state;
	check_random_patterns(200, 16, 4096, 60);
	check_random_patterns(200, 16, 100, 300);
	check_random_patterns(1, 16, 4096, 100);
	check_random_patterns(10, 1, 64, 20);
	check_random_patterns(10, 0, 64, 1);
}

static void every_size_is_decoded(void **state)
{
	(void)state;
	for (size_t size = 1; size <= 300; size++)
		check_random_patterns(6, 3, size, 2);
}

static void more_than_m_erasures_are_refused_and_nothing_is_written(void **state)
{
	static const unsigned shapes[][2] = {
		{ 1, 3 }, { 10, 0 }, { 30, 3 }, { 200, 16 }
	};

	(void)state;
	for (size_t s = 0; s < sizeof(shapes) / sizeof(shapes[0]); s++) {
		unsigned k = shapes[s][0], m = shapes[s][1];
		struct stripe *stripe = stripe_new(k, m, 64, NULL);
		const uint8_t *shards[SHARD_MAX];
		unsigned erased[PARITY_MAX_PARITY + 1];
		uint8_t made[64], before[64];
		uint8_t *out[] = { made };

		for (unsigned shard = 0; shard < k + m; shard++)
			shards[shard] = stripe->bytes[shard];
		choose(erased, m + 1, k + m);
		for (unsigned e = 0; e <= m; e++)
			shards[erased[e]] = NULL;
		memset(made, 0x5a, sizeof(made));
		memcpy(before, made, sizeof(before));
		assert_int_equal(parity_decode(stripe->parity, shards, NULL, 64, erased,
					       1, out, NULL),
				 -EBADMSG);
		assert_memory_equal(made, before, sizeof(made));
		stripe_free(stripe);
	}
}

static void shards_known_to_be_zero_take_part_without_bytes(void **state)
{
	/* A short stripe: of ten data shards the last six were never written. */
	bool zero[13] = {
		false, false, false, false, true, true, true, true, true, true
	};
	struct stripe *stripe = stripe_new(10, 3, 200, zero);

	(void)state;
	for (unsigned a = 0; a < 13; a++) {
		for (unsigned b = 0; b < a; b++) {
			for (unsigned c = 0; c < b; c++) {
				unsigned erased[] = { a, b, c };
				bool known[13];

				memcpy(known, zero, sizeof(known));
				known[a] = known[b] = known[c] = false;
				check_decode(stripe, erased, 3, known);
			}
		}
	}
	stripe_free(stripe);
}

static void a_stripe_of_zeroes_is_reconstructed_as_zeroes(void **state)
{
	bool zero[7] = { true, true, false, true, true, true, true };
	const uint8_t *shards[7] = { NULL };
	struct parity *parity = NULL;
	uint8_t made[100];
	uint8_t *out[] = { made };

	(void)state;
	memset(made, 1, sizeof(made));
	assert_int_equal(parity_new(4, 3, &parity, NULL), 0);
	assert_int_equal(parity_decode(parity, shards, zero, sizeof(made),
				       (unsigned[]){ 2 }, 1, out, NULL),
			 0);
	for (size_t b = 0; b < sizeof(made); b++)
		assert_int_equal(made[b], 0);
	parity_free(parity);
}

static void a_wanted_shard_that_is_given_is_copied(void **state)
{
	bool zero[7] = { false, true };
	struct stripe *stripe = stripe_new(4, 3, 65, zero);
	static const unsigned wanted[] = { 1, 5, 2 };
	uint8_t made[3][65];
	uint8_t *out[] = { made[0], made[1], made[2] };
	const uint8_t *shards[7];

	(void)state;
	for (unsigned s = 0; s < 7; s++)
		shards[s] = s == 2 ? NULL : stripe->bytes[s];
	memset(made, 0x77, sizeof(made));
	assert_int_equal(
		parity_decode(stripe->parity, shards, zero, 65, wanted, 3, out, NULL), 0);
	for (unsigned w = 0; w < 3; w++)
		assert_memory_equal(made[w], stripe->bytes[wanted[w]], 65);
	stripe_free(stripe);
}

static void shapes_out_of_range_are_refused(void **state)
{
	struct parity *parity = NULL;

	(void)state;
	assert_int_equal(parity_new(0, 3, &parity, NULL), -EINVAL);
	assert_int_equal(parity_new(PARITY_MAX_DATA + 1, 3, &parity, NULL), -EINVAL);
	assert_int_equal(parity_new(4, PARITY_MAX_PARITY + 1, &parity, NULL), -EINVAL);
	assert_null(parity);
	parity_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_coefficients_are_those_of_isal_and_of_the_formula),
		cmocka_unit_test(every_size_and_alignment_is_encoded_by_the_formula),
		cmocka_unit_test(every_erasure_pattern_up_to_three_is_reconstructed),
		cmocka_unit_test(random_patterns_of_the_largest_codes_are_reconstructed),
		cmocka_unit_test(every_size_is_decoded),
		cmocka_unit_test(more_than_m_erasures_are_refused_and_nothing_is_written),
		cmocka_unit_test(shards_known_to_be_zero_take_part_without_bytes),
		cmocka_unit_test(a_stripe_of_zeroes_is_reconstructed_as_zeroes),
		cmocka_unit_test(a_wanted_shard_that_is_given_is_copied),
		cmocka_unit_test(shapes_out_of_range_are_refused),
	};

	return cmocka_run_group_tests_name("parity", tests, NULL, NULL);
}
