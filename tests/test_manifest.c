/* SPDX-License-Identifier: MIT */
#include "merkle/manifest.h"

#include "base/error.h"
#include "base/text.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h needs the ones above. */
#include <cmocka.h>

#define HEX64(c) c c c c c c c c c c c c c c c c
#define HASH_A HEX64("a1b2")
#define HASH_B HEX64("0f0e")

/* What every line has, after the path and the type. */
#define COMMON                                                                  \
	"\"version\":3,\"mode\":420,\"uid\":1000,\"gid\":100,\"user\":\"eva\"," \
	"\"mtime\":\"1700000000.000000001\",\"ctime\":\"-12.999999999\","       \
	"\"inode\":\"18446744073709551615\""
#define DIRECTORY "{\"path\":\"a/b\",\"type\":\"directory\"," COMMON
#define FILE_OF(size)                                                     \
	"{\"path\":\"a/b\",\"type\":\"file\"," COMMON ",\"size\":\"" size \
	"\",\"hash\":\"" HASH_A "\""
#define PACK(offset) "\"pack\":{\"segment\":\"" HASH_B "\",\"offset\":" offset "}"

static struct bytes bytes_of(const void *data, size_t size)
{
	struct bytes bytes = { .data = malloc(size ? size : 1), .size = size };

	assert_non_null(bytes.data);
	memcpy(bytes.data, data, size);
	return bytes;
}

static struct bytes string_of(const char *text)
{
	return bytes_of(text, strlen(text));
}

static struct manifest manifest_of(enum entry_type type, struct bytes key)
{
	return (struct manifest){
		.key = key,
		.type = type,
		.version = 1,
		.mode = 0755,
		.uid = 1000,
		.gid = UINT32_MAX,
		.mtime = { 1700000000, 123456789 },
		.ctime = { 1700000001, 0 },
		.inode = UINT64_MAX,
	};
}

static void fill_hashes(struct hash **hashes, size_t *count_out, size_t count)
{
	*hashes = calloc(count, sizeof(**hashes));
	assert_non_null(*hashes);
	for (size_t i = 0; i < count; i++)
		hash_bytes(&i, sizeof(i), &(*hashes)[i]);
	*count_out = count;
}

static int decode(const char *line)
{
	struct manifest manifest = { 0 };
	int r = manifest_decode(line, strlen(line), &manifest, NULL);

	manifest_done(&manifest);
	return r;
}

static void assert_refused(const char *line)
{
	if (decode(line) != -EBADMSG)
		fail_msg("accepted: %s", line);
}

static void assert_accepted(const char *line)
{
	if (decode(line) != 0)
		fail_msg("refused: %s", line);
}

/* Encode, decode, encode: the same, whichever way the key is read. Frees @manifest. */
static void assert_round_trip(struct manifest *manifest)
{
	autotext struct text line = { 0 }, again = { 0 };
	struct manifest decoded = { 0 };
	uint8_t key[MANIFEST_KEY_MAX];
	size_t key_size = 0;

	assert_int_equal(manifest_encode(manifest, &line, NULL), 0);
	assert_int_equal(line.data[line.size - 1], '\n');
	assert_int_equal(manifest_decode(line.data, line.size, &decoded, NULL), 0);
	assert_true(manifest_same(manifest, &decoded));
	assert_int_equal(decoded.version, manifest->version);
	assert_int_equal(key_compare(decoded.key.data, decoded.key.size,
				     manifest->key.data, manifest->key.size),
			 0);
	assert_int_equal(decoded.source.size, manifest->source.size);

	assert_int_equal(manifest_encode(&decoded, &again, NULL), 0);
	assert_string_equal(line.data, again.data);
	assert_int_equal(manifest_decode_key(line.data, line.size, key, &key_size, NULL),
			 0);
	assert_int_equal(
		key_compare(key, key_size, manifest->key.data, manifest->key.size), 0);
	manifest_done(&decoded);
	manifest_done(manifest);
}

