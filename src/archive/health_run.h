/* SPDX-License-Identifier: MIT */
#pragma once
/* A run of health at work on one volume. For health.c alone. One thread at a time, but for
 * what the scrub's workers tell (it tells one thing at a time).
 */
#include "archive/health.h"
#include "catalog/ledger.h"
#include "volume/scrub.h"

#include <stdatomic.h>

struct archive;
struct copy_rescue;
struct error;

#define HEALTH_LEDGER_MAX 4096u /* entries that wait for the catalog */

struct health_run {
	struct archive *archive;
	const struct health_options *options;
	struct health_report *report;
	struct ledger_run run; /* row in the ledger */
	int log_fd;            /* repair.log; -1: nothing is repaired */
	uint64_t total;        /* bytes that all volumes have */
	atomic_ullong done;    /* of them */
	struct ledger_entry *waiting;
	size_t waiting_count;
	uint64_t flushed; /* clock_monotonic_ns(), of the last attempt */

	/* The volume that is scrubbed. */
	struct copy_rescue *rescue; /* its bytes on other volumes; NULL: none are known */
	unsigned volume;            /* in the report */
	uint64_t only;              /* stripe offset; UINT64_MAX: all */
};

/* Scrub volume number @volume of the report, whose file is known. What is wrong with the
 * volume goes into the report; only what ends the run is an error. */
int health_run_volume(struct health_run *run, unsigned volume, struct error *err);

/* Note the run as it is now. */
void health_run_put(struct health_run *run, bool ended);

/* Put what waits into the ledger; @patient: try for some seconds. */
void health_run_flush(struct health_run *run, bool patient);
