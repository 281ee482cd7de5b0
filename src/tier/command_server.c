/* SPDX-License-Identifier: MIT */
#include "tier/command_server.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/mutex.h"
#include "tier/adoption.h"
#include "tier/control.h"
#include "tier/group.h"
#include "tier/message.h"
#include "tier/tier.h"
#include "tier/tier_list.h"
#include "tier/work.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TICK 200 /* milliseconds between looks at whether to end */
#define CLIENTS_MAX 64u

struct command_server {
	struct work *work;
	int listener;
	pthread_t thread;
	atomic_bool stopping;
	struct mutex mutex; /* guards all below */
	struct cond gone;
	unsigned clients;
};

struct client {
	struct command_server *server;
	int fd;
	struct work_job *claim; /* NULL: none */
	struct adoption adoption;
};

static int make_stub(struct work *work, const char *path, struct error *err)
{
	const char *rest = "";

	for (size_t i = 0; i < work->tiers->count; i++)
		if (tier_path_below(path, work->tiers->items[i].folder, &rest) && *rest)
			return work_stub(work, i, rest, path, err);
	return error_set(err, -EINVAL, "it is in no hot tier");
}

static void count(struct work *work, struct control_answer *answer)
{
	size_t jobs, waiting;

	work_count(work, &jobs, &waiting);
	mutex_scope(&work->mutex);
	answer->counters = (struct control_counters){
		.jobs = jobs,
		.waiting = waiting,
		.recalled = work->recalled,
		.recalled_size = work->recalled_size,
		.failed = work->failed,
	};
	(void)snprintf(answer->text, sizeof(answer->text), "%s", work->last_problem);
}

static void end_claim(struct client *client)
{
	if (client->claim)
		work_unclaim(client->claim);
	client->claim = NULL;
}

static void answer_request(struct client *client, int fd, struct control_request *request,
			   struct control_answer *answer)
{
	struct work *work = client->server->work;
	struct error err = { 0 };

	end_claim(client);
	switch (request->type) {
	case CONTROL_STUB:
		answer->result = make_stub(work, request->path, &err);
		break;
	case CONTROL_COUNTERS:
		count(work, answer);
		break;
	case CONTROL_CLAIM:
		answer->result = work_claim(work, request->device, request->inode,
					    &client->claim, &err);
		if (answer->result == 0 && fd >= 0)
			answer->result = group_mark(work->group, fd, &err);
		break;
	case CONTROL_UNCLAIM:
		break;
	case CONTROL_SETTLE:
		answer->result = adoption_settle(&client->adoption, &err);
		break;
	default:
		answer->result = error_set(&err, -EINVAL, "an unknown request");
		break;
	}
	if (answer->result < 0)
		memcpy(answer->text, err.text, sizeof(answer->text));
}

/* Whether there is a request, before the end. */
static bool wait_for_request(const struct client *client)
{
	struct pollfd fd = { .fd = client->fd, .events = POLLIN };

	while (!atomic_load(&client->server->stopping))
		if (poll(&fd, 1, TICK) > 0)
			return true;
	return false;
}

static void *serve_client(void *argument)
{
	autofree struct client *client = argument;
	struct command_server *server = client->server;
	struct control_request request;

	while (wait_for_request(client)) {
		struct control_answer answer = { 0 };
		autoclose int fd = -1;

		if (message_receive_bytes(client->fd, &request, sizeof(request), &fd) < 0)
			break;
		request.path[sizeof(request.path) - 1] = '\0';
		if (request.type == CONTROL_ADOPT) {
			adoption_take(&client->adoption, server->work, fd, &request);
			continue;
		}
		answer_request(client, fd, &request, &answer);
		if (send(client->fd, &answer, sizeof(answer), MSG_NOSIGNAL) < 0)
			break;
	}
	end_claim(client);
	adoption_done(&client->adoption);
	(void)close(client->fd);
	mutex_scope(&server->mutex);
	server->clients--;
	cond_broadcast(&server->gone);
	return NULL;
}

static void start_client(struct command_server *server, int fd)
{
	autofree struct client *client = malloc(sizeof(*client));
	pthread_t thread;

	mutex_scope(&server->mutex);
	if (client)
		*client = (struct client){ .server = server, .fd = fd };
	if (!client || server->clients == CLIENTS_MAX ||
	    pthread_create(&thread, NULL, serve_client, client) != 0) {
		(void)close(fd);
		return;
	}
	(void)pthread_detach(thread);
	client = NULL; /* the thread's */
	server->clients++;
}

static void *listen_for_clients(void *argument)
{
	struct command_server *server = argument;
	struct pollfd fd = { .fd = server->listener, .events = POLLIN };

	while (!atomic_load(&server->stopping)) {
		int client;

		if (poll(&fd, 1, TICK) <= 0)
			continue;
		client = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC);
		if (client >= 0)
			start_client(server, client);
	}
	return NULL;
}

int command_server_start(int state_fd, struct work *work,
			 struct command_server **server_out, struct error *err)
{
	autofree struct command_server *server = calloc(1, sizeof(*server));
	int r;

	if (!server)
		return error_set(err, -ENOMEM, "no memory for the server");
	server->work = work;
	r = message_listen(state_fd, CONTROL_SOCKET, &server->listener, err);
	if (r < 0)
		return r;
	mutex_init(&server->mutex);
	cond_init(&server->gone);
	r = pthread_create(&server->thread, NULL, listen_for_clients, server);
	if (r != 0) {
		(void)close(server->listener);
		return error_set_errno(err, -r, "new thread");
	}
	*server_out = take_ptr(server);
	return 0;
}

void command_server_stop(struct command_server *server)
{
	if (!server)
		return;
	atomic_store(&server->stopping, true);
	(void)pthread_join(server->thread, NULL);
	mutex_lock(&server->mutex);
	while (server->clients > 0)
		cond_wait(&server->gone, &server->mutex);
	mutex_unlock(&server->mutex);
	cond_done(&server->gone);
	mutex_done(&server->mutex);
	(void)close(server->listener);
	free(server);
}
