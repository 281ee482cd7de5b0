/* SPDX-License-Identifier: MIT */
#pragma once
/* Random bytes from the kernel, fit for identifiers and keys. Any thread. */
#include <stddef.h>

struct error;

/* Fill @data. Blocks only until the kernel's generator is seeded, early at boot. */
int random_bytes(void *data, size_t size, struct error *err);
