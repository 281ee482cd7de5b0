/* SPDX-License-Identifier: MIT */
#pragma once
/* Puts what was repaired in memory back on the medium, and tells an observer what became of
 * all damage that readers met. Writes nothing but bytes that match a hash in a record, only
 * over 4 KiB blocks that differ from them, and reads them again. A failure is no error of
 * the read: it is told to the observer.
 *
 * Threads: internally locked. Repairs of one volume are made one after the other.
 */
#include "base/cleanup.h"
#include "volume/stripe_info.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct backend;
struct error;
struct extent_table;
struct stripe_view;
struct write_back;

enum write_back_mode {
	WRITE_BACK_OFF,      /* repair in memory only */
	WRITE_BACK_IN_PLACE, /* overwrite what is damaged */
};

enum repair_kind {
	REPAIR_LEAF, /* content */
	REPAIR_PAGE, /* a page of an extent's table */
};

enum repair_outcome {
	REPAIR_WRITTEN,     /* repaired, on the medium too, and read again */
	REPAIR_NOT_WRITTEN, /* repaired in memory; the medium would not take it */
	REPAIR_OFF,         /* repaired in memory; writing back is off */
	REPAIR_LOST,        /* beyond repair: the read fails */
};

/* What became of one damaged leaf or page. Everything is borrowed for the call. */
struct repair_event {
	enum repair_kind kind;
	enum repair_outcome outcome;
	const struct uuid *volume;
	const char *name;   /* of the volume's file, or what else the backend is called */
	uint64_t offset;    /* bytes, in the volume */
	uint32_t size;      /* bytes */
	unsigned blocks;    /* WRITTEN: blocks of 4 KiB that were written */
	int code;           /* NOT_WRITTEN: why, a negative errno */
	const char *reason; /* NOT_WRITTEN: the same as text */
	bool repeated; /* NOT_WRITTEN: with the same code as the last one of this open
			     * volume; who logs it once for a volume passes these over.
			     * LOST: found so a moment ago, and told then */
};

/* Called by the thread that reads, with no lock held, after each damaged leaf or page has
 * been dealt with; so from any thread, several at once. log_subject() tells what is being
 * read. A leaf that another reader had put back meanwhile is not told again. */
struct repair_observer {
	void (*event)(void *context, const struct repair_event *event); /* or NULL */
	void *context;
};

/* For the volume @volume behind @backend, both borrowed. @observer is copied; NULL: nobody
 * listens. -ENOMEM. */
int write_back_new(struct backend *backend, const struct uuid *volume,
		   enum write_back_mode mode, const struct repair_observer *observer,
		   struct write_back **write_back_out, struct error *err);
void write_back_free(struct write_back *write_back);
DEFINE_AUTOPTR(write_back);

/* The functions below take NULL for @write_back: nothing is done then. */

/* Leaf @entry of @extent was rebuilt: @data is what it must be. Write it back as the mode
 * says, and tell the observer. True if it need not be counted: the medium had it right by
 * then, because somebody else repaired it. */
bool write_back_leaf(struct write_back *write_back, const struct stripe_view *view,
		     unsigned extent, const struct extent_table *table, unsigned entry,
		     const uint8_t *data);

/* The same for page @number of the table of @extent, which the verified @table gives. */
void write_back_page(struct write_back *write_back, const struct stripe_view *view,
		     unsigned extent, const struct extent_table *table, unsigned number);

/* Tell the observer that @size bytes at @offset are beyond repair; @repeated as above. */
void write_back_lost(struct write_back *write_back, enum repair_kind kind,
		     uint64_t offset, uint32_t size, bool repeated);
