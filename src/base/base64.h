/* SPDX-License-Identifier: MIT */
#pragma once
/* Base64, RFC 4648 section 4: padded, no line breaks. Decoding is strict, so that each
 * byte string has exactly one encoding. Pure functions, any thread.
 */
#include <stddef.h>
#include <stdint.h>

/* Characters, without the NUL, for @size bytes. */
static inline size_t base64_size(size_t size)
{
	return size / 3 * 4 + (size % 3 ? 4 : 0);
}

/* Write base64_size(@size) characters to @text_out; no NUL. */
void base64_encode(const void *data, size_t size, char *text_out);

/* Decode @size characters into a new buffer with a NUL behind it (not counted). -EINVAL
 * for anything that base64_encode() would not write, -ENOMEM. The caller frees *data_out. */
int base64_decode(const char *text, size_t size, uint8_t **data_out, size_t *size_out);
