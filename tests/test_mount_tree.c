/* SPDX-License-Identifier: MIT */
/* What the mount answers to look-ups, listings and reads, without a kernel in between. */
#include "archive/archive.h"
#include "archive/read_health.h"
#include "archive/read_pieces.h"
#include "catalog/catalog.h"
#include "catalog/history.h"
#include "mount/bare_inodes.h"
#include "mount/file.h"
#include "mount/file_system.h"
#include "mount/folder.h"
#include "mount/look_up.h"
#include "mount/space.h"
#include "mount/special.h"
#include "mount/xattr.h"
#include "support/commit_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

#include <cmocka.h>

struct mounted {
	struct commit_fixture f;
	struct file_system fs;
};

static void open_backing(struct mounted *m, unsigned epoch)
{
	struct archive_options options = {
		.directory = m->f.base.directory,
		.config = &m->f.base.config,
		.observer = read_health_observer(m->fs.health),
	};
	struct error err = { 0 };

	if (backing_open(&options, epoch, 0, &m->fs.backing, &err) < 0)
		fail_msg("%s", err.text);
}

static int setup(void **state)
{
	struct mounted *m = calloc(1, sizeof(*m));

	assert_non_null(m);
	commit_fixture_init(&m->f);
	mutex_init(&m->fs.mutex);
	m->fs.at = VERSION_CURRENT;
	m->fs.bare = bare_inodes_new();
	assert_non_null(m->fs.bare);
	assert_int_equal(read_health_new(&m->fs.health, NULL), 0);
	open_backing(m, 0);
	*state = m;
	return 0;
}

static int teardown(void **state)
{
	struct mounted *m = *state;

	backing_unref(m->fs.backing);
	read_health_free(m->fs.health);
	free(m->fs.bare);
	mutex_done(&m->fs.mutex);
	commit_fixture_done(&m->f);
	free(m);
	return 0;
}

/* Look @path up from the top, as the kernel does: name by name, numbers in between. */
static int find(struct mounted *m, const char *path, struct found *found)
{
	struct inode at = { .kind = INODE_LIVE };
	autorequest request = { 0 };
	int r;

	assert_int_equal(request_begin(&request, &m->fs), 0);
	r = look_up_inode(&request, &at, found);
	while (r == 0 && *path) {
		size_t n = strcspn(path, "/");
		struct bytes name = { (uint8_t *)(uintptr_t)path, n };

		r = look_up_name(&request, &found->inode, &name, found);
		if (r == 0)
			assert_true(inode_decode(found->stat.st_ino, &found->inode));
		path += n + (path[n] == '/');
	}
	return r;
}

static struct found must_find(struct mounted *m, const char *path)
{
	struct found found;

	assert_int_equal(find(m, path, &found), 0);
	return found;
}

/* The file's content is @text. */
static void assert_reads(struct file *file, const char *text)
{
	uint8_t buffer[64 + READ_PIECES_SLACK];
	struct read_pieces pieces;
	char data[64] = "";
	size_t size = 0;

	read_pieces_init(&pieces, buffer);
	assert_int_equal(file_read(file, 0, &pieces, sizeof(data) - 1), 0);
	assert_in_range(pieces.size, 0, sizeof(data) - 1);
	for (unsigned i = 0; i < pieces.count; i++) {
		memcpy(data + size, pieces.pieces[i].data, pieces.pieces[i].size);
		size += pieces.pieces[i].size;
	}
	read_pieces_done(&pieces);
	assert_int_equal(size, strlen(text));
	assert_string_equal(data, text);
}

/* The whole content of @path, as text. */
static void assert_text(struct mounted *m, const char *path, const char *text)
{
	struct found found = must_find(m, path);
	autorequest request = { 0 };
	autoptr(file) file = NULL;

	assert_int_equal(request_begin(&request, &m->fs), 0);
	assert_int_equal(file_open(&request, &found.inode, &file), 0);
	request_end(&request);
	assert_reads(file, text);
	assert_int_equal(found.stat.st_size, strlen(text));
}

struct names {
	struct folder_sink sink; /* first member */
	char text[4096];
	unsigned room; /* entries before it is full */
	uint64_t offset;
};

static bool add_name(struct folder_sink *sink, const char *name,
		     const struct found *found, bool complete, uint64_t offset)
{
	struct names *names = (struct names *)sink;

	if (names->room == 0)
		return false;
	names->room--;
	assert_true(!complete || sink->wants_complete);
	assert_true(found->stat.st_ino != 0);
	(void)strncat(names->text, name, sizeof(names->text) - strlen(names->text) - 2);
	(void)strncat(names->text, " ", 2);
	names->offset = offset;
	return true;
}

