/* SPDX-License-Identifier: MIT */
#include "mount/daemon.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#define DIED 1 /* code, when it could not tell one */

static int wait_for_code(int fd, pid_t child)
{
	unsigned char code = DIED;
	ssize_t n;

	do
		n = read(fd, &code, 1);
	while (n < 0 && errno == EINTR);
	if (n != 1)
		(void)waitpid(child, NULL, 0);
	return n == 1 ? code : DIED;
}

int daemon_start(struct daemon *daemon, int *code_out)
{
	autoclose int from = -1;
	autoclose int to = -1;
	int fds[2];
	pid_t child;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	from = fds[0];
	to = fds[1];
	child = fork();
	if (child < 0)
		return -errno;
	if (child > 0) {
		cleanup_close_p(&to);
		to = -1;
		*code_out = wait_for_code(from, child);
		return 1;
	}
	(void)setsid();
	daemon->pipe_fd = take_fd(&to);
	return 0;
}

void daemon_tell(struct daemon *daemon, int code)
{
	unsigned char byte = (unsigned char)code;

	if (daemon->pipe_fd < 0)
		return;
	(void)!write(daemon->pipe_fd, &byte, 1); /* who waited may have been killed */
	(void)close(daemon->pipe_fd);
	daemon->pipe_fd = -1;
}

void daemon_detach(int log_fd)
{
	autoclose int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null >= 0) {
		(void)dup2(null, STDIN_FILENO);
		(void)dup2(null, STDOUT_FILENO);
	}
	if (log_fd >= 0 || null >= 0)
		(void)dup2(log_fd >= 0 ? log_fd : null, STDERR_FILENO);
	if (chdir("/") < 0)
		return; /* it only keeps a file system busy */
}
