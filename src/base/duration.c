/* SPDX-License-Identifier: MIT */
#include "base/timestamp.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define MINUTE (60 * NS_PER_SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

static const struct {
	const char *name;
	uint64_t size; /* nanoseconds */
} units[] = {
	{ "y", 365 * DAY }, { "w", 7 * DAY },       { "d", DAY },      { "h", HOUR },
	{ "m", MINUTE },    { "s", NS_PER_SECOND }, { "ms", 1000000 },
};
#define UNIT_COUNT (sizeof(units) / sizeof(units[0]))

/* The unit from number @first on that is written at *@text, which advances; UNIT_COUNT if
 * there is none. */
static size_t take_unit(const char **text, size_t first)
{
	size_t size = strcspn(*text, "0123456789");

	for (size_t i = first; i < UNIT_COUNT; i++) {
		if (strlen(units[i].name) == size &&
		    memcmp(*text, units[i].name, size) == 0) {
			*text += size;
			return i;
		}
	}
	return UNIT_COUNT;
}

int duration_parse(const char *text, uint64_t *duration_out)
{
	uint64_t duration = 0;
	size_t first = 0;

	if (!*text)
		return -EINVAL;
	while (*text) {
		uint64_t value = 0;
		size_t unit;

		if (*text < '0' || *text > '9')
			return -EINVAL;
		for (; *text >= '0' && *text <= '9'; text++) {
			if (__builtin_mul_overflow(value, 10u, &value) ||
			    __builtin_add_overflow(value, (uint64_t)(*text - '0'),
						   &value))
				return -ERANGE;
		}
		unit = take_unit(&text, first);
		if (unit == UNIT_COUNT)
			return -EINVAL;
		if (__builtin_mul_overflow(value, units[unit].size, &value) ||
		    __builtin_add_overflow(duration, value, &duration))
			return -ERANGE;
		first = unit + 1;
	}
	*duration_out = duration;
	return 0;
}

const char *duration_format(uint64_t duration, char text_out[TIMESTAMP_TEXT_MAX])
{
	unsigned long long d = duration;

	if (d >= DAY)
		(void)snprintf(text_out, TIMESTAMP_TEXT_MAX, "%llud%lluh", d / DAY,
			       d % DAY / HOUR);
	else if (d >= HOUR)
		(void)snprintf(text_out, TIMESTAMP_TEXT_MAX, "%lluh%02llum", d / HOUR,
			       d % HOUR / MINUTE);
	else if (d >= MINUTE)
		(void)snprintf(text_out, TIMESTAMP_TEXT_MAX, "%llum%02llus", d / MINUTE,
			       d % MINUTE / NS_PER_SECOND);
	else if (d >= NS_PER_SECOND)
		(void)snprintf(text_out, TIMESTAMP_TEXT_MAX, "%llu.%llus",
			       d / NS_PER_SECOND,
			       d % NS_PER_SECOND / (NS_PER_SECOND / 10));
	else
		(void)snprintf(text_out, TIMESTAMP_TEXT_MAX, "%llums", d / 1000000);
	return text_out;
}
