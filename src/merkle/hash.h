/* SPDX-License-Identifier: MIT */
/*
 * BLAKE3 hashes: the value, its text form, and hashing of buffers and streams.
 *
 * What these functions compute is the root hash, as b3sum prints it. Chaining values of
 * parts of a tree have the same type and come from merkle/tree.h.
 *
 * Threads: everything here is pure; one hasher belongs to one thread at a time. Nothing
 * allocates and nothing blocks.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HASH_SIZE 32                      /* bytes */
#define HASH_HEX_SIZE (2 * HASH_SIZE + 1) /* bytes of text, NUL included */
#define HASHER_SIZE 1920                  /* bytes; hash.c checks that it suffices */

/* A BLAKE3 root hash or chaining value. Plain bytes: alignment 1, may lie in wire structs. */
struct hash {
	uint8_t bytes[HASH_SIZE];
};

/* A root hash in the making. The caller owns the storage; there is nothing to release. */
struct hasher {
	_Alignas(uint64_t) uint8_t state[HASHER_SIZE]; /* hash.c alone looks inside */
};

/* Root hash of @size bytes at @data, which may be NULL if @size is 0. */
void hash_bytes(const void *data, size_t size, struct hash *hash_out);

bool hash_equal(const struct hash *a, const struct hash *b);

/* Whether all bytes are zero, which stands for "no hash" where a format says so. */
bool hash_is_zero(const struct hash *hash);

/* Order by bytes, the first one most significant: < 0, 0 or > 0 as memcmp(). */
int hash_compare(const struct hash *a, const struct hash *b);

/* Write 64 lower-case hex digits and a NUL. */
void hash_to_hex(const struct hash *hash, char text_out[HASH_HEX_SIZE]);

/*
 * Read what hash_to_hex() writes: exactly 64 lower-case hex digits, then NUL. Returns 0, or
 * -EINVAL for anything else, @hash_out untouched.
 */
int hash_from_hex(const char *text, struct hash *hash_out);

/* Begin (or begin again) with an empty stream. */
void hasher_init(struct hasher *hasher);

/*
 * Append @size bytes at @data, which may be NULL if @size is 0. Fastest with pieces whose
 * size is a power of two of at least 16 KiB.
 */
void hasher_update(struct hasher *hasher, const void *data, size_t size);

/* Root hash of what was appended so far. The hasher is unchanged and can go on. */
void hasher_final(const struct hasher *hasher, struct hash *hash_out);
