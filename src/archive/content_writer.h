/* SPDX-License-Identifier: MIT */
#pragma once
/* Reads the files that a commit wants and writes their content, with many files and many
 * pieces of large ones on their way at once. A change that was handed in is settled (its
 * `waiting` is 0 again) when its manifest is complete, or when it failed and that was
 * reported.
 *
 * Threads: one at a time, as the session; the archive's pool does the work.
 */
#include "archive/content_store.h"
#include "base/cleanup.h"

#include <stdbool.h>
#include <stdint.h>

struct budget;
struct content_writer;
struct folder;
struct pool;

struct content_writer_options {
	struct commit_session *session; /* borrowed, like all here */
	struct commit_monitor *monitor;
	struct pool *pool;
	struct budget *budget;
	uint32_t frame_size; /* bytes */
	int level;           /* of compression */
};

/* Reserves all memory that it will take for content. -ENOMEM. */
int content_writer_new(const struct content_writer_options *options,
		       struct content_writer **writer_out, struct error *err);
/* Before the changes that were handed in. */
void content_writer_free(struct content_writer *writer);
DEFINE_AUTOPTR(content_writer);

/* Read regular file @name in @folder, which looked like @stat. */
int content_writer_file(struct content_writer *writer, struct change *change,
			struct folder *folder, const char *name, const struct stat *stat,
			struct error *err);

/* Read @fd to its end, now. The attributes of @change's manifest are set, but for the size. */
int content_writer_stream(struct content_writer *writer, struct change *change, int fd,
			  struct error *err);

/* Set the attributes of an entry without content; @xattrs is taken over. */
int content_writer_entry(struct content_writer *writer, struct change *change,
			 const struct stat *stat, struct xattrs *xattrs,
			 struct error *err);

/* Whether a segment is half written: nothing else may be appended now. */
bool content_writer_is_writing(const struct content_writer *writer);

/* Do some of the work that is left: 1, or 0 when there is none and all changes are settled. */
int content_writer_step(struct content_writer *writer, struct error *err);

const struct content_counters *content_writer_counters(
	const struct content_writer *writer);
