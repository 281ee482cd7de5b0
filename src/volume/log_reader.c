/* SPDX-License-Identifier: MIT */
/* From a log offset to verified bytes:
 *
 *   log offset -> stripe (stripe_cache.h) -> extent, by payload sizes -> leaves
 *
 * A run of leaves of one extent is read with one call to the backend, straight into the
 * caller's buffer where whole leaves are asked for, and checked there, leaf by leaf. Leaves
 * of which only a part is wanted go through a scratch buffer, and are kept for whoever reads
 * on from there (leaf_cache.h). A leaf that fails its hash is read again by itself (so that
 * an error of the run does not condemn the rest of it) and rebuilt in the buffer, and goes
 * back to the medium from there (write_back.h). The tables that say what leaves must be come
 * from table_cache.h.
 *
 * When something is beyond repair the call goes on only to learn how far the loss reaches:
 * to the first leaf behind it that is sound, or the end of what was asked for.
 *
 * Locks (of the caches and of the counters) are leaves of the lock order: none is held
 * while another is taken, or during I/O.
 */
#include "volume/log_reader.h"

#include "base/error.h"
#include "base/mutex.h"
#include "volume/backend.h"
#include "volume/extent_table.h"
#include "volume/leaf_cache.h"
#include "volume/leaf_repair.h"
#include "volume/lost_leaves.h"
#include "volume/stripe_cache.h"
#include "volume/stripe_expect.h"
#include "volume/stripe_view.h"
#include "volume/table_cache.h"
#include "volume/write_back.h"

#include <errno.h>
#include <string.h>

/* Leaves that are read together into scratch; longer runs are split so that all but the
 * ragged ends go straight to the caller. */
#define SCRATCH_LEAVES 6u

/* Leaves to keep at most: a worker and its reader meet in one, so as many as go on at once. */
#define KEPT_LEAVES 8u

struct log_reader {
	struct backend *backend;
	struct uuid volume;
	struct stripe_cache *stripes;
	struct table_cache *tables;
	struct leaf_cache *leaves;
	struct lost_leaves lost;
	struct write_back *write_back; /* borrowed, or NULL */
	struct mutex mutex;            /* guards counters */
	struct log_counters counters;
};

/* One log_read(). */
struct job {
	struct log_reader *reader;
	uint64_t start, end; /* log offsets asked for */
	uint64_t lost_offset, lost_size;
	bool stop;             /* the end of the first lost range is known */
	struct ragged *ragged; /* what is being read, with leaves that others wait for */
	struct view_tally tally;
	struct error *err; /* tells of the first leaf lost, once one is */
};

/* One extent of the stripe that a job is at. */
struct source {
	struct job *job;
	struct stripe_view *view;
	unsigned extent;
	uint64_t log_start; /* of the extent's first payload byte */
	const struct extent_table *table;
};

/* A quarter of what there is. */
static unsigned leaves_to_keep(size_t cache_size)
{
	size_t leaves = cache_size / 4 / LEAF_SIZE;

	return leaves < KEPT_LEAVES ? (unsigned)leaves : KEPT_LEAVES;
}

int log_reader_new(struct backend *backend, const struct uuid *volume,
		   const struct stripe_lookup *lookup, size_t cache_size,
		   struct log_reader **reader_out, struct error *err)
{
	autoptr(log_reader) reader = calloc(1, sizeof(*reader));
	unsigned leaves = leaves_to_keep(cache_size);
	int r;

	if (!reader)
		return error_set_errno(err, -ENOMEM, "log reader");
	mutex_init(&reader->mutex);
	lost_leaves_init(&reader->lost);
	reader->backend = backend;
	reader->volume = *volume;
	r = stripe_cache_new(lookup, &reader->stripes, err);
	if (r < 0)
		return r;
	r = leaf_cache_new(leaves, &reader->leaves, err);
	if (r < 0)
		return r;
	r = table_cache_new(cache_size - (size_t)LEAF_SIZE * leaves, &reader->tables,
			    err);
	if (r < 0)
		return r;
	*reader_out = take_ptr(reader);
	return 0;
}

void log_reader_set_write_back(struct log_reader *reader, struct write_back *write_back)
{
	reader->write_back = write_back;
}