/* All names of @path, read @step at a time. */
static void list(struct mounted *m, const char *path, unsigned step, bool complete,
		 struct names *names)
{
	struct found found = must_find(m, path);
	uint64_t before;

	*names = (struct names){ .sink = { add_name, complete } };
	do {
		autorequest request = { 0 };

		before = names->offset;
		names->room = step;
		assert_int_equal(request_begin(&request, &m->fs), 0);
		assert_int_equal(
			folder_list(&request, &found.inode, names->offset, &names->sink),
			0);
	} while (names->offset != before);
}

static void assert_list(struct mounted *m, const char *path, const char *names)
{
	static const unsigned steps[] = { 1, 2, 3, 1000 };

	for (size_t i = 0; i < 2 * sizeof(steps) / sizeof(steps[0]); i++) {
		struct names got;

		list(m, path, steps[i / 2], i % 2, &got);
		assert_string_equal(got.text, names);
	}
}

static void the_tree_is_that_of_the_last_commit(void **state)
{
	struct mounted *m = *state;
	struct found found;

	assert_list(m, "", ". .. ");
	source_folder(&m->f, "d");
	source_text(&m->f, "d/one", "first");
	commit_fixture_commit(&m->f);
	assert_text(m, "src/d/one", "first");
	assert_int_equal(find(m, "src/d/two", &found), -ENOENT);
	assert_int_equal(find(m, "src/d/one/x", &found), -ENOTDIR);

	source_text(&m->f, "d/two", "second");
	assert_int_equal(unlinkat(m->f.fd, "d/one", 0), 0);
	commit_fixture_commit(&m->f);
	assert_int_equal(find(m, "src/d/one", &found), -ENOENT);
	assert_text(m, "src/d/two", "second");
	assert_list(m, "src/d", ". .. two ");
}

static void stat_is_that_of_the_source(void **state)
{
	struct mounted *m = *state;
	static const char *const names[] = { "f", "d", "s", "p", "sparse" };
	struct stat want;

	source_text(&m->f, "f", "x");
	source_folder(&m->f, "d");
	source_folder(&m->f, "d/e");
	assert_int_equal(symlinkat("f", m->f.fd, "s"), 0);
	assert_int_equal(mkfifoat(m->f.fd, "p", 0640), 0);
	source_text(&m->f, "sparse", "x");
	{
		autoclose int fd = openat(m->f.fd, "sparse", O_WRONLY);

		assert_int_equal(ftruncate(fd, 1 << 20), 0);
	}
	commit_fixture_commit(&m->f);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char path[64];
		struct found found;

		(void)snprintf(path, sizeof(path), "src/%s", names[i]);
		found = must_find(m, path);
		assert_int_equal(fstatat(m->f.fd, names[i], &want, AT_SYMLINK_NOFOLLOW),
				 0);
		assert_int_equal(found.stat.st_mode, want.st_mode);
		assert_int_equal(found.stat.st_uid, want.st_uid);
		assert_int_equal(found.stat.st_gid, want.st_gid);
		assert_int_equal(found.stat.st_mtim.tv_sec, want.st_mtim.tv_sec);
		assert_int_equal(found.stat.st_mtim.tv_nsec, want.st_mtim.tv_nsec);
		assert_int_equal(found.stat.st_ctim.tv_sec, want.st_ctim.tv_sec);
		assert_int_equal(found.stat.st_ctim.tv_nsec, want.st_ctim.tv_nsec);
		if (!S_ISDIR(want.st_mode)) {
			assert_int_equal(found.stat.st_size, want.st_size);
			assert_int_equal(found.stat.st_nlink, want.st_nlink);
		}
	}
	assert_int_equal(must_find(m, "src/d").stat.st_nlink, 3);
	assert_int_equal(must_find(m, "src/sparse").stat.st_blocks, 8);
}

