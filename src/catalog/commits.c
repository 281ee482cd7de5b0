/* SPDX-License-Identifier: MIT */
/* Heads, by number. They are kept as the bytes that were hashed. */
#include "base/error.h"
#include "catalog/checksum.h"
#include "catalog/handle.h"
#include "catalog/hash_range.h"
#include "catalog/history.h"
#include "catalog/partial.h"
#include "catalog/version.h"

#include <errno.h>
#include <string.h>

#define COLUMNS "SELECT sequence, hash, head, checksum FROM commit_head "

static const char sql_put[] = "INSERT OR REPLACE INTO commit_head VALUES(?, ?, ?, ?)";
static const char sql_get[] = COLUMNS "WHERE sequence = ?";
static const char sql_get_last[] = COLUMNS "ORDER BY sequence DESC LIMIT 1";
static const char sql_next[] = COLUMNS "WHERE sequence >= ? ORDER BY sequence LIMIT 1";
static const char sql_all[] = COLUMNS "ORDER BY sequence DESC";
static const char sql_find[] = COLUMNS "WHERE hash >= ? AND hash <= ? LIMIT 2";

enum { PREFIX_MIN = 4 }; /* hex digits */

void commit_row_done(struct commit_row *commit)
{
	free(commit->head);
	*commit = (struct commit_row){ 0 };
}

static uint32_t commit_checksum(uint64_t sequence, const struct hash *hash,
				const char *head, size_t head_size)
{
	return checksum_of(sequence, checksum_bytes(hash->bytes, HASH_SIZE),
			   checksum_bytes(head, head_size));
}

int catalog_put_commit(struct catalog *catalog, uint64_t sequence,
		       const struct hash *hash, const char *head, struct error *err)
{
	autostatement struct statement s = { 0 };
	size_t head_size = strlen(head);
	bool own;
	int r;

	if (sequence >= COMMIT_MAX)
		return error_set(err, -EINVAL, "catalog: impossible commit");
	r = catalog_enter(catalog, &own, err);
	if (r < 0)
		return r;
	statement_begin(&s, catalog, sql_put);
	statement_bind_u64(&s, sequence);
	statement_bind_hash(&s, hash);
	statement_bind_text(&s, head, head_size);
	statement_bind_u64(&s, commit_checksum(sequence, hash, head, head_size));
	r = statement_run(&s, err);
	return catalog_leave(catalog, own, r, err);
}

/* The row that the statement stands on. */
static int read_commit(struct statement *s, struct commit_row *commit_out,
		       struct error *err)
{
	struct commit_row commit = { 0 };
	const char *head;
	size_t head_size;

	commit.sequence = statement_u64(s);
	statement_hash(s, &commit.hash);
	head = statement_text(s, &head_size);
	if (!head || statement_u64(s) != commit_checksum(commit.sequence, &commit.hash,
							 head, head_size))
		return catalog_damaged(err, "a commit");
	commit.head = strdup(head);
	if (!commit.head)
		return error_set(err, -ENOMEM, "no memory for a commit");
	*commit_out = commit;
	return 0;
}

static int get_commit(struct catalog *catalog, uint64_t sequence,
		      struct commit_row *commit_out, struct error *err)
{
	autostatement struct statement s = { 0 };
	bool last = sequence == VERSION_CURRENT;
	int r;

	statement_begin(&s, catalog, last ? sql_get_last : sql_get);
	if (!last)
		statement_bind_i64(&s, version_at(sequence));
	r = statement_step(&s, err);
	return r != 0 ? r : read_commit(&s, commit_out, err);
}

int catalog_get_commit(struct catalog *catalog, uint64_t sequence,
		       struct commit_row *commit_out, struct error *err)
{
	uint64_t current = VERSION_CURRENT;
	int r;

	r = partial_at(catalog, &current, err);
	if (r < 0)
		return r;
	if (catalog->filler && sequence == VERSION_CURRENT)
		sequence = current;
	r = get_commit(catalog, sequence, commit_out, err);
	if (r != CATALOG_END || !catalog->filler || sequence > current)
		return r;
	r = partial_fill_heads(catalog, sequence, err);
	return r < 0 ? r : get_commit(catalog, sequence, commit_out, err);
}

int catalog_next_commit(struct catalog *catalog, uint64_t sequence,
			struct commit_row *commit_out, struct error *err)
{
	autostatement struct statement s = { 0 };
	int r;

	r = partial_fill_heads(catalog, sequence, err);
	if (r < 0)
		return r;
	statement_begin(&s, catalog, sql_next);
	statement_bind_i64(&s, version_at(sequence));
	r = statement_step(&s, err);
	return r != 0 ? r : read_commit(&s, commit_out, err);
}

int catalog_find_commit(struct catalog *catalog, const char *hex,
			struct commit_row *commit_out, struct error *err)
{
	autostatement struct statement s = { 0 };
	struct commit_row commit = { 0 };
	struct hash low, high;
	int r;

	r = hash_range(hex, PREFIX_MIN, &low, &high);
	if (r < 0)
		return error_set(err, r, "'%s' is no commit: 4 to 64 hex digits are",
				 hex);
	r = partial_fill_heads(catalog, 0, err);
	if (r < 0)
		return r;
	statement_begin(&s, catalog, sql_find);
	statement_bind_hash(&s, &low);
	statement_bind_hash(&s, &high);
	r = statement_step(&s, err);
	if (r == 0)
		r = read_commit(&s, &commit, err);
	if (r != 0)
		return r;
	r = statement_step(&s, err);
	if (r != CATALOG_END) {
		commit_row_done(&commit);
		return r < 0 ? r
			     : error_set(err, -EINVAL, "several commits start with '%s'",
					 hex);
	}
	*commit_out = commit;
	return 0;
}

int catalog_visit_commits(struct catalog *catalog,
			  int (*visit)(void *context, const struct commit_row *commit),
			  void *context, struct error *err)
{
	autostatement struct statement s = { 0 };
	struct commit_row commit = { 0 };
	int r;

	r = partial_fill_heads(catalog, 0, err);
	if (r < 0)
		return r;
	statement_begin(&s, catalog, sql_all);
	while ((r = statement_step(&s, err)) == 0) {
		r = read_commit(&s, &commit, err);
		if (r < 0)
			return r;
		r = visit(context, &commit);
		commit_row_done(&commit);
		if (r != 0)
			return r;
	}
	return r < 0 ? r : 0;
}
