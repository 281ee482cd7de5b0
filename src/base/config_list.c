/* SPDX-License-Identifier: MIT */
/* The parser says in which line a value begins, and what is in it. What it does not say is
 * where the list ends, so this looks for the last string in it by itself, and for no more
 * than strings, comments and brackets. TOML can be written in ways that this gets wrong
 * (a dotted key, an inline table); so what came of it is parsed again and compared, and the
 * file is left alone if that is not the list with one string more.
 */
#include "base/config_list.h"

#include "base/error.h"
#include "base/text.h"
#include "base/toml_shim.h"
#include "base/utf8.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

/* Where the list is, and what is in it. */
struct list {
	const char *section;
	const char *key;
	const char *last;            /* item to compare with; NULL: none */
	unsigned section_line, line; /* 1 is the first; 0: there is none */
	size_t count;
	bool is_last; /* the last item is `last` */
	bool strings; /* it is a list of strings */
};

static int note_entry(void *context, const struct toml_entry *entry, struct error *err)
{
	struct list *list = context;
	const struct toml_value *value = &entry->value;

	(void)err;
	if (strcmp(entry->section, list->section) != 0)
		return 0;
	if (!entry->key) {
		list->section_line = entry->line;
		return 0;
	}
	if (strcmp(entry->key, list->key) != 0)
		return 0;
	list->line = entry->line;
	list->count = value->item_count;
	list->strings = value->kind == TOML_KIND_ARRAY;
	for (size_t i = 0; i < value->item_count; i++)
		list->strings &= value->items[i].kind == TOML_KIND_STRING;
	list->is_last = list->last && list->strings && list->count > 0 &&
			strcmp(value->items[list->count - 1].string, list->last) == 0;
	return 0;
}

static int find_list(const char *data, size_t size, struct list *list, struct error *err)
{
	unsigned line = 0;
	int r = toml_shim_parse(data, size, note_entry, list, &line, err);

	if (r == -EINVAL)
		return error_prefix(err, r, "line %u", line);
	return r;
}

/* Offset of line number @line, from 1. */
static size_t line_start(const char *data, size_t size, unsigned line)
{
	size_t at = 0;

	while (line > 1 && at < size)
		line -= data[at++] == '\n';
	return at;
}

/* Behind the string that begins at @at; @size if it does not end. */
static size_t skip_string(const char *data, size_t size, size_t at)
{
	char quote = data[at++];

	while (at < size && data[at] != quote && data[at] != '\n')
		at += data[at] == '\\' && quote == '"' ? 2 : 1;
	return at < size ? at + 1 : size;
}

/* Where another item can be put: behind the last string of the list that begins at or behind
 * @at, or behind its bracket. */
static size_t find_end(const char *data, size_t size, size_t at)
{
	size_t end = size;

	while (at < size && data[at] != '[' && data[at] != '\n')
		at++;
	if (at < size && data[at] == '[')
		end = ++at;
	while (at < size && data[at] != ']') {
		if (data[at] == '"' || data[at] == '\'')
			end = at = skip_string(data, size, at);
		else if (data[at] == '#')
			at += strcspn(data + at, "\n");
		else
			at++;
	}
	return end;
}

static int append_item(struct text *out, const char *item)
{
	int r = text_append_char(out, '"');

	for (; r == 0 && *item; item++) {
		if (*item == '"' || *item == '\\')
			r = text_append_char(out, '\\');
		if (r == 0)
			r = text_append_char(out, *item);
	}
	return r == 0 ? text_append_char(out, '"') : r;
}

/* A whole line with the list. */
static int append_line(struct text *out, const char *key, const char *item)
{
	int r = text_appendf(out, "%s = [", key);

	if (r == 0)
		r = append_item(out, item);
	return r == 0 ? text_append(out, "]\n") : r;
}

static int append_edited(const char *data, size_t size, const struct list *list,
			 const char *item, struct text *out)
{
	size_t at = size;
	int r;

	if (list->line > 0)
		at = find_end(data, size, line_start(data, size, list->line));
	else if (list->section_line > 0)
		at = line_start(data, size, list->section_line + 1);
	r = text_append_bytes(out, data, at);
	if (r == 0 && list->line == 0 && at > 0 && data[at - 1] != '\n')
		r = text_append(out, "\n");
	if (r == 0 && list->line == 0 && list->section_line == 0)
		r = text_appendf(out, "\n[%s]\n", list->section);
	if (r < 0)
		return r;
	if (list->line == 0)
		r = append_line(out, list->key, item);
	else if (list->count > 0)
		r = text_append(out, ", ");
	if (r == 0 && list->line > 0)
		r = append_item(out, item);
	return r == 0 ? text_append_bytes(out, data + at, size - at) : r;
}

static bool is_plain(const char *item)
{
	for (const char *p = item; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return false;
	return utf8_valid(item, strlen(item));
}

int config_list_append(const char *data, size_t size, const char *section,
		       const char *key, const char *item, struct text *out,
		       struct error *err)
{
	struct list list = { .section = section, .key = key };
	struct list after = { .section = section, .key = key, .last = item };
	size_t before = out->size;
	int r;

	if (!is_plain(item))
		return error_set(err, -EINVAL,
				 "TOML can't hold a path with control characters, or "
				 "that is not UTF-8");
	r = find_list(data, size, &list, err);
	if (r < 0)
		return r;
	if (append_edited(data, size, &list, item, out) < 0)
		return error_set(err, -ENOMEM, "no memory for the configuration");
	r = find_list(out->data + before, out->size - before, &after, NULL);
	if (r == -ENOMEM)
		return error_set(err, r, "no memory for the configuration");
	if (r < 0 || !after.is_last || after.count != list.count + 1)
		return error_set(err, -EINVAL,
				 "[%s] %s is written in a way that a person has to add "
				 "\"%s\" to",
				 section, key, item);
	return 0;
}
