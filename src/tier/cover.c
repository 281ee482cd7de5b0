/* SPDX-License-Identifier: MIT */
/* Why a FUSE mount whose connection is closed, and not an empty folder: `rsync --delete` from
 * a folder that is empty empties the backup. This one can't be listed, so rsync says that
 * there was an error, and deletes nothing; so do tar, and our own commit.
 *
 * It needs no process, so none can be killed, and it is there from the moment it is laid:
 * before the connection is closed, whoever comes waits for the first answer of a server that
 * there will never be, and then gets ENOTCONN.
 *
 * Lying over a folder it hides only that path to the files. A second mount of the file system,
 * and names outside the folder, are not covered.
 *
 * Marks are set beneath it. Who opened the folder before it was laid has it; others can't name
 * it any more. So a child makes a mount namespace of its own, takes the cover away in there,
 * where nobody else can come, and sends the folder back.
 */
#include "tier/cover.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "tier/message.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define COVER_NAME "blockframe-cover"
#define COVER_TYPE "fuse." COVER_NAME
#define DEVICE "/dev/fuse"

/* ---- what is there ---- */

static int open_place(const char *path)
{
	return open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/* The mount that the place @fd belongs to. */
static bool find_mount(int fd, unsigned long *mount_out)
{
	char name[64], line[64];
	FILE *info;
	bool found = false;

	(void)snprintf(name, sizeof(name), "/proc/self/fdinfo/%d", fd);
	info = fopen(name, "re");
	while (info && !found && fgets(line, sizeof(line), info))
		found = sscanf(line, "mnt_id: %lu", mount_out) == 1;
	if (info)
		(void)fclose(info);
	return found;
}

/* A line of mountinfo has any number of fields, " - ", and the type. */
static bool is_cover(const char *line, unsigned long mount)
{
	const char *type = strstr(line, " - ");

	return strtoul(line, NULL, 10) == mount && type &&
	       strncmp(type + 3, COVER_TYPE " ", sizeof(COVER_TYPE)) == 0;
}

static bool belongs_to_cover(int fd)
{
	unsigned long mount;
	autofree char *line = NULL;
	size_t capacity = 0;
	bool found = false;
	FILE *info;

	if (!find_mount(fd, &mount))
		return false;
	info = fopen("/proc/self/mountinfo", "re");
	while (info && !found && getline(&line, &capacity, info) > 0)
		found = is_cover(line, mount);
	if (info)
		(void)fclose(info);
	return found;
}

bool cover_is_on(const char *path)
{
	autoclose int fd = open_place(path);

	return fd >= 0 && belongs_to_cover(fd);
}

/* ---- laying and lifting ---- */

int cover_lay(const char *path, struct error *err)
{
	autoclose int fd = -1;
	char options[96];

	if (cover_is_on(path))
		return 0;
	fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	if (fd < 0 && (errno == ENOENT || errno == ENODEV || errno == ENXIO))
		return error_set(err, -ENODEV,
				 "'%s' can't be covered: this machine has no FUSE", path);
	if (fd < 0)
		return error_set_errno(err, -errno, DEVICE);
	(void)snprintf(options, sizeof(options),
		       "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", fd);
	if (mount(COVER_NAME, path, COVER_TYPE, MS_NOSUID | MS_NODEV | MS_NOEXEC,
		  options) == 0)
		return 0;
	if (errno == ENODEV)
		return error_set(err, -ENODEV,
				 "'%s' can't be covered: this machine has no FUSE", path);
	return error_set_errno(err, -errno, "cover '%s'", path);
}

/* By descriptor: what is at the path may be another mount meanwhile, the file system itself. */
static int lift_one(int fd)
{
	char name[64];

	(void)snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	return umount2(name, MNT_DETACH) < 0 ? -errno : 0;
}

int cover_lift(const char *path, struct error *err)
{
	for (;;) {
		autoclose int fd = open_place(path);
		int r;

		if (fd < 0 || !belongs_to_cover(fd))
			return 0;
		r = lift_one(fd);
		/* Somebody else may have been faster. */
		if (r < 0 && (r != -EINVAL || belongs_to_cover(fd)))
			return error_set_errno(err, r, "uncover '%s'", path);
	}
}

/* ---- beneath it ---- */

/* Of the child; allocates nothing, because the parent may have threads. */
static int uncover_and_open(const char *path)
{
	struct statfs info;
	int fd;

	if (unshare(CLONE_NEWNS) < 0 ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -errno;
	while (statfs(path, &info) < 0) {
		if (errno != ENOTCONN)
			return -errno;
		if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
			return -errno;
	}
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static void send_folder(const char *path, int socket)
{
	int fd = uncover_and_open(path);
	const struct message message = { .error = fd < 0 ? -fd : 0 };

	_exit(message_send(socket, &message, fd < 0 ? -1 : fd, 0) < 0);
}

static int receive_folder(int socket, int *fd_out)
{
	struct message message = { 0 };
	autoclose int fd = -1;
	int r = message_receive(socket, &message, &fd);

	if (r < 0)
		return r;
	if (message.error || fd < 0)
		return message.error ? -message.error : -EIO;
	*fd_out = take_fd(&fd);
	return 0;
}

static int open_covered(const char *path, int *fd_out, struct error *err)
{
	int sockets[2];
	pid_t child;
	int r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
		return error_set_errno(err, -errno, "sockets");
	child = fork();
	if (child == 0)
		send_folder(path, sockets[1]);
	r = child < 0 ? -errno : 0;
	(void)close(sockets[1]);
	if (r == 0) {
		r = receive_folder(sockets[0], fd_out);
		(void)waitpid(child, NULL, 0);
	}
	(void)close(sockets[0]);
	return r < 0 ? error_set_errno(err, r, "'%s', beneath its cover", path) : 0;
}

int cover_open_beneath(const char *path, int *fd_out, bool *beneath_out,
		       struct error *err)
{
	bool covered = cover_is_on(path);
	int fd;

	if (covered) {
		int r = open_covered(path, fd_out, err);

		if (r == 0)
			*beneath_out = true;
		return r;
	}
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return error_set_errno(err, -errno, "'%s'", path);
	*fd_out = fd;
	*beneath_out = false;
	return 0;
}
