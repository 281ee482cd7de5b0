/* SPDX-License-Identifier: MIT */
#include "base/error.h"
#include "cli/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#define WORDS_MAX 16

static const struct option_spec specs[] = {
	{ 'l', "long", NULL, "" },
	{ 'R', "recursive", NULL, "" },
	{ 'm', "message", "TEXT", "" },
	{ 0, "at", "COMMIT", "" },
	{ 'n', "number", "N", "" },
	{ 0, "exclude", "PATTERN", "", true },
	{ 0 },
};

/* Parse a command line that is given as one string with single spaces; "_" is an empty
 * word. The words live until the next call. */
static int parse(const char *line, struct options **options_out, struct error *err)
{
	static char copy[256];
	static char *words[WORDS_MAX];
	char *rest = copy;
	int count = 0;

	assert_true(strlen(line) < sizeof(copy));
	(void)snprintf(copy, sizeof(copy), "%s", line);
	while (rest && *rest) {
		assert_true(count < WORDS_MAX);
		words[count] = strsep(&rest, " ");
		if (strcmp(words[count], "_") == 0)
			words[count][0] = '\0';
		count++;
	}
	return options_parse(specs, words, count, options_out, err);
}

static struct options *parse_well(const char *line)
{
	struct options *options = NULL;
	struct error err = { 0 };

	if (parse(line, &options, &err) != 0)
		fail_msg("'%s': %s", line, err.text);
	return options;
}

static void check_refused(const char *line, const char *text)
{
	struct options *options = NULL;
	struct error err = { 0 };

	assert_int_equal(parse(line, &options, &err), -EINVAL);
	assert_null(options);
	assert_string_equal(err.text, text);
}

static void options_and_arguments_may_be_mixed(void **state)
{
	autoptr(options) options = parse_well("a --long b -m text c");

	(void)state;
	assert_true(option_flag(options, "long"));
	assert_false(option_flag(options, "recursive"));
	assert_string_equal(option_value(options, "message"), "text");
	assert_null(option_value(options, "at"));
	assert_int_equal(options_argument_count(options), 3);
	assert_string_equal(options_argument(options, 0), "a");
	assert_string_equal(options_argument(options, 1), "b");
	assert_string_equal(options_argument(options, 2), "c");
}

static void letters_may_be_bundled(void **state)
{
	autoptr(options) options = parse_well("-lR x");

	(void)state;
	assert_true(option_flag(options, "long") && option_flag(options, "recursive"));
	assert_int_equal(options_argument_count(options), 1);
}

static void a_bundle_may_end_with_a_value(void **state)
{
	static const char *const lines[] = { "-lmtext x", "-lm text x" };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		autoptr(options) options = parse_well(lines[i]);

		assert_true(option_flag(options, "long"));
		assert_string_equal(option_value(options, "message"), "text");
		assert_int_equal(options_argument_count(options), 1);
		assert_string_equal(options_argument(options, 0), "x");
	}
}

static void a_value_may_stand_behind_an_equals_sign(void **state)
{
	autoptr(options) options = parse_well("--message=a=b --at= x");

	(void)state;
	assert_string_equal(option_value(options, "message"), "a=b");
	assert_string_equal(option_value(options, "at"), "");
	assert_int_equal(options_argument_count(options), 1);
}

static void a_value_may_look_like_an_option(void **state)
{
	autoptr(options) options = parse_well("--message --long --at -l");

	(void)state;
	assert_string_equal(option_value(options, "message"), "--long");
	assert_string_equal(option_value(options, "at"), "-l");
	assert_false(option_flag(options, "long"));
}

static void two_dashes_end_the_options(void **state)
{
	autoptr(options) options = parse_well("-l -- -R -- --unknown");

	(void)state;
	assert_true(option_flag(options, "long"));
	assert_false(option_flag(options, "recursive"));
	assert_int_equal(options_argument_count(options), 3);
	assert_string_equal(options_argument(options, 0), "-R");
	assert_string_equal(options_argument(options, 1), "--");
	assert_string_equal(options_argument(options, 2), "--unknown");
}

static void a_single_dash_and_an_empty_word_are_arguments(void **state)
{
	autoptr(options) options = parse_well("- _ -l");

	(void)state;
	assert_int_equal(options_argument_count(options), 2);
	assert_string_equal(options_argument(options, 0), "-");
	assert_string_equal(options_argument(options, 1), "");
	assert_true(option_flag(options, "long"));
}

static void no_words_are_no_options(void **state)
{
	autoptr(options) options = parse_well("");

	(void)state;
	assert_int_equal(options_argument_count(options), 0);
	assert_false(option_given(options, "message"));
}

