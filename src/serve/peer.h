/* SPDX-License-Identifier: MIT */
#pragma once
/* The machines that ask, and how much they have asked for: what limits count, however many
 * connections they use. Machines are told apart by their address, those of IPv6 by the half of
 * it that a network is. Who comes over a Unix socket is one machine.
 *
 * Internally locked: any thread.
 */
#include "base/mutex.h"
#include "serve/rate.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct config;
struct peer;
struct sockaddr_storage;

#define PEERS_BUCKETS 256u
#define PEERS_REMEMBERED 4096u /* without a connection, because they were over a limit */

struct peers {
	struct mutex mutex; /* guards what follows and all peers */
	struct rate requests, bytes, failures;
	size_t count;
	struct peer *buckets[PEERS_BUCKETS];
};

/* With the limits of [server]. */
void peers_init(struct peers *peers, const struct config *config);
void peers_done(struct peers *peers);

/* The peer with that address, with one more user. NULL: no memory. */
struct peer *peers_get(struct peers *peers, const struct sockaddr_storage *address);
/* NULL is a no-op. */
void peers_put(struct peers *peers, struct peer *peer);

/* Whether it may have one more answer, or @size bytes; then that is counted. */
bool peers_take_request(struct peers *peers, struct peer *peer);
bool peers_take_bytes(struct peers *peers, struct peer *peer, size_t size);

/* Whether another token of it may be tried, and that one was wrong. */
bool peers_may_try(struct peers *peers, struct peer *peer);
void peers_failed(struct peers *peers, struct peer *peer);
