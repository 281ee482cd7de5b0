/* SPDX-License-Identifier: MIT */
/* The order of RFC 9110, 13.2.2: If-Match, or else If-Unmodified-Since; If-None-Match, or
 * else If-Modified-Since. A date that is none does not count.
 *
 * Ranges are put together by clients, so for If-Range a weak tag never matches, and a date
 * only if it is the very one that was given out. */
#include "serve/http_condition.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char days[7][10] = { "Sunday",   "Monday", "Tuesday", "Wednesday",
				  "Thursday", "Friday", "Saturday" };
static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
				    "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };

int http_date_format(int64_t seconds, char text_out[HTTP_DATE_MAX])
{
	time_t time = (time_t)seconds;
	struct tm tm = { 0 };

	if (!gmtime_r(&time, &tm) || tm.tm_year < 1 - 1900 || tm.tm_year > 9999 - 1900)
		return -ERANGE;
	(void)snprintf(text_out, HTTP_DATE_MAX, "%.3s, %02u %s %04u %02u:%02u:%02u GMT",
		       days[tm.tm_wday % 7], (unsigned)tm.tm_mday % 100,
		       months[tm.tm_mon % 12], (unsigned)(tm.tm_year + 1900) % 10000,
		       (unsigned)tm.tm_hour % 100, (unsigned)tm.tm_min % 100,
		       (unsigned)tm.tm_sec % 100);
	return 0;
}

/* What follows reads parts of a date at *c and steps over them. */

static bool read_literal(const char **c, const char *literal)
{
	size_t size = strlen(literal);

	if (strncmp(*c, literal, size) != 0)
		return false;
	*c += size;
	return true;
}

static bool read_digits(const char **c, unsigned count, int *value_out)
{
	int value = 0;

	for (unsigned i = 0; i < count; i++) {
		if (!isdigit((unsigned char)**c))
			return false;
		value = value * 10 + (*(*c)++ - '0');
	}
	*value_out = value;
	return true;
}

/* "Sunday", or with @size 3 "Sun". Which day it is does not matter. */
static bool read_day_name(const char **c, bool whole)
{
	for (unsigned i = 0; i < 7; i++) {
		size_t size = whole ? strlen(days[i]) : 3;

		if (strncmp(*c, days[i], size) == 0) {
			*c += size;
			return true;
		}
	}
	return false;
}

static bool read_month(const char **c, int *month_out)
{
	for (int i = 0; i < 12; i++)
		if (read_literal(c, months[i])) {
			*month_out = i;
			return true;
		}
	return false;
}

static bool read_time(const char **c, struct tm *tm)
{
	return read_digits(c, 2, &tm->tm_hour) && read_literal(c, ":") &&
	       read_digits(c, 2, &tm->tm_min) && read_literal(c, ":") &&
	       read_digits(c, 2, &tm->tm_sec);
}

/* "Sun, 06 Nov 1994 08:49:37 GMT" */
static bool read_fixed(const char *c, struct tm *tm)
{
	return read_day_name(&c, false) && read_literal(&c, ", ") &&
	       read_digits(&c, 2, &tm->tm_mday) && read_literal(&c, " ") &&
	       read_month(&c, &tm->tm_mon) && read_literal(&c, " ") &&
	       read_digits(&c, 4, &tm->tm_year) && read_literal(&c, " ") &&
	       read_time(&c, tm) && read_literal(&c, " GMT") && !*c;
}

/* "Sunday, 06-Nov-94 08:49:37 GMT". Two digits from 70 on are of the last century. */
static bool read_rfc850(const char *c, struct tm *tm)
{
	bool ok = read_day_name(&c, true) && read_literal(&c, ", ") &&
		  read_digits(&c, 2, &tm->tm_mday) && read_literal(&c, "-") &&
		  read_month(&c, &tm->tm_mon) && read_literal(&c, "-") &&
		  read_digits(&c, 2, &tm->tm_year) && read_literal(&c, " ") &&
		  read_time(&c, tm) && read_literal(&c, " GMT") && !*c;

	tm->tm_year += tm->tm_year < 70 ? 2000 : 1900;
	return ok;
}

