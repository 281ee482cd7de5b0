/* SPDX-License-Identifier: MIT */
/*
 * A thin cover over the official BLAKE3 hasher, so that no other folder sees its headers.
 * struct hasher reserves room for it instead of naming its type; the size has been the same
 * in every release, and the build stops should it grow.
 */
#include "merkle/hash.h"

#include <assert.h>
#include <blake3.h>
#include <blake3_impl.h>
#include <errno.h>
#include <string.h>

static_assert(sizeof(struct hash) == BLAKE3_OUT_LEN && _Alignof(struct hash) == 1,
	      "a hash is plain bytes");
static_assert(sizeof(blake3_hasher) <= HASHER_SIZE, "raise HASHER_SIZE");
static_assert(_Alignof(blake3_hasher) <= _Alignof(struct hasher), "align struct hasher");

static const char hex_digits[] = "0123456789abcdef";

/*
 * BLAKE3 finds out what the CPU can do when first asked, into a plain variable. Asking before
 * main() keeps that from being a data race between the first threads that hash.
 */
__attribute__((constructor)) static void detect_cpu(void)
{
	(void)blake3_simd_degree();
}

void hash_bytes(const void *data, size_t size, struct hash *hash_out)
{
	struct hasher hasher;

	hasher_init(&hasher);
	hasher_update(&hasher, data, size);
	hasher_final(&hasher, hash_out);
}

bool hash_equal(const struct hash *a, const struct hash *b)
{
	return hash_compare(a, b) == 0;
}

bool hash_is_zero(const struct hash *hash)
{
	static const struct hash zero;

	return hash_equal(hash, &zero);
}

int hash_compare(const struct hash *a, const struct hash *b)
{
	return memcmp(a->bytes, b->bytes, HASH_SIZE);
}

void hash_to_hex(const struct hash *hash, char text_out[HASH_HEX_SIZE])
{
	for (size_t i = 0; i < HASH_SIZE; i++) {
		text_out[2 * i] = hex_digits[hash->bytes[i] >> 4];
		text_out[2 * i + 1] = hex_digits[hash->bytes[i] & 15];
	}
	text_out[2 * HASH_SIZE] = '\0';
}

/* Value of a lower-case hex digit, or -EINVAL. */
static int hex_value(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	if (digit >= 'a' && digit <= 'f')
		return digit - 'a' + 10;
	return -EINVAL;
}

int hash_from_hex(const char *text, struct hash *hash_out)
{
	struct hash hash;

	if (strnlen(text, HASH_HEX_SIZE) != 2 * HASH_SIZE)
		return -EINVAL;

	for (size_t i = 0; i < HASH_SIZE; i++) {
		int high = hex_value(text[2 * i]);
		int low = hex_value(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return -EINVAL;
		hash.bytes[i] = (uint8_t)(high << 4 | low);
	}

	*hash_out = hash;
	return 0;
}

void hasher_init(struct hasher *hasher)
{
	blake3_hasher_init((blake3_hasher *)hasher->state);
}

void hasher_update(struct hasher *hasher, const void *data, size_t size)
{
	blake3_hasher_update((blake3_hasher *)hasher->state, data, size);
}

void hasher_final(const struct hasher *hasher, struct hash *hash_out)
{
	blake3_hasher_finalize((const blake3_hasher *)hasher->state, hash_out->bytes,
			       HASH_SIZE);
}