void log_reader_free(struct log_reader *reader)
{
	if (!reader)
		return;
	stripe_cache_free(reader->stripes);
	leaf_cache_free(reader->leaves);
	table_cache_free(reader->tables);
	lost_leaves_done(&reader->lost);
	mutex_done(&reader->mutex);
	free(reader);
}

/* Payload bytes [from, to) of the extent are lost. Text is in job->err if it is the first. */
static void note_lost(const struct source *source, uint32_t from, uint32_t to)
{
	struct job *job = source->job;
	uint64_t start = source->log_start + from;
	uint64_t end = source->log_start + to;

	if (start < job->start)
		start = job->start;
	if (end > job->end)
		end = job->end;
	if (job->lost_size == 0)
		job->lost_offset = start;
	job->lost_size = end - job->lost_offset;
}

/* Leaves of which a part is wanted. */

static struct leaf_key key_of(const struct source *source, unsigned leaf)
{
	return (struct leaf_key){
		.offset = entry_offset(source->view->info, source->extent, leaf),
		.hash = source->table->entries[leaf].hash,
	};
}

/* Keep leaf @leaf, which leaf_cache_get() did not have. */
static void put_leaf(const struct source *source, unsigned leaf, const uint8_t *data)
{
	const struct leaf_key key = key_of(source, leaf);

	leaf_cache_put(source->job->reader->leaves, &key, data,
		       row_size(source->view->info, source->extent, leaf));
}

/* What a read of less than whole leaves still wants of the medium. */
struct ragged {
	uint32_t from, size; /* bytes of the payload */
	uint8_t *data;
	bool keep_first; /* leaves to be put; if there is one only, the first */
	bool keep_last;
};

static unsigned first_leaf(const struct ragged *ragged)
{
	return ragged->from / LEAF_SIZE;
}

static unsigned last_leaf(const struct ragged *ragged)
{
	return (ragged->from + ragged->size - 1) / LEAF_SIZE;
}

/* Those who wait for a leaf that is being read go on by themselves: who repairs calls
 * observers, which may read, too. */
static void release_ends(const struct source *source)
{
	struct ragged *ragged = source->job->ragged;

	if (!ragged)
		return;
	if (ragged->keep_first)
		put_leaf(source, first_leaf(ragged), NULL);
	if (ragged->keep_last)
		put_leaf(source, last_leaf(ragged), NULL);
	ragged->keep_first = ragged->keep_last = false;
}

/* Reading. */

/* As leaf_repair(), but a leaf that was beyond repair a moment ago still is. */
static int repair_leaf(const struct source *source, unsigned leaf, uint32_t size,
		       uint8_t *data, bool *known_out, struct error *err)
{
	struct stripe_view *view = source->view;
	struct lost_leaves *lost = &source->job->reader->lost;
	struct lost_leaf key = { .offset =
					 entry_offset(view->info, source->extent, leaf) };
	int r;

	hash_bytes(data, size, &key.found);
	*known_out = lost_leaves_have(lost, &key);
	if (*known_out)
		return error_set(err, -EBADMSG, "byte %llu was found to be beyond repair",
				 (unsigned long long)key.offset);
	r = leaf_repair(view, source->extent, leaf, &source->table->entries[leaf], data,
			err);
	if (r == -EBADMSG)
		lost_leaves_add(lost, &key);
	return r;
}

/* Leaf @leaf at @data fails its hash: read it again by itself and rebuild it. */
static int rescue_leaf(const struct source *source, unsigned leaf, uint8_t *data)
{
	struct stripe_view *view = source->view;
	struct job *job = source->job;
	const struct leaf_entry *entry = &source->table->entries[leaf];
	uint32_t size = row_size(view->info, source->extent, leaf);
	uint32_t payload = view->info->extents[source->extent].payload_size;
	uint64_t offset = entry_offset(view->info, source->extent, leaf);
	struct error error = { 0 };
	bool known = false;
	int r;

	release_ends(source);
	r = view_read(view, offset, data, size / PAGE_SIZE_BYTES, NULL, job->err);
	if (r < 0)
		return r;
	if (leaf_entry_matches(entry, data, size))
		return 0;
	r = repair_leaf(source, leaf, size, data, &known, &error);
	if (r == 0 && !write_back_leaf(view->write_back, view, source->extent,
				       source->table, leaf, data))
		view_repaired(view, offset, false);
	if (r < 0 && (r != -EBADMSG || job->lost_size == 0))
		(void)error_set(job->err, r, "volume '%s': %s", view->backend->name,
				error.text);
	if (r != -EBADMSG)
		return r;

	view->tally.leaves_lost++;
	write_back_lost(view->write_back, REPAIR_LEAF, offset, size, known);
	note_lost(source, LEAF_SIZE * leaf,
		  payload - LEAF_SIZE * leaf < LEAF_SIZE ? payload
							 : LEAF_SIZE * (leaf + 1));
	return 0;
}

