/* SPDX-License-Identifier: MIT */
/* A commit has the catalog to itself for as long as it takes, and health must not stand still
 * meanwhile. So the functions that write do not wait; who is told that it is busy keeps the
 * entries and comes again.
 *
 * Rows have checksums as all others have. One that does not match is as good as none: the
 * stripe is verified again.
 */
#include "catalog/ledger.h"

#include "base/error.h"
#include "catalog/checksum.h"
#include "catalog/database.h"
#include "catalog/handle.h"

#include <limits.h>
#include <sqlite3.h>

static const char sql_put[] =
	"INSERT OR REPLACE INTO ledger(volume, offset, verified, run, damaged, lost,"
	" margin, checksum) VALUES(?, ?, ?, ?, ?, ?, ?, ?)";
static const char sql_get[] =
	"SELECT verified, run, damaged, lost, margin, checksum FROM ledger"
	" WHERE volume = ? AND offset = ?";
static const char sql_all[] =
	"SELECT volume, offset, verified, run, damaged, lost, margin,"
	" checksum FROM ledger";
static const char sql_summary[] =
	"SELECT count(*), min(verified), sum(damaged), sum(lost), min(margin)"
	" FROM ledger WHERE volume = ?";
static const char sql_has_lost[] = "SELECT 1 FROM ledger WHERE lost > 0 LIMIT 1";
static const char sql_put_run[] =
	"INSERT OR REPLACE INTO health_run(started, ended, repair, deep, bytes, found,"
	" repaired, lost, checksum) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)";
static const char sql_last_run[] =
	"SELECT started, ended, repair, deep, bytes, found, repaired, lost, checksum"
	" FROM health_run ORDER BY started DESC LIMIT 1";

static uint32_t entry_checksum(const struct ledger_entry *entry)
{
	return checksum_of(checksum_bytes(entry->volume.bytes, UUID_SIZE), entry->offset,
			   (uint64_t)entry->verified, (uint64_t)entry->run,
			   entry->damaged, entry->lost, entry->margin);
}

static uint32_t run_checksum(const struct ledger_run *run)
{
	return checksum_of((uint64_t)run->started, (uint64_t)run->ended, run->repair,
			   run->deep, run->bytes, run->found, run->repaired, run->lost);
}

static int put_entry(struct catalog *catalog, const struct ledger_entry *entry,
		     struct error *err)
{
	autostatement struct statement s = { 0 };

	statement_begin(&s, catalog, sql_put);
	statement_bind_blob(&s, entry->volume.bytes, UUID_SIZE);
	statement_bind_u64(&s, entry->offset);
	statement_bind_i64(&s, entry->verified);
	statement_bind_i64(&s, entry->run);
	statement_bind_u64(&s, entry->damaged);
	statement_bind_u64(&s, entry->lost);
	statement_bind_u64(&s, entry->margin);
	statement_bind_u64(&s, entry_checksum(entry));
	return statement_run(&s, err);
}

static int put_entries(struct catalog *catalog, const struct ledger_entry *entries,
		       size_t count, struct error *err)
{
	bool own;
	int r;

	r = catalog_enter(catalog, &own, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < count && r == 0; i++)
		r = put_entry(catalog, &entries[i], err);
	return catalog_leave(catalog, own, r, err);
}

int ledger_put(struct catalog *catalog, const struct ledger_entry *entries, size_t count,
	       struct error *err)
{
	int r;

	(void)sqlite3_busy_timeout(catalog->db, 0);
	r = put_entries(catalog, entries, count, err);
	(void)sqlite3_busy_timeout(catalog->db, DATABASE_BUSY_MS);
	return r;
}

/* The row of @s from its column for @verified on. False if it does not match its checksum. */
static bool read_entry(struct statement *s, struct ledger_entry *entry)
{
	entry->verified = statement_i64(s);
	entry->run = statement_i64(s);
	entry->damaged = statement_u64(s);
	entry->lost = statement_u64(s);
	entry->margin = statement_u32(s);
	return statement_u64(s) == entry_checksum(entry);
}

