/* SPDX-License-Identifier: MIT */
#pragma once
/* The writing side of one commit: the catalog's transaction, the appender and the tree, which
 * all begin when the first of them is needed, so that a commit without changes touches
 * nothing; and which end together.
 *
 * Threads: one at a time, the one that owns the archive's catalog handle.
 */
#include "archive/appender.h"
#include "archive/head.h"
#include "base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct archive;
struct catalog;
struct commit_session;
struct copy_set;
struct error;
struct frame_encoder;
struct lost_places;
struct manifest;

struct commit_session_options {
	struct archive *archive; /* borrowed */
	struct appender_options appender;
	const char *message; /* NULL: none */
	const struct head_tag *tags;
	size_t tag_count;
};

/* Reads the archive's last head. Nothing is written. */
int commit_session_new(const struct commit_session_options *options,
		       struct commit_session **session_out, struct error *err);

/* Without commit_session_finish() before: the archive stays as it was. */
void commit_session_free(struct commit_session *session);
DEFINE_AUTOPTR(commit_session);

struct archive *commit_session_archive(const struct commit_session *session);
struct catalog *commit_session_catalog(const struct commit_session *session);

/* The last head; borrowed. The commit in the making has the next sequence number. */
const struct head *commit_session_base(const struct commit_session *session);

/* Entries that were put or removed so far. */
uint64_t commit_session_changes(const struct commit_session *session);

/* What is not to be referred to; borrowed. */
const struct lost_places *commit_session_lost(const struct commit_session *session);

/* Whether there is something to make a commit for: changes, or content in place of lost one. */
bool commit_session_has_work(const struct commit_session *session);

/* Add a place, @size bytes of @volume's log at @log_offset, that something lies in to @set
 * (zeroes at first), unless it is lost; *enough_out: there are enough copies then. */
int commit_session_count_copy(struct commit_session *session, const struct uuid *volume,
			      uint64_t log_offset, uint64_t size, struct copy_set *set,
			      bool *enough_out, struct error *err);

/* The appender, which is opened if need be; borrowed. */
int commit_session_appender(struct commit_session *session,
			    struct appender **appender_out, struct error *err);

/* Write a list page of @count segment ids (1 to LIST_PAGE_IDS), unless the archive has it.
 * No segment may be half written. */
int commit_session_put_list(struct commit_session *session, const struct hash *ids,
			    size_t count, struct hash *page_out, struct error *err);

/* @manifest, complete but for its version, is the entry's next version. -EINVAL: it can't be
 * encoded (too long), nothing happened. Keys must ascend over this and the next one. */
int commit_session_put(struct commit_session *session, struct manifest *manifest,
		       struct error *err);
int commit_session_remove(struct commit_session *session, const uint8_t *key,
			  size_t key_size, struct error *err);

/* What a finished session made. */
struct commit_made {
	uint64_t sequence;
	struct hash hash; /* of the head */
	struct hash tree; /* zero: empty */
	struct appender_totals totals;
};

/* Make the commit: on return 0 it is durable. -EINTR and the like before anything is final
 * leave the archive as it was. If the catalog fails after the record is durable that is an
 * error too, but the commit exists and the next opening finds it. */
int commit_session_finish(struct commit_session *session, struct commit_made *made_out,
			  struct error *err);

/* In place of that, if there is nothing to commit: protect what an interrupted commit has
 * left unprotected. */
int commit_session_end_unchanged(struct commit_session *session, struct error *err);
