/* SPDX-License-Identifier: MIT */
#pragma once
/* Finds whole small contents that the archive has already.
 *
 * Threads: one at a time, as the session.
 */
#include "base/cleanup.h"
#include "merkle/manifest.h"

#include <stdbool.h>
#include <stdint.h>

struct commit_session;
struct content_index;
struct error;
struct segment_writer;

/* Both are borrowed. */
int content_index_new(struct commit_session *session, struct segment_writer *segments,
		      struct content_index **index_out, struct error *err);
void content_index_free(struct content_index *index);
DEFINE_AUTOPTR(content_index);

/* This commit stores @hash. */
void content_index_note(struct content_index *index, const struct hash *hash);

/* Where the content stands, if that may be referred to: true. A place that @previous (the
 * entry's current version, or NULL) names is preferred, so that what did not change does not
 * look changed. */
int content_index_find(struct content_index *index, const struct hash *hash,
		       uint64_t size, const struct manifest *previous,
		       struct pack_place *place_out, bool *found_out, struct error *err);

/* The same for the value of an extended attribute, which only @previous can tell. */
int content_index_find_xattr(struct content_index *index,
			     const struct manifest_xattr *xattr,
			     const struct manifest *previous,
			     struct pack_place *place_out, bool *found_out,
			     struct error *err);
