/* SPDX-License-Identifier: MIT */
/* A wish is a range of a content, one for each reader, in a list; who was served last goes to
 * its end. An idle worker takes the next UNIT of the first wish whose medium may have a
 * worker, finds its segments, and loads the frames that are not in the cache.
 *
 * The pool's queue only wakes workers: a task runs until no wish is left for it, and as many
 * tasks are queued as workers may find work. A wish of a medium that has its share of workers
 * waits in the list, and not in a worker.
 *
 * The medium is told first what of a wish is new, so that it is at work while workers decode,
 * and never waits for them. Stored frames are read by those who want them: here it ends with
 * telling.
 *
 * A unit is a MiB of content: long enough that few leaves are read twice where units meet,
 * short enough for two workers to share a window.
 */
#include "archive/read_ahead.h"

#include "archive/content.h"
#include "archive/segment_reader.h"
#include "archive/source.h"
#include "base/budget.h"
#include "base/error.h"
#include "base/log_subject.h"
#include "base/mutex.h"
#include "base/pool.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define UNIT (1u << 20) /* bytes of content */

struct wish {
	const void *reader;      /* a name */
	struct content *content; /* a reference */
	char *subject;           /* owned, or NULL: log_subject() of who asked */
	uint64_t medium;
	uint64_t offset; /* the next byte to load */
	uint64_t end;
	uint64_t told; /* the medium expects what is in front of it */
	bool tells;    /* as a unit: only tell it */
	struct wish *next;
};

struct ahead_worker {
	struct task task;
	struct read_ahead *ahead;
	struct segment_reader *reader; /* made when it is used first; its thread's */
	bool busy;                     /* its task is queued or runs; ahead->mutex */
	bool on_medium;                /* it works for `medium`; ahead->mutex */
	uint64_t medium;
};

struct read_ahead {
	struct source *source; /* borrowed, like the next two */
	struct frame_cache *cache;
	struct budget *budget;
	struct pool *pool;
	struct task_group group;
	atomic_ullong loaded; /* frames */
	struct mutex mutex;   /* guards all below */
	struct wish *wishes;
	bool closing;
	unsigned worker_count;
	struct ahead_worker workers[POOL_THREADS_MAX];
};

int read_ahead_new(struct source *source, struct frame_cache *cache,
		   struct budget *budget, unsigned workers, struct read_ahead **ahead_out,
		   struct error *err)
{
	struct read_ahead *ahead = calloc(1, sizeof(*ahead));
	int r;

	if (!ahead)
		return error_set(err, -ENOMEM, "out of memory");
	r = pool_new(workers, &ahead->pool, err);
	if (r < 0) {
		free(ahead);
		return r;
	}
	ahead->source = source;
	ahead->cache = cache;
	ahead->budget = budget;
	ahead->worker_count = workers;
	mutex_init(&ahead->mutex);
	task_group_init(&ahead->group);
	*ahead_out = ahead;
	return 0;
}

static void wish_free(struct wish *wish)
{
	if (!wish)
		return;
	content_free(wish->content);
	free(wish->subject);
	free(wish);
}
DEFINE_AUTOPTR(wish);

static struct wish *take_locked(struct read_ahead *ahead, const void *reader)
	requires_mutex(ahead->mutex)
{
	for (struct wish **p = &ahead->wishes; *p; p = &(*p)->next) {
		struct wish *wish = *p;

		if (wish->reader != reader)
			continue;
		*p = wish->next;
		return wish;
	}
	return NULL;
}

static void append_locked(struct read_ahead *ahead, struct wish *wish)
	requires_mutex(ahead->mutex)
{
	struct wish **p = &ahead->wishes;

	while (*p)
		p = &(*p)->next;
	wish->next = NULL;
	*p = wish;
}

void read_ahead_free(struct read_ahead *ahead)
{
	struct wish *next;

	if (!ahead)
		return;
	mutex_lock(&ahead->mutex);
	ahead->closing = true;
	mutex_unlock(&ahead->mutex);
	(void)task_group_wait(&ahead->group, NULL); /* tasks never fail */
	pool_free(ahead->pool);
	for (unsigned i = 0; i < ahead->worker_count; i++) {
		if (!ahead->workers[i].reader)
			continue;
		segment_reader_free(ahead->workers[i].reader);
		budget_release(ahead->budget, SEGMENT_READER_SERVE_MEMORY);
	}
	for (struct wish *wish = ahead->wishes; wish; wish = next) {
		next = wish->next;
		wish_free(wish);
	}
	task_group_done(&ahead->group);
	mutex_done(&ahead->mutex);
	free(ahead);
}

/* Work. */

static bool may_work_locked(const struct read_ahead *ahead, uint64_t medium)
	requires_mutex(ahead->mutex)
{
	unsigned share = ahead->worker_count > 1 ? ahead->worker_count - 1 : 1;
	unsigned busy = 0;

	for (unsigned i = 0; i < ahead->worker_count; i++)
		busy += ahead->workers[i].on_medium && ahead->workers[i].medium == medium;
	return busy < share;
}

/* Without memory, nobody knows for whom it is. */
static char *copy_subject(const char *subject)
{
	return subject ? strdup(subject) : NULL;
}

/* A unit that tells the medium all of the wish that it does not know. */
static void cut_telling(struct wish *wish, struct wish *unit_out)
{
	*unit_out = *wish;
	unit_out->offset = wish->told;
	unit_out->tells = true;
	(void)content_ref(wish->content);
	unit_out->subject = copy_subject(wish->subject);
	wish->told = wish->end;
}

