/* SPDX-License-Identifier: MIT */
/* Each batch has a connection to the worker of its own, so that any thread can send one.
 * Files are sent without waiting for answers; one answer at the end is for all.
 */
#include "tier/stub_restore.h"

#include "base/error.h"
#include "base/text.h"
#include "tier/control.h"
#include "tier/tier_list.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct stub_restore {
	struct restore_stubber stubber;
	struct hash archive;
	char *directory; /* owned: absolute, without symlinks */
	int state_fd;
};

/* ---- a batch ---- */

static int send_stub(const struct stub_restore *restore, int socket,
		     const struct restore_stub *stub, struct error *err)
{
	struct control_request request = { .type = CONTROL_ADOPT,
					   .size = stub->manifest->size,
					   .hash = stub->manifest->hash,
					   .archive = restore->archive };

	/* The path is for people only: a very long one is cut. */
	if (snprintf(request.path, sizeof(request.path), "%s/%s", restore->directory,
		     stub->path) < 0)
		return error_set(err, -EINVAL, "path");
	return control_adopt(socket, &request, stub->fd, err);
}

static int guard(void *context, const struct restore_stub *stubs, size_t count,
		 struct error *err)
{
	const struct stub_restore *restore = context;
	struct control_answer answer;
	autoclose int socket = -1;
	int r;

	r = control_connect(restore->state_fd, &socket, err);
	for (size_t i = 0; i < count && r == 0; i++)
		r = send_stub(restore, socket, &stubs[i], err);
	return r < 0 ? r : control_ask(socket, CONTROL_SETTLE, "", &answer, err);
}

/* ---- the whole ---- */

/* Whether ".." is among the components. */
static bool has_parent(const char *path)
{
	for (; *path; path += strspn(path, "/")) {
		size_t size = strcspn(path, "/");

		if (size == 2 && memcmp(path, "..", 2) == 0)
			return true;
		path += size;
	}
	return false;
}

/* The absolute path of what need not be there yet. */
static int resolve(const char *path, char **path_out, struct error *err)
{
	autotext struct text head = { 0 };
	autofree char *found = NULL;
	const char *rest;

	if (text_append(&head, path) < 0)
		return error_set(err, -ENOMEM, "no memory for a path");
	for (;;) {
		const char *slash;

		found = realpath(head.size ? text_string(&head) : ".", NULL);
		if (found || errno != ENOENT || head.size == 0)
			break;
		slash = strrchr(text_string(&head), '/');
		text_truncate(&head, slash ? (size_t)(slash - head.data) : 0);
		if (slash && head.size == 0)
			(void)text_append(&head, "/");
	}
	if (!found)
		return error_set_errno(err, -errno, "'%s'", path);
	rest = path + head.size + strspn(path + head.size, "/");
	/* What would be made first, and then left again. */
	if (has_parent(rest))
		return error_set(err, -EINVAL,
				 "'%s': a folder that is not there, and '..'", path);
	if (asprintf(path_out, "%s%s%s", found, *rest ? "/" : "", rest) < 0)
		return error_set(err, -ENOMEM, "no memory for a path");
	return 0;
}

static int check_tier(const struct stub_restore *restore, struct error *err)
{
	struct tier_list list = { 0 };
	autoclose int socket = -1;
	const char *rest;
	bool found;
	int r = tier_list_load(restore->state_fd, &list, err);

	if (r < 0)
		return r;
	found = tier_list_find(&list, restore->directory, &rest);
	tier_list_done(&list);
	if (!found)
		return error_set(err, -EINVAL,
				 "'%s' is in no hot tier: 'blockframe tier add' makes "
				 "a folder one, then start 'blockframe tier run'",
				 restore->directory);
	return control_connect(restore->state_fd, &socket, err);
}

int stub_restore_new(const char *state, const char *directory, const struct hash *archive,
		     struct stub_restore **restore_out, struct error *err)
{
	autoptr(stub_restore) restore = calloc(1, sizeof(*restore));
	int r;

	if (!restore)
		return error_set(err, -ENOMEM, "no memory for stubs");
	restore->stubber = (struct restore_stubber){ guard, restore };
	restore->archive = *archive;
	restore->state_fd = open(state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (restore->state_fd < 0 && errno != ENOENT)
		return error_set_errno(err, -errno, "'%s'", state);
	if (restore->state_fd < 0)
		return error_set(err, -EINVAL,
				 "there are no hot tiers: 'blockframe tier add' makes a "
				 "folder one, then start 'blockframe tier run'");
	r = resolve(directory, &restore->directory, err);
	if (r == 0)
		r = check_tier(restore, err);
	if (r < 0)
		return r;
	*restore_out = take_ptr(restore);
	return 0;
}

void stub_restore_free(struct stub_restore *restore)
{
	if (!restore)
		return;
	cleanup_close_p(&restore->state_fd);
	free(restore->directory);
	free(restore);
}

const struct restore_stubber *stub_restore_stubber(const struct stub_restore *restore)
{
	return &restore->stubber;
}
