/* SPDX-License-Identifier: MIT */
#pragma once
/* Points in time and durations as text. Times are nanoseconds since 1970-01-01T00:00Z,
 * negative before; the range is 1677-09-21 to 2262-04-11. Any thread.
 */
#include <stdint.h>

#define TIMESTAMP_TEXT_MAX 48 /* bytes, NUL included */

#define NS_PER_SECOND 1000000000ull

/* ISO 8601 with nine digits: "2024-05-01T12:30:00.000000001Z". Returns @text_out. */
const char *timestamp_format_utc(int64_t time, char text_out[TIMESTAMP_TEXT_MAX]);

/* The same in the local zone: "2024-05-01T14:30:00.000000001+02:00". */
const char *timestamp_format_local(int64_t time, char text_out[TIMESTAMP_TEXT_MAX]);

/* For lists: "2024-05-01 14:30:00", local. */
const char *timestamp_format_short(int64_t time, char text_out[TIMESTAMP_TEXT_MAX]);

/* Read what the above write, and less: YYYY-MM-DD[(T| )HH:MM[:SS[.n]]][Z|+HH:MM|-HH:MM],
 * one to nine fraction digits. Without a zone, local time. -EINVAL, also for days that do
 * not exist; -ERANGE outside the range. */
int timestamp_parse(const char *text, int64_t *time_out);

/* "30d", "12h", "1d12h", "90s": whole numbers with y (365 days), w, d, h, m, s, ms, largest
 * unit first, each at most once; in nanoseconds. -EINVAL (also without unit), -ERANGE. */
int duration_parse(const char *text, uint64_t *duration_out);

/* For people: "1d12h", "3h05m", "4m09s", "12.3s", "45ms". Returns @text_out. */
const char *duration_format(uint64_t duration, char text_out[TIMESTAMP_TEXT_MAX]);
