/* SPDX-License-Identifier: MIT */
#pragma once
/* Catching up: writes the copies that are missing, because their place was away or failed,
 * or because [volume] copies was raised. What is copied is what is stored: the compressed
 * frames, verified on their way, the pages of trees and the heads. One thread, the one that
 * owns the archive's catalog handle.
 */
#include "archive/copies.h"

struct copy_up_options {
	struct archive *archive; /* open for reading: the writer's lock is taken */
	bool (*stopped)(void *context);
	void (*problem)(void *context, const char *text); /* a line for people */
	void *context;
};

struct copy_up_report {
	uint64_t segments, bytes; /* copied: content */
	uint64_t pages, heads;
	uint64_t unreadable;           /* segments and pages that no volume could give */
	struct copies_missing missing; /* what is missing now */
};

/* Copy what is missing in the places that are there. 0 also if something is missing still.
 * -EBUSY: a writer is at work; -EINTR: stopped, and what was copied stays. */
int copy_up(const struct copy_up_options *options, struct copy_up_report *report_out,
	    struct error *err);