static void files_of_all_sizes_come_back(void **state)
{
	struct manifest m;

	(void)state;
	m = manifest_of(ENTRY_FILE, string_of("empty"));
	hash_bytes(NULL, 0, &m.hash);
	assert_round_trip(&m);

	m = manifest_of(ENTRY_FILE, bytes_of("photos\0002024\0a.jpg", 17));
	m.size = 12345;
	m.pack.offset = 777;
	memset(&m.hash, 1, sizeof(m.hash));
	memset(&m.pack.segment, 2, sizeof(m.pack.segment));
	m.user = string_of("eva");
	m.group = bytes_of("\xff\xfe", 2);
	m.link = string_of("photos/2023/a.jpg");
	m.source = bytes_of("/home/\xe4", 7);
	assert_round_trip(&m);

	m = manifest_of(ENTRY_FILE, string_of("large"));
	m.size = 64 * MANIFEST_SEGMENT_SIZE;
	fill_hashes(&m.segments, &m.segment_count, 64);
	assert_round_trip(&m);

	m = manifest_of(ENTRY_FILE, string_of("huge"));
	m.size = 2000 * MANIFEST_SEGMENT_SIZE + 1;
	fill_hashes(&m.segment_pages, &m.segment_page_count, 2);
	assert_round_trip(&m);
}

static void sparse_files_come_back(void **state)
{
	struct manifest m = manifest_of(ENTRY_FILE, string_of("sparse"));

	(void)state;
	m.size = 1000000;
	memset(&m.pack.segment, 2, sizeof(m.pack.segment));
	m.hole_count = 3;
	m.holes = calloc(m.hole_count, sizeof(*m.holes));
	assert_non_null(m.holes);
	m.holes[0] = (struct manifest_hole){ 0, 4096 };
	m.holes[1] = (struct manifest_hole){ 4096, 4096 };
	m.holes[2] = (struct manifest_hole){ 500000, 500000 };
	assert_round_trip(&m);
}

static void other_types_come_back(void **state)
{
	static const enum entry_type plain[] = { ENTRY_DIRECTORY, ENTRY_FIFO,
						 ENTRY_SOCKET };
	struct manifest m;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		m = manifest_of(plain[i], string_of("plain"));
		assert_round_trip(&m);
	}
	m = manifest_of(ENTRY_SYMLINK, string_of("link"));
	m.target = bytes_of("../\xff\n", 5);
	assert_round_trip(&m);
	m = manifest_of(ENTRY_CHAR, string_of("null"));
	m.device = 259;
	assert_round_trip(&m);
	m = manifest_of(ENTRY_BLOCK, string_of("zero"));
	assert_round_trip(&m);
}

static void times_at_the_limits_come_back(void **state)
{
	static const int64_t seconds[] = { INT64_MIN, -12, -1, 0, 1, INT64_MAX };

	(void)state;
	for (size_t i = 0; i < sizeof(seconds) / sizeof(seconds[0]); i++) {
		struct manifest m = manifest_of(ENTRY_DIRECTORY, string_of("d"));

		m.mtime = (struct entry_time){ seconds[i], 999999999 };
		m.ctime = (struct entry_time){ seconds[i], 0 };
		assert_round_trip(&m);
	}
}

static void extended_attributes_come_back(void **state)
{
	struct manifest m = manifest_of(ENTRY_DIRECTORY, string_of("d"));
	uint8_t value[MANIFEST_XATTR_INLINE_MAX];

	(void)state;
	memset(value, 0xe4, sizeof(value));
	m.xattr_count = 4;
	m.xattrs = calloc(m.xattr_count, sizeof(*m.xattrs));
	assert_non_null(m.xattrs);
	m.xattrs[0].name = string_of("security.empty");
	m.xattrs[1].name = string_of("user.a");
	m.xattrs[1].value = bytes_of(value, sizeof(value));
	m.xattrs[1].size = sizeof(value);
	m.xattrs[2].name = string_of("user.long");
	m.xattrs[2].size = sizeof(value) + 1;
	memset(&m.xattrs[2].hash, 7, HASH_SIZE);
	memset(&m.xattrs[2].pack, 8, sizeof(m.xattrs[2].pack.segment));
	m.xattrs[3].name = bytes_of("user.\xff", 6);
	m.xattrs[3].value = bytes_of("\0", 1);
	m.xattrs[3].size = 1;
	assert_round_trip(&m);
}

