/* SPDX-License-Identifier: MIT */
#include "archive/volume_info.h"

#include "base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const struct uuid some_uuid = { { 1, 2, 3 } };

static void fill(struct volume_info *info)
{
	*info = (struct volume_info){
		.label = strdup("photos \"2\""),
		.number = 2,
		.created = { -5, 7 },
		.policy = { true, 30, 3, 1u << 20 },
		.head = { { 9 } },
	};
	assert_int_equal(volume_info_add_member(info, &some_uuid, 1, "photos", false), 0);
	assert_int_equal(
		volume_info_add_member(info, &some_uuid, 2, "photos \"2\"", true), 0);
}

static void what_was_encoded_is_decoded(void **state)
{
	autovolume_info struct volume_info info = { 0 };
	autovolume_info struct volume_info got = { 0 };
	autofree char *json = NULL;

	(void)state;
	fill(&info);
	info.policy.burst = 1u << 30;
	info.policy.burst_from = UINT64_C(35000000000);
	info.policy.burst_data = 48;
	assert_int_equal(volume_info_encode(&info, &json, NULL), 0);
	assert_int_equal(volume_info_decode(json, strlen(json), &got, NULL), 0);
	assert_int_equal(got.policy.burst, 1u << 30);
	assert_int_equal(got.policy.burst_from, UINT64_C(35000000000));
	assert_int_equal(got.policy.burst_data, 48);
	assert_string_equal(got.label, info.label);
	assert_int_equal(got.number, 2);
	assert_int_equal(got.created.seconds, -5);
	assert_int_equal(got.created.nanoseconds, 7);
	assert_int_equal(got.member_count, 2);
	assert_string_equal(got.members[0].label, "photos");
	assert_memory_equal(&got.members[1].uuid, &some_uuid, UUID_SIZE);
	assert_true(got.policy.tiered);
	assert_int_equal(got.policy.data, 30);
	assert_int_equal(got.policy.parity, 3);
	assert_int_equal(got.policy.spread, 1u << 20);
	assert_true(hash_equal(&got.head, &info.head));
}

static void the_first_volume_names_no_head(void **state)
{
	autovolume_info struct volume_info info = { 0 };
	autovolume_info struct volume_info got = { 0 };
	autofree char *json = NULL;

	(void)state;
	fill(&info);
	info.head = (struct hash){ 0 };
	assert_int_equal(volume_info_encode(&info, &json, NULL), 0);
	assert_null(strstr(json, "\"head\""));
	assert_int_equal(volume_info_decode(json, strlen(json), &got, NULL), 0);
	assert_true(hash_is_zero(&got.head));
}

static void every_truncation_is_refused(void **state)
{
	autovolume_info struct volume_info info = { 0 };
	autovolume_info struct volume_info got = { 0 };
	autofree char *json = NULL;

	(void)state;
	fill(&info);
	assert_int_equal(volume_info_encode(&info, &json, NULL), 0);
	for (size_t n = 0; n < strlen(json); n++)
		assert_int_equal(volume_info_decode(json, n, &got, NULL), -EBADMSG);
}

static void a_label_that_is_no_text_is_refused(void **state)
{
	autovolume_info struct volume_info info = { 0 };
	char *json = NULL;

	(void)state;
	fill(&info);
	info.label[0] = (char)0xff;
	assert_int_equal(volume_info_encode(&info, &json, NULL), -EINVAL);
	assert_null(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_encoded_is_decoded),
		cmocka_unit_test(the_first_volume_names_no_head),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(a_label_that_is_no_text_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
