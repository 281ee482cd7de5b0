/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "base/config_find.h"
#include "base/config_table.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *sample_path; /* config.toml at the top of the sources */

static void load(struct config *config, const char *text)
{
	struct error err = { 0 };

	assert_int_equal(config_defaults(config), 0);
	if (config_parse(config, "config.toml", text, strlen(text), &err) < 0)
		fail_msg("%s", err.text);
}

/* @text gives exactly the error @message, and changes nothing. */
static void refuse(const char *text, const char *message)
{
	autoconfig struct config config = { 0 };
	autotext struct text before = { 0 };
	autotext struct text after = { 0 };
	struct error err = { 0 };

	assert_int_equal(config_defaults(&config), 0);
	assert_int_equal(config_dump(&config, &before), 0);
	assert_int_equal(config_parse(&config, "config.toml", text, strlen(text), &err),
			 -EINVAL);
	assert_string_equal(err.text, message);
	assert_int_equal(config_dump(&config, &after), 0);
	assert_string_equal(text_string(&after), text_string(&before));
	assert_null(config.file);
}

static void defaults_are_what_the_manual_says(void **state)
{
	autoconfig struct config c = { 0 };

	(void)state;
	assert_int_equal(config_defaults(&c), 0);
	assert_string_equal(c.archive.directory, "");
	assert_string_equal(c.mount.default_mountpoint, "");
	assert_string_equal(c.mount.default_remote, "");
	assert_int_equal(c.cache.max_segments, 96);
	assert_true(c.cache.max_size == 3000000000);
	assert_true(config_cache_bytes(&c) == 3000000000);
	assert_int_equal(c.server.default_port, 8080);
	assert_int_equal(c.server.hosts.count, 0);
	assert_int_equal(c.server.max_connections, 1024);
	assert_int_equal(c.server.request_timeout, 30);
	assert_int_equal(c.server.send_timeout, 60);
	assert_int_equal(c.server.stop_timeout, 30);
	assert_int_equal(c.logging.level, LOG_LEVEL_INFO);
	assert_int_equal(c.parity.policy, CONFIG_POLICY_TIERED);
	assert_int_equal(c.parity.data, 30);
	assert_int_equal(c.parity.parity, 3);
	assert_int_equal(c.parity.spread, 1 << 20);
	assert_int_equal(c.compression.level, 3);
	assert_int_equal(c.compression.frame_size, 256 << 10);
	assert_string_equal(c.volume.directory, "volumes");
	assert_true(c.volume.max_size == 1ull << 40);
	assert_int_equal(c.repair.write_back, CONFIG_WRITE_BACK_IN_PLACE);
	assert_int_equal(c.health.check_every, 30);
	assert_int_equal(c.limits.memory, 256 << 20);
	assert_int_equal(c.limits.jobs, 0);
	assert_true(config_jobs(&c) > 0);
	assert_int_equal(c.commit.exclude.count, 0);
	assert_false(c.commit.one_file_system);
}

static void a_file_sets_what_it_names(void **state)
{
	autoconfig struct config c = { 0 };

	(void)state;
	load(&c, "[archive]\ndirectory = \"/srv/a\"\n"
		 "[cache]\nmax_segments = 2\nmax_size = 100_000_000\n"
		 "[logging]\nlevel = 'debug'\n"
		 "[parity]\npolicy = \"compact\"\ndata = 10\nspread = \"0\"\n"
		 "[compression]\nlevel = -7\nframe_size = \"16KiB\"\n"
		 "[repair]\nwrite_back = \"off\"\n"
		 "[limits]\njobs = 3\n"
		 "[commit]\nexclude = [\"*.o\", '/tmp/**']\none_file_system = true\n");
	assert_string_equal(c.file, "config.toml");
	assert_string_equal(c.archive.directory, "/srv/a");
	assert_true(config_cache_bytes(&c) == 64 << 20);
	assert_int_equal(c.logging.level, LOG_LEVEL_DEBUG);
	assert_int_equal(c.parity.policy, CONFIG_POLICY_COMPACT);
	assert_int_equal(c.parity.data, 10);
	assert_int_equal(c.parity.parity, 3);
	assert_int_equal(c.parity.spread, 0);
	assert_int_equal(c.compression.level, -7);
	assert_int_equal(c.compression.frame_size, 16384);
	assert_int_equal(c.repair.write_back, CONFIG_WRITE_BACK_OFF);
	assert_int_equal(config_jobs(&c), 3);
	assert_int_equal(c.commit.exclude.count, 2);
	assert_string_equal(c.commit.exclude.items[1], "/tmp/**");
	assert_true(c.commit.one_file_system);
}

