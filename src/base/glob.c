/* SPDX-License-Identifier: MIT */
/* Two wildcard matchers inside each other, both of the same simple kind: walk pattern and
 * subject in step, remember the last star, and on a mismatch go back to it and let it take
 * one element more. An earlier star never needs to be tried again, because a later one can
 * take whatever it would have. So there is no recursion and no exponential case.
 *
 *   - Inside a component the elements are characters and the star is '*'.
 *   - In the path the elements are components and the star is "**". A pattern without a
 *     slash in front has one put before it in thought.
 *
 * Components are slices of the caller's strings. A path ends when only slashes are left.
 */
#include "base/glob.h"

#include "base/error.h"
#include "base/utf8.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

struct slice {
	const char *data;
	size_t size;
};

/* Cut the next component off *rest. False at the end. */
static bool next_component(const char **rest, struct slice *component_out)
{
	const char *start = *rest + strspn(*rest, "/");

	if (!*start)
		return false;
	*component_out = (struct slice){ start, strcspn(start, "/") };
	*rest = start + component_out->size;
	return true;
}

static bool is_double_star(struct slice component)
{
	return component.size == 2 && memcmp(component.data, "**", 2) == 0;
}

static bool at_end(const char *rest)
{
	return rest[strspn(rest, "/")] == 0;
}

/* Bytes of the character at @data, where a byte that is not UTF-8 counts as one. */
static size_t character_size(const char *data, size_t size)
{
	size_t n = utf8_decode(data, size, NULL);

	return n > 0 ? n : 1;
}

/* Bytes of the set "[...]" at the start of @pattern, 0 when it is not closed. A ']' that
 * comes first is a member. */
static size_t set_size(const char *pattern, size_t size)
{
	size_t i = 1;

	if (i < size && (pattern[i] == '!' || pattern[i] == '^'))
		i++;
	for (i++; i < size; i++) {
		if (pattern[i] == ']')
			return i + 1;
	}
	return 0;
}

/* Whether the byte @c is in the closed set of @size bytes. */
static bool set_has(const char *set, size_t size, unsigned char c)
{
	bool negated = set[1] == '!' || set[1] == '^';
	const char *end = set + size - 1;
	bool found = false;

	for (const char *p = set + 1 + negated; p < end;) {
		unsigned char low = (unsigned char)*p++;
		unsigned char high = low;

		if (p + 1 < end && *p == '-') {
			high = (unsigned char)p[1];
			p += 2;
		}
		if (c >= low && c <= high && c < 0x80)
			found = true;
	}
	return found != negated;
}

/* Bytes of the pattern element (a character, an escaped one, '?' or a set) at its start. */
static size_t element_size(const char *pattern, size_t size)
{
	if (pattern[0] == '\\' && size > 1)
		return 2;
	if (pattern[0] == '[' && set_size(pattern, size) > 0)
		return set_size(pattern, size);
	return 1;
}

/* Match one element against the start of @name. Returns the bytes of @name it takes, 0 if
 * it does not match. */
static size_t match_element(const char *pattern, size_t size, const char *name,
			    size_t name_size)
{
	if (pattern[0] == '?')
		return character_size(name, name_size);
	if (pattern[0] == '[' && size > 1)
		return set_has(pattern, size, (unsigned char)name[0])
			       ? character_size(name, name_size)
			       : 0;
	return pattern[size - 1] == name[0] ? 1 : 0;
}

static bool match_component(struct slice pattern, struct slice name)
{
	size_t p = 0;
	size_t n = 0;
	size_t star = SIZE_MAX; /* where the pattern goes on after the last star */
	size_t star_name = 0;   /* what of the name that star has taken ends here */

	while (n < name.size) {
		if (p < pattern.size && pattern.data[p] == '*') {
			star = ++p;
			star_name = n;
			continue;
		}
		if (p < pattern.size) {
			size_t size = element_size(pattern.data + p, pattern.size - p);
			size_t taken = match_element(pattern.data + p, size,
						     name.data + n, name.size - n);

			if (taken > 0) {
				p += size;
				n += taken;
				continue;
			}
		}
		if (star == SIZE_MAX)
			return false;
		p = star;
		star_name += character_size(name.data + star_name, name.size - star_name);
		n = star_name;
	}
	while (p < pattern.size && pattern.data[p] == '*')
		p++;
	return p == pattern.size;
}

/* Match the components of @pattern against those of @path. With @floating, components of
 * the path in front may be left out. */
static bool match_path(const char *pattern, const char *path, bool floating)
{
	const char *star = floating ? pattern : NULL; /* pattern after the last "**" */
	const char *star_path = path; /* what of the path that "**" has taken ends here */
	struct slice p;
	struct slice n;

	while (!at_end(path)) {
		const char *pattern_next = pattern;
		const char *path_next = path;
		bool more = next_component(&pattern_next, &p);

		(void)next_component(&path_next, &n);
		if (more && is_double_star(p)) {
			if (at_end(pattern_next))
				return true;
			star = pattern = pattern_next;
			star_path = path;
			continue;
		}
		if (more && match_component(p, n)) {
			pattern = pattern_next;
			path = path_next;
			continue;
		}
		if (!star)
			return false;
		pattern = star;
		(void)next_component(&star_path, &n);
		path = star_path;
	}
	return at_end(pattern);
}

/* What is wrong with one component, NULL if nothing. */
static const char *component_problem(struct slice component)
{
	size_t i = 0;

	if (component.size == 2 && is_double_star(component))
		return NULL;
	while (i < component.size) {
		const char *rest = component.data + i;
		size_t size = component.size - i;

		if (rest[0] == '*' && size > 1 && rest[1] == '*')
			return "'**' must stand alone between slashes";
		if (rest[0] == '\\' && size == 1)
			return "'\\' at the end escapes nothing";
		if (rest[0] == '[' && set_size(rest, size) == 0)
			return "'[' without ']'";
		i += element_size(rest, size);
	}
	return NULL;
}

int glob_check(const char *pattern, struct error *err)
{
	const char *rest = pattern;
	struct slice component;

	if (at_end(pattern))
		return error_set(err, -EINVAL, "pattern '%s' matches nothing", pattern);
	if (pattern[0] == '!')
		return error_set(err, -EINVAL,
				 "pattern '%s': no negation; write '\\!' for a name",
				 pattern);
	while (next_component(&rest, &component)) {
		const char *problem = component_problem(component);

		if (problem)
			return error_set(err, -EINVAL, "pattern '%s': %s", pattern,
					 problem);
	}
	return 0;
}

bool glob_match(const char *pattern, const char *path, bool is_folder)
{
	size_t size = strlen(pattern);

	if (size > 0 && pattern[size - 1] == '/' && !is_folder)
		return false;
	return match_path(pattern, path, pattern[0] != '/');
}

const char *glob_match_any(char *const *patterns, size_t count, const char *path,
			   bool is_folder)
{
	for (size_t i = 0; i < count; i++) {
		if (glob_match(patterns[i], path, is_folder))
			return patterns[i];
	}
	return NULL;
}
