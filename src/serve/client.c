/* SPDX-License-Identifier: MIT */
/* A connection is cut off by shutdown(2): whoever uses the socket sees an end, and closes it
 * in their own time. This is done under the lock, and a client is taken off the list before
 * its socket is closed, so no other connection that got the same number is ever hit. */
#include "serve/client.h"

#include "base/clock.h"
#include "serve/peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#define NEVER UINT64_MAX

struct client {
	struct client *next;
	struct client *previous;
	int fd;
	bool busy;
	uint64_t deadline;             /* clock_monotonic_ns() */
	struct peer *peer;             /* owned use */
	void (*resume)(void *context); /* it has to wait: call this; NULL: it has not */
	void *context;
	char address[INET6_ADDRSTRLEN + 8];
};

void clients_init(struct clients *clients, struct peers *peers,
		  const struct client_times *times)
{
	*clients = (struct clients){ .peers = peers, .times = *times };
	mutex_init(&clients->mutex);
}

void clients_done(struct clients *clients)
{
	mutex_done(&clients->mutex);
}

static void find_address(struct client *client, struct sockaddr_storage *address_out)
{
	struct sockaddr_storage address = { 0 };
	socklen_t size = sizeof(address);
	const void *bytes = NULL;

	(void)snprintf(client->address, sizeof(client->address), "local");
	if (getpeername(client->fd, (struct sockaddr *)&address, &size) < 0)
		address.ss_family = AF_UNSPEC;
	*address_out = address;
	if (address.ss_family == AF_INET)
		bytes = &((struct sockaddr_in *)&address)->sin_addr;
	else if (address.ss_family == AF_INET6)
		bytes = &((struct sockaddr_in6 *)&address)->sin6_addr;
	if (bytes)
		(void)inet_ntop(address.ss_family, bytes, client->address,
				sizeof(client->address));
}

struct client *client_new(struct clients *clients, int fd)
{
	struct client *client = calloc(1, sizeof(*client));
	struct sockaddr_storage address;

	if (!client)
		return NULL;
	client->fd = fd;
	find_address(client, &address);
	client->peer = peers_get(clients->peers, &address);
	if (!client->peer) {
		free(client);
		return NULL;
	}
	mutex_scope(&clients->mutex);
	client->deadline = clock_monotonic_ns() + clients->times.head;
	client->next = clients->first;
	if (client->next)
		client->next->previous = client;
	clients->first = client;
	clients->count++;
	if (clients->closing)
		(void)shutdown(fd, SHUT_RDWR);
	return client;
}

static void unlink_client(struct clients *clients, struct client *client)
{
	mutex_scope(&clients->mutex);

	if (client->next)
		client->next->previous = client->previous;
	if (client->previous)
		client->previous->next = client->next;
	else
		clients->first = client->next;
	clients->count--;
	clients->busy -= client->busy;
}

void client_free(struct clients *clients, struct client *client)
{
	if (!client)
		return;
	unlink_client(clients, client);
	peers_put(clients->peers, client->peer);
	free(client);
}

void client_begin_request(struct clients *clients, struct client *client)
{
	mutex_scope(&clients->mutex);

	client->deadline = clock_monotonic_ns() + clients->times.answer;
	clients->busy += !client->busy;
	client->busy = true;
}

void client_wait_for_us(struct clients *clients, struct client *client)
{
	mutex_scope(&clients->mutex);

	client->deadline = clock_monotonic_ns() + clients->times.answer;
}

bool client_is_ahead(struct clients *clients, struct client *client, size_t size,
		     void (*wait)(void *context), void (*resume)(void *context),
		     void *context)
{
	if (peers_take_bytes(clients->peers, client->peer, size))
		return false;
	mutex_scope(&clients->mutex);
	if (clients->cut)
		return false;
	client->deadline = NEVER;
	client->resume = resume;
	client->context = context;
	wait(context);
	return true;
}

void clients_resume(struct clients *clients)
{
	mutex_scope(&clients->mutex);

	for (struct client *client = clients->first; client; client = client->next) {
		if (client->resume)
			client->resume(client->context);
		client->resume = NULL;
	}
}

bool client_has_left(const struct client *client)
{
	struct pollfd fd = { .fd = client->fd, .events = POLLRDHUP };

	return poll(&fd, 1, 0) > 0 && (fd.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

struct peer *client_peer(const struct client *client)
{
	return client->peer;
}

void client_begin_block(struct clients *clients, struct client *client, size_t size)
{
	uint64_t blocks = size / CLIENT_BLOCK_SIZE + (size % CLIENT_BLOCK_SIZE != 0);
	mutex_scope(&clients->mutex);

	client->deadline = clock_monotonic_ns() + clients->times.take * blocks;
}

void client_end_request(struct clients *clients, struct client *client)
{
	mutex_scope(&clients->mutex);

	client->deadline = clock_monotonic_ns() + clients->times.head;
	clients->busy -= client->busy;
	client->busy = false;
	if (clients->closing)
		(void)shutdown(client->fd, SHUT_RDWR);
}

const char *client_address(const struct client *client)
{
	return client->address;
}

size_t clients_expire(struct clients *clients)
{
	uint64_t now = clock_monotonic_ns();
	size_t count = 0;
	mutex_scope(&clients->mutex);

	for (struct client *client = clients->first; client; client = client->next) {
		if (client->deadline > now)
			continue;
		(void)shutdown(client->fd, SHUT_RDWR);
		client->deadline = NEVER;
		count++;
	}
	return count;
}

void clients_close(struct clients *clients, bool all)
{
	mutex_scope(&clients->mutex);

	clients->closing = true;
	clients->cut = clients->cut || all;
	for (struct client *client = clients->first; client; client = client->next)
		if (all || !client->busy)
			(void)shutdown(client->fd, SHUT_RDWR);
}

size_t clients_count(struct clients *clients)
{
	mutex_scope(&clients->mutex);

	return clients->count;
}

size_t clients_busy(struct clients *clients)
{
	mutex_scope(&clients->mutex);

	return clients->busy;
}
