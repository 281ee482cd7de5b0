/* SPDX-License-Identifier: MIT */
#pragma once
/* The part of a comparison that runs on the pool: contents are compared by the workers, and
 * what was found comes out in the order in which it was put in.
 *
 * Threads: all functions are called by the comparison's own thread.
 */
#include "archive/compare.h"
#include "base/cleanup.h"

struct compare_queue;

/* @options and @summary are borrowed. */
int compare_queue_new(struct archive *archive, const struct compare_options *options,
		      struct compare_summary *summary, struct compare_queue **queue_out,
		      struct error *err);
/* Waits for the workers. */
void compare_queue_free(struct compare_queue *queue);
DEFINE_AUTOPTR(compare_queue);

/* Compare the content of file @fd (taken over) with @manifest's, and report that together
 * with the @attributes that differ already; with -1, only whether that is lost. @path is taken
 * over. */
int compare_queue_content(struct compare_queue *queue, char *path, int fd,
			  const struct manifest *manifest, unsigned attributes,
			  struct error *err);

/* Report a finding of @kind behind what is in the queue. @path is taken over, @why (may be
 * NULL) copied. COMPARE_CHANGED without @attributes is an entry that is the same. */
int compare_queue_finding(struct compare_queue *queue, enum compare_kind kind, char *path,
			  unsigned attributes, const struct error *why,
			  struct error *err);

/* Report everything. -EINTR, or another reason why a comparison could not go on. */
int compare_queue_flush(struct compare_queue *queue, struct error *err);
