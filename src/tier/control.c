/* SPDX-License-Identifier: MIT */
#include "tier/control.h"

#include "tier/message.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

int control_connect(int state_fd, int *socket_out, struct error *err)
{
	int r = message_connect(state_fd, CONTROL_SOCKET, socket_out, err);

	if (r == -ENOENT || r == -ECONNREFUSED)
		return error_set(err, -ENOTCONN,
				 "the hot tier's daemon does not run: start 'blockframe "
				 "tier run'");
	return r;
}

static int ask(int socket, const struct control_request *request, int fd,
	       struct control_answer *answer_out, struct error *err)
{
	int r = message_send_bytes(socket, request, sizeof(*request), fd, 0);
	ssize_t n;

	if (r < 0)
		return error_set_errno(err, r, "the hot tier's daemon");
	do
		n = recv(socket, answer_out, sizeof(*answer_out), 0);
	while (n < 0 && errno == EINTR);
	if (n != (ssize_t)sizeof(*answer_out))
		return error_set(err, -EPIPE, "the hot tier's daemon has ended");
	answer_out->text[sizeof(answer_out->text) - 1] = '\0';
	if (answer_out->result < 0)
		(void)error_set(err, answer_out->result, "%s", answer_out->text);
	return answer_out->result;
}

int control_ask(int socket, uint32_t type, const char *path,
		struct control_answer *answer_out, struct error *err)
{
	struct control_request request = { .type = type };

	if (strlen(path) >= sizeof(request.path))
		return error_set(err, -ENAMETOOLONG, "the path is too long");
	memcpy(request.path, path, strlen(path));
	return ask(socket, &request, -1, answer_out, err);
}

int control_claim(int socket, int fd, uint64_t device, uint64_t inode, struct error *err)
{
	const struct control_request request = { .type = CONTROL_CLAIM,
						 .device = device,
						 .inode = inode };
	struct control_answer answer;

	return ask(socket, &request, fd, &answer, err);
}

int control_adopt(int socket, const struct control_request *request, int fd,
		  struct error *err)
{
	int r = message_send_bytes(socket, request, sizeof(*request), fd, 0);

	return r < 0 ? error_set_errno(err, r, "the hot tier's daemon") : 0;
}