/* Cut the next unit off the wishes. False: nothing is to be done. */
static bool next_unit_locked(struct read_ahead *ahead, struct wish *unit_out)
	requires_mutex(ahead->mutex)
{
	struct wish *wish = ahead->closing ? NULL : ahead->wishes;

	while (wish && !may_work_locked(ahead, wish->medium))
		wish = wish->next;
	if (!wish)
		return false;
	if (wish->told < wish->end) {
		cut_telling(wish, unit_out);
		return true;
	}
	(void)take_locked(ahead, wish->reader);
	*unit_out = *wish;
	unit_out->end = (wish->offset / UNIT + 1) * UNIT;
	if (unit_out->end >= wish->end) {
		unit_out->end = wish->end;
		free(wish); /* what it owns goes with the unit */
	} else {
		wish->offset = unit_out->end;
		(void)content_ref(wish->content);
		unit_out->subject = copy_subject(wish->subject);
		append_locked(ahead, wish);
	}
	return true;
}

/* The worker goes on with a unit, or it stops being busy. */
static bool next_unit(struct ahead_worker *worker, struct wish *unit_out)
{
	struct read_ahead *ahead = worker->ahead;

	mutex_scope(&ahead->mutex);
	worker->on_medium = false;
	worker->busy = next_unit_locked(ahead, unit_out);
	worker->on_medium = worker->busy;
	if (worker->busy)
		worker->medium = unit_out->medium;
	return worker->busy;
}

static int make_reader(struct ahead_worker *worker)
{
	struct read_ahead *ahead = worker->ahead;
	int r;

	if (worker->reader)
		return 0;
	r = budget_reserve(ahead->budget, SEGMENT_READER_SERVE_MEMORY, "reading ahead",
			   NULL);
	if (r < 0)
		return r;
	r = segment_reader_new(ahead->source, ahead->cache, &worker->reader, NULL);
	if (r < 0)
		budget_release(ahead->budget, SEGMENT_READER_SERVE_MEMORY);
	else
		segment_reader_serve(worker->reader);
	return r;
}

/* Load the part of the unit that one segment holds, or tell of it. */
static int run_piece(struct ahead_worker *worker, const struct wish *unit,
		     uint64_t offset, uint64_t *end_out)
{
	struct read_ahead *ahead = worker->ahead;
	struct content_piece piece;
	unsigned loaded = 0;
	uint32_t from, to;
	uint64_t end;
	int r;

	r = content_locate(unit->content, ahead->source, offset, &piece, NULL);
	if (r == 0)
		r = segment_reader_find(worker->reader, &piece.id, piece.index, NULL);
	if (r == 0)
		r = content_check_segment(unit->content, &piece,
					  segment_reader_segment(worker->reader), NULL);
	if (r < 0)
		return r;
	end = piece.offset + piece.size;
	if (end > unit->end)
		end = unit->end;
	from = content_position(&piece, offset);
	to = content_position(&piece, end);
	if (unit->tells)
		segment_reader_expect(worker->reader, from, to);
	else
		r = segment_reader_load(worker->reader, from, to, &loaded, NULL);
	atomic_fetch_add(&ahead->loaded, loaded);
	*end_out = end;
	return r;
}

static void run_unit(struct ahead_worker *worker, const struct wish *unit)
{
	uint64_t offset = unit->offset;
	int r = 0;

	log_subject_scope(unit->subject);
	while (r == 0 && offset < unit->end)
		r = run_piece(worker, unit, offset, &offset);
}

static int run_worker(struct task *task, unsigned number, struct error *err)
{
	struct ahead_worker *worker = (struct ahead_worker *)task;
	struct wish unit;

	(void)number;
	(void)err;
	while (next_unit(worker, &unit)) {
		if (make_reader(worker) == 0)
			run_unit(worker, &unit);
		content_free(unit.content);
		free(unit.subject);
	}
	return 0;
}

/* Let a worker look at the wishes, if one is idle. */
static void wake_locked(struct read_ahead *ahead) requires_mutex(ahead->mutex)
{
	for (unsigned i = 0; i < ahead->worker_count; i++) {
		struct ahead_worker *worker = &ahead->workers[i];

		if (worker->busy)
			continue;
		worker->busy = true;
		worker->ahead = ahead;
		worker->task.run = run_worker;
		pool_submit(ahead->pool, &ahead->group, &worker->task);
		return;
	}
}

void read_ahead_want(struct read_ahead *ahead, const void *reader,
		     struct content *content, uint64_t medium, uint64_t offset,
		     uint64_t end)
{
	struct wish *wish;
	uint64_t units;

	mutex_scope(&ahead->mutex);
	wish = take_locked(ahead, reader);
	if (wish && wish->end == offset) {
		offset = wish->offset;
	} else {
		wish_free(wish);
		wish = calloc(1, sizeof(*wish));
		if (!wish)
			return; /* then nobody reads ahead */
		wish->reader = reader;
		wish->content = content_ref(content);
		wish->subject = copy_subject(log_subject());
		wish->told = offset;
	}
	wish->medium = medium;
	wish->offset = offset;
	wish->end = end;
	append_locked(ahead, wish);
	units = (end - 1) / UNIT - offset / UNIT + 1;
	for (; units > 0; units--)
		wake_locked(ahead);
}

void read_ahead_forget(struct read_ahead *ahead, const void *reader)
{
	autoptr(wish) wish = NULL;

	mutex_scope(&ahead->mutex);
	wish = take_locked(ahead, reader);
}

uint64_t read_ahead_count(struct read_ahead *ahead)
{
	return atomic_load(&ahead->loaded);
}
