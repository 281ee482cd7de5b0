/* SPDX-License-Identifier: MIT */
#include "tier/message.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define NAME "socket"

static char folder[] = "/tmp/test-message-XXXXXX";
static int folder_fd = -1;

static int make_folder(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return folder_fd < 0 ? -1 : 0;
}

static int remove_folder(void **state)
{
	(void)state;
	(void)unlinkat(folder_fd, NAME, 0);
	(void)close(folder_fd);
	return rmdir(folder);
}

/* A connection to somebody who ends before it was taken. */
static int connect_in_vain(void)
{
	int listener, socket;

	assert_int_equal(message_listen(folder_fd, NAME, &listener, NULL), 0);
	assert_int_equal(message_connect(folder_fd, NAME, &socket, NULL), 0);
	(void)close(listener);
	return socket;
}

static void who_ends_before_a_connection_is_taken_is_gone(void **state)
{
	const struct message message = { .type = MESSAGE_HELLO };
	struct message answer;
	int fd = -1, socket;

	(void)state;
	socket = connect_in_vain();
	assert_int_equal(message_send(socket, &message, -1, 0), -EPIPE);
	(void)close(socket);
	socket = connect_in_vain();
	assert_int_equal(message_receive(socket, &answer, &fd), -EPIPE);
	(void)close(socket);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_ends_before_a_connection_is_taken_is_gone),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
