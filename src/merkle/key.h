/* SPDX-License-Identifier: MIT */
#pragma once
/* Keys: the names of entries. A key is the components of a path, from the top of the archive
 * down, joined by a zero byte (docs/format.md 7.2). Keys sort as byte strings, which puts a
 * folder directly before everything in it. Pure functions, any thread.
 */
#include "base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;

#define MANIFEST_KEY_MAX 4096u /* bytes */
#define KEY_COMPONENT_MAX 255u /* bytes */

/* Bytes that may hold anything. */
struct bytes {
	uint8_t *data; /* owned; NULL if size is 0 */
	size_t size;
};

/* Order of the tree: < 0, 0 or > 0. */
int key_compare(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size);

/* Whether it has 1 to MANIFEST_KEY_MAX bytes, and components of 1 to KEY_COMPONENT_MAX bytes
 * without '/' that are neither "." nor "..". */
bool key_valid(const uint8_t *key, size_t size);

/* Bytes of the last component, which ends the key. */
size_t key_name_size(const uint8_t *key, size_t size);

/* The key of a path with '/' between its components and nowhere else. -EINVAL if the path
 * gives no valid key, -ENOMEM. The caller frees key_out->data. */
int key_from_path(const char *path, struct bytes *key_out, struct error *err);

/* The path of a key, NUL-terminated, "" for an empty key. -ENOMEM. The caller frees it. */
int key_to_path(const uint8_t *key, size_t size, char **path_out);
