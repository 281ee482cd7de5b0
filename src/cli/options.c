/* SPDX-License-Identifier: MIT */
#include "cli/options.h"

#include "base/error.h"
#include "base/number.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The model: one given option is a (spec, value) pair kept in order; there are a handful of
 * them, so look-ups are linear. getopt_long is not used because it permutes argv, prints its
 * own messages and cannot be driven by the same table as the help.
 */

struct given {
	const struct option_spec *spec;
	const char *value; /* NULL for a flag */
};

struct options {
	const struct option_spec *specs;
	struct given *given;
	size_t given_count;
	const char **arguments;
	size_t argument_count;
};

static const struct option_spec common_specs[] = {
	{ 'a', "archive", "DIR",
	  "the archive (default: $BLOCKFRAME_ARCHIVE_DIRECTORY or config)" },
	{ 0, "config", "FILE", "configuration file" },
	{ 0, "json", NULL, "print data as JSON" },
	{ 'q', "quiet", NULL, "print errors only" },
	{ 'v', "verbose", NULL, "say more; twice: debug messages" },
	{ 'h', "help", NULL, "print this help" },
	{ 0 },
};

static const struct option_spec *find_in(const struct option_spec *specs, char letter,
					 const char *name, size_t name_size)
{
	for (; specs && specs->name; specs++) {
		if (letter && specs->letter == letter)
			return specs;
		if (name && strlen(specs->name) == name_size &&
		    memcmp(specs->name, name, name_size) == 0)
			return specs;
	}
	return NULL;
}

static const struct option_spec *find_spec(const struct options *options, char letter,
					   const char *name, size_t name_size)
{
	const struct option_spec *spec = find_in(options->specs, letter, name, name_size);

	return spec ? spec : find_in(common_specs, letter, name, name_size);
}

static size_t count_given(const struct options *options, const struct option_spec *spec)
{
	size_t count = 0;

	for (size_t i = 0; i < options->given_count; i++)
		count += options->given[i].spec == spec;
	return count;
}

static int add_given(struct options *options, const struct option_spec *spec,
		     const char *value, struct error *err)
{
	if (value && !spec->repeatable && count_given(options, spec) > 0)
		return error_set(err, -EINVAL, "option '--%s' was given twice",
				 spec->name);
	options->given[options->given_count++] = (struct given){ spec, value };
	return 0;
}

/* "--name", "--name=value" or "--name value"; *used_out says how many words that took. */
static int parse_long(struct options *options, char **words, int count, int *used_out,
		      struct error *err)
{
	const char *name = words[0] + 2;
	const char *equals = strchr(name, '=');
	size_t size = equals ? (size_t)(equals - name) : strlen(name);
	const struct option_spec *spec = find_spec(options, 0, name, size);

	if (!spec)
		return error_set(err, -EINVAL, "unknown option '--%.*s'", (int)size,
				 name);
	*used_out = 1;
	if (!spec->argument) {
		if (equals)
			return error_set(err, -EINVAL, "option '--%s' takes no value",
					 spec->name);
		return add_given(options, spec, NULL, err);
	}
	if (!equals && count < 2)
		return error_set(err, -EINVAL, "option '--%s' needs a value", spec->name);
	*used_out = equals ? 1 : 2;
	return add_given(options, spec, equals ? equals + 1 : words[1], err);
}

/* "-x", "-xyz", "-xVALUE" or "-x VALUE". */
static int parse_short(struct options *options, char **words, int count, int *used_out,
		       struct error *err)
{
	*used_out = 1;
	for (const char *c = words[0] + 1; *c; c++) {
		const struct option_spec *spec = find_spec(options, *c, NULL, 0);

		if (!spec)
			return error_set(err, -EINVAL, "unknown option '-%c'", *c);
		if (!spec->argument) {
			(void)add_given(options, spec, NULL, err);
			continue;
		}
		if (c[1] == '\0' && count < 2)
			return error_set(err, -EINVAL, "option '-%c' needs a value", *c);
		*used_out = c[1] ? 1 : 2;
		return add_given(options, spec, c[1] ? c + 1 : words[1], err);
	}
	return 0;
}

static int parse_words(struct options *options, char **words, int count,
		       struct error *err)
{
	int used = 1;
	int r = 0;

	for (int i = 0; i < count; i += used) {
		const char *word = words[i];

		used = 1;
		if (strcmp(word, "--") == 0) {
			while (++i < count)
				options->arguments[options->argument_count++] = words[i];
			return 0;
		}
		if (strncmp(word, "--", 2) == 0)
			r = parse_long(options, words + i, count - i, &used, err);
		else if (word[0] == '-' && word[1] != '\0')
			r = parse_short(options, words + i, count - i, &used, err);
		else
			options->arguments[options->argument_count++] = word;
		if (r < 0)
			return r;
	}
	return 0;
}