static void names_of_any_bytes_come_back(void **state)
{
	static const char *const names[] = {
		"new\nline",      "tab\tquote\"back\\slash", "\x01\x7f",
		"\xff\xfe",       "\xc3\xa4/\xe2\x82\xac",   "...",
		".a/..b",         "{\"path\":\"x\"}",        " ",
		"a/\xed\xa0\x80",
	};
	struct bytes key = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct manifest m;

		assert_int_equal(key_from_path(names[i], &key, NULL), 0);
		m = manifest_of(ENTRY_DIRECTORY, key);
		assert_round_trip(&m);
	}
}

static void the_longest_names_come_back(void **state)
{
	char path[MANIFEST_KEY_MAX + 2];
	struct bytes key = { 0 };
	struct manifest m;

	(void)state;
	/* Sixteen components of 255 bytes, each of them with a separator but the last. */
	memset(path, 'x', sizeof(path));
	for (size_t i = KEY_COMPONENT_MAX; i < sizeof(path); i += KEY_COMPONENT_MAX + 1)
		path[i] = '/';
	path[MANIFEST_KEY_MAX - 1] = '\0';
	assert_int_equal(key_from_path(path, &key, NULL), 0);
	m = manifest_of(ENTRY_DIRECTORY, key);
	assert_round_trip(&m);

	memset(path, 'x', sizeof(path));
	for (size_t i = 1; i < MANIFEST_KEY_MAX - 1; i += 2)
		path[i] = '/';
	path[MANIFEST_KEY_MAX] = '\0';
	assert_int_equal(key_from_path(path, &key, NULL), 0);
	m = manifest_of(ENTRY_DIRECTORY, key);
	assert_round_trip(&m);

	path[MANIFEST_KEY_MAX] = 'x';
	path[MANIFEST_KEY_MAX + 1] = '\0';
	assert_int_equal(key_from_path(path, &key, NULL), -EINVAL);
	memset(path, 'x', KEY_COMPONENT_MAX + 1);
	path[KEY_COMPONENT_MAX + 1] = '\0';
	assert_int_equal(key_from_path(path, &key, NULL), -EINVAL);
}

static void bad_paths_make_no_key(void **state)
{
	static const char *const paths[] = { "",  "/",  "/a",  "a/",   "a//b",
					     ".", "..", "a/.", "../a", "a/../b" };
	struct bytes key = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		autotext struct text line = { 0 };

		assert_int_equal(key_from_path(paths[i], &key, NULL), -EINVAL);
		assert_int_equal(text_appendf(&line, "{\"path\":\"%s\",", paths[i]), 0);
		assert_int_equal(text_append(&line, "\"type\":\"fifo\"," COMMON "}"), 0);
		assert_refused(line.data);
	}
}

static void every_truncation_is_refused(void **state)
{
	static const char line[] = FILE_OF("5000") "," PACK(
		"3") ",\"holes\":[\"0\",\"4096\"],"
		     "\"xattrs\":[{\"name\":\"user.a\",\"value\":\"AA==\"}]}\n";
	struct manifest manifest = { 0 };

	(void)state;
	assert_accepted(line);
	for (size_t n = 0; n < sizeof(line) - 2; n++)
		assert_int_equal(manifest_decode(line, n, &manifest, NULL), -EBADMSG);
}

