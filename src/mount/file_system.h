/* SPDX-License-Identifier: MIT */
#pragma once
/* The state of a mount, and what one request of the kernel has in hand while it is answered.
 * Threads: a file_system is internally locked; a request belongs to the thread that answers
 * it.
 */
#include "archive/backing.h"
#include "base/error.h"
#include "base/mutex.h"
#include "mount/read_buffers.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct bare_inodes;
struct handle;
struct read_health;

/* Owners and permissions shown instead of the archive's. */
struct mount_masks {
	bool has_uid;
	bool has_gid;
	bool has_umask;
	uid_t uid;
	gid_t gid;
	mode_t umask;
};

struct file_system {
	struct mutex mutex;      /* guards the next two, not what they point to */
	struct backing *backing; /* the current one */
	struct handle *handles;  /* what the kernel has open; a list */
	struct read_health *health;
	uint64_t at; /* commit that is shown, or VERSION_CURRENT */
	struct mount_masks masks;
	double timeout; /* seconds that the kernel may remember what it was told */
	struct read_buffers buffers;
	struct bare_inodes *bare;
	void (*ready)(
		void *context); /* called when the kernel has begun to ask; or NULL */
	void *ready_context;
};

struct request {
	struct file_system *fs;
	struct backing *backing;
	struct catalog *catalog;
	struct error err;
};

/* The current backing, with the caller as a user. */
struct backing *file_system_backing(struct file_system *fs);

/* Put @backing in the place of the current one, whose use by the file system ends. Takes
 * ownership. */
void file_system_replace(struct file_system *fs, struct backing *backing);

/* Get a backing and a catalog handle; request_end() gives them back, and may be called when
 * this failed. */
int request_begin(struct request *request, struct file_system *fs);
void request_end(struct request *request);
#define autorequest __attribute__((__cleanup__(request_end))) struct request

/* What an application is told for @r: damage is an I/O error, also that of the catalog. */
int request_errno(int r);