static void names_of_one_file_share_an_inode(void **state)
{
	struct mounted *m = *state;
	struct found a, b;
	struct names names;

	source_text(&m->f, "a", "x");
	assert_int_equal(linkat(m->f.fd, "a", m->f.fd, "b", 0), 0);
	source_text(&m->f, "c", "x");
	commit_fixture_commit(&m->f);
	a = must_find(m, "src/a");
	b = must_find(m, "src/b");
	assert_int_equal(a.stat.st_ino, b.stat.st_ino);
	assert_int_equal(a.stat.st_nlink, 2);
	assert_true(must_find(m, "src/c").stat.st_ino != a.stat.st_ino);
	assert_int_equal(must_find(m, "src/c").stat.st_nlink, 1);
	list(m, "src", 100, false, &names);
	assert_string_equal(names.text, ". .. a b c ");

	assert_int_equal(unlinkat(m->f.fd, "a", 0), 0);
	commit_fixture_commit(&m->f);
	assert_int_equal(must_find(m, "src/b").stat.st_nlink, 1);
	assert_text(m, "src/b", "x");
}

static void new_content_has_a_new_inode_and_an_open_file_keeps_the_old(void **state)
{
	struct mounted *m = *state;
	autorequest request = { 0 };
	autoptr(file) file = NULL;
	struct found old, same, folder;

	source_text(&m->f, "a", "old");
	commit_fixture_commit(&m->f);
	old = must_find(m, "src/a");
	folder = must_find(m, "src");
	assert_int_equal(request_begin(&request, &m->fs), 0);
	assert_int_equal(file_open(&request, &old.inode, &file), 0);

	source_text(&m->f, "a", "new!");
	commit_fixture_commit(&m->f);
	assert_true(must_find(m, "src/a").stat.st_ino != old.stat.st_ino);
	assert_int_equal(must_find(m, "src").stat.st_ino, folder.stat.st_ino);
	assert_text(m, "src/a", "new!");
	assert_reads(file, "old");

	/* Whoever still has the number gets what it stands for. */
	assert_int_equal(look_up_inode(&request, &old.inode, &same), 0);
	assert_int_equal(same.stat.st_size, 3);
}

static void earlier_commits_and_versions_are_there(void **state)
{
	struct mounted *m = *state;
	struct found found;

	source_text(&m->f, "a", "one");
	commit_fixture_commit(&m->f);
	source_text(&m->f, "a", "two!");
	commit_fixture_commit(&m->f);
	assert_int_equal(unlinkat(m->f.fd, "a", 0), 0);
	source_folder(&m->f, "a");
	source_text(&m->f, "a/7", "in the folder");
	commit_fixture_commit(&m->f);

	assert_list(m, ".blockframe", ". .. commits health versions ");
	assert_list(m, ".blockframe/commits", ". .. 0 1 2 3 ");
	assert_text(m, ".blockframe/commits/1/src/a", "one");
	assert_text(m, ".blockframe/commits/2/src/a", "two!");
	assert_text(m, ".blockframe/commits/3/src/a/7", "in the folder");
	assert_list(m, ".blockframe/commits/0", ". .. ");
	assert_list(m, ".blockframe/commits/2/src", ". .. a ");
	assert_int_equal(find(m, ".blockframe/commits/4", &found), -ENOENT);
	assert_int_equal(find(m, ".blockframe/commits/x", &found), -ENOENT);
	assert_int_equal(find(m, ".blockframe/nothing", &found), -ENOENT);

	assert_list(m, ".blockframe/versions/src/a", ". .. 7 1 2 ");
	assert_text(m, ".blockframe/versions/src/a/1", "one");
	assert_text(m, ".blockframe/versions/src/a/2", "two!");
	assert_text(m, ".blockframe/versions/src/a/7/1", "in the folder");
	assert_int_equal(find(m, ".blockframe/versions/src/a/3", &found), -ENOENT);

	/* One version is one inode, whatever the way to it. */
	assert_int_equal(must_find(m, ".blockframe/commits/1/src/a").stat.st_ino,
			 must_find(m, ".blockframe/versions/src/a/1").stat.st_ino);
	assert_int_equal(must_find(m, "src/a/7").stat.st_ino,
			 must_find(m, ".blockframe/commits/3/src/a/7").stat.st_ino);
}

static void a_hash_is_a_link_to_its_commit(void **state)
{
	struct mounted *m = *state;
	struct commit_row commit = { 0 };
	char path[128], hex[HASH_HEX_SIZE], target[SPECIAL_TARGET_MAX];
	struct found found;

	source_text(&m->f, "a", "one");
	commit_fixture_commit(&m->f);
	assert_int_equal(
		catalog_get_commit(archive_catalog(m->f.archive), 1, &commit, NULL), 0);
	hash_to_hex(&commit.hash, hex);
	commit_row_done(&commit);
	(void)snprintf(path, sizeof(path), ".blockframe/commits/%.12s", hex);
	found = must_find(m, path);
	assert_true(S_ISLNK(found.stat.st_mode));
	special_target(&found.inode, target);
	assert_string_equal(target, "1");
}

