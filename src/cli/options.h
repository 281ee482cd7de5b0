/* SPDX-License-Identifier: MIT */
#pragma once
/* Options of a command line, parsed by a table that is also what --help prints. Options and
 * arguments may be mixed; "--" ends the options. One thread.
 */
#include "base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct options;

struct option_spec {
	char letter;          /* 0: none */
	const char *name;     /* long name, without dashes; NULL ends a table */
	const char *argument; /* placeholder; NULL: a flag */
	const char *help;     /* one line */
	bool repeatable;      /* may be given with several values; flags always may */
};

/* Parse @count words. @specs is the command's own table; the common options (--archive,
 * --config, --json, --quiet, --verbose, --help) are always known. -EINVAL with a text that
 * names the word, also for a second value of what is not repeatable: an option is never
 * silently ignored. Words are borrowed. */
int options_parse(const struct option_spec *specs, char **words, int count,
		  struct options **options_out, struct error *err);
void options_free(struct options *options);
DEFINE_AUTOPTR(options);

/* Whether a flag was given. @name must be in the table (asserted, as below). */
bool option_flag(const struct options *options, const char *name);
/* How often a flag was given. */
size_t option_count(const struct options *options, const char *name);
/* The last value given, or NULL. */
const char *option_value(const struct options *options, const char *name);
/* Value number @nth of an option that may be repeated, or NULL. */
const char *option_nth(const struct options *options, const char *name, size_t nth);
/* A value as a number within [min, max]; *value_out is untouched if the option was not
 * given. -EINVAL with a text that names the option and the range. */
int option_u64(const struct options *options, const char *name, uint64_t min,
	       uint64_t max, uint64_t *value_out, struct error *err);
int option_i64(const struct options *options, const char *name, int64_t min, int64_t max,
	       int64_t *value_out, struct error *err);

/* Whether the option was given, flag or not. */
bool option_given(const struct options *options, const char *name);
/* -EINVAL if more than one of the options @names (NULL at the end) was given. */
int options_at_most_one(const struct options *options, const char *const *names,
			struct error *err);

/* What is no option, in order. */
size_t options_argument_count(const struct options *options);
const char *options_argument(const struct options *options, size_t nth);

/* Print "  -x, --name ARG   help" for each row of @specs, then the common options. */
void options_print_help(const struct option_spec *specs);
/* Print "--name<TAB>help" for each, with "=" behind names that take a value. */
void options_print_words(const struct option_spec *specs);
