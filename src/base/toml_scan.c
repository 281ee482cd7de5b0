/* SPDX-License-Identifier: MIT */
/* toml++ makes one table inside another for each dot of a key, without a limit, and frees
 * them recursively: a.a.a.a... of some hundred kilobytes overflows the stack. Nothing can
 * be caught then, so such files are turned away before.
 *
 * The scanner knows strings and comments, and counts dots and open brackets outside of
 * them. Our settings need neither dotted keys nor nesting, so the limits are generous.
 * Where the scanner misreads bytes that are no TOML, the parser has stopped earlier: up to
 * its first error both see the same strings.
 */
#include "base/toml_scan.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

struct scanner {
	const char *data;
	size_t size;
	size_t offset; /* next byte */
	unsigned dots;
	unsigned nesting;
};

static bool looking_at(const struct scanner *s, const char *what)
{
	size_t n = strlen(what);

	return s->size - s->offset >= n && memcmp(s->data + s->offset, what, n) == 0;
}

static void skip_line(struct scanner *s)
{
	while (s->offset < s->size && s->data[s->offset] != '\n')
		s->offset++;
}

/* Skip a string that starts here with @quote ('"' knows escapes) once or three times. A
 * one-line string that is not closed ends with its line. */
static void skip_string(struct scanner *s, char quote)
{
	const char triple[] = { quote, quote, quote, 0 };
	bool multiline = looking_at(s, triple);

	s->offset += multiline ? 3 : 1;
	while (s->offset < s->size) {
		char c = s->data[s->offset];

		if (multiline ? looking_at(s, triple) : (c == quote || c == '\n'))
			break;
		s->offset += c == '\\' && quote == '"' ? 2 : 1;
	}
	if (s->offset >= s->size) {
		s->offset = s->size;
		return;
	}
	s->offset += multiline ? 3 : 1;
	/* Up to two quotes of the content may stand before the closing three. */
	for (int i = 0; multiline && i < 2 && s->offset < s->size; i++)
		s->offset += s->data[s->offset] == quote;
}

static void step(struct scanner *s)
{
	char c = s->data[s->offset];

	if (c == '#') {
		skip_line(s);
		return;
	}
	if (c == '"' || c == '\'') {
		skip_string(s, c);
		return;
	}
	s->dots += c == '.';
	if (c == '[' || c == '{')
		s->nesting++;
	if ((c == ']' || c == '}') && s->nesting > 0)
		s->nesting--;
	s->offset++;
}

static unsigned line_of(const struct scanner *s)
{
	unsigned line = 1;

	for (size_t i = 0; i < s->offset && i < s->size; i++)
		line += s->data[i] == '\n';
	return line;
}

int toml_scan(const char *data, size_t size, unsigned *line_out, struct error *err)
{
	struct scanner s = { .data = data, .size = size };

	while (s.offset < s.size) {
		step(&s);
		if (s.dots <= TOML_DOTS_MAX && s.nesting <= TOML_NESTING_MAX)
			continue;
		*line_out = line_of(&s);
		return error_set(err, -EINVAL, "%s",
				 s.nesting > TOML_NESTING_MAX ? "nested too deeply"
							      : "too many dotted keys");
	}
	return 0;
}
