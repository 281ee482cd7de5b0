/* SPDX-License-Identifier: MIT */
#pragma once
/* Bytes as lower-case hexadecimal digits. Pure functions, any thread. */
#include <stddef.h>

/* Write 2 * @size digits and a NUL to @text_out. */
void hex_encode(const void *data, size_t size, char *text_out);

/* Read exactly 2 * @size lower-case digits, then the end of the string. -EINVAL otherwise,
 * with @data_out untouched. */
int hex_decode(const char *text, void *data_out, size_t size);
