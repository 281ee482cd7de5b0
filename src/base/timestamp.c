/* SPDX-License-Identifier: MIT */
/* Times are split into whole seconds, rounded towards the past, and 0 to 999,999,999
 * nanoseconds, so that what is before 1970 prints like everything else. Parsing builds a
 * struct tm, converts it and converts it back: a day that does not exist comes back as
 * another one and is refused. Local time follows TZ by localtime_r() and mktime(); where
 * a clock hour occurs twice, mktime() picks one, which is why the long formats carry the
 * offset.
 */
#include "base/timestamp.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define FRACTION_DIGITS 9

static void split(int64_t time, time_t *seconds_out, unsigned *ns_out)
{
	int64_t seconds = time / (int64_t)NS_PER_SECOND;
	int64_t ns = time % (int64_t)NS_PER_SECOND;

	if (ns < 0) {
		seconds--;
		ns += (int64_t)NS_PER_SECOND;
	}
	*seconds_out = (time_t)seconds;
	*ns_out = (unsigned)ns;
}

static const char *format_tm(const struct tm *tm, unsigned ns, const char *zone,
			     char text_out[TIMESTAMP_TEXT_MAX])
{
	char day[24];

	(void)strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", tm);
	(void)snprintf(text_out, TIMESTAMP_TEXT_MAX, "%s.%09u%s", day, ns, zone);
	return text_out;
}

const char *timestamp_format_utc(int64_t time, char text_out[TIMESTAMP_TEXT_MAX])
{
	struct tm tm = { 0 };
	time_t seconds;
	unsigned ns;

	split(time, &seconds, &ns);
	(void)gmtime_r(&seconds, &tm);
	return format_tm(&tm, ns, "Z", text_out);
}

const char *timestamp_format_local(int64_t time, char text_out[TIMESTAMP_TEXT_MAX])
{
	struct tm tm = { 0 };
	time_t seconds;
	long minutes;
	char zone[8];
	unsigned ns;

	split(time, &seconds, &ns);
	(void)localtime_r(&seconds, &tm);
	minutes = (tm.tm_gmtoff < 0 ? -tm.tm_gmtoff : tm.tm_gmtoff) / 60;
	(void)snprintf(zone, sizeof(zone), "%c%02u:%02u", tm.tm_gmtoff < 0 ? '-' : '+',
		       (unsigned)(minutes / 60) % 100, (unsigned)(minutes % 60));
	return format_tm(&tm, ns, zone, text_out);
}

const char *timestamp_format_short(int64_t time, char text_out[TIMESTAMP_TEXT_MAX])
{
	struct tm tm = { 0 };
	time_t seconds;
	unsigned ns;

	split(time, &seconds, &ns);
	(void)localtime_r(&seconds, &tm);
	(void)strftime(text_out, TIMESTAMP_TEXT_MAX, "%Y-%m-%d %H:%M:%S", &tm);
	return text_out;
}

/* Read exactly @count digits at *@text as a number up to @max and advance. */
static bool take_digits(const char **text, unsigned count, int max, int *value_out)
{
	int value = 0;

	for (; count > 0; count--, (*text)++) {
		if (**text < '0' || **text > '9')
			return false;
		value = value * 10 + (**text - '0');
	}
	*value_out = value;
	return value <= max;
}

static bool take_char(const char **text, char c)
{
	if (**text != c)
		return false;
	(*text)++;
	return true;
}

/* One to nine digits of a fraction, as nanoseconds. */
static bool take_fraction(const char **text, unsigned *ns_out)
{
	size_t count = strspn(*text, "0123456789");
	unsigned ns = 0;

	if (count == 0 || count > FRACTION_DIGITS)
		return false;
	for (size_t i = 0; i < FRACTION_DIGITS; i++)
		ns = ns * 10 + (i < count ? (unsigned)((*text)[i] - '0') : 0);
	*text += count;
	*ns_out = ns;
	return true;
}

static bool take_date(const char **text, struct tm *tm)
{
	if (!take_digits(text, 4, 9999, &tm->tm_year) || !take_char(text, '-') ||
	    !take_digits(text, 2, 12, &tm->tm_mon) || !take_char(text, '-') ||
	    !take_digits(text, 2, 31, &tm->tm_mday))
		return false;
	tm->tm_year -= 1900;
	tm->tm_mon -= 1;
	return true;
}

static bool take_time(const char **text, struct tm *tm, unsigned *ns)
{
	if (!take_digits(text, 2, 23, &tm->tm_hour) || !take_char(text, ':') ||
	    !take_digits(text, 2, 59, &tm->tm_min))
		return false;
	if (!take_char(text, ':'))
		return true;
	if (!take_digits(text, 2, 59, &tm->tm_sec))
		return false;
	return !take_char(text, '.') || take_fraction(text, ns);
}

/* "Z" or "+HH:MM", in seconds east of UTC. */
static bool take_zone(const char **text, int *offset_out)
{
	bool west = **text == '-';
	int hours;
	int minutes;

	*offset_out = 0;
	if (take_char(text, 'Z'))
		return true;
	if (!take_char(text, '+') && !take_char(text, '-'))
		return false;
	if (!take_digits(text, 2, 23, &hours) || !take_char(text, ':') ||
	    !take_digits(text, 2, 59, &minutes))
		return false;
	*offset_out = (hours * 60 + minutes) * 60 * (west ? -1 : 1);
	return true;
}

/* timegm() and mktime() accept the 31st of February; the way back shows it. Hours are not
 * compared, as mktime() moves those that the change to summer time skips. */
static bool same_day(const struct tm *a, const struct tm *b)
{
	return a->tm_year == b->tm_year && a->tm_mon == b->tm_mon &&
	       a->tm_mday == b->tm_mday;
}

int timestamp_parse(const char *text, int64_t *time_out)
{
	struct tm tm = { .tm_isdst = -1 };
	struct tm normal;
	bool zoned = false;
	unsigned ns = 0;
	int offset = 0;
	int64_t seconds;
	int64_t time;

	if (!take_date(&text, &tm))
		return -EINVAL;
	if ((take_char(&text, 'T') || take_char(&text, ' ')) &&
	    !take_time(&text, &tm, &ns))
		return -EINVAL;
	if (*text) {
		zoned = take_zone(&text, &offset);
		if (!zoned || *text)
			return -EINVAL;
	}

	normal = tm;
	seconds = zoned ? timegm(&normal) : mktime(&normal);
	if (!same_day(&tm, &normal))
		return -EINVAL;
	if (__builtin_mul_overflow(seconds - offset, (int64_t)NS_PER_SECOND, &time) ||
	    __builtin_add_overflow(time, (int64_t)ns, &time))
		return -ERANGE;
	*time_out = time;
	return 0;
}
