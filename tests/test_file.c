/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* A fresh folder for each case, removed with its content. */
static char folder_path[] = "/tmp/blockframe-file-XXXXXX";
static int folder = -1;

static int make_folder(void **state)
{
	(void)state;
	memcpy(folder_path + sizeof(folder_path) - 7, "XXXXXX", 6);
	if (!mkdtemp(folder_path))
		return -1;
	folder = open(folder_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return folder < 0 ? -1 : 0;
}

static int count_entries(void)
{
	DIR *dir = fdopendir(dup(folder));
	int count = 0;

	rewinddir(dir);
	while (readdir(dir))
		count++;
	(void)closedir(dir);
	return count - 2; /* "." and ".." */
}

static int remove_folder(void **state)
{
	(void)state;
	(void)unlinkat(folder, "file", 0);
	(void)unlinkat(folder, "fifo", 0);
	(void)unlinkat(folder, "a/b/c", AT_REMOVEDIR);
	(void)unlinkat(folder, "a/b", AT_REMOVEDIR);
	(void)unlinkat(folder, "a/file", 0);
	(void)unlinkat(folder, "a", AT_REMOVEDIR);
	(void)close(folder);
	return rmdir(folder_path);
}

static void a_replaced_file_is_read_back(void **state)
{
	autofree uint8_t *data = NULL;
	size_t size = 0;

	(void)state;
	assert_int_equal(file_replace(folder, "file", "first", 5, 0600, NULL), 0);
	assert_int_equal(file_replace(folder, "file", "second\0x", 8, 0600, NULL), 0);
	assert_int_equal(file_read_all(folder, "file", 8, &data, &size, NULL), 0);
	assert_int_equal(size, 8);
	assert_memory_equal(data, "second\0x", 9);
	assert_int_equal(count_entries(), 1);
}

static void a_file_above_the_limit_is_not_read(void **state)
{
	uint8_t bytes[10000] = { 0 };
	uint8_t *data = NULL;
	struct error err = { 0 };
	size_t size = 0;

	(void)state;
	assert_int_equal(file_replace(folder, "file", bytes, sizeof(bytes), 0600, NULL),
			 0);
	assert_int_equal(file_read_all(folder, "file", 9999, &data, &size, &err), -EFBIG);
	assert_non_null(strstr(err.text, "'file'"));
	assert_null(data);
	for (size_t limit = 10000; limit < 10003; limit++) {
		assert_int_equal(file_read_all(folder, "file", limit, &data, &size, NULL),
				 0);
		assert_int_equal(size, 10000);
		free(take_ptr(data));
	}
	assert_int_equal(file_replace(folder, "file", NULL, 0, 0600, NULL), 0);
	assert_int_equal(file_read_all(folder, "file", 0, &data, &size, NULL), 0);
	assert_int_equal(size, 0);
	free(data);
}

static void only_regular_files_are_read(void **state)
{
	uint8_t *data = NULL;
	size_t size = 0;

	(void)state;
	assert_int_equal(mkfifoat(folder, "fifo", 0600), 0);
	assert_int_equal(file_read_all(folder, "fifo", 10, &data, &size, NULL), -EINVAL);
	assert_int_equal(file_read_all(folder, ".", 10, &data, &size, NULL), -EINVAL);
	assert_int_equal(file_read_all(folder, "none", 10, &data, &size, NULL), -ENOENT);
}

static void a_failed_replacement_leaves_the_folder_as_it_was(void **state)
{
	struct error err = { 0 };

	(void)state;
	assert_int_equal(mkdirat(folder, "a", 0700), 0);
	assert_true(file_replace(folder, "a", "x", 1, 0600, &err) < 0);
	assert_non_null(strstr(err.text, "'a'"));
	assert_int_equal(file_replace(folder, "none/x", "x", 1, 0600, NULL), -ENOENT);
	assert_int_equal(count_entries(), 1);
	assert_int_equal(file_replace(folder, "a/file", "x", 1, 0600, NULL), 0);
	assert_int_equal(faccessat(folder, "a/file", F_OK, 0), 0);
}

static void missing_parents_are_made(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(mkdir_parents(folder, "a/b//c/", 0700, NULL), 0);
	assert_int_equal(fstatat(folder, "a/b/c", &st, 0), 0);
	assert_true(S_ISDIR(st.st_mode));
	assert_int_equal(mkdir_parents(folder, "a/b/c", 0700, NULL), 0);
	assert_int_equal(mkdir_parents(AT_FDCWD, folder_path, 0700, NULL), 0);
	assert_int_equal(mkdir_parents(AT_FDCWD, "/", 0700, NULL), 0);
	assert_int_equal(mkdir_parents(folder, "", 0700, NULL), -EINVAL);
	assert_int_equal(file_replace(folder, "file", "x", 1, 0600, NULL), 0);
	assert_int_equal(mkdir_parents(folder, "file/x", 0700, NULL), -ENOTDIR);
	assert_int_equal(mkdir_parents(folder, "file", 0700, NULL), -ENOTDIR);
}

static void whole_transfers_end_only_at_the_end_of_the_file(void **state)
{
	autoclose int fd = openat(folder, "file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	char buf[8] = { 0 };
	size_t got = 0;

	(void)state;
	assert_int_equal(pwrite_full(fd, "world", 5, 3), 0);
	assert_int_equal(write_full(fd, "hi ", 3), 0);
	assert_int_equal(pread_full(fd, buf, 8, 0, NULL), 0);
	assert_memory_equal(buf, "hi world", 8);
	assert_int_equal(pread_full(fd, buf, 8, 6, &got), 0);
	assert_int_equal(got, 2);
	assert_int_equal(pread_full(fd, buf, 8, 6, NULL), -ENODATA);
	assert_int_equal(read_full(fd, buf, 8, &got), 0);
	assert_int_equal(got, 5);
	assert_int_equal(pread_full(fd, buf, 8, UINT64_MAX - 2, &got), -EOVERFLOW);
	assert_int_equal(pwrite_full(fd, buf, 8, INT64_MAX - 2), -EOVERFLOW);
	assert_int_equal(pread_full(-1, buf, 8, 0, &got), -EBADF);
}

/* What @level and @text look like on standard error. */
static void capture_log(enum log_level level, const char *text, char *out, size_t size)
{
	autoclose int saved = dup(STDERR_FILENO);
	int pipes[2];
	ssize_t n;

	assert_int_equal(pipe2(pipes, O_CLOEXEC | O_NONBLOCK), 0);
	assert_true(dup2(pipes[1], STDERR_FILENO) >= 0);
	log_write(level, "%s", text);
	assert_true(dup2(saved, STDERR_FILENO) >= 0);
	n = read(pipes[0], out, size - 1);
	out[n > 0 ? n : 0] = 0;
	(void)close(pipes[0]);
	(void)close(pipes[1]);
}

static void a_log_line_is_one_line_of_plain_text(void **state)
{
	char line[LOG_LINE_MAX + 1];
	char text[2 * LOG_LINE_MAX];

	(void)state;
	capture_log(LOG_LEVEL_ERROR, "a\nb\x1b[1m \xc3\xa4 \xff", line, sizeof(line));
	assert_string_equal(line, "blockframe: error: a\\x0ab\\x1b[1m \xc3\xa4 \\xff\n");

	memset(text, '\n', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	capture_log(LOG_LEVEL_WARN, text, line, sizeof(line));
	assert_true(strlen(line) <= LOG_LINE_MAX);
	assert_string_equal(line + strlen(line) - 8, "\\x0a...\n");
	assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
}

static void messages_above_the_level_are_dropped(void **state)
{
	char line[LOG_LINE_MAX + 1];

	(void)state;
	assert_int_equal(log_get_level(), LOG_LEVEL_INFO);
	capture_log(LOG_LEVEL_DEBUG, "x", line, sizeof(line));
	assert_string_equal(line, "");
	log_set_level(LOG_LEVEL_DEBUG);
	capture_log(LOG_LEVEL_DEBUG, "x", line, sizeof(line));
	assert_string_equal(line, "blockframe: debug: x\n");
	log_set_level(LOG_LEVEL_INFO);
}

static void random_bytes_differ_and_clocks_advance(void **state)
{
	uint8_t a[16] = { 0 };
	uint8_t b[16] = { 0 };
	uint64_t before = clock_monotonic_ns();

	(void)state;
	assert_int_equal(random_bytes(a, sizeof(a), NULL), 0);
	assert_int_equal(random_bytes(b, sizeof(b), NULL), 0);
	assert_memory_not_equal(a, b, sizeof(a));
	assert_true(clock_monotonic_ns() >= before);
	assert_true(clock_realtime_ns() > 1600000000000000000);
}

#define FOLDER_TEST(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FOLDER_TEST(a_replaced_file_is_read_back),
		FOLDER_TEST(a_file_above_the_limit_is_not_read),
		FOLDER_TEST(only_regular_files_are_read),
		FOLDER_TEST(a_failed_replacement_leaves_the_folder_as_it_was),
		FOLDER_TEST(missing_parents_are_made),
		FOLDER_TEST(whole_transfers_end_only_at_the_end_of_the_file),
		cmocka_unit_test(a_log_line_is_one_line_of_plain_text),
		cmocka_unit_test(messages_above_the_level_are_dropped),
		cmocka_unit_test(random_bytes_differ_and_clocks_advance),
	};

	return cmocka_run_group_tests_name("file", tests, NULL, NULL);
}
