/* SPDX-License-Identifier: MIT */
#pragma once
/* Byte counts as people write them.
 *
 * Bare letters and IEC units count in 1024 (K = KiB), SI units in 1000, as the tools of
 * this field do: 512k = 512 KiB = 524288; 3GB = 3000000000; 1.5G = 1.5 GiB. Letters
 * K M G T P E in either case, at most one space before them; no unit, or B, means bytes.
 * A fraction needs a unit and is rounded down to whole bytes.
 *
 * Pure functions, any thread.
 */
#include <stdint.h>

#define SIZE_TEXT_MAX 32 /* bytes, NUL included */

/* -EINVAL not a size, -ERANGE above UINT64_MAX. */
int size_parse(const char *text, uint64_t *size_out);

/* For people, rounded: "0 B", "1023 B", "1.5 GiB", "256 MiB". Returns @text_out. */
const char *size_format(uint64_t size, char text_out[SIZE_TEXT_MAX]);

/* Exactly, so that size_parse() gives @size back: "256MiB", "3GB", "12345". */
const char *size_format_exact(uint64_t size, char text_out[SIZE_TEXT_MAX]);

/* Bytes a second, in the 1000s that disks and networks are sold in: "310 MB/s".
 * A @duration (nanoseconds) of 0 gives "-". */
const char *format_rate(uint64_t size, uint64_t duration, char text_out[SIZE_TEXT_MAX]);
