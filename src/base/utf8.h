/* SPDX-License-Identifier: MIT */
#pragma once
/* UTF-8 as RFC 3629 defines it: no overlong forms, no surrogates, nothing above U+10FFFF.
 * U+0000 is a valid character here. Pure functions, any thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UTF8_SEQUENCE_MAX 4 /* bytes */

/* Bytes (1 to 4) of the character that starts at @data, 0 if it is invalid, truncated or
 * @size is 0. *code_out (may be NULL) gets the code point. */
size_t utf8_decode(const void *data, size_t size, uint32_t *code_out);

bool utf8_valid(const void *data, size_t size);

/* Valid and without a NUL: what a JSON string of this project may hold. */
bool utf8_is_text(const void *data, size_t size);

/* Bytes of the character at @data when a terminal can show it and does nothing else with
 * it; 0 for control, invisible and direction-changing characters, and for invalid bytes. */
size_t utf8_printable(const void *data, size_t size);