static void content_must_match_the_size(void **state)
{
	(void)state;
	assert_accepted(FILE_OF("0") "}");
	assert_accepted(FILE_OF("1") "," PACK("33554431") "}");
	assert_accepted(FILE_OF("33554433") ",\"segments\":[\"" HASH_A "\",\"" HASH_B
					    "\"]}");
	assert_accepted(FILE_OF("2147483649") ",\"segment_pages\":[\"" HASH_A "\"]}");

	assert_refused(FILE_OF("1") "}");
	assert_refused(FILE_OF("0") "," PACK("0") "}");
	assert_refused(FILE_OF("0") ",\"segments\":[]}");
	assert_refused(FILE_OF("2") "," PACK("33554431") "}");
	assert_refused(FILE_OF("18446744073709551615") "," PACK("0") "}");
	assert_refused(FILE_OF("1") "," PACK("0") ",\"segments\":[\"" HASH_A "\"]}");
	assert_refused(FILE_OF("33554433") ",\"segments\":[\"" HASH_A "\"]}");
	assert_refused(FILE_OF("1") ",\"segments\":[\"" HASH_A "\",\"" HASH_B "\"]}");
	assert_refused(FILE_OF("2147483648") ",\"segment_pages\":[\"" HASH_A "\"]}");
	assert_refused(FILE_OF("2147483649") ",\"segment_pages\":[\"" HASH_A
					     "\",\"" HASH_B "\"]}");
	assert_refused(FILE_OF("1") ",\"pack\":{\"segment\":\"" HEX64(
		"0000") "\",\"offset\":0}}");
}

static void holes_must_be_in_order_and_inside(void **state)
{
	static const char *const bad[] = { "[]",
					   "[\"0\"]",
					   "[\"0\",\"0\"]",
					   "[\"0\",\"101\"]",
					   "[\"100\",\"1\"]",
					   "[\"8\",\"4\",\"0\",\"4\"]",
					   "[\"0\",\"4\",\"3\",\"4\"]",
					   "[0,4]",
					   "[\"1\",\"18446744073709551615\"]" };

	(void)state;
	assert_accepted(
		FILE_OF("100") "," PACK("0") ",\"holes\":[\"0\",\"4\",\"4\",\"96\"]}");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char line[1024];

		(void)snprintf(line, sizeof(line), "%s,\"holes\":%s}",
			       FILE_OF("100") "," PACK("0"), bad[i]);
		assert_refused(line);
	}
}

static void attributes_must_be_in_range(void **state)
{
	static const char *const pairs[][2] = {
		{ "\"version\":3", "\"version\":0" },
		{ "\"version\":3", "\"version\":4294967296" },
		{ "\"mode\":420", "\"mode\":4096" },
		{ "\"mode\":420", "\"mode\":-1" },
		{ "\"uid\":1000", "\"uid\":\"1000\"" },
		{ "\"uid\":1000,", "" },
		{ "0.000000001", "0.00000001" },
		{ "0.000000001", "0.0000000010" },
		{ "0.000000001", "0" },
		{ "0.000000001", "0.-00000001" },
		{ "-12.9", "-012.9" },
		{ "\"eva\"", "\"\"" },
		{ "\"directory\"", "\"folder\"" },
		{ "\"directory\"", "\"symlink\"" },
		{ "\"directory\"", "\"char\"" },
		{ "\"directory\"", "\"file\"" },
		{ "\"inode\":\"18446744073709551615\"", "\"inode\":5" },
	};
	char line[1024], changed[2048];

	(void)state;
	(void)snprintf(line, sizeof(line), "%s", DIRECTORY "}");
	assert_accepted(line);
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		const char *at = strstr(line, pairs[i][0]);

		assert_non_null(at);
		(void)snprintf(changed, sizeof(changed), "%.*s%s%s", (int)(at - line),
			       line, pairs[i][1], at + strlen(pairs[i][0]));
		assert_refused(changed);
	}
}

