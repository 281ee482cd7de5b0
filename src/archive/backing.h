/* SPDX-License-Identifier: MIT */
#pragma once
/* What a mount or a server reads from: an open archive with a bounded number of catalog
 * handles. When the catalog is rebuilt meanwhile, a new backing takes the place of the old
 * one, which goes when nobody uses it any more: open files go on reading from what they were opened on.
 *
 * Internally locked: any thread.
 */
#include "base/cleanup.h"

#include <stdbool.h>
#include <stdint.h>

struct archive;
struct archive_options;
struct backing;
struct catalog;
struct error;
struct read_service;

/* Open the archive of @options. @epoch goes into the inode numbers. @reserve bytes of its
 * budget are set aside, for what the caller has outside of it. The caller is a user. Errors
 * as archive_open(). */
int backing_open(const struct archive_options *options, unsigned epoch, uint64_t reserve,
		 struct backing **backing_out, struct error *err);

struct backing *backing_ref(struct backing *backing);
/* NULL is allowed. The last one closes the archive. */
void backing_unref(struct backing *backing);

static inline void backing_unref_p(struct backing **backing)
{
	backing_unref(*backing);
}
#define autobacking __attribute__((__cleanup__(backing_unref_p))) struct backing *

unsigned backing_epoch(const struct backing *backing);
/* catalog_generation() of its catalog. */
uint32_t backing_generation(const struct backing *backing);
struct archive *backing_archive(struct backing *backing);
struct read_service *backing_service(struct backing *backing);

/* A catalog handle for the calling thread; waits while all are in use. Give it back soon. */
int backing_take_catalog(struct backing *backing, struct catalog **catalog_out,
			 struct error *err);
void backing_give_catalog(struct backing *backing, struct catalog *catalog);
