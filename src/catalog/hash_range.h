/* SPDX-License-Identifier: MIT */
#pragma once
/* Abbreviated hashes, for this folder only. Pure function. */
#include "merkle/hash.h"

#include <stddef.h>

/* The first and the last hash that start with @hex. -EINVAL unless these are @min to 64
 * lower-case digits. */
int hash_range(const char *hex, size_t min, struct hash *low_out, struct hash *high_out);
