/* SPDX-License-Identifier: MIT */
#include "merkle/hash.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/*
 * The official test vectors (test_vectors.json of BLAKE3), first 32 bytes of "hash": byte i
 * of the input is i % 251.
 */
static const struct {
	size_t size;
	const char *hex;
} vectors[] = {
	{ 0, "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262" },
	{ 1, "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213" },
	{ 1023, "10108970eeda3eb932baac1428c7a2163b0e924c9a9e25b35bba72b28f70bd11" },
	{ 1024, "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7" },
	{ 1025, "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444" },
	{ 2048, "e776b6028c7cd22a4d0ba182a8bf62205d2ef576467e838ed6f2529b85fba24a" },
	{ 2049, "5f4d72f40d7a5f82b15ca2b2e44b1de3c2ef86c426c95c1af0b6879522563030" },
	{ 3072, "b98cb0ff3623be03326b373de6b9095218513e64f1ee2edd2525c7ad1e5cffd2" },
	{ 3073, "7124b49501012f81cc7f11ca069ec9226cecb8a2c850cfe644e327d22d3e1cd3" },
	{ 4096, "015094013f57a5277b59d8475c0501042c0b642e531b0a1c8f58d2163229e969" },
	{ 4097, "9b4052b38f1c5fc8b1f9ff7ac7b27cd242487b3d890d15c96a1c25b8aa0fb995" },
	{ 5120, "9cadc15fed8b5d854562b26a9536d9707cadeda9b143978f319ab34230535833" },
	{ 5121, "628bd2cb2004694adaab7bbd778a25df25c47b9d4155a55f8fbd79f2fe154cff" },
	{ 6144, "3e2e5b74e048f3add6d21faab3f83aa44d3b2278afb83b80b3c35164ebeca205" },
	{ 6145, "f1323a8631446cc50536a9f705ee5cb619424d46887f3c376c695b70e0f0507f" },
	{ 7168, "61da957ec2499a95d6b8023e2b0e604ec7f6b50e80a9678b89d2628e99ada77a" },
	{ 7169, "a003fc7a51754a9b3c7fae0367ab3d782dccf28855a03d435f8cfe74605e7817" },
	{ 8192, "aae792484c8efe4f19e2ca7d371d8c467ffb10748d8a5a1ae579948f718a2a63" },
	{ 8193, "bab6c09cb8ce8cf459261398d2e7aef35700bf488116ceb94a36d0f5f1b7bc3b" },
	{ 16384, "f875d6646de28985646f34ee13be9a576fd515f76b5b0a26bb324735041ddde4" },
	{ 31744, "62b6960e1a44bcc1eb1a611a8d6235b6b4b78f32e7abc4fb4c6cdcce94895c47" },
	{ 102400, "bc3e3d41a1146b069abffad3c0d44860cf664390afce4d9661f7902e7943e085" },
};
#define VECTOR_COUNT (sizeof(vectors) / sizeof(vectors[0]))
#define VECTOR_SIZE_MAX 102400 /* bytes */

static uint8_t input[VECTOR_SIZE_MAX];

static int fill_input(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(input); i++)
		input[i] = (uint8_t)(i % 251);
	return 0;
}

static void assert_hex(const struct hash *hash, const char *want)
{
	char hex[HASH_HEX_SIZE];

	hash_to_hex(hash, hex);
	assert_string_equal(hex, want);
}

static void a_buffer_hashes_to_the_official_vector(void **state)
{
	struct hash hash;

	(void)state;
	for (size_t i = 0; i < VECTOR_COUNT; i++) {
		hash_bytes(input, vectors[i].size, &hash);
		assert_hex(&hash, vectors[i].hex);
	}
}

static void no_bytes_need_no_buffer(void **state)
{
	struct hasher hasher;
	struct hash hash;

	(void)state;
	hash_bytes(NULL, 0, &hash);
	assert_hex(&hash, vectors[0].hex);

	hasher_init(&hasher);
	hasher_update(&hasher, NULL, 0);
	hasher_final(&hasher, &hash);
	assert_hex(&hash, vectors[0].hex);
}

static void hash_in_pieces(size_t size, size_t piece_size, struct hash *hash_out)
{
	struct hasher hasher;

	hasher_init(&hasher);
	for (size_t offset = 0; offset < size; offset += piece_size) {
		size_t left = size - offset;

		hasher_update(&hasher, input + offset,
			      left < piece_size ? left : piece_size);
	}
	hasher_final(&hasher, hash_out);
}

