/* SPDX-License-Identifier: MIT */
#include "archive/head.h"

#include "base/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define H1 "1111111111111111111111111111111111111111111111111111111111111111"
#define H2 "2222222222222222222222222222222222222222222222222222222222222222"
#define H3 "3333333333333333333333333333333333333333333333333333333333333333"
#define H0 "0000000000000000000000000000000000000000000000000000000000000000"
#define NONCE "000102030405060708090a0b0c0d0e0f"

static const char first_json[] =
	"{\"version\":1,\"sequence\":\"0\",\"time\":\"1700000000.000000005\","
	"\"nonce\":\"" NONCE "\"}";
static const char later_json[] =
	"{\"version\":1,\"archive\":\"" H1 "\",\"sequence\":\"12\",\"previous\":\"" H2
	"\","
	"\"tree\":\"" H3 "\",\"time\":\"-12.123456789\",\"message\":\"caf\xc3\xa9\","
	"\"tags\":{\"who\":\"me\",\"where\":\"\"}}";

static struct head first_head(void)
{
	struct head head = { .time = { 1700000000, 5 } };

	for (uint8_t i = 0; i < sizeof(head.nonce); i++)
		head.nonce[i] = i;
	return head;
}

/* Borrows its strings and tags. */
static struct head later_head(struct head_tag tags[2])
{
	struct head head = { .sequence = 12, .time = { -12, 123456789 } };
	static char message[] = "caf\xc3\xa9";
	static char who[] = "who";
	static char me[] = "me";
	static char where[] = "where";
	static char nothing[] = "";

	memset(&head.archive_id, 0x11, sizeof(head.archive_id));
	memset(&head.previous, 0x22, sizeof(head.previous));
	memset(&head.tree, 0x33, sizeof(head.tree));
	head.message = message;
	tags[0] = (struct head_tag){ who, me };
	tags[1] = (struct head_tag){ where, nothing };
	head.tags = tags;
	head.tag_count = 2;
	return head;
}

static void assert_encodes(struct head *head, const char *want)
{
	autofree char *json = NULL;
	struct hash hash;

	assert_int_equal(head_encode(head, &json, NULL), 0);
	assert_string_equal(json, want);
	hash_bytes(want, strlen(want), &hash);
	assert_memory_equal(&head->hash, &hash, sizeof(hash));
}

static void heads_are_written_as_the_format_says(void **state)
{
	struct head_tag tags[2];
	struct head first = first_head();
	struct head later = later_head(tags);

	(void)state;
	assert_encodes(&first, first_json);
	assert_encodes(&later, later_json);
}

static void the_first_head_goes_round(void **state)
{
	struct head want = first_head();
	struct hash hash;
	struct head got;

	(void)state;
	hash_bytes(first_json, strlen(first_json), &hash);
	assert_int_equal(head_decode(first_json, strlen(first_json), &got, NULL), 0);
	assert_int_equal(got.sequence, 0);
	assert_true(hash_is_zero(&got.archive_id));
	assert_true(hash_is_zero(&got.previous));
	assert_true(hash_is_zero(&got.tree));
	assert_int_equal(got.time.seconds, 1700000000);
	assert_int_equal(got.time.nanoseconds, 5);
	assert_null(got.message);
	assert_int_equal(got.tag_count, 0);
	assert_memory_equal(got.nonce, want.nonce, sizeof(want.nonce));
	assert_memory_equal(&got.hash, &hash, sizeof(hash));
	head_done(&got);
}

static void a_later_head_goes_round(void **state)
{
	struct head got;

	(void)state;
	assert_int_equal(head_decode(later_json, strlen(later_json), &got, NULL), 0);
	assert_int_equal(got.sequence, 12);
	assert_int_equal(got.archive_id.bytes[31], 0x11);
	assert_int_equal(got.previous.bytes[31], 0x22);
	assert_int_equal(got.tree.bytes[31], 0x33);
	assert_int_equal(got.time.seconds, -12);
	assert_int_equal(got.time.nanoseconds, 123456789);
	assert_string_equal(got.message, "caf\xc3\xa9");
	assert_int_equal(got.tag_count, 2);
	assert_string_equal(got.tags[0].key, "who");
	assert_string_equal(got.tags[0].value, "me");
	assert_string_equal(got.tags[1].key, "where");
	assert_string_equal(got.tags[1].value, "");
	assert_encodes(&got, later_json);
	head_done(&got);
	assert_null(got.message);
}

