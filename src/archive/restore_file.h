/* SPDX-License-Identifier: MIT */
#pragma once
/* One file being restored: its temporary file, the content that goes into it from one or
 * several workers, and its arrival under its name. Threads: restore_file_write() by any
 * number of workers for different ranges; the rest by one.
 */
#include "archive/restore.h"
#include "archive/restore_target.h"

#include <stdatomic.h>

struct content;
struct reader;

struct restore_file {
	struct manifest manifest; /* owned */
	char *path;               /* owned: relative to the target */
	struct content *content;  /* owned */
	int parent_fd;            /* owned */
	int fd;                   /* owned: the temporary file */
	char temporary[64];       /* its name in the folder */
	bool stub;                /* without content, but of its size */
	atomic_uint pending;      /* ranges not yet written */
	atomic_bool failed;       /* the reason was reported */
	atomic_ullong lost;       /* bytes lost beyond repair */
};

/* Tells the restore about a problem with @file; thread-safe. */
struct restore_sink {
	void (*problem)(void *context, enum restore_problem problem, const char *path,
			uint64_t offset, uint64_t size, const struct error *err);
	void *context;
	const atomic_bool *cancel;
};

/* What is under @name already: 0 nothing in the way, 1 it is complete (resume), -EEXIST. */
int restore_file_look(int parent_fd, const char *name, const struct manifest *manifest,
		      bool resume, bool force);

/* Take over @manifest (moved) and @path (copied), and make the temporary file beside the
 * final name. */
int restore_file_open(const struct target *target, struct target_parent *parent,
		      struct manifest *manifest, const char *path,
		      struct restore_file **file_out, struct error *err);

/* The same, but it has no name yet, all its size, and no content: a stub. */
int restore_file_open_stub(const struct target *target, struct target_parent *parent,
			   struct manifest *manifest, const char *path,
			   struct restore_file **file_out, struct error *err);
/* Give it the temporary name; restore_file_finish() follows. */
int restore_file_link(struct restore_file *file, struct error *err);

/* Write the bytes [offset, offset + size) of the content, holes apart. @buffer holds one
 * frame. Lost ranges are reported and left out; other errors mark the file as failed. */
void restore_file_write(struct restore_file *file, struct reader *reader, uint8_t *buffer,
			uint64_t offset, uint64_t size, const struct restore_sink *sink);

/* When every range was written: set size and attributes and give the file its name, or, if
 * bytes were lost, leave it as NAME.blockframe-damaged, or remove it if it failed. Returns
 * true if the file is complete. */
bool restore_file_finish(const struct target *target, struct restore_file *file,
			 struct reader *reader, const struct restore_sink *sink);

void restore_file_free(struct restore_file *file);
DEFINE_AUTOPTR(restore_file);
