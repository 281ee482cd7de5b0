/* SPDX-License-Identifier: MIT */
#pragma once
/* Commits files, folders and streams to an archive: reads what is new or changed, stores what
 * the archive does not have, ends what is gone, and makes the new state durable at once.
 *
 * A source /x/photos with the destination `photos` makes the entry `photos` of the archive
 * what /x/photos is. What the archive has there and the source has not (or excludes) ends;
 * its versions stay. What can't be read keeps its earlier version and is reported. The
 * archive's own folders are left out of what is committed, wherever they lie.
 *
 * Called from the thread that owns the archive's catalog handle; the archive must be open
 * for writing. The archive's pool reads, hashes and encodes.
 */
#include "archive/commit_monitor.h"
#include "archive/head.h"
#include "merkle/hash.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct archive;
struct error;
struct known_content;

struct commit_source {
	const char *path;        /* file or folder; NULL: the stream below */
	int fd;                  /* is read to its end; stays the caller's */
	const char *destination; /* path in the archive, without a leading '/' */
};

/* All borrowed. */
struct commit_options {
	/* In any order; no destination may be in, or be, another one. Many sources may share
	 * parents; those that the archive does not have are made as plain folders. */
	const struct commit_source *sources;
	size_t source_count;
	/* In place of these: 1 and the next one, borrowed until the next call, in the order of
	 * the destinations' keys; 0 at the end. So there may be any number. What is not there any
	 * more is reported and left out. NULL: all are above. */
	int (*next_source)(void *context, struct commit_source *source_out,
			   struct error *err);
	void *next_context;
	bool replace; /* also where the archive has something from another source */

	char *const *excludes; /* base/glob.h, against paths below a source's */
	size_t exclude_count;
	bool exclude_caches;  /* of a folder with a valid CACHEDIR.TAG, keep only that */
	bool one_file_system; /* keep mount points as empty folders */
	bool read_all;        /* read files that look unchanged, too */

	const struct known_content *known; /* files that need not be read; may be NULL */

	bool dry_run; /* look, count and compare attributes; read and write nothing */
	bool verify;  /* read everything that is new back from the volumes */

	const char *message; /* NULL: none */
	const struct head_tag *tags;
	size_t tag_count;

	/* As the configuration has them, unless the user says otherwise. */
	bool tiered;
	unsigned data;       /* k */
	unsigned parity;     /* m */
	int level;           /* of compression */
	uint32_t frame_size; /* bytes */

	struct commit_callbacks callbacks;
};

/* What one volume's damage may take without loss. */
struct commit_strength {
	unsigned data;   /* extents of a stripe with data... */
	unsigned parity; /* ...and any so many of all may be lost */
	uint64_t burst;  /* bytes in a row that may be lost, wherever */
};

struct commit_summary {
	bool made;         /* false: nothing had changed, or a dry run */
	uint64_t sequence; /* of the commit that was made */
	struct hash hash;

	/* Everything that is no folder counts as a file. */
	uint64_t new_files;
	uint64_t changed_files;
	uint64_t unchanged_files;
	uint64_t deleted_files;
	uint64_t folders; /* seen in the sources */

	uint64_t read_size;    /* bytes of content read */
	uint64_t new_size;     /* of these: stored */
	uint64_t known_size;   /* of these: found in the archive */
	uint64_t payload_size; /* bytes that went into the log, compressed */
	uint64_t written_size; /* with parity and records */

	uint64_t problems;   /* inputs that were reported, and places without a copy */
	uint64_t copies;     /* in as many places */
	bool too_few_copies; /* than [volume] min_copies: it exists, but is not safe (P2) */
	uint64_t verified_files;
	struct commit_strength strength;
};

/* Fill options from the archive's configuration: policy, compression, excludes. What it
 * refers to is borrowed from the archive. */
void commit_options_init(struct commit_options *options, const struct archive *archive);

/* Where @path goes when nothing else is said: its last component, in the folder @into (a
 * path in the archive, or NULL). The caller frees *destination_out. -EINVAL for "/" without
 * @into, and for what is no path in an archive ("..", empty components). */
int commit_destination(const char *path, const char *into, char **destination_out,
		       struct error *err);

/* 0: the commit is durable, or there was nothing to do; look at summary_out->problems.
 * Otherwise the archive is as before, except where noted:
 *   -EEXIST   the destination came from another source (see options->replace)
 *   -EINVAL   destinations overlap, or are no paths
 *   -ENOENT   a source is not there
 *   -EISDIR   a stream's destination is no file
 *   -EINTR    callbacks.cancel; what was stored so far helps the next commit
 *   -ENOTDIR  a parent of a destination is no folder
 *   -EBADMSG  also: verify failed; the commit has been made */
int commit_run(struct archive *archive, const struct commit_options *options,
	       struct commit_summary *summary_out, struct error *err);
