/* SPDX-License-Identifier: MIT */
#include "tier/message.h"

#include "base/cleanup.h"
#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 64

/* Through /proc, since the path of a folder may be longer than an address. */
static void make_address(int state_fd, const char *name, struct sockaddr_un *address)
{
	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	(void)snprintf(address->sun_path, sizeof(address->sun_path),
		       "/proc/self/fd/%d/%s", state_fd, name);
}

static int new_socket(int *fd_out, struct error *err)
{
	*fd_out = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	return *fd_out < 0 ? error_set_errno(err, -errno, "socket") : 0;
}

int message_listen(int state_fd, const char *name, int *fd_out, struct error *err)
{
	struct sockaddr_un address;
	autoclose int fd = -1;
	int r;

	make_address(state_fd, name, &address);
	r = new_socket(&fd, err);
	if (r < 0)
		return r;
	if (unlinkat(state_fd, name, 0) < 0 && errno != ENOENT)
		return error_set_errno(err, -errno, "%s", name);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(fd, BACKLOG) < 0)
		return error_set_errno(err, -errno, "%s", name);
	*fd_out = take_fd(&fd);
	return 0;
}

int message_connect(int state_fd, const char *name, int *fd_out, struct error *err)
{
	struct sockaddr_un address;
	autoclose int fd = -1;
	int r;

	make_address(state_fd, name, &address);
	r = new_socket(&fd, err);
	if (r < 0)
		return r;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return error_set_errno(err, -errno, "%s", name);
	*fd_out = take_fd(&fd);
	return 0;
}

/* Who has ended with something that it has not read is gone, like any other. */
static int transfer_error(void)
{
	return errno == ECONNRESET ? -EPIPE : -errno;
}

union control {
	struct cmsghdr header;
	char space[CMSG_SPACE(sizeof(int))];
};

int message_send_bytes(int socket, const void *data, size_t size, int fd, int flags)
{
	struct iovec part = { .iov_base = (void *)(uintptr_t)data, /* only read */
			      .iov_len = size };
	struct msghdr packet = { .msg_iov = &part, .msg_iovlen = 1 };
	union control control = { 0 };
	ssize_t n;

	if (fd >= 0) {
		packet.msg_control = &control;
		packet.msg_controllen = sizeof(control);
		control.header = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)),
						   .cmsg_level = SOL_SOCKET,
						   .cmsg_type = SCM_RIGHTS };
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	}
	do
		n = sendmsg(socket, &packet, flags | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? transfer_error() : 0;
}

int message_send(int socket, const struct message *message, int fd, int flags)
{
	return message_send_bytes(socket, message, sizeof(*message), fd, flags);
}

static int attached_fd(struct msghdr *packet)
{
	struct cmsghdr *header = CMSG_FIRSTHDR(packet);
	int fd = -1;

	if (header && header->cmsg_level == SOL_SOCKET &&
	    header->cmsg_type == SCM_RIGHTS && header->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(&fd, CMSG_DATA(header), sizeof(fd));
	return fd;
}

int message_receive_bytes(int socket, void *data_out, size_t size, int *fd_out)
{
	struct iovec part = { .iov_base = data_out, .iov_len = size };
	union control control = { 0 };
	struct msghdr packet = { .msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control) };
	autoclose int fd = -1;
	ssize_t n;

	do
		n = recvmsg(socket, &packet, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return transfer_error();
	fd = attached_fd(&packet);
	if (n != (ssize_t)size)
		return -EPIPE;
	*fd_out = take_fd(&fd);
	return 0;
}

int message_receive(int socket, struct message *message_out, int *fd_out)
{
	struct message message;
	int r = message_receive_bytes(socket, &message, sizeof(message), fd_out);

	if (r == 0)
		*message_out = message;
	return r;
}
