/* SPDX-License-Identifier: MIT */
#pragma once
/* The hot tier's daemon: fills stubs that somebody opens, and makes files stubs that a command
 * names. It starts the guard (tier/guard.h) if there is none. Main thread.
 */
#include <stdint.h>

struct config_strings;
struct error;

struct worker_options {
	const char *state; /* folder; made if missing */
	uint64_t deadline; /* seconds without progress after which a request is denied */
	const struct config_strings *never; /* programs that cause no recall */
	unsigned user_max;                  /* recalls under way of one user */
	void (*ready)(void);                /* all stubs are marked */
};

/* Work until SIGTERM or SIGINT. Then the guard stays, and stubs can't be opened. -EBUSY:
 * another one runs. */
int worker_run(const struct worker_options *options, struct error *err);