int ledger_get(struct catalog *catalog, const struct uuid *volume, uint64_t offset,
	       struct ledger_entry *entry_out, struct error *err)
{
	autostatement struct statement s = { 0 };
	struct ledger_entry entry = { .volume = *volume, .offset = offset };
	int r;

	statement_begin(&s, catalog, sql_get);
	statement_bind_blob(&s, volume->bytes, UUID_SIZE);
	statement_bind_u64(&s, offset);
	r = statement_step(&s, err);
	if (r != 0)
		return r;
	if (!read_entry(&s, &entry))
		return CATALOG_END;
	*entry_out = entry;
	return 0;
}

int ledger_has_lost(struct catalog *catalog, bool *lost_out, struct error *err)
{
	autostatement struct statement s = { 0 };
	int r;

	statement_begin(&s, catalog, sql_has_lost);
	r = statement_step(&s, err);
	if (r < 0)
		return r;
	*lost_out = r != CATALOG_END;
	return 0;
}

int ledger_summary(struct catalog *catalog, const struct uuid *volume,
		   struct ledger_summary *summary_out, struct error *err)
{
	autostatement struct statement s = { 0 };
	struct ledger_summary summary = { 0 };
	int r;

	statement_begin(&s, catalog, sql_summary);
	statement_bind_blob(&s, volume->bytes, UUID_SIZE);
	r = statement_step(&s, err);
	if (r < 0)
		return r;
	summary.stripes = statement_u64(&s);
	summary.oldest = statement_i64(&s);
	summary.damaged = statement_u64(&s);
	summary.lost = statement_u64(&s);
	summary.margin = statement_u32(&s);
	if (summary.stripes == 0)
		summary.margin = UINT_MAX;
	*summary_out = summary;
	return 0;
}

int ledger_put_run(struct catalog *catalog, const struct ledger_run *run,
		   struct error *err)
{
	autostatement struct statement s = { 0 };
	int r;

	statement_begin(&s, catalog, sql_put_run);
	statement_bind_i64(&s, run->started);
	statement_bind_i64(&s, run->ended);
	statement_bind_i64(&s, run->repair);
	statement_bind_i64(&s, run->deep);
	statement_bind_u64(&s, run->bytes);
	statement_bind_u64(&s, run->found);
	statement_bind_u64(&s, run->repaired);
	statement_bind_u64(&s, run->lost);
	statement_bind_u64(&s, run_checksum(run));
	(void)sqlite3_busy_timeout(catalog->db, 0);
	r = catalog->read_only ? error_set(err, catalog->read_only, "catalog: read-only")
			       : statement_run(&s, err);
	(void)sqlite3_busy_timeout(catalog->db, DATABASE_BUSY_MS);
	return r;
}

int ledger_last_run(struct catalog *catalog, struct ledger_run *run_out,
		    struct error *err)
{
	autostatement struct statement s = { 0 };
	struct ledger_run run = { 0 };
	int r;

	statement_begin(&s, catalog, sql_last_run);
	r = statement_step(&s, err);
	if (r != 0)
		return r;
	run.started = statement_i64(&s);
	run.ended = statement_i64(&s);
	run.repair = statement_i64(&s) != 0;
	run.deep = statement_i64(&s) != 0;
	run.bytes = statement_u64(&s);
	run.found = statement_u64(&s);
	run.repaired = statement_u64(&s);
	run.lost = statement_u64(&s);
	if (statement_u64(&s) != run_checksum(&run))
		return CATALOG_END;
	*run_out = run;
	return 0;
}

int ledger_copy(struct catalog *from, struct catalog *to, struct error *err)
{
	autostatement struct statement s = { 0 };
	struct ledger_run run;
	bool own;
	int r;

	r = catalog_enter(to, &own, err);
	if (r < 0)
		return r;
	statement_begin(&s, from, sql_all);
	while (r == 0 && statement_step(&s, NULL) == 0) {
		struct ledger_entry entry = { 0 };

		statement_uuid(&s, &entry.volume);
		entry.offset = statement_u64(&s);
		if (read_entry(&s, &entry))
			r = put_entry(to, &entry, err);
	}
	if (r == 0 && ledger_last_run(from, &run, NULL) == 0)
		r = ledger_put_run(to, &run, err);
	return catalog_leave(to, own, r, err);
}