static void members_of_other_types_are_refused(void **state)
{
	(void)state;
	assert_refused(DIRECTORY ",\"size\":\"0\"}");
	assert_refused(DIRECTORY ",\"target\":\"x\"}");
	assert_refused(DIRECTORY ",\"device\":\"0\"}");
	assert_refused(DIRECTORY ",\"link\":\"x\"}");
	assert_refused(FILE_OF("0") ",\"target_base64\":\"/w==\"}");
	assert_refused(FILE_OF("0") ",\"link\":\"/x\"}");
}

static void extended_attributes_must_be_in_order(void **state)
{
	(void)state;
	assert_refused(DIRECTORY ",\"xattrs\":[{\"name\":\"b\",\"value\":\"\"},"
				 "{\"name\":\"a\",\"value\":\"\"}]}");
	assert_refused(DIRECTORY ",\"xattrs\":[{\"name\":\"a\",\"value\":\"\"},"
				 "{\"name_base64\":\"YQ==\",\"value\":\"\"}]}");
	assert_refused(DIRECTORY ",\"xattrs\":[{\"name\":\"\",\"value\":\"\"}]}");
	assert_refused(DIRECTORY ",\"xattrs\":[{\"name\":\"a\"}]}");
	assert_refused(DIRECTORY ",\"xattrs\":[{\"name\":\"a\",\"value\":\"A\"}]}");
	assert_refused(DIRECTORY
		       ",\"xattrs\":[{\"name\":\"a\",\"size\":\"1024\",\"hash\":\"" HASH_A
		       "\"," PACK("0") "}]}");
	assert_accepted(
		DIRECTORY
		",\"xattrs\":[{\"name\":\"a\",\"size\":\"1025\",\"hash\":\"" HASH_A
		"\"," PACK("0") "}]}");
}

static void unknown_members_are_skipped(void **state)
{
	(void)state;
	assert_accepted(DIRECTORY ",\"colour\":{\"depth\":[1,2,3]}}");
	assert_refused(DIRECTORY ",\"uid\":1000}"); /* twice */
	assert_refused(DIRECTORY "}\n{}");
	assert_refused(DIRECTORY ",\n\"colour\":1}");
}

static void keys_are_found_wherever_the_path_stands(void **state)
{
	static const char *const lines[] = {
		"{\"path\":\"a\\/b\\n\"}",
		"{ \"path\" : \"a/b\\n\" }",
		"{\"type\":\"file\",\"path\":\"a/b\\n\"}",
		"{\"path\":\"a\\u002fb\\u000a\"}",
		"{\"path_base64\":\"YS9iCg==\"}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		uint8_t key[MANIFEST_KEY_MAX];
		size_t size = 0;

		assert_int_equal(
			manifest_decode_key(lines[i], strlen(lines[i]), key, &size, NULL),
			0);
		assert_int_equal(size, 4);
		assert_memory_equal(key, "a\0b\n", 4);
	}
}

static void bad_keys_are_refused(void **state)
{
	static const char *const lines[] = {
		"",
		"{}",
		"{\"path\":\"\"}",
		"{\"path\":\"a",
		"{\"path\":\"a\\",
		"{\"path\":\"\xff\"}",
		"{\"path\":\"a//b\"}",
		"{\"path\":\"a\\u0000b\"}",
		"{\"path_base64\":\"YQBi\"}",
		"{\"path\":\"a\nb\"}",
		"{\"path\":1}",
		"[\"path\",\"a\"]",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		uint8_t key[MANIFEST_KEY_MAX];
		size_t size = 0;

		assert_int_equal(
			manifest_decode_key(lines[i], strlen(lines[i]), key, &size, NULL),
			-EBADMSG);
	}
}

