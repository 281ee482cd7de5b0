/* SPDX-License-Identifier: MIT */
/* A connection is cut off by shutdown(2): whoever uses the socket sees an end, and closes it
 * in their own time. This is done under the lock, and a client is taken off the list before
 * its socket is closed, so no other connection that got the same number is ever hit. */
#include "serve/client.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#define NEVER UINT64_MAX

struct client {
	struct client *next;
	struct client *previous;
	int fd;
	bool busy;
	uint64_t deadline; /* clock_monotonic_ns() */
	char address[INET6_ADDRSTRLEN + 8];
};

void clients_init(struct clients *clients, uint64_t head_time, uint64_t take_time)
{
	*clients = (struct clients){ .head_time = head_time, .take_time = take_time };
	mutex_init(&clients->mutex);
}

void clients_done(struct clients *clients)
{
	mutex_done(&clients->mutex);
}

static void find_address(struct client *client)
{
	struct sockaddr_storage address = { 0 };
	socklen_t size = sizeof(address);
	const void *bytes = NULL;

	(void)snprintf(client->address, sizeof(client->address), "local");
	if (getpeername(client->fd, (struct sockaddr *)&address, &size) < 0)
		return;
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

	if (!client)
		return NULL;
	client->fd = fd;
	find_address(client);
	mutex_scope(&clients->mutex);
	client->deadline = clock_monotonic_ns() + clients->head_time;
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
	free(client);
}

void client_begin_request(struct clients *clients, struct client *client)
{
	mutex_scope(&clients->mutex);

	client->deadline = NEVER;
	clients->busy += !client->busy;
	client->busy = true;
}

void client_wait_for_us(struct clients *clients, struct client *client)
{
	mutex_scope(&clients->mutex);

	client->deadline = NEVER;
}

void client_begin_block(struct clients *clients, struct client *client)
{
	mutex_scope(&clients->mutex);

	client->deadline = clock_monotonic_ns() + clients->take_time;
}

void client_end_request(struct clients *clients, struct client *client)
{
	mutex_scope(&clients->mutex);

	client->deadline = clock_monotonic_ns() + clients->head_time;
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
