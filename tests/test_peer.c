/* SPDX-License-Identifier: MIT */
/* The machines that ask: told apart by their networks, limited each by itself, and forgotten. */
#include "serve/peer.h"

#include "base/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

static struct sockaddr_storage v4(uint32_t number)
{
	struct sockaddr_storage address = { 0 };
	struct sockaddr_in *in = (struct sockaddr_in *)&address;

	in->sin_family = AF_INET;
	in->sin_addr.s_addr = htonl(number);
	return address;
}

static struct sockaddr_storage v6(const char bytes[16])
{
	struct sockaddr_storage address = { 0 };
	struct sockaddr_in6 *in = (struct sockaddr_in6 *)&address;

	in->sin6_family = AF_INET6;
	memcpy(&in->sin6_addr, bytes, sizeof(in->sin6_addr));
	return address;
}

/* One wrong token a minute; a second one is waited for. */
static void begin(struct peers *peers)
{
	const struct config config = { .server.failure_rate = 1 };

	peers_init(peers, &config);
}

static struct peer *get(struct peers *peers, struct sockaddr_storage address)
{
	struct peer *peer = peers_get(peers, &address);

	assert_non_null(peer);
	return peer;
}

static void machines_are_told_apart_by_their_networks(void **state)
{
	struct peers peers;
	struct peer *one;

	(void)state;
	begin(&peers);
	one = get(&peers, v4(0x0a000001));
	assert_ptr_equal(get(&peers, v4(0x0a000001)), one);
	assert_ptr_not_equal(get(&peers, v4(0x0a000002)), one);
	assert_ptr_equal(get(&peers, v6("\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\0\0\1")), one);
	one = get(&peers, v6("\x20\1\xd\xb8\0\0\0\1\0\0\0\0\0\0\0\1"));
	assert_ptr_equal(get(&peers, v6("\x20\1\xd\xb8\0\0\0\1\5\6\7\x8\1\1\1\1")), one);
	assert_ptr_not_equal(get(&peers, v6("\x20\1\xd\xb8\0\0\0\2\0\0\0\0\0\0\0\1")),
			     one);
	peers_done(&peers);
}

static void who_has_failed_is_remembered_and_nobody_else_bears_it(void **state)
{
	struct peers peers;
	struct peer *one;

	(void)state;
	begin(&peers);
	one = get(&peers, v4(1));
	for (unsigned i = 0; i < 2; i++) {
		assert_true(peers_may_try(&peers, one));
		peers_failed(&peers, one);
	}
	assert_false(peers_may_try(&peers, one));
	assert_true(peers_may_try(&peers, get(&peers, v4(2))));
	peers_put(&peers, one);
	assert_false(peers_may_try(&peers, get(&peers, v4(1))));
	peers_done(&peers);
}

/* Each bucket forgets when it is looked at, so it may have one more in it. */
static void however_many_come_few_are_remembered(void **state)
{
	struct peers peers;
	struct peer *held;

	(void)state;
	begin(&peers);
	held = get(&peers, v4(0));
	for (uint32_t i = 1; i <= 4 * PEERS_REMEMBERED; i++) {
		struct peer *peer = get(&peers, v4(i * 2654435761u));

		peers_failed(&peers, peer);
		peers_put(&peers, peer);
		assert_true(peers.count <= PEERS_REMEMBERED + PEERS_BUCKETS);
	}
	assert_ptr_equal(get(&peers, v4(0)), held); /* it is in use */
	peers_done(&peers);
}

static void who_used_nothing_up_is_forgotten_at_once(void **state)
{
	struct peers peers;

	(void)state;
	begin(&peers);
	for (uint32_t i = 1; i <= PEERS_REMEMBERED; i++)
		peers_put(&peers, get(&peers, v4(i)));
	assert_true(peers.count <= PEERS_BUCKETS);
	peers_put(&peers, NULL);
	peers_done(&peers);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(machines_are_told_apart_by_their_networks),
		cmocka_unit_test(who_has_failed_is_remembered_and_nobody_else_bears_it),
		cmocka_unit_test(however_many_come_few_are_remembered),
		cmocka_unit_test(who_used_nothing_up_is_forgotten_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
