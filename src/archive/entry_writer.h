/* SPDX-License-Identifier: MIT */
#pragma once
/* Takes the entries that a walk yields, in the order of keys, and brings them into the commit:
 * content through the content writer, manifests, when they are complete, to the session.
 *
 * Threads: one at a time, as the session.
 */
#include "archive/walk.h"
#include "base/cleanup.h"

struct commit_monitor;
struct commit_session;
struct commit_summary;
struct content_writer;
struct entry_writer;
struct error;
struct known_content;
struct ready_source;

struct entry_writer_options {
	struct commit_session *session; /* borrowed, like all here */
	struct content_writer *content;
	struct commit_monitor *monitor;
	struct commit_summary *summary;    /* its counts of files are kept */
	const struct known_content *known; /* may be NULL */
};

int entry_writer_new(const struct entry_writer_options *options,
		     struct entry_writer **writer_out, struct error *err);
/* After the content writer. */
void entry_writer_free(struct entry_writer *writer);
DEFINE_AUTOPTR(entry_writer);

/* An entry of @source; the topmost one carries its path. */
int entry_writer_take(struct entry_writer *writer, const struct walk_entry *entry,
		      const struct ready_source *source, struct error *err);

/* The stream @source becomes a file of its own. */
int entry_writer_stream(struct entry_writer *writer, const struct ready_source *source,
			struct error *err);

/* Make @key a plain folder, unless it is a folder. -ENOTDIR if it is something else. */
int entry_writer_folder(struct entry_writer *writer, const uint8_t *key, size_t key_size,
			struct error *err);

/* An unchanged file with several links was passed: walk_options.linked. */
int entry_writer_linked(void *context, const uint8_t *key, size_t key_size,
			const struct stat *stat, struct error *err);

/* Wait for everything that is still being read and written. */
int entry_writer_finish(struct entry_writer *writer, struct error *err);