static void the_way_up_leads_to_the_top(void **state)
{
	struct mounted *m = *state;
	static const struct {
		const char *path;
		const char *parent;
	} ways[] = {
		{ "..", "" },
		{ "src/..", "" },
		{ "src/d/..", "src" },
		{ "src/d/.", "src/d" },
		{ ".blockframe/..", "" },
		{ ".blockframe/commits/..", ".blockframe" },
		{ ".blockframe/commits/1/..", ".blockframe/commits" },
		{ ".blockframe/commits/1/src/..", ".blockframe/commits/1" },
		{ ".blockframe/versions/..", ".blockframe" },
		{ ".blockframe/versions/src/..", ".blockframe/versions" },
	};

	source_folder(&m->f, "d");
	commit_fixture_commit(&m->f);
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		assert_int_equal(must_find(m, ways[i].path).stat.st_ino,
				 must_find(m, ways[i].parent).stat.st_ino);
}

static void a_mount_of_a_commit_stays_at_it(void **state)
{
	struct mounted *m = *state;

	source_text(&m->f, "a", "one");
	commit_fixture_commit(&m->f);
	source_text(&m->f, "a", "two!");
	commit_fixture_commit(&m->f);
	m->fs.at = 1;
	assert_text(m, "src/a", "one");
	assert_text(m, ".blockframe/commits/2/src/a", "two!");
}

static void numbers_of_another_epoch_are_stale(void **state)
{
	struct mounted *m = *state;
	autorequest request = { 0 };
	struct found found, file;

	source_text(&m->f, "a", "one");
	commit_fixture_commit(&m->f);
	found = must_find(m, "src");
	file = must_find(m, "src/a");
	found.inode.epoch = 1;
	file.inode.epoch = 1;
	assert_int_equal(request_begin(&request, &m->fs), 0);
	assert_int_equal(look_up_inode(&request, &found.inode, &found), -ESTALE);
	assert_int_equal(look_up_inode(&request, &file.inode, &file), -ESTALE);
}

static void everything_has_the_epoch_of_its_catalog(void **state)
{
	static const char *const paths[] = {
		"src",
		"src/a",
		"src/d",
		"src/d/b",
		".blockframe/commits/1",
		".blockframe/commits/1/src/d",
		".blockframe/versions",
		".blockframe/versions/src/d",
		".blockframe/versions/src/a/1",
	};
	struct mounted *m = *state;

	source_text(&m->f, "a", "one");
	source_folder(&m->f, "d");
	source_text(&m->f, "d/b", "two");
	commit_fixture_commit(&m->f);
	backing_unref(m->fs.backing);
	open_backing(m, 5);
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		assert_int_equal(must_find(m, paths[i]).inode.epoch, 5);
	assert_int_equal(must_find(m, "").stat.st_ino, INODE_ROOT);
	assert_text(m, "src/d/b", "two");
	assert_list(m, "src", ". .. a d ");
}

static void assert_xattr(struct mounted *m, const char *path, const char *name,
			 const char *value)
{
	struct found found = must_find(m, path);
	autorequest request = { 0 };
	struct bytes got = { 0 };
	int r;

	assert_int_equal(request_begin(&request, &m->fs), 0);
	r = xattr_get(&request, &found.inode, name, &got);
	if (!value) {
		assert_int_equal(r, -ENODATA);
		return;
	}
	assert_int_equal(r, 0);
	assert_int_equal(got.size, strlen(value));
	assert_memory_equal(got.data, value, got.size);
	free(got.data);
}

