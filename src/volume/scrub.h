/* SPDX-License-Identifier: MIT */
#pragma once
/* Reads a whole volume, stripe by stripe as its records list them, and verifies every page,
 * leaf and gap against what follows from the records; repairs what can be repaired. A catalog
 * is not asked, and a page is never believed about itself.
 *
 * Threads: one scrub belongs to one thread, which calls the observer for all of what is found
 * (from the pool's workers too, but one call at a time, with no lock of a volume held).
 * Several scrubs, readers and one writer of a volume get along.
 */
#include "volume/stripe_info.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct backend;
struct budget;
struct error;
struct pool;
struct stripe_rescue;

enum scrub_kind {
	SCRUB_HEADER_PAGE, /* of an extent */
	SCRUB_TABLE_PAGE,  /* of an extent */
	SCRUB_LEAF,        /* of a data extent */
	SCRUB_PARITY_LEAF,
	SCRUB_PARITY_PAGES, /* parity of header and table pages */
	SCRUB_GAP,          /* behind an extent: zero by definition */
	SCRUB_RECORD, /* a record and what only it listed: none of it can be judged */
};

enum scrub_outcome {
	SCRUB_REPAIRABLE,  /* nothing was to be written */
	SCRUB_REPAIRED,    /* on the medium, and read again */
	SCRUB_NOT_WRITTEN, /* rebuilt, but the medium would not take it */
	SCRUB_LOST,        /* beyond repair */
};

/* One damaged place. Borrowed for the call. */
struct scrub_finding {
	enum scrub_kind kind;
	enum scrub_outcome outcome;
	uint64_t offset; /* bytes, in the volume */
	uint64_t size;   /* bytes */
	uint64_t stripe; /* number */
	enum stripe_kind stripe_kind;
	unsigned extent;               /* in the stripe */
	unsigned index;                /* of the page, or of the leaf's row */
	uint64_t log_offset, log_size; /* the payload that a data leaf holds; 0: none */
	int code;                      /* NOT_WRITTEN: why, a negative errno */
	const char *reason;            /* the same as text, or NULL */
};

/* What became of one stripe, after all its findings were told. */
struct scrub_stripe_result {
	const struct stripe_info *info;                   /* borrowed */
	uint64_t repairable, repaired, not_written, lost; /* findings, by outcome */
	/* Extents that any row can still lose, as the medium is now: m where nothing is
	 * wrong, 0 with something lost. */
	unsigned margin;
	bool incomplete; /* it reaches behind the volume's end: see report->missing */
};

struct scrub_observer {
	/* False: leave this stripe out (it was verified recently enough). NULL: all. */
	bool (*wanted)(void *context, const struct stripe_info *info);
	void (*found)(void *context, const struct scrub_finding *finding);
	/* A negative result ends the scrub. */
	int (*stripe)(void *context, const struct scrub_stripe_result *result,
		      struct error *err);
	/* @bytes more of the volume, holes not counted, are behind us. */
	void (*progress)(void *context, uint64_t bytes);
	/* True: stop as soon as possible, with -EINTR. From any thread. */
	bool (*stopped)(void *context);
	void *context;
};

struct scrub_options {
	struct backend *backend; /* borrowed, like all pointers here */
	struct uuid volume;
	struct pool *pool;
	struct budget *budget;
	bool repair; /* write what can be repaired */
	/* Going back is dear: gather what repairs need while all is read the first time, whether
	 * it will be needed or not (scrub_sums.h). */
	bool one_pass;
	const struct stripe_rescue
		*rescue; /* for what a stripe can't repair by itself; or NULL */
	uint64_t rate;   /* bytes a second at most; 0: as fast as it goes */
	struct scrub_observer observer; /* any function may be NULL */
};

struct scrub_report {
	uint64_t stripes, skipped;                        /* skipped: not wanted */
	uint64_t bytes;                                   /* verified */
	uint64_t repairable, repaired, not_written, lost; /* findings */
	uint64_t records; /* of the chain: the last one's sequence + 1 */
	uint64_t end;     /* bytes: where the last record's stripe ends, or should */
	/* Bytes of that stripe that lie behind the volume's end. A writer is just appending
	 * them, or the next one will (record_completion.h), or a cut took them. They are
	 * counted here alone. */
	uint64_t missing;
	bool broken; /* some record is lost, and what it listed unknown */
};

/* Bytes that scrub_volume() takes from the budget at least: with it, it is slow. */
#define SCRUB_MEMORY_LEAST (48u << 20)

/* Scrub the volume. 0 also where damage was found. -EINTR; -EBADMSG if nothing in it can be
 * understood; -EPROTONOSUPPORT; -ENOMEM; other errors of the backend that are no damage.
 * *report_out says how far it came, in any case. */
int scrub_volume(const struct scrub_options *options, struct scrub_report *report_out,
		 struct error *err);