/* Bundled letters ("-lR") give more options than words, so the words' length bounds them. */
static size_t given_bound(char **words, int count)
{
	size_t bound = 1;

	for (int i = 0; i < count; i++)
		bound += strlen(words[i]) + 1;
	return bound;
}

int options_parse(const struct option_spec *specs, char **words, int count,
		  struct options **options_out, struct error *err)
{
	autoptr(options) options = calloc(1, sizeof(*options));
	int r;

	if (!options)
		return error_set(err, -ENOMEM, "out of memory");
	options->specs = specs;
	options->given = calloc(given_bound(words, count), sizeof(*options->given));
	options->arguments = calloc((size_t)count + 1, sizeof(*options->arguments));
	if (!options->given || !options->arguments)
		return error_set(err, -ENOMEM, "out of memory");

	r = parse_words(options, words, count, err);
	if (r < 0)
		return r;
	*options_out = take_ptr(options);
	return 0;
}

void options_free(struct options *options)
{
	if (!options)
		return;
	free(options->given);
	free(options->arguments);
	free(options);
}

const char *option_nth(const struct options *options, const char *name, size_t nth)
{
	const struct option_spec *spec = find_spec(options, 0, name, strlen(name));

	assert(spec && spec->argument);
	for (size_t i = 0; i < options->given_count; i++)
		if (options->given[i].spec == spec && nth-- == 0)
			return options->given[i].value;
	return NULL;
}

const char *option_value(const struct options *options, const char *name)
{
	const struct option_spec *spec = find_spec(options, 0, name, strlen(name));

	assert(spec && spec->argument);
	for (size_t i = options->given_count; i > 0; i--)
		if (options->given[i - 1].spec == spec)
			return options->given[i - 1].value;
	return NULL;
}

size_t option_count(const struct options *options, const char *name)
{
	const struct option_spec *spec = find_spec(options, 0, name, strlen(name));

	assert(spec && !spec->argument);
	return count_given(options, spec);
}

bool option_flag(const struct options *options, const char *name)
{
	return option_count(options, name) > 0;
}

int option_u64(const struct options *options, const char *name, uint64_t min,
	       uint64_t max, uint64_t *value_out, struct error *err)
{
	const char *text = option_value(options, name);
	uint64_t value;

	if (!text)
		return 0;
	if (number_parse_u64(text, &value) < 0 || value < min || value > max)
		return error_set(err, -EINVAL,
				 "option '--%s': '%s' is not a number from %" PRIu64
				 " to %" PRIu64,
				 name, text, min, max);
	*value_out = value;
	return 0;
}

int option_i64(const struct options *options, const char *name, int64_t min, int64_t max,
	       int64_t *value_out, struct error *err)
{
	const char *text = option_value(options, name);
	int64_t value;

	if (!text)
		return 0;
	if (number_parse_i64(text, &value) < 0 || value < min || value > max)
		return error_set(err, -EINVAL,
				 "option '--%s': '%s' is not a number from %" PRId64
				 " to %" PRId64,
				 name, text, min, max);
	*value_out = value;
	return 0;
}

bool option_given(const struct options *options, const char *name)
{
	const struct option_spec *spec = find_spec(options, 0, name, strlen(name));

	assert(spec);
	return count_given(options, spec) > 0;
}

int options_at_most_one(const struct options *options, const char *const *names,
			struct error *err)
{
	const char *first = NULL;

	for (; *names; names++) {
		if (!option_given(options, *names))
			continue;
		if (first)
			return error_set(err, -EINVAL,
					 "--%s and --%s can't be used together", first,
					 *names);
		first = *names;
	}
	return 0;
}

size_t options_argument_count(const struct options *options)
{
	return options->argument_count;
}

const char *options_argument(const struct options *options, size_t nth)
{
	assert(nth < options->argument_count);
	return options->arguments[nth];
}

static void print_specs(const struct option_spec *specs)
{
	for (; specs && specs->name; specs++) {
		char left[64];
		char letter[5] = "    ";

		if (specs->letter)
			(void)snprintf(letter, sizeof(letter), "-%c, ", specs->letter);
		(void)snprintf(left, sizeof(left), "%s--%s%s%s", letter, specs->name,
			       specs->argument ? " " : "",
			       specs->argument ? specs->argument : "");
		(void)printf("  %-28s %s\n", left, specs->help);
	}
}

void options_print_help(const struct option_spec *specs)
{
	print_specs(specs);
	print_specs(common_specs);
}

static void print_words(const struct option_spec *specs)
{
	for (; specs && specs->name; specs++)
		(void)printf("--%s%s\t%s\n", specs->name, specs->argument ? "=" : "",
			     specs->help);
}

void options_print_words(const struct option_spec *specs)
{
	print_words(specs);
	print_words(common_specs);
}
