/* SPDX-License-Identifier: MIT */
#pragma once
/* The part of a restore that runs on the pool: files are handed over one by one, small ones
 * travel in batches of neighbours (which share frames), large ones as ranges of 8 MiB.
 * Problems and progress of all threads come together here.
 *
 * Threads: restore_work_problem() from any; everything else from the restore's own thread.
 * Memory: a bounded number of batches and ranges is in flight.
 */
#include "archive/restore.h"
#include "archive/restore_file.h"
#include "archive/restore_target.h"
#include "base/mutex.h"
#include "base/pool.h"

struct archive;
struct restore_batch;
struct version_row;

/* What a thread keeps between files. */
struct restore_worker {
	struct reader *reader;
	struct target_parent parent;
	uint8_t *buffer; /* one decoded frame */
};

struct restore_work {
	struct archive *archive;
	const struct restore_options *options;
	struct target target;
	struct restore_worker
		*workers; /* one for each thread of the pool, the last for main */
	unsigned worker_count;
	struct frame_cache *frames; /* of small files, which share them */
	uint64_t memory;            /* bytes reserved for them */
	struct task_group group;
	struct restore_batch *batch;      /* being filled */
	struct restore_batch *stub_batch; /* likewise, of files that become stubs */
	struct restore_sink sink;
	struct mutex mutex; /* guards what follows and the callbacks */
	struct restore_summary summary;
	int stopped; /* -errno: stubs can't be guarded */
	struct error stop;
};

/* Make the target folder and the workers' readers. restore_work_done() whatever happens. */
int restore_work_open(struct restore_work *work, struct archive *archive,
		      const struct restore_options *options, struct error *err);
void restore_work_done(struct restore_work *work);

/* The worker that belongs to the restore's own thread. */
struct restore_worker *restore_work_main(struct restore_work *work);

/* Restore the file of @row to relative @path, now or later. Its own problems are reported;
 * negative results mean that the restore can't go on. */
int restore_work_file(struct restore_work *work, const struct version_row *row,
		      const char *path, struct error *err);

/* Wait until everything handed over is done. -errno if it had to stop. */
int restore_work_wait(struct restore_work *work, struct error *err);

/* It is to go no further. From any thread. */
void restore_work_stop(struct restore_work *work, int r, const struct error *err);

/* True if the file shall be written; reports what is in the way. On a worker. */
bool restore_work_look(struct restore_work *work, struct restore_worker *worker,
		       const struct manifest *manifest, const char *path);

bool restore_work_cancelled(struct restore_work *work);
void restore_work_problem(struct restore_work *work, enum restore_problem problem,
			  const char *path, const struct error *err);
/* A problem with a negative errno: RESTORE_NOT_ATTACHED or RESTORE_FAILED. */
void restore_work_fail(struct restore_work *work, const char *path, int r,
		       const struct error *err);
void restore_work_count(struct restore_work *work, uint64_t files, uint64_t bytes);
void restore_work_count_stub(struct restore_work *work);
