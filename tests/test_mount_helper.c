/* SPDX-License-Identifier: MIT */
#include "cli/mount_helper.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* cmocka.h needs the ones above. */
#include <cmocka.h>

/* The words for a line that mount(8) gives, joined; "" for none, "?" for a refusal. */
static const char *words_of(const char *line)
{
	static char result[256];
	char copy[256], *words[16], *command[MOUNT_HELPER_WORDS_MAX], *save = NULL;
	int count = 0;
	int n;

	(void)snprintf(copy, sizeof(copy), "%s", line);
	for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
		words[count++] = w;
	n = mount_helper_words(words, count, command);
	if (n < 0)
		return "?";
	result[0] = '\0';
	for (int i = 0; i < n; i++) {
		size_t used = strlen(result);

		(void)snprintf(result + used, sizeof(result) - used, "%s%s", i ? " " : "",
			       command[i]);
	}
	return result;
}

static void it_is_known_by_its_names(void **state)
{
	(void)state;
	assert_true(mount_helper_is("/sbin/mount.blockframe"));
	assert_true(mount_helper_is("mount.fuse.blockframe"));
	assert_false(mount_helper_is("/usr/bin/blockframe"));
	assert_false(mount_helper_is("/mount.blockframe/blockframe"));
}

static void what_mount_says_becomes_a_command(void **state)
{
	(void)state;
	assert_string_equal(words_of("/a /m -o rw,allow_other"),
			    "mount --archive /a --mountpoint /m -o allow_other");
	assert_string_equal(words_of("-sv /a -t fuse.blockframe /m -N 5"),
			    "mount --archive /a --mountpoint /m -v");
	assert_string_equal(words_of("https://h:1/b /m -o rw,pin=1"),
			    "mount --remote https://h:1/b --mountpoint /m -o pin=1");
	assert_string_equal(words_of("http://h /m"),
			    "mount --remote http://h --mountpoint /m");
	assert_string_equal(words_of("/a /m -f"), "");
	assert_string_equal(words_of("/a /m -sfn -o ro"), "");
}

static void the_rw_that_mount_always_says_is_left_out(void **state)
{
	(void)state;
	assert_string_equal(words_of("/a /m -o rw"),
			    "mount --archive /a --mountpoint /m -o ");
	assert_string_equal(words_of("/a /m -o uid=1,rw"),
			    "mount --archive /a --mountpoint /m -o uid=1,");
	assert_string_equal(
		words_of("/a /m -o rwx,rw,log=/a\\,rw,x-rw,rw,ro"),
		"mount --archive /a --mountpoint /m -o rwx,log=/a\\,rw,x-rw,ro");
	assert_string_equal(words_of("/a /m -o log=a\\"),
			    "mount --archive /a --mountpoint /m -o log=a\\");
}

static void other_lines_are_refused(void **state)
{
	(void)state;
	assert_string_equal(words_of(""), "?");
	assert_string_equal(words_of("/a"), "?");
	assert_string_equal(words_of("/a /m /x"), "?");
	assert_string_equal(words_of("/a /m -o"), "?");
	assert_string_equal(words_of("/a /m -x"), "?");
	assert_string_equal(words_of("/a /m --help"), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_known_by_its_names),
		cmocka_unit_test(what_mount_says_becomes_a_command),
		cmocka_unit_test(the_rw_that_mount_always_says_is_left_out),
		cmocka_unit_test(other_lines_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