static void a_stream_hashes_alike_in_any_pieces(void **state)
{
	static const size_t piece_sizes[] = { 1, 63, 64, 1000, 1024, 4099, 65536 };
	struct hash hash;

	(void)state;
	for (size_t p = 0; p < sizeof(piece_sizes) / sizeof(piece_sizes[0]); p++) {
		for (size_t i = 0; i < VECTOR_COUNT; i++) {
			hash_in_pieces(vectors[i].size, piece_sizes[p], &hash);
			assert_hex(&hash, vectors[i].hex);
		}
	}
}

static void a_hasher_goes_on_after_its_hash_was_taken(void **state)
{
	struct hasher hasher;
	struct hash hash;

	(void)state;
	hasher_init(&hasher);
	for (size_t i = 1; i < VECTOR_COUNT; i++) {
		size_t before = vectors[i - 1].size;

		hasher_update(&hasher, input + before, vectors[i].size - before);
		hasher_final(&hasher, &hash);
		assert_hex(&hash, vectors[i].hex);
	}
}

static void a_hasher_can_begin_again(void **state)
{
	struct hasher hasher;
	struct hash hash;

	(void)state;
	hasher_init(&hasher);
	hasher_update(&hasher, input, 5000);
	hasher_init(&hasher);
	hasher_update(&hasher, input, vectors[1].size);
	hasher_final(&hasher, &hash);
	assert_hex(&hash, vectors[1].hex);
}

static void hashes_compare_as_bytes(void **state)
{
	struct hash a = { { 0 } };
	struct hash b = { { 0 } };

	(void)state;
	assert_true(hash_is_zero(&a));
	assert_true(hash_equal(&a, &b));
	assert_int_equal(hash_compare(&a, &b), 0);

	for (size_t i = 0; i < HASH_SIZE; i++) {
		memset(&b, 0, sizeof(b));
		b.bytes[i] = 0x80;
		assert_false(hash_is_zero(&b));
		assert_false(hash_equal(&a, &b));
		assert_true(hash_compare(&a, &b) < 0);
		assert_true(hash_compare(&b, &a) > 0);
	}

	a.bytes[0] = 1;
	b.bytes[0] = 0;
	assert_true(hash_compare(&a, &b) > 0);
}

static void hex_text_reads_back(void **state)
{
	char hex[HASH_HEX_SIZE];
	struct hash hash;
	struct hash again;

	(void)state;
	for (size_t i = 0; i < HASH_SIZE; i++)
		hash.bytes[i] = (uint8_t)(i * 0x25 + 3);
	hash_to_hex(&hash, hex);
	assert_int_equal(strlen(hex), 64);
	assert_int_equal(hash_from_hex(hex, &again), 0);
	assert_memory_equal(&again, &hash, sizeof(hash));

	assert_int_equal(hash_from_hex(vectors[0].hex, &again), 0);
	assert_int_equal(again.bytes[0], 0xaf);
	assert_int_equal(again.bytes[31], 0x62);
}

/* @text must be refused and the output left alone. */
static void assert_refused(const char *text)
{
	struct hash hash;
	struct hash before;

	memset(&hash, 0x5a, sizeof(hash));
	before = hash;
	assert_int_equal(hash_from_hex(text, &hash), -EINVAL);
	assert_memory_equal(&hash, &before, sizeof(hash));
}

static void hex_text_of_another_length_is_refused(void **state)
{
	(void)state;
	for (size_t n = 0; n <= 66; n++) {
		/* Of exactly the right size, so that a sanitizer sees reading beyond it. */
		char *text = calloc(1, n + 1);

		assert_non_null(text);
		memset(text, 'a', n);
		if (n != 64)
			assert_refused(text);
		free(text);
	}
}

static void any_other_character_in_hex_text_is_refused(void **state)
{
	static const char bad[] = "ABFGg/:`@ \t\n-x\x80\xff";
	char text[HASH_HEX_SIZE];

	(void)state;
	for (size_t i = 0; i < 64; i++) {
		for (size_t b = 0; b < sizeof(bad) - 1; b++) {
			memcpy(text, vectors[0].hex, sizeof(text));
			text[i] = bad[b];
			assert_refused(text);
		}
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_buffer_hashes_to_the_official_vector),
		cmocka_unit_test(no_bytes_need_no_buffer),
		cmocka_unit_test(a_stream_hashes_alike_in_any_pieces),
		cmocka_unit_test(a_hasher_goes_on_after_its_hash_was_taken),
		cmocka_unit_test(a_hasher_can_begin_again),
		cmocka_unit_test(hashes_compare_as_bytes),
		cmocka_unit_test(hex_text_reads_back),
		cmocka_unit_test(hex_text_of_another_length_is_refused),
		cmocka_unit_test(any_other_character_in_hex_text_is_refused),
	};

	return cmocka_run_group_tests(tests, fill_input, NULL);
}
