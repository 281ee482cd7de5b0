/* SPDX-License-Identifier: MIT */
#pragma once
/* The connections of a server and their deadlines. Deadlines bound what a client may keep
 * waiting for, however busy it looks: the head of a request as a whole, and each block of an
 * answer. While the server is the one that is waited for, another one bounds that.
 *
 * Internally locked: any thread.
 */
#include "base/mutex.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct client;
struct peer;
struct peers;

#define CLIENT_BLOCK_SIZE (40u << 10) /* bytes */

/* Nanoseconds. */
struct client_times {
	uint64_t head;   /* for the head of a request, from the end of the one before */
	uint64_t answer; /* for us to find an answer, or the next block of it */
	uint64_t take;   /* for each CLIENT_BLOCK_SIZE bytes of an answer, or less */
};

struct clients {
	struct mutex mutex; /* guards what follows and all clients */
	struct client *first;
	size_t count;
	size_t busy;  /* with a request */
	bool closing; /* who is done is sent away */
	bool cut;     /* everybody was */
	struct peers *peers;
	struct client_times times;
};

void clients_init(struct clients *clients, struct peers *peers,
		  const struct client_times *times);
void clients_done(struct clients *clients);

/* A connection was made, on the socket @fd, which stays open until client_free(). NULL: no
 * memory. */
struct client *client_new(struct clients *clients, int fd);
void client_free(struct clients *clients, struct client *client);

/* What it is doing now. */
void client_begin_request(struct clients *clients, struct client *client);
void client_wait_for_us(struct clients *clients, struct client *client);
void client_begin_block(struct clients *clients, struct client *client, size_t size);
void client_end_request(struct clients *clients, struct client *client);

/* Whether its machine has had too many bytes lately. If so, @wait is called, with a lock held,
 * and @resume from clients_resume(); else @size more are counted. */
bool client_is_ahead(struct clients *clients, struct client *client, size_t size,
		     void (*wait)(void *context), void (*resume)(void *context),
		     void *context);
/* Let go on who had to wait. */
void clients_resume(struct clients *clients);

/* Whether it has hung up, while its connection is suspended. */
bool client_has_left(const struct client *client);

struct peer *client_peer(const struct client *client);
/* The peer's address as text, constant. */
const char *client_address(const struct client *client);

/* Cut off who is past the deadline. How many. */
size_t clients_expire(struct clients *clients);

/* From now on, cut off who has no request under way; with @all, everybody. */
void clients_close(struct clients *clients, bool all);

size_t clients_count(struct clients *clients);
size_t clients_busy(struct clients *clients);
