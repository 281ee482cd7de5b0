/* SPDX-License-Identifier: MIT */
#pragma once
/* Types of content by the ends of names. Pure, any thread. */
#include <stdbool.h>
#include <stddef.h>

struct mime {
	const char *type;
	bool active; /* a browser would run what is in it */
};

/* application/octet-stream if the name tells nothing. Borrowed, constant. */
const struct mime *mime_find(const void *name, size_t size);
