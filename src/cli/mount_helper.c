/* SPDX-License-Identifier: MIT */
#include "cli/mount_helper.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

/* Words are of the type that main() has. */
static char *word(const char *text)
{
	return (char *)(uintptr_t)text;
}

bool mount_helper_is(const char *name)
{
	const char *slash = strrchr(name, '/');

	if (slash)
		name = slash + 1;
	return strcmp(name, "mount.blockframe") == 0 ||
	       strcmp(name, "mount.fuse.blockframe") == 0;
}

static bool is_url(const char *place)
{
	return strncmp(place, "http://", 7) == 0 || strncmp(place, "https://", 8) == 0;
}

struct helper_line {
	char *places[2]; /* archive or server, folder */
	int place_count;
	char *options; /* or NULL */
	bool verbose;
	bool fake;
};

/* Letters in one word: "-sfv". Options that take a value stand alone. */
static int take_letters(const char *letters, struct helper_line *line)
{
	for (; *letters; letters++) {
		switch (*letters) {
		case 's': /* tolerate options that are not known */
		case 'n': /* leave mtab alone */
			break;
		case 'f':
			line->fake = true;
			break;
		case 'v':
			line->verbose = true;
			break;
		default:
			return -EINVAL;
		}
	}
	return 0;
}

/* mount(8) says "rw" whenever "ro" was not asked for, so it is nobody's wish: leave it out.
 * A comma behind a backslash belongs to a value. */
static void drop_rw(char *options)
{
	char *to = options;
	char *from = options;

	while (*from) {
		char *end = from;

		while (*end && *end != ',')
			end += *end == '\\' && end[1] ? 2 : 1;
		end += *end == ',';
		if (strncmp(from, "rw", 2) != 0 || (from[2] && from[2] != ',')) {
			memmove(to, from, (size_t)(end - from));
			to += end - from;
		}
		from = end;
	}
	*to = '\0';
}

static int parse(char **words, int count, struct helper_line *line)
{
	for (int i = 0; i < count; i++) {
		const char *this = words[i];

		if (strcmp(this, "-o") == 0 || strcmp(this, "-t") == 0 ||
		    strcmp(this, "-N") == 0) {
			if (++i == count)
				return -EINVAL;
			if (this[1] == 'o')
				line->options = words[i];
		} else if (this[0] == '-' && this[1]) {
			if (take_letters(this + 1, line) < 0)
				return -EINVAL;
		} else if (line->place_count < 2) {
			line->places[line->place_count++] = words[i];
		} else {
			return -EINVAL;
		}
	}
	return line->place_count == 2 ? 0 : -EINVAL;
}

int mount_helper_words(char **words, int count, char *words_out[MOUNT_HELPER_WORDS_MAX])
{
	struct helper_line line = { 0 };
	int n = 0;

	if (parse(words, count, &line) < 0)
		return -EINVAL;
	if (line.fake)
		return 0;
	words_out[n++] = word("mount");
	words_out[n++] = word(is_url(line.places[0]) ? "--remote" : "--archive");
	words_out[n++] = line.places[0];
	words_out[n++] = word("--mountpoint");
	words_out[n++] = line.places[1];
	if (line.options) {
		drop_rw(line.options);
		words_out[n++] = word("-o");
		words_out[n++] = line.options;
	}
	if (line.verbose)
		words_out[n++] = word("-v");
	return n;
}