static void common_options_are_always_known(void **state)
{
	autoptr(options) options = parse_well("-a dir -qvv --json --config=file");

	(void)state;
	assert_string_equal(option_value(options, "archive"), "dir");
	assert_string_equal(option_value(options, "config"), "file");
	assert_true(option_flag(options, "quiet") && option_flag(options, "json"));
	assert_int_equal(option_count(options, "verbose"), 2);
}

static void unknown_options_are_refused_by_name(void **state)
{
	(void)state;
	check_refused("--nothing", "unknown option '--nothing'");
	check_refused("--nothing=5", "unknown option '--nothing'");
	check_refused("--lon", "unknown option '--lon'");
	check_refused("--longer", "unknown option '--longer'");
	check_refused("-lx", "unknown option '-x'");
}

static void missing_and_unwanted_values_are_refused(void **state)
{
	(void)state;
	check_refused("--message", "option '--message' needs a value");
	check_refused("-lm", "option '-m' needs a value");
	check_refused("--long=yes", "option '--long' takes no value");
}

static void a_second_value_is_refused_unless_it_has_a_meaning(void **state)
{
	autoptr(options) options = parse_well("--exclude a --exclude=b -l -l");

	(void)state;
	assert_string_equal(option_nth(options, "exclude", 0), "a");
	assert_string_equal(option_nth(options, "exclude", 1), "b");
	assert_null(option_nth(options, "exclude", 2));
	check_refused("--at 1 --at 2", "option '--at' was given twice");
	check_refused("-m a --message b", "option '--message' was given twice");
	check_refused("-ma -mb", "option '--message' was given twice");
}

static void numbers_are_whole_and_within_their_range(void **state)
{
	static const char *const bad[] = { "-n 0",  "-n 11", "-n 05", "-n x",
					   "-n 5x", "-n=5",  "-n _",  "-n -1" };
	uint64_t value = 77;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		autoptr(options) options = parse_well(bad[i]);
		struct error err = { 0 };

		assert_int_equal(option_u64(options, "number", 1, 10, &value, &err),
				 -EINVAL);
		assert_non_null(strstr(err.text, "'--number'"));
		assert_non_null(strstr(err.text, "from 1 to 10"));
		assert_int_equal(value, 77);
	}
	{
		autoptr(options) options = parse_well("-n10");

		assert_int_equal(option_u64(options, "number", 1, 10, &value, NULL), 0);
		assert_int_equal(value, 10);
	}
}

static void a_number_that_was_not_given_leaves_the_default(void **state)
{
	autoptr(options) options = parse_well("");
	uint64_t value = 5;
	int64_t signed_value = -5;

	(void)state;
	assert_int_equal(option_u64(options, "number", 1, 3, &value, NULL), 0);
	assert_int_equal(option_i64(options, "number", 1, 3, &signed_value, NULL), 0);
	assert_int_equal(value, 5);
	assert_int_equal(signed_value, -5);
}

static void signed_numbers_may_be_negative(void **state)
{
	autoptr(options) options = parse_well("--number -7");
	int64_t value = 0;

	(void)state;
	assert_int_equal(option_i64(options, "number", -7, 22, &value, NULL), 0);
	assert_int_equal(value, -7);
	assert_int_equal(option_i64(options, "number", -6, 22, &value, NULL), -EINVAL);
}

static void at_most_one_of_several_may_be_given(void **state)
{
	static const char *const names[] = { "at", "number", "json", NULL };
	autoptr(options) none = parse_well("-l");
	autoptr(options) one = parse_well("-l --number 5");
	autoptr(options) two = parse_well("--json --at 3");
	struct error err = { 0 };

	(void)state;
	assert_int_equal(options_at_most_one(none, names, &err), 0);
	assert_int_equal(options_at_most_one(one, names, &err), 0);
	assert_int_equal(options_at_most_one(two, names, &err), -EINVAL);
	assert_string_equal(err.text, "--at and --json can't be used together");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_and_arguments_may_be_mixed),
		cmocka_unit_test(letters_may_be_bundled),
		cmocka_unit_test(a_bundle_may_end_with_a_value),
		cmocka_unit_test(a_value_may_stand_behind_an_equals_sign),
		cmocka_unit_test(a_value_may_look_like_an_option),
		cmocka_unit_test(two_dashes_end_the_options),
		cmocka_unit_test(a_single_dash_and_an_empty_word_are_arguments),
		cmocka_unit_test(no_words_are_no_options),
		cmocka_unit_test(common_options_are_always_known),
		cmocka_unit_test(unknown_options_are_refused_by_name),
		cmocka_unit_test(missing_and_unwanted_values_are_refused),
		cmocka_unit_test(a_second_value_is_refused_unless_it_has_a_meaning),
		cmocka_unit_test(numbers_are_whole_and_within_their_range),
		cmocka_unit_test(a_number_that_was_not_given_leaves_the_default),
		cmocka_unit_test(signed_numbers_may_be_negative),
		cmocka_unit_test(at_most_one_of_several_may_be_given),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
