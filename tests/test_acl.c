/* SPDX-License-Identifier: MIT */
#include "archive/acl.h"

#include "base/cleanup.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* What `setfacl -m u:1000:r,g:5:rw` leaves on a file of mode 0640. */
static const uint8_t sample[] = {
	2,    0, 0, 0,                         /* version */
	1,    0, 6, 0, 0xff, 0xff, 0xff, 0xff, /* owner */
	2,    0, 4, 0, 0xe8, 0x03, 0x00, 0x00, /* user 1000 */
	4,    0, 4, 0, 0xff, 0xff, 0xff, 0xff, /* owning group */
	8,    0, 6, 0, 0x05, 0x00, 0x00, 0x00, /* group 5 */
	0x10, 0, 6, 0, 0xff, 0xff, 0xff, 0xff, /* mask */
	0x20, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, /* other */
};

static void every_entry_is_decoded(void **state)
{
	static const struct acl_entry want[] = {
		{ ACL_TAG_OWNER, 6, 0 },        { ACL_TAG_USER, 4, 1000 },
		{ ACL_TAG_OWNING_GROUP, 4, 0 }, { ACL_TAG_GROUP, 6, 5 },
		{ ACL_TAG_MASK, 6, 0 },         { ACL_TAG_OTHER, 0, 0 },
	};
	autofree struct acl_entry *entries = NULL;
	size_t count = 0;

	(void)state;
	assert_int_equal(acl_decode(sample, sizeof(sample), &entries, &count), 0);
	assert_int_equal(count, sizeof(want) / sizeof(want[0]));
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(entries[i].tag, want[i].tag);
		assert_int_equal(entries[i].permissions, want[i].permissions);
		assert_int_equal(entries[i].id, want[i].id);
	}
}

static void an_empty_list_has_no_entries(void **state)
{
	struct acl_entry *entries = NULL;
	size_t count = 9;

	(void)state;
	assert_int_equal(acl_decode(sample, 4, &entries, &count), 0);
	assert_int_equal(count, 0);
	assert_null(entries);
}

static void only_whole_entries_are_accepted(void **state)
{
	size_t count;

	(void)state;
	for (size_t size = 0; size < sizeof(sample); size++) {
		autofree struct acl_entry *entries = NULL;
		int r = acl_decode(sample, size, &entries, &count);

		assert_int_equal(r, size % 8 == 4 ? 0 : -EBADMSG);
	}
}

static void check_refused(size_t offset, uint8_t value)
{
	struct acl_entry *entries = NULL;
	uint8_t copy[sizeof(sample)];
	size_t count;

	memcpy(copy, sample, sizeof(copy));
	copy[offset] = value;
	assert_int_equal(acl_decode(copy, sizeof(copy), &entries, &count), -EBADMSG);
	assert_null(entries);
}

static void unknown_versions_tags_and_permissions_are_refused(void **state)
{
	(void)state;
	check_refused(0, 1);
	check_refused(3, 1);
	check_refused(4, 0);
	check_refused(4, 3);
	check_refused(12, 0x40);
	check_refused(13, 1);
	check_refused(14, 8);
	check_refused(15, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_entry_is_decoded),
		cmocka_unit_test(an_empty_list_has_no_entries),
		cmocka_unit_test(only_whole_entries_are_accepted),
		cmocka_unit_test(unknown_versions_tags_and_permissions_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
