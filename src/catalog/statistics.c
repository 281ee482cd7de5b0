/* SPDX-License-Identifier: MIT */
/* SQLite's sum() fails where the result does not fit, which two sparse files may bring
 * about. So sizes are added up in two halves.
 *
 * Checksums are not looked at here: sums lead to no bytes.
 */
#include "catalog/statistics.h"

#include "catalog/handle.h"

#include <stdbool.h>

#define SUM(x) "sum((" x ") >> 32), sum((" x ") & 4294967295)"

static const char sql_commits[] = "SELECT count(*) FROM commit_head";
static const char sql_current[] = "SELECT type, count(*), " SUM(
	"size") " FROM version"
		" WHERE end = 9223372036854775807 GROUP BY type";
static const char sql_versions[] = "SELECT count(*), " SUM("size") " FROM version";
static const char sql_contents[] = "SELECT count(*), " SUM(
	"size") " FROM (SELECT max(size) AS size FROM version"
		" INDEXED BY version_content WHERE content IS NOT NULL GROUP BY content)";
static const char sql_segments[] =
	"SELECT count(*), " SUM("size") " FROM (SELECT max(content_size) AS size"
					" FROM segment GROUP BY id, position)";
static const char sql_volume_segments[] = "SELECT count(*), " SUM(
	"content_size") ", " SUM("stored_size") " FROM segment WHERE volume = ?";
static const char sql_volume_pages[] =
	"SELECT count(*), " SUM("stored_size") " FROM page WHERE volume = ?";

/* The two columns of SUM(). */
static uint64_t read_sum(struct statement *s)
{
	uint64_t high = statement_u64(s);
	uint64_t low = statement_u64(s);

	high += low >> 32;
	return high > UINT32_MAX ? UINT64_MAX : high << 32 | (uint32_t)low;
}

/* One row: a count, then sums. */
static int read_row(struct catalog *catalog, const char *sql, const int64_t *volume,
		    uint64_t *count_out, uint64_t *first_out, uint64_t *second_out,
		    struct error *err)
{
	autostatement struct statement s = { 0 };
	int r;

	statement_begin(&s, catalog, sql);
	if (volume)
		statement_bind_i64(&s, *volume);
	r = statement_step(&s, err);
	if (r != 0)
		return r < 0 ? r : catalog_damaged(err, "no sums");
	*count_out = statement_u64(&s);
	if (first_out)
		*first_out = read_sum(&s);
	if (second_out)
		*second_out = read_sum(&s);
	return 0;
}

static int count_current(struct catalog *catalog, struct catalog_statistics *sums,
			 struct error *err)
{
	autostatement struct statement s = { 0 };
	int r;

	statement_begin(&s, catalog, sql_current);
	while ((r = statement_step(&s, err)) == 0) {
		uint32_t type = statement_u32(&s);

		if (type > ENTRY_BLOCK)
			return catalog_damaged(err, "a version");
		sums->entries[type] = statement_u64(&s);
		if (type == ENTRY_FILE)
			sums->current_size = read_sum(&s);
	}
	return r < 0 ? r : 0;
}

int catalog_statistics(struct catalog *catalog, struct catalog_statistics *out,
		       struct error *err)
{
	struct catalog_statistics sums = { 0 };
	uint64_t contents;
	int r;

	r = count_current(catalog, &sums, err);
	if (r < 0)
		return r;
	r = read_row(catalog, sql_commits, NULL, &sums.commits, NULL, NULL, err);
	if (r < 0)
		return r;
	r = read_row(catalog, sql_versions, NULL, &sums.versions, &sums.version_size,
		     NULL, err);
	if (r < 0)
		return r;
	r = read_row(catalog, sql_contents, NULL, &contents, &sums.content_size, NULL,
		     err);
	if (r < 0)
		return r;
	r = read_row(catalog, sql_segments, NULL, &sums.segments, &sums.segment_size,
		     NULL, err);
	if (r < 0)
		return r;
	*out = sums;
	return 0;
}

int catalog_volume_statistics(struct catalog *catalog, int64_t volume,
			      struct volume_statistics *out, struct error *err)
{
	struct volume_statistics sums = { 0 };
	int r;

	r = read_row(catalog, sql_volume_segments, &volume, &sums.segments,
		     &sums.segment_size, &sums.stored_size, err);
	if (r < 0)
		return r;
	r = read_row(catalog, sql_volume_pages, &volume, &sums.pages, &sums.page_size,
		     NULL, err);
	if (r < 0)
		return r;
	*out = sums;
	return 0;
}