static void xattrs_are_given_and_ours_only_when_asked_for(void **state)
{
	struct mounted *m = *state;
	autorequest request = { 0 };
	struct bytes names = { 0 };
	char large[3001] = "";
	struct found found;
	struct hash hash;
	char hex[HASH_HEX_SIZE];

	memset(large, 'v', 3000);
	source_text(&m->f, "a", "one");
	source_text(&m->f, "b", "two");
	{
		autoclose int fd = openat(m->f.fd, "a", O_RDONLY);

		assert_int_equal(fsetxattr(fd, "user.small", "s", 1, 0), 0);
		assert_int_equal(fsetxattr(fd, "user.large", large, 3000, 0), 0);
	}
	commit_fixture_commit(&m->f);
	hash_bytes("one", 3, &hash);
	hash_to_hex(&hash, hex);
	assert_xattr(m, "src/a", "user.small", "s");
	assert_xattr(m, "src/a", "user.large", large);
	assert_xattr(m, "src/a", "user.other", NULL);
	assert_xattr(m, "src/a", "user.blockframe.hash", hex);
	assert_xattr(m, "src/a", "user.blockframe.version", "1");
	assert_xattr(m, "src/a", "user.blockframe.commit", "1");
	assert_xattr(m, "src/a", "user.blockframe.health", "ok");
	assert_xattr(m, "src/a", "user.blockframe.nothing", NULL);
	assert_xattr(m, "src", "user.blockframe.version", "1");
	assert_xattr(m, "src", "user.blockframe.hash", NULL);
	assert_xattr(m, ".blockframe", "user.small", NULL);

	found = must_find(m, "src/a");
	assert_false(bare_inodes_have(m->fs.bare, found.stat.st_ino));
	assert_int_equal(request_begin(&request, &m->fs), 0);
	assert_int_equal(xattr_list(&request, &found.inode, &names), 0);
	assert_int_equal(names.size, sizeof("user.large") + sizeof("user.small"));
	assert_memory_equal(names.data, "user.large\0user.small", names.size);
	free(names.data);
	found = must_find(m, "src/b");
	assert_true(bare_inodes_have(m->fs.bare, found.stat.st_ino));
}

static void owners_and_permissions_can_be_replaced(void **state)
{
	struct mounted *m = *state;
	struct found found;

	source_text(&m->f, "a", "one");
	commit_fixture_commit(&m->f);
	m->fs.masks = (struct mount_masks){ .has_uid = true,
					    .uid = 7,
					    .has_gid = true,
					    .gid = 8,
					    .has_umask = true,
					    .umask = 0137 };
	found = must_find(m, "src/a");
	assert_int_equal(found.stat.st_uid, 7);
	assert_int_equal(found.stat.st_gid, 8);
	assert_int_equal(found.stat.st_mode, S_IFREG | 0640);
}

static void space_counts_what_is_in_the_volumes(void **state)
{
	struct mounted *m = *state;
	autorequest request = { 0 };
	struct statvfs before, after;

	assert_int_equal(request_begin(&request, &m->fs), 0);
	assert_int_equal(space_of(&request, &before), 0);
	source_noise(&m->f, "a", 3 << 20, 1);
	commit_fixture_commit(&m->f);
	assert_int_equal(space_of(&request, &after), 0);
	assert_true((after.f_blocks - after.f_bfree) * after.f_frsize >=
		    (before.f_blocks - before.f_bfree) * before.f_frsize + (3 << 20));
	assert_int_equal(after.f_files, before.f_files + 2);
}

static void health_tells_what_was_read(void **state)
{
	struct mounted *m = *state;
	autorequest request = { 0 };
	autofree char *text = NULL;
	size_t size = 0;

	source_text(&m->f, "a", "one");
	commit_fixture_commit(&m->f);
	assert_text(m, "src/a", "one");
	assert_int_equal(request_begin(&request, &m->fs), 0);
	assert_int_equal(special_health(&request, &text, &size), 0);
	assert_int_equal(strlen(text), size);
	assert_non_null(strstr(text, "commit: 1\n"));
	assert_non_null(strstr(text, "leaves_lost: 0\n"));
	assert_null(strstr(text, "leaves_verified: 0\n"));
}

#define with_mount(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_mount(the_tree_is_that_of_the_last_commit),
		with_mount(stat_is_that_of_the_source),
		with_mount(names_of_one_file_share_an_inode),
		with_mount(new_content_has_a_new_inode_and_an_open_file_keeps_the_old),
		with_mount(earlier_commits_and_versions_are_there),
		with_mount(a_hash_is_a_link_to_its_commit),
		with_mount(the_way_up_leads_to_the_top),
		with_mount(a_mount_of_a_commit_stays_at_it),
		with_mount(numbers_of_another_epoch_are_stale),
		with_mount(everything_has_the_epoch_of_its_catalog),
		with_mount(xattrs_are_given_and_ours_only_when_asked_for),
		with_mount(owners_and_permissions_can_be_replaced),
		with_mount(space_counts_what_is_in_the_volumes),
		with_mount(health_tells_what_was_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