/* "Sun Nov  6 08:49:37 1994" */
static bool read_asctime(const char *c, struct tm *tm)
{
	return read_day_name(&c, false) && read_literal(&c, " ") &&
	       read_month(&c, &tm->tm_mon) && read_literal(&c, " ") &&
	       read_digits(&c, read_literal(&c, " ") ? 1 : 2, &tm->tm_mday) &&
	       read_literal(&c, " ") && read_time(&c, tm) && read_literal(&c, " ") &&
	       read_digits(&c, 4, &tm->tm_year) && !*c;
}

/* A day that does not exist comes back from the calendar as another one. */
static bool exists(const struct tm *tm)
{
	struct tm copy = *tm;

	copy.tm_sec = 0;
	(void)timegm(&copy);
	return tm->tm_hour < 24 && tm->tm_min < 60 && tm->tm_sec <= 60 &&
	       copy.tm_mday == tm->tm_mday;
}

int http_date_parse(const char *text, int64_t *seconds_out)
{
	struct tm tm = { 0 };

	if (!read_fixed(text, &tm) && !read_rfc850(text, &tm) && !read_asctime(text, &tm))
		return -EINVAL;
	tm.tm_year -= 1900;
	if (!exists(&tm))
		return -EINVAL;
	*seconds_out = timegm(&tm);
	return 0;
}

/* Whether the list @text of tags has @etag, or is "*". @weak: W/"x" is as good as "x". */
static bool list_has(const char *text, const char *etag, bool weak)
{
	size_t size = etag ? strlen(etag) : 0;

	text += strspn(text, " \t");
	if (strcmp(text, "*") == 0)
		return true;
	while (*text) {
		bool is_weak;
		const char *end;

		text += strspn(text, " \t,");
		is_weak = strncmp(text, "W/", 2) == 0;
		text += is_weak ? 2 : 0;
		end = *text == '"' ? strchr(text + 1, '"') : NULL;
		if (!end)
			return false;
		end++;
		if (size > 0 && (size_t)(end - text) == size &&
		    memcmp(text, etag, size) == 0 && (weak || !is_weak))
			return true;
		text = end;
	}
	return false;
}

/* Whether it was changed after the date @text; @fallback if that can't be told. */
static bool modified_after(const char *text, const struct http_validators *validators,
			   bool fallback)
{
	int64_t seconds;

	if (!validators->has_modified || http_date_parse(text, &seconds) < 0)
		return fallback;
	return validators->modified > seconds;
}

enum http_condition http_condition_check(const struct http_conditions *conditions,
					 const struct http_validators *validators)
{
	if (conditions->if_match) {
		if (!list_has(conditions->if_match, validators->etag, false))
			return HTTP_CONDITION_FAILED;
	} else if (conditions->if_unmodified_since) {
		if (modified_after(conditions->if_unmodified_since, validators, false))
			return HTTP_CONDITION_FAILED;
	}
	if (conditions->if_none_match) {
		if (list_has(conditions->if_none_match, validators->etag, true))
			return HTTP_CONDITION_NOT_MODIFIED;
	} else if (conditions->if_modified_since) {
		if (!modified_after(conditions->if_modified_since, validators, true))
			return HTTP_CONDITION_NOT_MODIFIED;
	}
	return HTTP_CONDITION_HOLDS;
}

bool http_condition_allows_range(const struct http_conditions *conditions,
				 const struct http_validators *validators)
{
	const char *text = conditions->if_range;
	int64_t seconds;

	if (!text)
		return true;
	if (text[0] == '"')
		return validators->etag && strcmp(text, validators->etag) == 0;
	return validators->has_modified && http_date_parse(text, &seconds) == 0 &&
	       seconds == validators->modified;
}