static int check_leaf(const struct source *source, unsigned leaf, uint8_t *data)
{
	struct job *job = source->job;
	uint64_t lost = job->lost_size;
	uint32_t size = row_size(source->view->info, source->extent, leaf);
	int r;

	source->view->tally.leaves_read++;
	if (!leaf_entry_matches(&source->table->entries[leaf], data, size)) {
		r = rescue_leaf(source, leaf, data);
		if (r < 0)
			return r;
	}
	job->stop = lost > 0 && job->lost_size == lost;
	return 0;
}

/* Read and check @count leaves from @first on into @data. */
static int read_leaves(const struct source *source, unsigned first, unsigned count,
		       uint8_t *data)
{
	struct stripe_view *view = source->view;
	const struct stripe_info *info = view->info;
	size_t size = (size_t)LEAF_SIZE * (count - 1) +
		      row_size(info, source->extent, first + count - 1);
	size_t got = 0;
	int r;

	r = backend_read(view->backend, entry_offset(info, source->extent, first), data,
			 size, &got, source->job->err);
	if (r < 0 && !is_medium_error(r))
		return r;
	if (r < 0)
		got = 0;
	memset(data + got, 0, size - got); /* fails its hash, or is right */
	view->tally.bytes_read += got;

	for (unsigned i = 0; i < count && !source->job->stop; i++) {
		r = check_leaf(source, first + i, data + (size_t)LEAF_SIZE * i);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Payload bytes [from, from + size) of the extent, a part of one leaf, if it was kept. */
static bool get_kept(const struct source *source, uint32_t from, uint32_t size,
		     uint8_t *data)
{
	const struct leaf_key key = key_of(source, from / LEAF_SIZE);

	return leaf_cache_get(source->job->reader->leaves, &key, from % LEAF_SIZE, data,
			      size);
}

/* Read it all, within SCRATCH_LEAVES leaves. */
static int read_scratch(const struct source *source, struct ragged *ragged)
{
	unsigned first = first_leaf(ragged);
	unsigned count = last_leaf(ragged) - first + 1;
	autofree uint8_t *scratch = malloc((size_t)LEAF_SIZE * count);
	int r = -ENOMEM;

	source->job->ragged = ragged;
	if (scratch)
		r = read_leaves(source, first, count, scratch);
	else
		(void)error_set_errno(source->job->err, r, "%u leaves", count);
	if (r == 0)
		memcpy(ragged->data, scratch + ragged->from % LEAF_SIZE, ragged->size);
	if (r < 0 || source->job->lost_size > 0) /* then not all was checked */
		release_ends(source);
	source->job->ragged = NULL;
	if (ragged->keep_first)
		put_leaf(source, first, scratch);
	if (ragged->keep_last)
		put_leaf(source, last_leaf(ragged),
			 scratch + (size_t)LEAF_SIZE * (count - 1));
	return r;
}

/* Payload bytes [from, from + size) of the extent, within SCRATCH_LEAVES leaves. */
static int read_ragged(const struct source *source, uint32_t from, uint32_t size,
		       uint8_t *data)
{
	struct ragged ragged = { .from = from, .size = size, .data = data };
	uint32_t room = LEAF_SIZE - from % LEAF_SIZE;
	uint32_t part = size < room ? size : room;

	if (part < LEAF_SIZE) {
		ragged.keep_first = !get_kept(source, from, part, data);
		if (!ragged.keep_first) {
			ragged.from += part;
			ragged.data += part;
			ragged.size -= part;
		}
	}
	part = (from + size) % LEAF_SIZE;
	/* The leaf at the end, if it is not the one at the start. */
	if (part > 0 && (ragged.keep_first ? part < ragged.size : part <= ragged.size)) {
		ragged.keep_last =
			!get_kept(source, from + size - part, part, data + size - part);
		if (!ragged.keep_last)
			ragged.size -= part;
	}
	return ragged.size > 0 ? read_scratch(source, &ragged) : 0;
}

/* Bytes to read next, of @size at payload offset @from: whole leaves if the start allows and
 * it pays, else what goes through scratch. */
static uint32_t next_piece(uint32_t from, uint32_t size, bool *whole_out)
{
	uint32_t into = from % LEAF_SIZE;
	uint32_t whole = into ? 0 : size - size % LEAF_SIZE;

	*whole_out = whole == size || whole > SCRATCH_LEAVES * LEAF_SIZE;
	if (*whole_out)
		return whole;
	if (into + (uint64_t)size <= SCRATCH_LEAVES * LEAF_SIZE)
		return size;
	return LEAF_SIZE - into;
}

/* Payload bytes [from, from + size) of the extent. */
static int read_payload(const struct source *source, uint32_t from, uint32_t size,
			uint8_t *data)
{
	while (size > 0 && !source->job->stop) {
		bool whole;
		uint32_t piece = next_piece(from, size, &whole);
		int r;

		if (whole)
			r = read_leaves(source, from / LEAF_SIZE, piece / LEAF_SIZE,
					data);
		else
			r = read_ragged(source, from, piece, data);
		if (r < 0)
			return r;
		from += piece;
		data += piece;
		size -= piece;
	}
	return 0;
}

/* Payload bytes [from, from + size) of the extent are lost with its table. */
static void lose_extent(const struct source *source, uint32_t from, uint32_t size,
			bool known)
{
	struct job *job = source->job;
	struct stripe_view *view = source->view;
	uint64_t offset = extent_offset(view->info, source->extent);

	if (job->lost_size == 0)
		(void)error_set(
			job->err, -EBADMSG,
			"volume '%s': byte %llu (stripe %llu, extent %u): the table is"
			" beyond repair or not what the record says",
			view->backend->name, (unsigned long long)offset,
			(unsigned long long)view->info->number, source->extent);
	view->tally.leaves_lost += (from + size - 1) / LEAF_SIZE - from / LEAF_SIZE + 1;
	write_back_lost(view->write_back, REPAIR_PAGE, offset,
			PAGE_SIZE_BYTES * extent_page_count(view->info, source->extent),
			known);
	note_lost(source, from, from + size);
}

/* Whether the extent's table was beyond repair a moment ago and is as it was then. */
static bool table_is_lost(const struct source *source)
{
	struct stripe_view *view = source->view;
	struct lost_leaves *lost = &source->job->reader->lost;
	struct lost_leaf key = { .offset = extent_offset(view->info, source->extent) };

	return lost_leaves_have_at(lost, key.offset) &&
	       extent_table_look(view, source->extent, &key.found, NULL) == 0 &&
	       lost_leaves_have(lost, &key);
}

/* Payload bytes [from, from + size) of the extent, having found its table. */
static int read_extent(struct source *source, uint32_t from, uint32_t size, uint8_t *data)
{
	struct job *job = source->job;
	struct stripe_view *view = source->view;
	autoptr(extent_table) table = NULL;
	struct lost_leaf key = { .offset = extent_offset(view->info, source->extent) };
	int r;

	if (table_is_lost(source)) {
		lose_extent(source, from, size, true);
		return 0;
	}
	r = table_cache_get(job->reader->tables, view, source->extent, &table, job->err);
	if (r < 0)
		return r;
	if (table->verified) {
		source->table = table;
		return read_payload(source, from, size, data);
	}
	key.found = table->found;
	lost_leaves_add(&job->reader->lost, &key);
	lose_extent(source, from, size, false);
	return 0;
}

/* Up to @size bytes at @log_offset from @view's stripe. */
static int read_extents(struct job *job, struct stripe_view *view, uint64_t log_offset,
			uint8_t *data, size_t size)
{
	const struct stripe_info *info = view->info;
	uint64_t log_start = info->log_start;

	for (unsigned i = 0; i < info->data_count && size > 0 && !job->stop; i++) {
		uint32_t payload = info->extents[i].payload_size;
		struct source source = {
			.job = job, .view = view, .extent = i, .log_start = log_start
		};

		log_start += payload;
		if (log_offset < log_start) {
			uint32_t from = (uint32_t)(log_offset - source.log_start);
			uint32_t piece =
				size < payload - from ? (uint32_t)size : payload - from;
			int r = read_extent(&source, from, piece, data);

			if (r < 0)
				return r;
			log_offset += piece;
			data += piece;
			size -= piece;
		}
	}
	return 0;
}

static void add_tally(struct view_tally *sum, const struct view_tally *tally)
{
	sum->leaves_read += tally->leaves_read;
	sum->leaves_repaired += tally->leaves_repaired;
	sum->pages_repaired += tally->pages_repaired;
	sum->leaves_lost += tally->leaves_lost;
	sum->bytes_read += tally->bytes_read;
	if (sum->repaired_offset == 0)
		sum->repaired_offset = tally->repaired_offset;
}

/* Read as much of the range at @log_offset as its stripe holds; *size_out bytes. */
static int read_stripe(struct job *job, uint64_t log_offset, uint8_t *data, size_t size,
		       size_t *size_out)
{
	struct log_reader *reader = job->reader;
	autoptr(stripe_ref) stripe = NULL;
	struct stripe_view view = {
		.backend = reader->backend,
		.volume = &reader->volume,
		.authentic = true,
		.tables = reader->tables,
		.write_back = reader->write_back,
	};
	int r;

	r = stripe_cache_get(reader->stripes, log_offset, &stripe, job->err);
	if (r < 0)
		return r;
	if (size > stripe->log_end - log_offset)
		size = (size_t)(stripe->log_end - log_offset);

	view.info = &stripe->info;
	r = read_extents(job, &view, log_offset, data, size);
	add_tally(&job->tally, &view.tally);
	*size_out = size;
	return r;
}

static void publish(struct job *job, struct log_read_report *report)
{
	const struct view_tally *tally = &job->tally;
	struct log_counters *counters = &job->reader->counters;

	if (report)
		*report = (struct log_read_report){
			.leaves_repaired = tally->leaves_repaired,
			.repaired_offset = tally->repaired_offset,
			.lost_log_offset = job->lost_offset,
			.lost_size = job->lost_size,
		};
	mutex_scope(&job->reader->mutex);
	counters->leaves_read += tally->leaves_read;
	counters->leaves_repaired += tally->leaves_repaired;
	counters->pages_repaired += tally->pages_repaired;
	counters->leaves_lost += tally->leaves_lost;
	counters->bytes_read += tally->bytes_read;
}

int log_read(struct log_reader *reader, uint64_t log_offset, void *data, size_t size,
	     struct log_read_report *report, struct error *err)
{
	struct job job = { .reader = reader, .start = log_offset, .err = err };
	uint8_t *bytes = data;
	int r = 0;

	if (__builtin_add_overflow(log_offset, size, &job.end))
		return error_set(err, -ENOENT, "log offset %llu: outside the log",
				 (unsigned long long)log_offset);
	while (r == 0 && log_offset < job.end && !job.stop) {
		size_t piece = 0;

		r = read_stripe(&job, log_offset, bytes, (size_t)(job.end - log_offset),
				&piece);
		log_offset += piece;
		bytes += piece;
	}
	publish(&job, report);
	if (r < 0)
		return r;
	return job.lost_size > 0 ? -EBADMSG : 0;
}

void log_reader_expect(struct log_reader *reader, uint64_t log_offset, size_t size)
{
	autoptr(stripe_ref) stripe = NULL;

	if (stripe_cache_get(reader->stripes, log_offset, &stripe, NULL) == 0)
		stripe_expect(&stripe->info, reader->backend, log_offset, size);
}

void log_reader_counters(struct log_reader *reader, struct log_counters *counters_out)
{
	mutex_scope(&reader->mutex);

	*counters_out = reader->counters;
}
