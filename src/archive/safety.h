/* SPDX-License-Identifier: MIT */
#pragma once
/* Whether an archive's data is safe, as far as the ledger knows: what `status` and a server's
 * page show. Reads no volume. One thread at a time with the catalog.
 */
#include "archive/burst_protect.h"
#include "archive/copies.h"
#include "archive/outer_cover.h"
#include "base/config.h"
#include "catalog/ledger.h"
#include "catalog/placement.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct archive;
struct catalog;
struct error;
struct json;

struct safety_volume {
	struct volume_row row; /* owned */
	bool attached;
	uint64_t size;      /* bytes of the file, holes included; 0 if not attached */
	uint64_t allocated; /* bytes on the medium */
	struct ledger_summary ledger;
	uint64_t unverified; /* stripes that never were */
	bool old;            /* the oldest verification is due again */
};

enum safety_verdict {
	SAFETY_SAFE,    /* all of it was verified, not long ago */
	SAFETY_DUE,     /* some was never verified, or long ago, or is not attached */
	SAFETY_DAMAGED, /* with damage that can be repaired */
	SAFETY_LOST,    /* something can't be brought back */
};

struct safety {
	struct safety_volume *volumes; /* owned */
	size_t count;
	unsigned copies; /* [volume] copies */
	unsigned min_copies;
	struct copies_missing missing; /* with copies only */
	size_t away;                   /* volumes that are not attached */
	uint64_t payload, unverified, stripes, damaged, lost;
	int64_t oldest;    /* verification, of all; 0: none */
	unsigned due_days; /* after which a stripe is to be verified again */
	unsigned margin; /* extents that every verified stripe can still lose; UINT_MAX */
	struct config_code code;   /* the outer code; .data 0: none */
	struct outer_totals outer; /* what it protects; all is unprotected without */
	uint64_t burst_size;       /* [parity] burst, bytes; 0: none */
	struct burst_totals burst; /* what survives one within its volume */
	bool any_run;
	struct ledger_run run; /* the last one */
	enum safety_verdict verdict;
	const char
		*advice; /* the command that comes next, without "blockframe"; or NULL */
};

/* @catalog: the archive's, or another handle of it. @now: clock_realtime_ns(). */
int safety_get(struct archive *archive, struct catalog *catalog, int64_t now,
	       struct safety *safety_out, struct error *err);
void safety_done(struct safety *safety);

const char *safety_name(enum safety_verdict verdict);

/* What `status --json` says. What there is no memory for is left out. */
void safety_add_json(const struct safety *safety, struct json *object);