static void errors_name_file_line_and_key(void **state)
{
	static const char *const cases[][2] = {
		{ "[parity]\n\ndata = 300",
		  "config.toml:3: [parity] data: 300 is not between 1 and 200" },
		{ "[parity]\ndata = 0",
		  "config.toml:2: [parity] data: 0 is not between 1 and 200" },
		{ "[parity]\ndata = \"30\"",
		  "config.toml:2: [parity] data: wants a whole number" },
		{ "[parity]\nparity = 1.5",
		  "config.toml:2: [parity] parity: wants a whole number" },
		{ "[parity]\nspread = \"5000\"",
		  "config.toml:2: [parity] spread: 5KB is not a multiple of 4096 bytes" },
		{ "[parity]\nspread = -1",
		  "config.toml:2: [parity] spread: wants a size such as \"256MiB\"" },
		{ "[parity]\npolicy = \"x\"", "config.toml:2: [parity] policy: 'x' is "
					      "not one of \"tiered\", \"compact\"" },
		{ "[compression]\nframe_size = \"48KiB\"",
		  "config.toml:2: [compression] frame_size: 48KiB is not a power of "
		  "two" },
		{ "[compression]\nframe_size = \"1MiB\"",
		  "config.toml:2: [compression] frame_size: 1MiB is not between 16KiB "
		  "and 256KiB" },
		{ "[compression]\nlevel = 23",
		  "config.toml:2: [compression] level: 23 is not between -7 and 22" },
		{ "[volume]\ndirectory = \"\"",
		  "config.toml:2: [volume] directory: must not be empty" },
		{ "[limits]\nmemory = \"lots\"", "config.toml:2: [limits] memory: 'lots' "
						 "is not a size such as \"256MiB\"" },
		{ "[archive]\ndirectory = 5",
		  "config.toml:2: [archive] directory: wants a string" },
		{ "[archive]\ndirectory = \"a\\u0000b\"",
		  "config.toml:2: a NUL character in a key or string" },
		{ "[commit]\nexclude = \"*.o\"",
		  "config.toml:2: [commit] exclude: wants a list of strings" },
		{ "[commit]\nexclude = [1]",
		  "config.toml:2: [commit] exclude: wants a list of strings" },
		{ "[commit]\nexclude = [[\"a\"]]",
		  "config.toml:2: [commit] exclude: wants a list of strings" },
		{ "[commit]\nexclude = [\"[a\"]",
		  "config.toml:2: [commit] exclude: pattern '[a': '[' without ']'" },
		{ "[commit]\none_file_system = \"yes\"",
		  "config.toml:2: [commit] one_file_system: wants true or false" },
		{ "[parity]\nfoo = 1", "config.toml:2: [parity] foo: not a known key" },
		{ "[foo]\n", "config.toml:1: [foo] is not a known section" },
		{ "\nfoo = 1", "config.toml:2: 'foo' stands outside of any section" },
		{ "\n[[archive]]\n", "config.toml:2: [[archive]] is not a known table" },
		{ "archive.foo = 1", "config.toml:1: [archive] foo: not a known key" },
		{ "[server]\ndefault_port = 0",
		  "config.toml:2: [server] default_port: 0 is not between 1 and 65535" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		refuse(cases[i][0], cases[i][1]);
}

static void bad_syntax_is_reported_with_its_line(void **state)
{
	static const char *const bad[] = {
		"[archive]\ndirectory = ", "[archive]\n[archive]\n",
		"[archive]\ndirectory = \"\xff\"\n", "[a\nb]", "x"
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		autoconfig struct config config = { 0 };
		struct error err = { 0 };

		assert_int_equal(config_defaults(&config), 0);
		assert_int_equal(
			config_parse(&config, "f.toml", bad[i], strlen(bad[i]), &err),
			-EINVAL);
		assert_memory_equal(err.text, "f.toml:", 7);
		assert_in_range(err.text[7], '1', '3');
	}
}

/* Each of these would nest tables far beyond any stack. */
static void deep_nesting_is_refused_before_parsing(void **state)
{
	static const char *const units[][2] = { { "a.", "too many dotted keys" },
						{ "[a.", "nested too deeply" },
						{ "x=[", "nested too deeply" },
						{ "x={y=", "nested too deeply" } };
	autofree char *bytes = malloc(CONFIG_FILE_MAX + 1);

	(void)state;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		autoconfig struct config config = { 0 };
		size_t size = strlen(units[i][0]);
		struct error err = { 0 };

		for (size_t n = 0; n < CONFIG_FILE_MAX; n++)
			bytes[n] = units[i][0][n % size];
		assert_int_equal(config_parse(&config, "f", bytes, CONFIG_FILE_MAX, &err),
				 -EINVAL);
		assert_non_null(strstr(err.text, units[i][1]));
		assert_int_equal(
			config_parse(&config, "f", bytes, CONFIG_FILE_MAX + 1, &err),
			-EFBIG);
	}
}

static void dots_and_brackets_in_strings_and_comments_do_not_count(void **state)
{
	autotext struct text text = { 0 };
	autoconfig struct config config = { 0 };

	(void)state;
	assert_int_equal(text_append(&text, "# "), 0);
	for (int i = 0; i < 200; i++)
		assert_int_equal(text_append(&text, ".["), 0);
	assert_int_equal(text_append(&text, "\n[commit]\nexclude = [\n"), 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(text_append(&text,
					     "\"*.o\\\"\", '.a\"', # it's\n"
					     "\"\"\"\\\"\"\".\"\"\"\", '''.''',\n"),
				 0);
	assert_int_equal(text_append(&text, "]\n"), 0);
	load(&config, text_string(&text));
	assert_int_equal(config.commit.exclude.count, 400);
	assert_string_equal(config.commit.exclude.items[0], "*.o\"");
	assert_string_equal(config.commit.exclude.items[2], "\"\"\".\"");
}

static void a_dump_gives_the_same_settings(void **state)
{
	autoconfig struct config config = { 0 };
	autoconfig struct config again = { 0 };
	autotext struct text dump = { 0 };
	autotext struct text redump = { 0 };

	(void)state;
	load(&config,
	     "[archive]\ndirectory = \"a\\\"b\\\\c\\n\\u007f\xc3\xa4\"\n"
	     "[commit]\nexclude = [\"a b\", \"*.[oa]\"]\n[compression]\nlevel = -3\n"
	     "[volume]\nmax_size = 123456789\n[logging]\nlevel = \"error\"\n");
	assert_int_equal(config_dump(&config, &dump), 0);
	load(&again, text_string(&dump));
	assert_int_equal(config_dump(&again, &redump), 0);
	assert_string_equal(text_string(&redump), text_string(&dump));
	assert_string_equal(again.archive.directory, "a\"b\\c\n\x7f\xc3\xa4");
	assert_int_equal(again.volume.max_size, 123456789);
}

/* A changed default or help text shows here; the wanted file is left where the test runs. */
static void tiers_are_tables_of_their_own(void **state)
{
	autoconfig struct config config = { 0 };
	const struct config_tier *tier;

	(void)state;
	load(&config, "[tier]\nstate = \"/s\"\n"
		      "[[tier.folder]]\ndirectory = \"/a\"\n"
		      "[[tier.folder]]\ndirectory = \"/b\"\narchive = \"/c\"\n"
		      "into = \"d\"\naccess_age = \"36h\"\nmodify_age = \"0s\"\n"
		      "min_size = 5\nhigh = 90\nlow = 75\ninclude = [\"*.mkv\"]\n"
		      "exclude = [\"x/\"]\nrate = \"10MiB\"\nreserve = \"1GiB\"\n"
		      "interval = \"90m\"\n");
	assert_string_equal(config.tier.state, "/s");
	assert_int_equal(config.tiers.count, 2);
	tier = &config.tiers.items[0];
	assert_string_equal(tier->directory, "/a");
	assert_string_equal(tier->archive, "");
	assert_int_equal(tier->access_age, 30 * 86400);
	assert_int_equal(tier->high, 0);
	tier = &config.tiers.items[1];
	assert_string_equal(tier->archive, "/c");
	assert_string_equal(tier->into, "d");
	assert_int_equal(tier->access_age, 36 * 3600);
	assert_int_equal(tier->modify_age, 0);
	assert_int_equal(tier->min_size, 5);
	assert_int_equal(config_tier_low(tier), 75);
	assert_string_equal(tier->include.items[0], "*.mkv");
	assert_string_equal(tier->exclude.items[0], "x/");
	assert_int_equal(tier->rate, 10 << 20);
	assert_int_equal(tier->reserve, 1 << 30);
	assert_int_equal(tier->interval, 5400);
}

static void a_file_without_the_section_may_have_tables_of_its_name(void **state)
{
	autoconfig struct config config = { 0 };

	(void)state;
	load(&config, "[[tier]]\ndirectory = \"/a\"\nhigh = 80\n");
	assert_int_equal(config.tiers.count, 1);
	assert_int_equal(config_tier_low(&config.tiers.items[0]), 70);
}

static void bad_tiers_are_named_by_line_and_key(void **state)
{
	(void)state;
	refuse("[[tier.folder]]\nhigh = 80\n",
	       "config.toml:1: [[tier.folder]]: directory: is missing");
	refuse("[[tier.folder]]\ndirectory = \"a\"\n",
	       "config.toml:1: [[tier.folder]]: directory: must be absolute");
	refuse("[[tier.folder]]\ndirectory = \"/a\"\narchive = \"b\"\n",
	       "config.toml:1: [[tier.folder]]: archive: must be absolute");
	refuse("[[tier.folder]]\ndirectory = \"/a\"\n[[tier.folder]]\ndirectory = "
	       "\"/a\"\n",
	       "config.toml:3: [[tier.folder]]: directory: '/a' comes twice");
	refuse("[[tier.folder]]\ndirectory = \"/a\"\nhigh = 80\nlow = 80\n",
	       "config.toml:1: [[tier.folder]]: low: must be less than high");
	refuse("[[tier.folder]]\ndirectory = \"/a\"\nlow = 80\n",
	       "config.toml:1: [[tier.folder]]: low: means nothing without high");
	refuse("[[tier.folder]]\ndirectory = \"/a\"\nhigh = 100\n",
	       "config.toml:3: [[tier.folder]] high: 100 is not between 0 and 99");
	refuse("[[tier]]\ndirectory = \"/a\"\naccess_age = 30\n",
	       "config.toml:3: [[tier]] access_age: wants a duration such as \"30d\"");
	refuse("[[tier]]\ndirectory = \"/a\"\naccess_age = \"30\"\n",
	       "config.toml:3: [[tier]] access_age: '30' is not a duration such as "
	       "\"30d\"");
	refuse("[[tier]]\ndirectory = \"/a\"\ncolour = 1\n",
	       "config.toml:3: [[tier]] colour: not a known key");
	refuse("[[tier]]\ndirectory = \"/a\"\nexclude = [\"[\"]\n",
	       "config.toml:3: [[tier]] exclude: pattern '[': '[' without ']'");
	refuse("[[folder]]\ndirectory = \"/a\"\n",
	       "config.toml:1: [[folder]] is not a known table");
}

static void the_sample_at_the_top_is_what_the_table_says(void **state)
{
	autofree uint8_t *file = NULL;
	autotext struct text wanted = { 0 };
	size_t size = 0;

	(void)state;
	assert_int_equal(config_sample(&wanted), 0);
	(void)file_read_all(AT_FDCWD, sample_path, CONFIG_FILE_MAX, &file, &size, NULL);
	if (!file || strcmp((char *)file, text_string(&wanted)) != 0) {
		(void)file_replace(AT_FDCWD, "config.toml.wanted", wanted.data,
				   wanted.size, 0644, NULL);
		fail_msg("%s differs from config.toml.wanted", sample_path);
	}
}

static void the_sample_equals_the_defaults_and_has_each_key(void **state)
{
	autoconfig struct config defaults = { 0 };
	autoconfig struct config sample = { 0 };
	autotext struct text expected = { 0 };
	autotext struct text got = { 0 };
	autofree uint8_t *file = NULL;
	size_t size = 0;

	(void)state;
	assert_int_equal(config_defaults(&defaults), 0);
	assert_int_equal(config_defaults(&sample), 0);
	assert_int_equal(config_load_file(&sample, sample_path, NULL), 0);
	assert_int_equal(config_dump(&defaults, &expected), 0);
	assert_int_equal(config_dump(&sample, &got), 0);
	assert_string_equal(text_string(&got), text_string(&expected));

	assert_int_equal(
		file_read_all(AT_FDCWD, sample_path, CONFIG_FILE_MAX, &file, &size, NULL),
		0);
	for (size_t i = 0; i < config_key_count; i++) {
		autotext struct text line = { 0 };

		assert_int_equal(text_appendf(&line, "\n%s = ", config_keys[i].key), 0);
		assert_non_null(strstr((char *)file, text_string(&line)));
	}
}

static void the_environment_overrides_each_key(void **state)
{
	static const char *const values[][2] = {
		{ "BLOCKFRAME_LIMITS_JOBS", "7" },
		{ "BLOCKFRAME_COMPRESSION_LEVEL", "-2" },
		{ "BLOCKFRAME_VOLUME_MAX_SIZE", "10GB" },
		{ "BLOCKFRAME_COMMIT_ONE_FILE_SYSTEM", "true" },
		{ "BLOCKFRAME_COMMIT_EXCLUDE", "*.o::*.a" },
		{ "BLOCKFRAME_LOGGING_LEVEL", "warn" },
		{ "BLOCKFRAME_VOLUME_DIRECTORY", "v" },
	};
	autoconfig struct config c = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		assert_int_equal(setenv(values[i][0], values[i][1], 1), 0);
	load(&c, "[limits]\njobs = 3\nmemory = \"128MiB\"\n");
	assert_int_equal(config_apply_environment(&c, NULL), 0);
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		assert_int_equal(unsetenv(values[i][0]), 0);

	assert_int_equal(c.limits.jobs, 7);
	assert_int_equal(c.limits.memory, 128 << 20);
	assert_int_equal(c.compression.level, -2);
	assert_true(c.volume.max_size == 10000000000);
	assert_true(c.commit.one_file_system);
	assert_int_equal(c.commit.exclude.count, 2);
	assert_string_equal(c.commit.exclude.items[1], "*.a");
	assert_int_equal(c.logging.level, LOG_LEVEL_WARN);
	assert_string_equal(c.volume.directory, "v");
}

static void a_bad_variable_is_named(void **state)
{
	autoconfig struct config c = { 0 };
	struct error err = { 0 };

	(void)state;
	assert_int_equal(config_defaults(&c), 0);
	assert_int_equal(setenv("BLOCKFRAME_LIMITS_JOBS", "many", 1), 0);
	assert_int_equal(config_apply_environment(&c, &err), -EINVAL);
	assert_string_equal(
		err.text,
		"environment: BLOCKFRAME_LIMITS_JOBS: 'many' is not a whole number");
	assert_int_equal(setenv("BLOCKFRAME_LIMITS_JOBS", "257", 1), 0);
	assert_int_equal(config_apply_environment(&c, &err), -EINVAL);
	assert_string_equal(
		err.text,
		"environment: BLOCKFRAME_LIMITS_JOBS: 257 is not between 0 and 256");
	assert_int_equal(unsetenv("BLOCKFRAME_LIMITS_JOBS"), 0);
}

/* A home with the user's file, an archive with its own, one without, and a loose file. Each
 * sets another number of jobs, so that the number tells which file is in force. */
static char home[] = "/tmp/blockframe-config-XXXXXX";

static void put_file(const char *name, const char *text)
{
	autotext struct text path = { 0 };

	assert_int_equal(text_appendf(&path, "%s/%s", home, name), 0);
	assert_int_equal(file_replace(AT_FDCWD, text_string(&path), text, strlen(text),
				      0600, NULL),
			 0);
}

static int make_home(void **state)
{
	(void)state;
	memcpy(home + sizeof(home) - 7, "XXXXXX", 6);
	if (!mkdtemp(home) || chdir(home) < 0)
		return -1;
	(void)mkdir("archive", 0700);
	(void)mkdir("bare", 0700);
	(void)mkdir(".config", 0700);
	(void)mkdir(".config/blockframe", 0700);
	put_file("loose.toml", "[limits]\njobs = 1\n[archive]\ndirectory = \"bare\"\n");
	put_file("archive/config.toml",
		 "[limits]\njobs = 2\n[archive]\ndirectory = \"other\"\n");
	put_file(".config/blockframe/config.toml", "[limits]\njobs = 3\n");
	return setenv("HOME", home, 1);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int remove_home(void **state)
{
	(void)state;
	(void)unsetenv("BLOCKFRAME_CONFIG");
	(void)unsetenv("BLOCKFRAME_ARCHIVE_DIRECTORY");
	(void)unsetenv("BLOCKFRAME_LIMITS_JOBS");
	(void)unsetenv("XDG_CONFIG_HOME");
	return nftw(home, remove_one, 8, FTW_DEPTH | FTW_PHYS) < 0 || chdir("/") < 0 ? -1
										     : 0;
}

static void resolve(struct config *c, const char *config_flag, const char *archive_flag)
{
	struct error err = { 0 };

	if (config_resolve(c, config_flag, archive_flag, &err) < 0)
		fail_msg("%s", err.text);
}

static void files_are_looked_for_in_order(void **state)
{
	autoconfig struct config c = { 0 };
	autofree char *found = NULL;

	(void)state;
	resolve(&c, NULL, NULL);
	assert_int_equal(c.limits.jobs, 3);
	resolve(&c, NULL, "archive");
	assert_int_equal(c.limits.jobs, 2);
	assert_string_equal(c.archive.directory, "archive");
	resolve(&c, NULL, "bare");
	assert_int_equal(c.limits.jobs, 3);
	resolve(&c, "loose.toml", "archive");
	assert_int_equal(c.limits.jobs, 1);
	assert_int_equal(setenv("BLOCKFRAME_CONFIG", "loose.toml", 1), 0);
	resolve(&c, NULL, "archive");
	assert_int_equal(c.limits.jobs, 1);
	resolve(&c, "archive/config.toml", NULL);
	assert_int_equal(c.limits.jobs, 2);
	assert_int_equal(unsetenv("BLOCKFRAME_CONFIG"), 0);

	assert_int_equal(setenv("XDG_CONFIG_HOME", "/nonexistent", 1), 0);
	resolve(&c, NULL, NULL);
	assert_int_equal(c.limits.jobs, 0);
	assert_null(c.file);
	assert_int_equal(config_find(NULL, NULL, &found, NULL), 0);
	assert_null(found);
	assert_int_equal(config_find(NULL, "archive", &found, NULL), 0);
	assert_string_equal(found, "archive/config.toml");
}

static void the_users_file_hands_over_to_the_archive_it_names(void **state)
{
	autoconfig struct config c = { 0 };

	(void)state;
	put_file(".config/blockframe/config.toml",
		 "[limits]\njobs = 3\nmemory = \"1GiB\"\n[archive]\ndirectory = "
		 "\"../../archive\"\n");
	resolve(&c, NULL, NULL);
	assert_int_equal(c.limits.jobs, 2);
	assert_int_equal(c.limits.memory, 256 << 20);
	assert_non_null(strstr(c.archive.directory, "/.config/blockframe/../../archive"));
	assert_non_null(strstr(c.file, "/archive/config.toml"));

	put_file(".config/blockframe/config.toml",
		 "[limits]\njobs = 3\n[archive]\ndirectory = \"../../bare\"\n");
	resolve(&c, NULL, NULL);
	assert_int_equal(c.limits.jobs, 3);
	assert_non_null(strstr(c.archive.directory, "/bare"));

	/* Only when nothing else names an archive. */
	put_file(".config/blockframe/config.toml",
		 "[limits]\njobs = 3\n[archive]\ndirectory = \"../../archive\"\n");
	resolve(&c, NULL, "bare");
	assert_int_equal(c.limits.jobs, 3);
	assert_string_equal(c.archive.directory, "bare");
}

static void flags_beat_the_environment_which_beats_the_file(void **state)
{
	autoconfig struct config c = { 0 };

	(void)state;
	assert_int_equal(setenv("BLOCKFRAME_LIMITS_JOBS", "9", 1), 0);
	assert_int_equal(setenv("BLOCKFRAME_ARCHIVE_DIRECTORY", "bare", 1), 0);
	resolve(&c, NULL, "archive");
	assert_int_equal(c.limits.jobs, 9);
	assert_string_equal(c.archive.directory, "archive");
	resolve(&c, "loose.toml", NULL);
	assert_string_equal(c.archive.directory, "bare");
	assert_int_equal(unsetenv("BLOCKFRAME_LIMITS_JOBS"), 0);
	assert_int_equal(setenv("BLOCKFRAME_ARCHIVE_DIRECTORY", "archive", 1), 0);
	resolve(&c, NULL, NULL);
	assert_int_equal(c.limits.jobs, 2);
	assert_string_equal(c.archive.directory, "archive");
}

static void named_files_must_exist_and_nothing_changes_on_failure(void **state)
{
	autoconfig struct config c = { 0 };
	struct error err = { 0 };

	(void)state;
	resolve(&c, NULL, "archive");
	assert_int_equal(config_resolve(&c, "none.toml", NULL, &err), -ENOENT);
	assert_non_null(strstr(err.text, "none.toml"));
	assert_int_equal(setenv("BLOCKFRAME_CONFIG", "none.toml", 1), 0);
	assert_int_equal(config_resolve(&c, NULL, "archive", NULL), -ENOENT);
	put_file("archive/config.toml", "[limits]\njobs = x\n");
	assert_int_equal(unsetenv("BLOCKFRAME_CONFIG"), 0);
	assert_int_equal(config_resolve(&c, NULL, "archive", &err), -EINVAL);
	assert_memory_equal(err.text, "archive/config.toml:2: ", 23);
	assert_int_equal(c.limits.jobs, 2);
}

#define HOME_TEST(f) cmocka_unit_test_setup_teardown(f, make_home, remove_home)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_what_the_manual_says),
		cmocka_unit_test(a_file_sets_what_it_names),
		cmocka_unit_test(errors_name_file_line_and_key),
		cmocka_unit_test(bad_syntax_is_reported_with_its_line),
		cmocka_unit_test(deep_nesting_is_refused_before_parsing),
		cmocka_unit_test(dots_and_brackets_in_strings_and_comments_do_not_count),
		cmocka_unit_test(a_dump_gives_the_same_settings),
		cmocka_unit_test(tiers_are_tables_of_their_own),
		cmocka_unit_test(a_file_without_the_section_may_have_tables_of_its_name),
		cmocka_unit_test(bad_tiers_are_named_by_line_and_key),
		cmocka_unit_test(the_sample_at_the_top_is_what_the_table_says),
		cmocka_unit_test(the_sample_equals_the_defaults_and_has_each_key),
		cmocka_unit_test(the_environment_overrides_each_key),
		cmocka_unit_test(a_bad_variable_is_named),
		HOME_TEST(files_are_looked_for_in_order),
		HOME_TEST(the_users_file_hands_over_to_the_archive_it_names),
		HOME_TEST(flags_beat_the_environment_which_beats_the_file),
		HOME_TEST(named_files_must_exist_and_nothing_changes_on_failure),
	};

	(void)unsetenv("XDG_CONFIG_HOME");
	sample_path = CONFIG_SAMPLE;
	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
