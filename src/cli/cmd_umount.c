/* SPDX-License-Identifier: MIT */
/* umount: ends a mount, and returns when the process that served it has ended too, so that
 * the archive is no longer in use.
 */
#include "cli/command.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/log.h"
#include "base/number.h"
#include "mount/mountpoint.h"

#include <errno.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#define WAIT_MAX 30000 /* milliseconds for the process to end */

/* A descriptor of the process that serves @path; -1: unknown, as when it has died. */
static int server_of(const char *path)
{
	char text[NUMBER_TEXT_MAX] = "";
	uint64_t pid;

	if (getxattr(path, "user.blockframe.pid", text, sizeof(text) - 1) <= 0 ||
	    number_parse_u64(text, &pid) < 0)
		return -1;
	return (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
}

static void wait_for_end(int server_fd)
{
	struct pollfd fd = { .fd = server_fd, .events = POLLIN };

	if (server_fd >= 0 && poll(&fd, 1, WAIT_MAX) == 0)
		log_warn("the process that served the mount has not ended yet");
}

static enum exit_code run(struct invocation *invocation)
{
	const char *directory = options_argument_count(invocation->options)
					? options_argument(invocation->options, 0)
					: invocation->config.mount.default_mountpoint;
	bool lazy = option_flag(invocation->options, "lazy");
	autofree char *path = NULL;
	autoclose int server_fd = -1;
	struct error err = { 0 };
	bool ours = false;
	int r;

	if (!directory[0])
		return fail_usage(invocation, "which one? Name its folder");
	r = mountpoint_path(directory, &path, &err);
	if (r == 0)
		r = mountpoint_is_ours(path, &ours, &err);
	if (r == 0 && !ours)
		r = error_set(&err, -EINVAL, "no archive is mounted at '%s'", path);
	if (r < 0)
		return fail(r, &err);
	if (!lazy)
		server_fd = server_of(path);
	r = mountpoint_unmount(path, lazy, &err);
	if (r < 0)
		return fail(r, &err);
	wait_for_end(server_fd);
	return CODE_DONE;
}

const struct command command_umount = {
	.name = "umount",
	.summary = "end a mount",
	.usage = "[-l] [DIR]",
	.details = "Returns when the process that served the mount has ended. DIR is "
		   "[mount] "
		   "default_mountpoint\nunless given.",
	.options =
		(const struct option_spec[]){
			{ 'l', "lazy", NULL,
			  "unmount although it is in use; it ends with its last user" },
			{ 0 },
		},
	.arguments_max = 1,
	.without_json = true,
	.run = run,
};
