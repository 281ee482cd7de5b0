/* SPDX-License-Identifier: MIT */
#include "mount/options.h"

#include "base/error.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h needs the ones above. */
#include <cmocka.h>

static void a_line_of_fstab_is_understood(void **state)
{
	struct mount_options options = { 0 };

	(void)state;
	assert_int_equal(
		mount_options_parse("ro,noauto,x-systemd.automount,_netdev,allow_other,"
				    "nosuid,uid=1000,gid=100,umask=027,at=12,cache=1G,"
				    "jobs=3,log=/var/log/a\\,b,comment=x",
				    &options, NULL),
		0);
	assert_string_equal(text_string(&options.fuse), "allow_other,nosuid");
	assert_true(options.masks.has_uid && options.masks.has_gid);
	assert_int_equal(options.masks.uid, 1000);
	assert_int_equal(options.masks.gid, 100);
	assert_true(options.masks.has_umask);
	assert_int_equal(options.masks.umask, 027);
	assert_string_equal(options.at, "12");
	assert_string_equal(options.cache, "1G");
	assert_string_equal(options.jobs, "3");
	assert_string_equal(options.log, "/var/log/a,b");
	mount_options_done(&options);
}

static void a_server_can_be_named_there_too(void **state)
{
	struct mount_options options = { 0 };

	(void)state;
	assert_int_equal(
		mount_options_parse("_netdev,token-file=/etc/token,cacert=/c.pem,"
				    "pin=ab,cache-dir=/var/cache/x,cache-size=2G,"
				    "timeout=90,tofu,plain-token",
				    &options, NULL),
		0);
	assert_string_equal(options.token_file, "/etc/token");
	assert_string_equal(options.ca_file, "/c.pem");
	assert_string_equal(options.pin, "ab");
	assert_string_equal(options.cache_directory, "/var/cache/x");
	assert_string_equal(options.cache_size, "2G");
	assert_string_equal(options.timeout, "90");
	assert_true(options.tofu && options.plain_token);
	assert_string_equal(text_string(&options.fuse), "");
	mount_options_done(&options);
}

static void what_only_others_understand_is_let_pass(void **state)
{
	static const char *const fine[] = {
		"defaults",
		"defaults,ro,nofail,_netdev,noauto",
		"auto,user,users,owner,group,nouser,nousers,noowner,nogroup",
		"user=joe,comment=joe's,comment",
		"x-systemd.automount,x-systemd.requires=a.mount",
		"x-systemd.idle-timeout=1min",
		"X-mount.mkdir=0755,x-gvfs-show",
		"async,sync,dirsync,silent,loud,mand,nomand,iversion,noiversion",
		"atime,diratime,relatime,norelatime,strictatime,nostrictatime,lazytime",
		"",
		",,"
	};

	(void)state;
	for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++) {
		struct mount_options options = { 0 };

		assert_int_equal(mount_options_parse(fine[i], &options, NULL), 0);
		assert_string_equal(text_string(&options.fuse), "");
		mount_options_done(&options);
	}
}

static void what_the_kernel_has_to_do_reaches_it(void **state)
{
	struct mount_options options = { 0 };

	(void)state;
	assert_int_equal(mount_options_parse("nodev,nosuid,noexec,noatime,nodiratime,"
					     "ro,suid,dev,exec",
					     &options, NULL),
			 0);
	assert_string_equal(text_string(&options.fuse),
			    "nodev,nosuid,noexec,noatime,nodiratime,suid,dev,exec");
	mount_options_done(&options);
}

static void several_lists_add_up(void **state)
{
	struct mount_options options = { 0 };

	(void)state;
	assert_int_equal(mount_options_parse("at=1,allow_other", &options, NULL), 0);
	assert_int_equal(mount_options_parse("", &options, NULL), 0);
	assert_int_equal(mount_options_parse("at=2,dev", &options, NULL), 0);
	assert_string_equal(options.at, "2");
	assert_string_equal(text_string(&options.fuse), "allow_other,dev");
	mount_options_done(&options);
}

static void what_is_not_known_is_refused_by_name(void **state)
{
	static const char *const wrong[] = {
		"bogus",       "bogus=1",       "uid=",
		"uid=me",      "gid=-1",        "umask=8",
		"umask=1000",  "umask=",        "uid=4294967295",
		"fsname=/etc", "allow_other=1", "rw",
		"ro,rw",       "remount",       "nosymfollow",
		"x",           "ro=1"
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct mount_options options = { 0 };
		struct error err = { 0 };
		char word[16] = "";

		const char *last = strrchr(wrong[i], ',');

		last = last ? last + 1 : wrong[i];
		memcpy(word, last, strcspn(last, "="));
		assert_int_equal(mount_options_parse(wrong[i], &options, &err), -EINVAL);
		assert_non_null(strstr(err.text, word));
		mount_options_done(&options);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_of_fstab_is_understood),
		cmocka_unit_test(a_server_can_be_named_there_too),
		cmocka_unit_test(what_only_others_understand_is_let_pass),
		cmocka_unit_test(what_the_kernel_has_to_do_reaches_it),
		cmocka_unit_test(several_lists_add_up),
		cmocka_unit_test(what_is_not_known_is_refused_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
