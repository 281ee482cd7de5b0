/* SPDX-License-Identifier: MIT */
/* cJSON lets pass what two readers would understand differently: bytes behind the document,
 * control characters in strings, invalid UTF-8, \u0000 (which cuts the string), numbers
 * like 01 or ones it silently truncates. So the bytes are checked here first, in one pass
 * without allocation.
 *
 * The loop alternates between two halves: take a value, which may open containers, then
 * take what may follow a value, which may close some. Open containers are one bit each
 * ("is an object") in a word, so nothing recurses.
 */
#include "base/json_check.h"

#include "base/json.h"
#include "base/utf8.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static_assert(JSON_DEPTH_MAX <= 32, "one bit for each open container");

struct cursor {
	const uint8_t *data;
	size_t size;
	size_t offset;       /* next byte */
	uint32_t objects;    /* bit n: container n is an object */
	unsigned depth;      /* open containers */
	const char *problem; /* set with -EBADMSG */
};

/* What take_value() found. */
enum { VALUE_COMPLETE = 0, VALUE_OPENED = 1 };

static int fail(struct cursor *c, const char *problem)
{
	c->problem = problem;
	return -EBADMSG;
}

/* The next byte, or -1 at the end. */
static int peek(const struct cursor *c)
{
	return c->offset < c->size ? c->data[c->offset] : -1;
}

static void skip_space(struct cursor *c)
{
	int b = peek(c);

	while (b == ' ' || b == '\t' || b == '\n' || b == '\r') {
		c->offset++;
		b = peek(c);
	}
}

static bool take(struct cursor *c, int byte)
{
	if (peek(c) != byte)
		return false;
	c->offset++;
	return true;
}

static size_t take_digits(struct cursor *c)
{
	size_t start = c->offset;

	while (peek(c) >= '0' && peek(c) <= '9')
		c->offset++;
	return c->offset - start;
}

static int take_number(struct cursor *c)
{
	size_t start = c->offset;

	(void)take(c, '-');
	if (!take(c, '0') && take_digits(c) == 0)
		return fail(c, "a number without digits");
	if (take(c, '.') && take_digits(c) == 0)
		return fail(c, "a number without digits after the point");
	if (take(c, 'e') || take(c, 'E')) {
		if (!take(c, '+'))
			(void)take(c, '-');
		if (take_digits(c) == 0)
			return fail(c, "a number without digits in the exponent");
	}
	if (c->offset - start > JSON_NUMBER_MAX)
		return fail(c, "a number that is too long");
	return 0;
}

static int take_word(struct cursor *c, const char *word)
{
	size_t size = strlen(word);

	if (c->size - c->offset < size || memcmp(c->data + c->offset, word, size) != 0)
		return fail(c, "an unknown word");
	c->offset += size;
	return 0;
}

/* Four hexadecimal digits, after "\u". */
static int take_code_unit(struct cursor *c, uint32_t *unit_out)
{
	uint32_t unit = 0;

	for (int i = 0; i < 4; i++) {
		int b = peek(c);

		if (b >= '0' && b <= '9')
			unit = unit << 4 | (uint32_t)(b - '0');
		else if ((b | 0x20) >= 'a' && (b | 0x20) <= 'f')
			unit = unit << 4 | (uint32_t)((b | 0x20) - 'a' + 10);
		else
			return fail(c, "\\u without four hexadecimal digits");
		c->offset++;
	}
	*unit_out = unit;
	return 0;
}

static int take_unicode_escape(struct cursor *c)
{
	uint32_t low = 0;
	uint32_t unit;
	int r;

	r = take_code_unit(c, &unit);
	if (r < 0)
		return r;
	if (unit == 0)
		return fail(c, "\\u0000");
	if (unit < 0xd800 || unit > 0xdfff)
		return 0;
	if (unit > 0xdbff || !take(c, '\\') || !take(c, 'u'))
		return fail(c, "half of a surrogate pair");
	r = take_code_unit(c, &low);
	if (r < 0)
		return r;
	return low >= 0xdc00 && low <= 0xdfff ? 0 : fail(c, "half of a surrogate pair");
}

