/* SPDX-License-Identifier: MIT */
#pragma once
/* Canonical decimal integers: no sign but '-', no leading zero, no space, nothing behind.
 * Each number has exactly one text. Pure functions, any thread.
 */
#include <stddef.h>
#include <stdint.h>

#define NUMBER_TEXT_MAX 21 /* bytes for any 64-bit number, NUL included */

/* Read the whole of @text. -EINVAL not canonical, -ERANGE too large. */
int number_parse_u64(const char *text, uint64_t *value_out);
int number_parse_i64(const char *text, int64_t *value_out);

/* Write @value with a NUL to @text_out. Returns the characters, without the NUL. */
size_t number_format_u64(uint64_t value, char text_out[NUMBER_TEXT_MAX]);
size_t number_format_i64(int64_t value, char text_out[NUMBER_TEXT_MAX]);
