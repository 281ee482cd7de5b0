/* SPDX-License-Identifier: MIT */
#pragma once
/* Restores entries of an archive to a folder: bytes, holes, hard links, attributes. A file
 * appears under its name only when it is complete and verified; until then it has a
 * temporary name (".blockframe-*.partial") beside it. A file with content that is lost
 * beyond repair never gets its name: what can still be read is left in
 * "NAME.blockframe-damaged" with holes where the losses are, and each lost range is
 * reported.
 *
 * Called from the thread that owns the archive's catalog handle; content is read, verified
 * and written by the archive's pool.
 */
#include "merkle/manifest.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct archive;
struct catalog;
struct error;

enum restore_problem {
	RESTORE_FAILED,       /* could not be made or written: @err says why */
	RESTORE_EXISTS,       /* something is there and may not be replaced */
	RESTORE_LOST,         /* a range of the content is lost: offset and size */
	RESTORE_NOT_ATTACHED, /* its volume is not attached */
	RESTORE_ATTRIBUTE,    /* made, but an attribute could not be set */
};

/* Told about each problem, from any thread, one at a time. @path as in the archive. */
struct restore_report {
	void (*problem)(void *context, enum restore_problem problem, const char *path,
			uint64_t offset, uint64_t size, const struct error *err);
	/* Files and bytes done since the last call; from any thread, one at a time. */
	void (*progress)(void *context, uint64_t files, uint64_t bytes);
	void *context;
};

/* Somebody who keeps contents in the archive, and brings them back when a file is opened (the
 * hot tier). */
struct restore_stub {
	int fd; /* a file without a name and without content, of the manifest's size */
	const struct manifest *manifest; /* borrowed, as path: where it will be */
	const char *path;
};

#define RESTORE_STUBS_MAX 128u

struct restore_stubber {
	/* Make all of @stubs (up to RESTORE_STUBS_MAX) stubs: on return 0 they may get their
	 * names. Otherwise the restore stops. From any thread. */
	int (*guard)(void *context, const struct restore_stub *stubs, size_t count,
		     struct error *err);
	void *context;
};

struct restore_options {
	const struct bytes *keys; /* what to restore; an empty key is everything */
	size_t key_count;
	uint64_t at;             /* commit, or VERSION_CURRENT */
	struct catalog *catalog; /* tar_write(): a handle of the calling thread to look in
				  * instead of the archive's own; NULL */
	const char *
		line; /* with one key: this manifest instead (an older version), or NULL */
	size_t line_size;
	const char *
		directory; /* made if missing; an entry PATH becomes DIR/basename(PATH) */
	bool resume;       /* keep files that are there with the right size and time */
	bool force;        /* replace files that are there */
	const struct restore_stubber *stubber; /* files become stubs; NULL */
	const atomic_bool *cancel;
	struct restore_report report;
};

struct restore_summary {
	uint64_t files; /* made, hard links included */
	uint64_t directories;
	uint64_t others; /* symlinks, devices, ... */
	uint64_t bytes;  /* of content */
	uint64_t stubs;  /* of the files */
	uint64_t kept;   /* found complete by --resume */
	uint64_t lost_files;
	uint64_t lost_bytes;
	uint64_t problems; /* in all, lost files included */
};

/* Returns 0 when it got through, whatever the summary's problems; negative when it had to
 * stop: -ENOENT no such key, -EINTR, -ENOSPC, ... */
int restore_run(struct archive *archive, const struct restore_options *options,
		struct restore_summary *summary_out, struct error *err);