/* What follows a backslash. */
static int take_escape(struct cursor *c)
{
	int b = peek(c);

	if (b <= 0 || !strchr("\"\\/bfnrtu", b))
		return fail(c, "an unknown escape");
	c->offset++;
	return b == 'u' ? take_unicode_escape(c) : 0;
}

/* What most strings are made of from end to end. */
static void skip_plain(struct cursor *c)
{
	while (c->offset < c->size) {
		uint8_t b = c->data[c->offset];

		if (b < 0x20 || b >= 0x80 || b == '"' || b == '\\')
			return;
		c->offset++;
	}
}

static int take_string(struct cursor *c)
{
	if (!take(c, '"'))
		return fail(c, "expected a string");

	for (skip_plain(c); !take(c, '"'); skip_plain(c)) {
		int b = peek(c);
		size_t n;
		int r;

		if (b < 0)
			return fail(c, "a string without end");
		if (b < 0x20)
			return fail(c, "a control character in a string");
		if (take(c, '\\')) {
			r = take_escape(c);
			if (r < 0)
				return r;
			continue;
		}
		n = utf8_decode(c->data + c->offset, c->size - c->offset, NULL);
		if (n == 0)
			return fail(c, "a string that is not UTF-8");
		c->offset += n;
	}
	return 0;
}

static bool in_object(const struct cursor *c)
{
	return c->objects >> (c->depth - 1) & 1;
}

/* A member's name and the colon. */
static int take_name(struct cursor *c)
{
	int r;

	skip_space(c);
	r = take_string(c);
	if (r < 0)
		return r;
	skip_space(c);
	return take(c, ':') ? 0 : fail(c, "expected ':'");
}

/* An object or array is beginning. When it is empty, it ends here too. */
static int take_opening(struct cursor *c, bool object)
{
	int r;

	if (c->depth == JSON_DEPTH_MAX)
		return fail(c, "nested too deeply");
	c->offset++;
	skip_space(c);
	if (take(c, object ? '}' : ']'))
		return VALUE_COMPLETE;

	c->objects &= ~(1u << c->depth);
	c->objects |= (uint32_t)object << c->depth;
	c->depth++;
	if (!object)
		return VALUE_OPENED;
	r = take_name(c);
	return r < 0 ? r : VALUE_OPENED;
}

static int take_value(struct cursor *c)
{
	skip_space(c);
	switch (peek(c)) {
	case '{':
	case '[':
		return take_opening(c, peek(c) == '{');
	case '"':
		return take_string(c);
	case 't':
		return take_word(c, "true");
	case 'f':
		return take_word(c, "false");
	case 'n':
		return take_word(c, "null");
	case '-':
	case '0' ... '9':
		return take_number(c);
	default:
		return fail(c, "expected a value");
	}
}

/* After a value: close containers, then go to the next value or to the end. */
static int take_after_value(struct cursor *c, bool *more_out)
{
	while (c->depth > 0) {
		skip_space(c);
		if (take(c, ',')) {
			*more_out = true;
			return in_object(c) ? take_name(c) : 0;
		}
		if (!take(c, in_object(c) ? '}' : ']'))
			return fail(c, in_object(c) ? "expected ',' or '}'"
						    : "expected ',' or ']'");
		c->depth--;
	}

	skip_space(c);
	*more_out = false;
	return c->offset == c->size ? 0 : fail(c, "bytes after the document");
}

static int take_document(struct cursor *c)
{
	bool more = true;
	int r;

	while (more) {
		r = take_value(c);
		if (r == VALUE_COMPLETE)
			r = take_after_value(c, &more);
		if (r < 0)
			return r;
	}
	return 0;
}

int json_check(const void *data, size_t size, struct error *err)
{
	struct cursor c = { .data = data, .size = size };
	int r;

	r = take_document(&c);
	if (r < 0)
		return error_set(err, r, "JSON, byte %zu: %s", c.offset, c.problem);
	return 0;
}