static void the_hash_is_that_of_the_bytes_as_they_stand(void **state)
{
	char spaced[sizeof(later_json) + 1];
	struct hash hash;
	struct head got;

	(void)state;
	(void)snprintf(spaced, sizeof(spaced), "{ %s", later_json + 1);
	hash_bytes(spaced, strlen(spaced), &hash);
	assert_int_equal(head_decode(spaced, strlen(spaced), &got, NULL), 0);
	assert_memory_equal(&got.hash, &hash, sizeof(hash));
	head_done(&got);
}

static void every_truncation_is_refused(void **state)
{
	struct head got;

	(void)state;
	for (size_t n = 0; n < strlen(later_json); n++)
		assert_int_equal(head_decode(later_json, n, &got, NULL), -EBADMSG);
}

/* @json with the first @from replaced by @to. */
static int decode_changed(const char *json, const char *from, const char *to)
{
	const char *place = strstr(json, from);
	char changed[1024];
	struct head got;
	int r;

	assert_non_null(place);
	(void)snprintf(changed, sizeof(changed), "%.*s%s%s", (int)(place - json), json,
		       to, place + strlen(from));
	r = head_decode(changed, strlen(changed), &got, NULL);
	if (r == 0)
		head_done(&got);
	return r;
}

static void members_that_are_missing_unknown_or_wrong_are_refused(void **state)
{
	static const struct {
		const char *from;
		const char *to;
	} cases[] = {
		{ "\"version\":1,", "" },
		{ "\"version\":1", "\"version\":\"1\"" },
		{ "\"sequence\":\"12\",", "" },
		{ "\"sequence\":\"12\"", "\"sequence\":12" },
		{ "\"sequence\":\"12\"", "\"sequence\":\"012\"" },
		{ "\"sequence\":\"12\"", "\"sequence\":\"0\"" },
		{ "\"sequence\":\"12\"", "\"sequence\":\"-1\"" },
		{ "\"sequence\":\"12\"", "\"sequence\":\"4611686018427387905\"" },
		{ "\"archive\":\"" H1 "\",", "" },
		{ "\"previous\":\"" H2 "\",", "" },
		{ H1, H0 },
		{ H2, H0 },
		{ H3, H0 },
		{ H3, "33" },
		{ H3, H3 "33" },
		{ "\"time\":\"-12.123456789\",", "" },
		{ "-12.123456789", "-12" },
		{ "-12.123456789", "-12.12345678" },
		{ "-12.123456789", "-12.1234567890" },
		{ "-12.123456789", "-12.12345678x" },
		{ "-12.123456789", "-012.123456789" },
		{ "-12.123456789", ".123456789" },
		{ "-12.123456789", "99999999999999999999.123456789" },
		{ "-12.123456789", "99999999999999999999999999.123456789" },
		{ "\"caf\xc3\xa9\"", "1" },
		{ "\"caf\xc3\xa9\"", "\"caf\xc3\"" },
		{ "\"me\"", "1" },
		{ "\"where\"", "\"who\"" },
		{ "{\"who\":\"me\",\"where\":\"\"}", "[]" },
		{ "\"message\"", "\"massage\"" },
		{ "\"message\"", "\"tree\"" },
		{ "}}", "},\"nonce\":\"" NONCE "\"}" },
		{ "}}", "}} x" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int r = decode_changed(later_json, cases[i].from, cases[i].to);

		if (r != -EBADMSG)
			print_message("# case %zu\n", i);
		assert_int_equal(r, -EBADMSG);
	}
}

static void a_first_head_with_a_past_or_without_a_nonce_is_refused(void **state)
{
	static const char before[] = "\"time\"";

	(void)state;
	assert_int_equal(
		decode_changed(first_json, before, "\"tree\":\"" H1 "\",\"time\""),
		-EBADMSG);
	assert_int_equal(
		decode_changed(first_json, before, "\"archive\":\"" H1 "\",\"time\""),
		-EBADMSG);
	assert_int_equal(
		decode_changed(first_json, before, "\"previous\":\"" H1 "\",\"time\""),
		-EBADMSG);
	assert_int_equal(decode_changed(first_json, ",\"nonce\":\"" NONCE "\"", ""),
			 -EBADMSG);
	assert_int_equal(decode_changed(first_json, NONCE, "0001"), -EBADMSG);
	assert_int_equal(decode_changed(first_json, "\"time\"", "\"time\""), 0);
}

static void a_head_of_another_version_says_so(void **state)
{
	(void)state;
	assert_int_equal(decode_changed(later_json, "\"version\":1", "\"version\":2"),
			 -EPROTONOSUPPORT);
	assert_int_equal(decode_changed(later_json, "\"version\":1,",
					"\"version\":2,\"more\":true,"),
			 -EPROTONOSUPPORT);
}

static void an_empty_tree_and_no_message_need_no_member(void **state)
{
	(void)state;
	assert_int_equal(decode_changed(later_json, "\"tree\":\"" H3 "\",", ""), 0);
	assert_int_equal(decode_changed(later_json, "\"message\":\"caf\xc3\xa9\",", ""),
			 0);
	assert_int_equal(decode_changed(later_json,
					",\"tags\":{\"who\":\"me\",\"where\":\"\"}", ""),
			 0);
}

static void assert_not_encoded(struct head *head)
{
	char *json = NULL;

	assert_int_equal(head_encode(head, &json, NULL), -EINVAL);
	assert_null(json);
	assert_true(hash_is_zero(&head->hash));
}

static void what_could_not_be_read_back_is_not_written(void **state)
{
	static char latin[] = "caf\xe9";
	struct head_tag tags[2];
	struct head head;

	(void)state;
	head = later_head(tags);
	head.message = latin;
	assert_not_encoded(&head);
	head = later_head(tags);
	tags[1].value = latin;
	assert_not_encoded(&head);
	head = later_head(tags);
	tags[1].key = tags[0].key;
	assert_not_encoded(&head);
	head = later_head(tags);
	head.time.nanoseconds = 1000000000;
	assert_not_encoded(&head);
	head = later_head(tags);
	memset(&head.previous, 0, sizeof(head.previous));
	assert_not_encoded(&head);
	head = first_head();
	head.tree.bytes[0] = 1;
	assert_not_encoded(&head);
}

static void a_message_that_is_too_long_is_refused(void **state)
{
	char *message = malloc(HEAD_SIZE_MAX + 1);
	struct head_tag tags[2];
	struct head head = later_head(tags);

	(void)state;
	assert_non_null(message);
	memset(message, 'x', HEAD_SIZE_MAX);
	message[HEAD_SIZE_MAX] = 0;
	head.message = message;
	assert_not_encoded(&head);
	free(message);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(heads_are_written_as_the_format_says),
		cmocka_unit_test(the_first_head_goes_round),
		cmocka_unit_test(a_later_head_goes_round),
		cmocka_unit_test(the_hash_is_that_of_the_bytes_as_they_stand),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(members_that_are_missing_unknown_or_wrong_are_refused),
		cmocka_unit_test(a_first_head_with_a_past_or_without_a_nonce_is_refused),
		cmocka_unit_test(a_head_of_another_version_says_so),
		cmocka_unit_test(an_empty_tree_and_no_message_need_no_member),
		cmocka_unit_test(what_could_not_be_read_back_is_not_written),
		cmocka_unit_test(a_message_that_is_too_long_is_refused),
	};

	return cmocka_run_group_tests_name("head", tests, NULL, NULL);
}