static void what_could_not_be_read_is_not_written(void **state)
{
	autotext struct text line = { 0 };
	struct manifest m = manifest_of(ENTRY_FILE, string_of("f"));

	(void)state;
	assert_int_equal(text_append(&line, "before"), 0);
	m.size = 1;
	assert_int_equal(manifest_encode(&m, &line, NULL), -EINVAL);
	memset(&m.pack.segment, 2, sizeof(m.pack.segment));
	assert_int_equal(manifest_encode(&m, &line, NULL), 0);
	text_truncate(&line, 6);
	assert_string_equal(line.data, "before");

	m.user.size = MANIFEST_LINE_MAX;
	m.user.data = malloc(m.user.size);
	assert_non_null(m.user.data);
	memset(m.user.data, 'x', m.user.size);
	assert_int_equal(manifest_encode(&m, &line, NULL), -EINVAL);
	assert_string_equal(line.data, "before");
	manifest_done(&m);
}

static void each_difference_makes_a_new_version(void **state)
{
	static const char base[] =
		FILE_OF("5000") "," PACK("3") ",\"holes\":[\"0\",\"4096\"],"
					      "\"link\":\"c\",\"xattrs\":[{\"name\":"
					      "\"user.a\",\"value\":\"AA==\"}]}";
	static const char *const pairs[][2] = {
		{ ":420", ":421" },     { "\"uid\":1000", "\"uid\":1" },
		{ "eva", "eve" },       { "0.000000001", "0.000000002" },
		{ "-12.9", "-13.9" },   { "615\"", "614\"" },
		{ "5000", "5001" },     { "a1b2", "a1b3" },
		{ "0f0e", "0f0f" },     { "t\":3", "t\":4" },
		{ "4096", "4095" },     { "AA==", "AQ==" },
		{ "user.a", "user.b" }, { "\"c\"", "\"d\"" },
	};
	struct manifest a = { 0 };

	(void)state;
	assert_int_equal(manifest_decode(base, strlen(base), &a, NULL), 0);
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		const char *at = strstr(base, pairs[i][0]);
		struct manifest b = { 0 };
		char line[2048];

		assert_non_null(at);
		(void)snprintf(line, sizeof(line), "%.*s%s%s", (int)(at - base), base,
			       pairs[i][1], at + strlen(pairs[i][0]));
		assert_int_equal(manifest_decode(line, strlen(line), &b, NULL), 0);
		assert_false(manifest_same(&a, &b));
		manifest_done(&b);
	}
	manifest_done(&a);
}

static void a_rename_alone_makes_none(void **state)
{
	static const char one[] = DIRECTORY ",\"source\":\"/x\"}";
	static const char two[] = "{\"path\":\"c\",\"type\":\"directory\"," COMMON "}";
	struct manifest a = { 0 }, b = { 0 };

	(void)state;
	assert_int_equal(manifest_decode(one, strlen(one), &a, NULL), 0);
	assert_int_equal(manifest_decode(two, strlen(two), &b, NULL), 0);
	b.version++;
	assert_true(manifest_same(&a, &b));
	manifest_done(&a);
	manifest_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_of_all_sizes_come_back),
		cmocka_unit_test(sparse_files_come_back),
		cmocka_unit_test(other_types_come_back),
		cmocka_unit_test(times_at_the_limits_come_back),
		cmocka_unit_test(extended_attributes_come_back),
		cmocka_unit_test(names_of_any_bytes_come_back),
		cmocka_unit_test(the_longest_names_come_back),
		cmocka_unit_test(bad_paths_make_no_key),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(content_must_match_the_size),
		cmocka_unit_test(holes_must_be_in_order_and_inside),
		cmocka_unit_test(attributes_must_be_in_range),
		cmocka_unit_test(members_of_other_types_are_refused),
		cmocka_unit_test(extended_attributes_must_be_in_order),
		cmocka_unit_test(unknown_members_are_skipped),
		cmocka_unit_test(keys_are_found_wherever_the_path_stands),
		cmocka_unit_test(bad_keys_are_refused),
		cmocka_unit_test(what_could_not_be_read_is_not_written),
		cmocka_unit_test(each_difference_makes_a_new_version),
		cmocka_unit_test(a_rename_alone_makes_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
