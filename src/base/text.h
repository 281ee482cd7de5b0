/* SPDX-License-Identifier: MIT */
#pragma once
/* A growing string. Starts as { 0 }; a NUL stands behind the bytes once there are any.
 * Threads: one at a time.
 */
#include "base/cleanup.h"

#include <stddef.h>

struct text {
	char *data;      /* owned; NULL while nothing was appended */
	size_t size;     /* bytes, without the NUL */
	size_t capacity; /* bytes allocated */
};

/* Free the bytes; *text is { 0 } then. */
void text_done(struct text *text);

/* Owning local: autotext struct text t = { 0 }; */
#define autotext __attribute__((__cleanup__(text_done)))

/* Forget the bytes but keep the memory. */
void text_clear(struct text *text);

/* Keep the first @size bytes, at most what there are. */
void text_truncate(struct text *text, size_t size);

/* Make room for @more bytes. -ENOMEM, as all below; *text is unchanged then. */
int text_reserve(struct text *text, size_t more);

int text_append(struct text *text, const char *string);
int text_append_char(struct text *text, char c);
int text_append_bytes(struct text *text, const void *data, size_t size);
int text_appendf(struct text *text, const char *fmt, ...)
	__attribute__((__format__(__printf__, 2, 3)));

/* Append a name so that a terminal shows it and does nothing else. A harmless one is
 * appended as it is. One that is empty, starts or ends with a space, or has quotes,
 * backslashes, control, formatting or invalid characters is put between double quotes,
 * these written as \" \\ \n \t \r \xNN (each byte). */
int text_append_quoted(struct text *text, const void *data, size_t size);

/* The string, "" when empty. Borrowed until the next change. */
const char *text_string(const struct text *text);

/* Hand over the string, which the caller frees; *text is { 0 } then. NULL: no memory. */
char *text_take(struct text *text);
