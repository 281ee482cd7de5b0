/* SPDX-License-Identifier: MIT */
#include "support/catalog_sample.h"

#include "base/error.h"
#include "base/text.h"
#include "chunker/segment.h"
#include "chunker/skippable.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* cmocka.h needs the ones above. */
#include <cmocka.h>
#include <sqlite3.h>

int sample_setup(void **state)
{
	struct sample *sample = calloc(1, sizeof(*sample));
	struct hash id;

	assert_non_null(sample);
	(void)snprintf(sample->folder, sizeof(sample->folder),
		       "/tmp/test-catalog-XXXXXX");
	assert_non_null(mkdtemp(sample->folder));
	(void)snprintf(sample->path, sizeof(sample->path), "%s/catalog.db",
		       sample->folder);
	hash_bytes("archive", 7, &id);
	assert_int_equal(catalog_create(sample->path, &id, &sample->catalog, NULL), 0);
	*state = sample;
	return 0;
}

int sample_teardown(void **state)
{
	static const char *const suffixes[] = { "", "-wal", "-shm", "-journal" };
	struct sample *sample = *state;

	catalog_free(sample->catalog);
	for (size_t i = 0; i < 4; i++) {
		char name[128];

		(void)snprintf(name, sizeof(name), "%s%s", sample->path, suffixes[i]);
		(void)unlink(name);
	}
	assert_int_equal(rmdir(sample->folder), 0);
	free(sample);
	return 0;
}

void sample_reopen(struct sample *sample)
{
	struct error err = { 0 };
	int r;

	catalog_free(sample->catalog);
	sample->catalog = NULL;
	r = catalog_open(sample->path, &sample->catalog, &err);
	if (r < 0)
		fail_msg("%d: %s", r, err.text);
}

