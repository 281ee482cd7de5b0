/* SPDX-License-Identifier: MIT */
#pragma once
/* Reads one volume's log: returns verified, if need be repaired, bytes or an error. Every
 * leaf is checked against a table that matches the hash in a record; a leaf, table or
 * header that is bad, unreadable or missing is rebuilt in memory from its row, or column
 * by column. It goes back to the medium if log_reader_set_write_back() was called.
 *
 * Internally locked: any number of threads may read at once. No lock is held over I/O.
 */
#include "base/cleanup.h"
#include "volume/record.h"

#include <stddef.h>
#include <stdint.h>

struct backend;
struct error;
struct log_reader;
struct write_back;

/* Where stripes are looked up by log offset (the catalog, or records in memory). Puts a
 * deep copy that the caller owns into *stripe_out. -ENOENT if no stripe holds the offset.
 * Called from any thread. */
struct stripe_lookup {
	int (*find)(void *context, uint64_t log_offset, struct stripe_info *stripe_out,
		    struct error *err);
	void *context;
};

struct log_counters {
	uint64_t leaves_read;
	uint64_t leaves_repaired; /* rebuilt in memory */
	uint64_t pages_repaired;
	uint64_t leaves_lost;
	uint64_t bytes_read; /* from the backend */
};

/* What one log_read() met; zeroed by it first. The lost range, on -EBADMSG, is the first of
 * those asked for. */
struct log_read_report {
	uint64_t leaves_repaired;
	uint64_t repaired_offset; /* in the volume, of the first leaf or page; 0: none */
	uint64_t lost_log_offset;
	uint64_t lost_size;
};

/* @backend is borrowed and must outlive the reader. Up to @cache_size bytes are kept: of
 * verified extent tables, and of leaves that were wanted in part only. */
int log_reader_new(struct backend *backend, const struct uuid *volume,
		   const struct stripe_lookup *lookup, size_t cache_size,
		   struct log_reader **reader_out, struct error *err);

/* Hand what is repaired, and what is beyond repair, to @write_back (borrowed; it must outlive
 * the reader). Before the first read. */
void log_reader_set_write_back(struct log_reader *reader, struct write_back *write_back);

/* Read exactly @size payload bytes at @log_offset. @report may be NULL. Returns 0;
 * -EBADMSG if some of them are beyond repair (*data is then undefined; ask again for the
 * ranges around the lost one to save the rest); -ENOENT outside the log; other errors of
 * the backend that are no damage (-ENODEV, ...) as they are. Takes up to 6 leaves of memory,
 * and k + m more while it repairs; writing back takes 2 for all readers together. */
int log_read(struct log_reader *reader, uint64_t log_offset, void *data, size_t size,
	     struct log_read_report *report, struct error *err);

/* [log_offset, log_offset + size) will be read soon, as far as one stripe holds it: let the
 * medium fetch it. What is wrong with it is said by the read. */
void log_reader_expect(struct log_reader *reader, uint64_t log_offset, size_t size);

void log_reader_counters(struct log_reader *reader, struct log_counters *counters_out);

void log_reader_free(struct log_reader *reader);
DEFINE_AUTOPTR(log_reader);
