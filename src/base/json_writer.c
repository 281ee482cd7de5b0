/* SPDX-License-Identifier: MIT */
/* Each value is: separator, name, colon, bytes. begin_value() does the first three and
 * checks that a value may stand here; what is left for each type is its bytes.
 *
 *   objects / depth   a stack of one bit a level, as deep as the reader accepts
 *   comma             false at the start of the document and of each container; at depth 0,
 *                     true means that the document is complete
 */
#include "base/json_writer.h"

#include "base/base64.h"
#include "base/hex.h"
#include "base/json.h"
#include "base/number.h"
#include "base/utf8.h"

#include <errno.h>
#include <string.h>

static void put(struct json_writer *w, const void *data, size_t size)
{
	if (w->r == 0)
		w->r = text_append_bytes(w->text, data, size);
}

static void put_char(struct json_writer *w, char c)
{
	put(w, &c, 1);
}

/* What follows the backslash for @c; 'u' for the long form, 0 for a harmless character. */
static char escape_letter(unsigned char c)
{
	switch (c) {
	case '"':
	case '\\':
		return (char)c;
	case '\b':
		return 'b';
	case '\f':
		return 'f';
	case '\n':
		return 'n';
	case '\r':
		return 'r';
	case '\t':
		return 't';
	default:
		return c < 0x20 ? 'u' : 0;
	}
}

static void put_escape(struct json_writer *w, unsigned char c, char letter)
{
	static const char digits[] = "0123456789abcdef";
	char escape[6] = { '\\', letter, '0', '0', digits[c >> 4], digits[c & 15] };

	put(w, escape, letter == 'u' ? 6 : 2);
}

/* The inside of a string; runs of harmless characters are copied at once. */
static void put_escaped(struct json_writer *w, const char *data, size_t size)
{
	size_t run = 0;

	if (!utf8_is_text(data, size))
		w->r = w->r < 0 ? w->r : -EINVAL;
	for (size_t i = 0; i < size && w->r == 0; i++) {
		unsigned char c = (unsigned char)data[i];
		char letter;

		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		letter = escape_letter(c);
		put(w, data + run, i - run);
		put_escape(w, c, letter);
		run = i + 1;
	}
	put(w, data + run, size - run);
}

static void put_string(struct json_writer *w, const char *data, size_t size)
{
	put_char(w, '"');
	put_escaped(w, data, size);
	put_char(w, '"');
}

static bool in_object(const struct json_writer *w)
{
	return w->depth > 0 && (w->objects >> (w->depth - 1) & 1);
}

/* Separator and name ("<name><suffix>"), if a value may stand here. */
static void begin_value(struct json_writer *w, const char *name, const char *suffix)
{
	if (w->r < 0)
		return;
	if (in_object(w) != (name != NULL) || (w->depth == 0 && w->comma)) {
		w->r = -EINVAL;
		return;
	}

	if (w->comma)
		put_char(w, ',');
	w->comma = true;
	if (!name)
		return;
	put_char(w, '"');
	put_escaped(w, name, strlen(name));
	put(w, suffix, strlen(suffix));
	put(w, "\":", 2);
}

void json_writer_init(struct json_writer *writer, struct text *text)
{
	*writer = (struct json_writer){ .text = text, .start = text->size };
}

int json_writer_finish(struct json_writer *writer)
{
	int r = writer->r;

	if (r == 0 && (writer->depth > 0 || !writer->comma))
		r = -EINVAL;
	if (r < 0)
		text_truncate(writer->text, writer->start);
	json_writer_init(writer, writer->text);
	return r;
}

static void open_container(struct json_writer *w, const char *name, bool object)
{
	begin_value(w, name, "");
	if (w->r == 0 && w->depth == JSON_DEPTH_MAX)
		w->r = -EINVAL;
	if (w->r < 0)
		return;

	put_char(w, object ? '{' : '[');
	w->objects &= ~(1u << w->depth);
	w->objects |= (uint32_t)object << w->depth;
	w->depth++;
	w->comma = false;
}

void json_write_object(struct json_writer *writer, const char *name)
{
	open_container(writer, name, true);
}

void json_write_array(struct json_writer *writer, const char *name)
{
	open_container(writer, name, false);
}

void json_write_end(struct json_writer *writer)
{
	if (writer->r < 0)
		return;
	if (writer->depth == 0) {
		writer->r = -EINVAL;
		return;
	}
	put_char(writer, in_object(writer) ? '}' : ']');
	writer->depth--;
	writer->comma = true;
}

void json_write_string(struct json_writer *writer, const char *name, const char *value)
{
	begin_value(writer, name, "");
	put_string(writer, value, strlen(value));
}

void json_write_u64(struct json_writer *writer, const char *name, uint64_t value)
{
	char text[NUMBER_TEXT_MAX];
	size_t size = number_format_u64(value, text);

	begin_value(writer, name, "");
	put_string(writer, text, size);
}

void json_write_i64(struct json_writer *writer, const char *name, int64_t value)
{
	char text[NUMBER_TEXT_MAX];
	size_t size = number_format_i64(value, text);

	begin_value(writer, name, "");
	put_string(writer, text, size);
}

void json_write_u32(struct json_writer *writer, const char *name, uint32_t value)
{
	char text[NUMBER_TEXT_MAX];
	size_t size = number_format_u64(value, text);

	begin_value(writer, name, "");
	put(writer, text, size);
}

void json_write_bool(struct json_writer *writer, const char *name, bool value)
{
	begin_value(writer, name, "");
	put(writer, value ? "true" : "false", value ? 4 : 5);
}

/* Let @encode write @size characters between quotes, straight into the text. */
static void put_encoded(struct json_writer *w, const void *data, size_t data_size,
			size_t size, void (*encode)(const void *, size_t, char *))
{
	put_char(w, '"');
	if (w->r == 0)
		w->r = text_reserve(w->text, size);
	if (w->r < 0)
		return;
	encode(data, data_size, w->text->data + w->text->size);
	w->text->size += size;
	put_char(w, '"');
}

void json_write_bytes(struct json_writer *writer, const char *name, const void *data,
		      size_t size)
{
	if (!name && writer->r == 0)
		writer->r = -EINVAL;
	if (utf8_is_text(data, size)) {
		begin_value(writer, name, "");
		put_string(writer, data, size);
		return;
	}
	begin_value(writer, name, "_base64");
	put_encoded(writer, data, size, base64_size(size), base64_encode);
}

void json_write_hex(struct json_writer *writer, const char *name, const void *data,
		    size_t size)
{
	begin_value(writer, name, "");
	put_encoded(writer, data, size, 2 * size, hex_encode);
}