void sample_sql(const struct sample *sample, const char *sql)
{
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open(sample->path, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void make_manifest(struct bytes key, enum entry_type type, uint32_t version,
			  uint64_t content, struct manifest *out)
{
	*out = (struct manifest){
		.key = key,
		.type = type,
		.version = version,
		.mode = 0644,
		.mtime = { 1700000000 + (int64_t)content, 7 },
		.ctime = { -5, (uint32_t)content },
		.inode = UINT64_MAX - content,
	};
	if (type == ENTRY_FILE) {
		out->size = content;
		hash_bytes(&content, sizeof(content), &out->hash);
		if (content)
			memset(&out->pack.segment, 9, HASH_SIZE);
	}
	if (type == ENTRY_SYMLINK)
		out->target = (struct bytes){ (uint8_t *)strdup("target"), 6 };
}

/* Fill *manifest and return its line. */
static char *make_line(const char *path, enum entry_type type, uint32_t version,
		       uint64_t content, struct manifest *manifest)
{
	struct text line = { 0 };
	struct bytes key = { 0 };

	assert_int_equal(key_from_path(path, &key, NULL), 0);
	make_manifest(key, type, version, content, manifest);
	assert_int_equal(manifest_encode(manifest, &line, NULL), 0);
	text_truncate(&line, line.size - 1);
	return text_take(&line);
}

char *sample_line(const char *path, enum entry_type type, uint32_t version,
		  uint64_t content)
{
	struct manifest manifest;
	char *line = make_line(path, type, version, content, &manifest);

	manifest_done(&manifest);
	return line;
}

void sample_put(struct catalog *catalog, uint64_t sequence, const char *path,
		enum entry_type type, uint32_t version, uint64_t content)
{
	struct manifest manifest;
	autofree char *line = make_line(path, type, version, content, &manifest);
	struct error err = { 0 };
	int r;

	r = catalog_put_version(catalog, sequence, &manifest, line, strlen(line), &err);
	if (r < 0)
		fail_msg("put %s: %d %s", path, r, err.text);
	manifest_done(&manifest);
}

void sample_end(struct catalog *catalog, uint64_t sequence, const char *path)
{
	struct bytes key = { 0 };

	assert_int_equal(key_from_path(path, &key, NULL), 0);
	assert_int_equal(catalog_end_version(catalog, sequence, key.data, key.size, NULL),
			 0);
	free(key.data);
}

int sample_get(struct catalog *catalog, const char *path, uint64_t at,
	       struct version_row *row_out)
{
	struct bytes key = { 0 };
	int r;

	assert_int_equal(key_from_path(path, &key, NULL), 0);
	r = catalog_get_version(catalog, key.data, key.size, at, row_out, NULL);
	free(key.data);
	return r;
}

void sample_commit(struct catalog *catalog, uint64_t sequence)
{
	char head[64];
	struct hash hash;

	(void)snprintf(head, sizeof(head), "{\"sequence\":\"%d\"}", (int)sequence);
	hash_bytes(head, strlen(head), &hash);
	assert_int_equal(catalog_put_commit(catalog, sequence, &hash, head, NULL), 0);
}

void sample_uuid(unsigned number, struct uuid *uuid_out)
{
	memset(uuid_out->bytes, (int)number, UUID_SIZE);
}

void sample_put_volume(struct catalog *catalog, unsigned number)
{
	char label[32], file[32];
	struct volume_row row = { .number = number, .label = label, .file = file };

	(void)snprintf(label, sizeof(label), "label-%u", number);
	(void)snprintf(file, sizeof(file), "file-%u.bfv", number);
	sample_uuid(number, &row.uuid);
	assert_int_equal(catalog_put_volume(catalog, &row, NULL), 0);
	assert_true(row.id > 0);
}

/* Stripe number @number of a volume: 1,000 bytes of payload in each of two extents. */
static void make_stripe(unsigned volume, uint64_t number, enum stripe_kind kind,
			struct stripe_info *out)
{
	*out = (struct stripe_info){
		.number = number,
		.offset = number * (1 << 20),
		.log_start = number * 2000,
		.kind = kind,
		.data_count = 2,
	};
	sample_uuid(100 + volume, &out->epoch);
	geometry_init(&out->geometry, 4, 2, 2, 0);
	out->extents = calloc(4, sizeof(*out->extents));
	assert_non_null(out->extents);
	for (size_t i = 0; i < 4; i++) {
		out->extents[i].payload_size = i < 2 ? 1000 : 0;
		out->extents[i].area_size = geometry_area_size(1000);
		memset(&out->extents[i].hash, (int)(number + i), HASH_SIZE);
	}
}

/* @owner and @n make the id, so that another volume can name the same segment. */
static struct segment_place make_segment(unsigned owner, uint64_t n)
{
	struct segment_place place = {
		.index = n % 2,
		.log_offset = n * 500,
		.content_size = 2000,
		.stored_size = 400,
		.frame_count = 1,
		.kind = SEGMENT_PIECE,
	};
	uint64_t seed[2] = { owner, n };

	hash_bytes(seed, sizeof(seed), &place.id);
	sample_uuid(owner, &place.volume);
	return place;
}

void sample_record(unsigned volume, uint64_t sequence, unsigned foreign,
		   struct record **record_out, struct stripe_info *own_out)
{
	struct record *record = calloc(1, sizeof(*record));
	uint64_t number = 3 * sequence;

	assert_non_null(record);
	record->kind = STRIPE_PLACEMENT;
	record->sequence = sequence;
	sample_uuid(volume, &record->volume);
	record->log_start = number * 2000;
	record->log_end = (number + 2) * 2000;
	record->stripe_number = number + 2;
	hash_bytes(&number, sizeof(number), &record->hash);

	record->stripes = calloc(2, sizeof(*record->stripes));
	record->segments = calloc(3, sizeof(*record->segments));
	record->pages = calloc(2, sizeof(*record->pages));
	record->foreign = calloc(1, sizeof(*record->foreign));
	assert_true(record->stripes && record->segments && record->pages &&
		    record->foreign);
	record->stripe_count = record->page_count = 2;
	record->segment_count = 3;
	record->foreign_count = foreign != 0;
	for (size_t i = 0; i < 2; i++) {
		make_stripe(volume, number + i, STRIPE_DATA, &record->stripes[i]);
		record->pages[i].log_offset = number * 2000 + 1500 + i;
		record->pages[i].stored_size = 100;
		record->pages[i].kind = SKIPPABLE_TREE_PAGE;
		memset(&record->pages[i].hash, (int)(number + i), HASH_SIZE);
	}
	for (size_t i = 0; i < 3; i++)
		record->segments[i] = make_segment(volume, number + i);
	record->foreign[0] = make_segment(foreign, sequence);
	make_stripe(volume, number + 2, STRIPE_PLACEMENT, own_out);
	*record_out = record;
}

void sample_put_record(struct catalog *catalog, unsigned volume, uint64_t sequence,
		       unsigned foreign)
{
	struct stripe_info own = { 0 };
	autoptr(record) record = NULL;

	sample_record(volume, sequence, foreign, &record, &own);
	assert_int_equal(catalog_put_record(catalog, record, &own, NULL), 0);
	stripe_info_done(&own);
}

char *sample_dump(struct catalog *catalog)
{
	struct error err = { 0 };
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	int r;

	assert_non_null(out);
	r = catalog_dump(catalog, out, &err);
	if (r < 0)
		fail_msg("dump: %d %s", r, err.text);
	assert_int_equal(fclose(out), 0);
	return text;
}
