/* SPDX-License-Identifier: MIT */
/* A peer goes when it has no connection and what it used is made up for, which is looked at
 * when another one comes. If there are too many all the same, the one that is looked at goes:
 * who has as many addresses can't be limited by them. */
#include "serve/peer.h"

#include "base/clock.h"
#include "base/config.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define SECOND UINT64_C(1000000000)
#define ADDRESS_SIZE 8u /* bytes: an IPv4 address, or the network's half of an IPv6 one */

struct peer {
	struct peer *next;
	unsigned users;
	uint8_t address[ADDRESS_SIZE];
	rate_level requests, bytes, failures;
};

void peers_init(struct peers *peers, const struct config *config)
{
	*peers = (struct peers){
		.requests = rate_make(config->server.request_rate, SECOND, SECOND),
		.bytes = rate_make(config->server.byte_rate, SECOND, SECOND / 4),
		.failures =
			rate_make(config->server.failure_rate, 60 * SECOND, 60 * SECOND),
	};
	mutex_init(&peers->mutex);
}

void peers_done(struct peers *peers)
{
	for (size_t i = 0; i < PEERS_BUCKETS; i++)
		while (peers->buckets[i]) {
			struct peer *peer = peers->buckets[i];

			peers->buckets[i] = peer->next;
			free(peer);
		}
	mutex_done(&peers->mutex);
}

static void read_address(const struct sockaddr_storage *address,
			 uint8_t bytes_out[ADDRESS_SIZE])
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;

	memset(bytes_out, 0, ADDRESS_SIZE);
	if (address->ss_family == AF_INET)
		memcpy(bytes_out, &v4->sin_addr, sizeof(v4->sin_addr));
	else if (address->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
		memcpy(bytes_out, &v6->sin6_addr.s6_addr[12], sizeof(v4->sin_addr));
	else if (address->ss_family == AF_INET6)
		memcpy(bytes_out, &v6->sin6_addr, ADDRESS_SIZE);
}

/* FNV-1a. */
static size_t bucket_of(const uint8_t address[ADDRESS_SIZE])
{
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < ADDRESS_SIZE; i++)
		hash = (hash ^ address[i]) * 16777619u;
	return hash % PEERS_BUCKETS;
}

static bool is_forgotten(const struct peers *peers, const struct peer *peer, uint64_t now)
{
	return peer->users == 0 &&
	       (peers->count > PEERS_REMEMBERED ||
		(rate_is_fresh(peer->requests, now) && rate_is_fresh(peer->bytes, now) &&
		 rate_is_fresh(peer->failures, now)));
}

/* The peer in its bucket, after all that are forgotten have left it. */
static struct peer *find_locked(struct peers *peers, struct peer **bucket,
				const uint8_t address[ADDRESS_SIZE], uint64_t now)
	requires_mutex(peers->mutex)
{
	struct peer *found = NULL;

	while (*bucket) {
		struct peer *peer = *bucket;

		if (memcmp(peer->address, address, ADDRESS_SIZE) == 0) {
			found = peer;
		} else if (is_forgotten(peers, peer, now)) {
			*bucket = peer->next;
			peers->count--;
			free(peer);
			continue;
		}
		bucket = &peer->next;
	}
	return found;
}

struct peer *peers_get(struct peers *peers, const struct sockaddr_storage *address)
{
	uint8_t bytes[ADDRESS_SIZE];
	struct peer **bucket;
	struct peer *peer;
	mutex_scope(&peers->mutex);

	read_address(address, bytes);
	bucket = &peers->buckets[bucket_of(bytes)];
	peer = find_locked(peers, bucket, bytes, clock_monotonic_ns());
	if (!peer) {
		peer = calloc(1, sizeof(*peer));
		if (!peer)
			return NULL;
		memcpy(peer->address, bytes, ADDRESS_SIZE);
		peer->next = *bucket;
		*bucket = peer;
		peers->count++;
	}
	peer->users++;
	return peer;
}

void peers_put(struct peers *peers, struct peer *peer)
{
	mutex_scope(&peers->mutex);

	if (peer)
		peer->users--;
}

bool peers_take_request(struct peers *peers, struct peer *peer)
{
	mutex_scope(&peers->mutex);

	return rate_take(&peers->requests, &peer->requests, 1, clock_monotonic_ns());
}

bool peers_take_bytes(struct peers *peers, struct peer *peer, size_t size)
{
	if (peers->bytes.each == 0) /* constant */
		return true;
	mutex_scope(&peers->mutex);

	return rate_take(&peers->bytes, &peer->bytes, size, clock_monotonic_ns());
}

bool peers_may_try(struct peers *peers, struct peer *peer)
{
	mutex_scope(&peers->mutex);

	return rate_take(&peers->failures, &peer->failures, 0, clock_monotonic_ns());
}

void peers_failed(struct peers *peers, struct peer *peer)
{
	mutex_scope(&peers->mutex);

	(void)rate_take(&peers->failures, &peer->failures, 1, clock_monotonic_ns());
}
