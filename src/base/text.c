/* SPDX-License-Identifier: MIT */
#include "base/text.h"

#include "base/utf8.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>

#define FIRST_CAPACITY 64 /* bytes */

void text_done(struct text *text)
{
	free(text->data);
	*text = (struct text){ 0 };
}

void text_clear(struct text *text)
{
	text_truncate(text, 0);
}

void text_truncate(struct text *text, size_t size)
{
	if (size >= text->size)
		return;
	text->size = size;
	text->data[size] = 0;
}

int text_reserve(struct text *text, size_t more)
{
	size_t capacity = text->capacity ? text->capacity : FIRST_CAPACITY;
	size_t wanted;
	char *data;

	if (__builtin_add_overflow(text->size, more, &wanted) || wanted > SIZE_MAX / 4)
		return -ENOMEM;
	if (wanted < text->capacity)
		return 0;
	while (capacity <= wanted)
		capacity *= 2;

	data = realloc(text->data, capacity);
	if (!data)
		return -ENOMEM;
	if (!text->data)
		data[0] = 0;
	text->data = data;
	text->capacity = capacity;
	return 0;
}

int text_append_bytes(struct text *text, const void *data, size_t size)
{
	int r;

	r = text_reserve(text, size);
	if (r < 0)
		return r;
	if (size > 0)
		memcpy(text->data + text->size, data, size);
	text->size += size;
	text->data[text->size] = 0;
	return 0;
}

int text_append(struct text *text, const char *string)
{
	return text_append_bytes(text, string, strlen(string));
}

int text_append_char(struct text *text, char c)
{
	return text_append_bytes(text, &c, 1);
}

int text_appendf(struct text *text, const char *fmt, ...)
{
	va_list ap;
	int n;
	int r;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return -ENOMEM;
	r = text_reserve(text, (size_t)n);
	if (r < 0)
		return r;

	va_start(ap, fmt);
	(void)vsnprintf(text->data + text->size, (size_t)n + 1, fmt, ap);
	va_end(ap);
	text->size += (size_t)n;
	return 0;
}

/* Whether a name needs no quotes: printable throughout, and nothing in it that would make
 * its ends or the quoting itself doubtful. */
static bool is_harmless(const char *name, size_t size)
{
	size_t i = 0;

	if (size == 0 || name[0] == ' ' || name[size - 1] == ' ')
		return false;
	while (i < size) {
		size_t n = utf8_printable(name + i, size - i);

		if (n == 0 || name[i] == '"' || name[i] == '\\')
			return false;
		i += n;
	}
	return true;
}

/* The letter that escapes @c behind a backslash, 0 if there is none. */
static char escape_letter(char c)
{
	switch (c) {
	case '\n':
		return 'n';
	case '\t':
		return 't';
	case '\r':
		return 'r';
	case '"':
	case '\\':
		return c;
	default:
		return 0;
	}
}

/* Append the character or byte at @name, escaped if need be. Returns the bytes of @name
 * used up, or a negative error. */
static ssize_t append_one_quoted(struct text *text, const char *name, size_t size)
{
	char letter = escape_letter(name[0]);
	uint32_t code;
	size_t n;
	int r;

	if (letter) {
		r = text_append_bytes(text, (const char[]){ '\\', letter }, 2);
		return r < 0 ? r : 1;
	}
	n = utf8_printable(name, size);
	if (n > 0) {
		r = text_append_bytes(text, name, n);
		return r < 0 ? r : (ssize_t)n;
	}
	n = utf8_decode(name, size, &code);
	if (n == 0)
		n = 1;
	for (size_t i = 0; i < n; i++) {
		r = text_appendf(text, "\\x%02x", (unsigned char)name[i]);
		if (r < 0)
			return r;
	}
	return (ssize_t)n;
}

static int append_between_quotes(struct text *text, const char *name, size_t size)
{
	size_t i = 0;
	int r;

	r = text_append_char(text, '"');
	if (r < 0)
		return r;
	while (i < size) {
		ssize_t n = append_one_quoted(text, name + i, size - i);

		if (n < 0)
			return (int)n;
		i += (size_t)n;
	}
	return text_append_char(text, '"');
}

int text_append_quoted(struct text *text, const void *data, size_t size)
{
	size_t before = text->size;
	int r;

	if (is_harmless(data, size))
		return text_append_bytes(text, data, size);

	r = append_between_quotes(text, data, size);
	if (r < 0)
		text_truncate(text, before);
	return r;
}

const char *text_string(const struct text *text)
{
	return text->data ? text->data : "";
}

char *text_take(struct text *text)
{
	char *data;

	if (text_reserve(text, 0) < 0)
		return NULL;
	data = take_ptr(text->data);
	*text = (struct text){ 0 };
	return data;
}
