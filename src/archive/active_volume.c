/* SPDX-License-Identifier: MIT */
/* Durable steps of a volume's life, and what the next opener finds after each:
 *
 *     file created                    a file without a record: ignored for ever
 *     header record                   a new volume: fed to the catalog, filled further
 *     checkpoint, commits             as their records say (checkpoint.c, appender.c)
 *     placement record                what was appended is listed
 *     end record                      sealed; the next writer protects it, makes a new one
 *     file made read-only             the next writer makes a new volume
 *
 * After any record its parity may be missing: the next writer appends it first.
 *
 * The catalog learns of all this in one transaction, which is committed after the commit
 * record at the earliest: until then catch_up.c does from the volumes what was lost here.
 *
 * A volume is continued only if its last record is the one that the catalog knows. If it is
 * an older one, the file is a copy from an earlier time (or its end has rotted), and
 * appending to it would make a second history.
 */
#include "archive/active_volume.h"

#include "archive/head.h"
#include "archive/outer_cover.h"
#include "archive/places.h"
#include "archive/volume_folder.h"
#include "archive/volume_info.h"
#include "base/budget.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/crash_point.h"
#include "base/error.h"
#include "base/random.h"
#include "base/size.h"
#include "base/timestamp.h"
#include "catalog/placement.h"
#include "chunker/frame.h"
#include "chunker/segment.h"
#include "chunker/segment_table.h"
#include "volume/backend.h"
#include "volume/chain.h"
#include "volume/record_completion.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#define STAT_BLOCK_SIZE 512u /* bytes, of st_blocks */

void active_volume_free(struct active_volume *active)
{
	if (!active)
		return;
	log_writer_free(active->writer);
	backend_free(active->backend);
	free(active->label);
	free(active->file);
	free(active);
}

static int active_volume_new(const struct volume_writing *writing,
			     const struct uuid *uuid, uint64_t number, const char *label,
			     const char *file, struct active_volume **active_out,
			     struct error *err)
{
	autoptr(active_volume) active = calloc(1, sizeof(*active));

	if (!active)
		return error_set(err, -ENOMEM, "no memory to open a volume");
	active->writing = *writing;
	active->uuid = *uuid;
	active->number = number;
	active->label = strdup(label);
	active->file = strdup(file);
	if (!active->label || !active->file)
		return error_set(err, -ENOMEM, "no memory to open a volume");
	*active_out = take_ptr(active);
	return 0;
}

static int put_record(void *context, const struct record *record,
		      const struct stripe_info *own, struct error *err)
{
	struct active_volume *active = context;

	return catalog_put_record(active->writing.catalog, record, own, err);
}

/* Insert or update the catalog's row. */
static int put_row(const struct active_volume *active, bool sealed, struct error *err)
{
	struct volume_row row = {
		.uuid = active->uuid,
		.number = active->number,
		.label = active->label,
		.file = active->file,
		.role = active->writing.role,
		.sealed = sealed,
	};

	return catalog_put_volume(active->writing.catalog, &row, err);
}

/* Bytes that the file occupies, tails included: what is allocated, as holes do not count
 * towards max_size. A file system that allocates ahead can't make it more than the size. */
static int used_size(const struct active_volume *active, uint64_t *size_out,
		     struct error *err)
{
	uint64_t position = backend_position(active->backend);
	struct stat st;

	if (fstatat(places_base(active->writing.places), active->file, &st, 0) < 0)
		return error_set_errno(err, -errno, "'%s'", active->file);
	*size_out = (uint64_t)st.st_blocks * STAT_BLOCK_SIZE;
	if (*size_out > position)
		*size_out = position;
	return 0;
}

static struct log_writer_options options_of(const struct volume_writing *writing)
{
	return (struct log_writer_options){
		.tiered = writing->tiered,
		.data = writing->data,
		.parity = writing->parity,
		.spread = writing->config->parity.spread,
		.max_size = writing->config->volume.max_size,
		.budget = writing->budget,
		.pool = writing->pool,
		.sharing = writing->lanes,
	};
}

static int begin_session(struct active_volume *active, const struct log_end *end,
			 struct error *err)
{
	struct log_writer_options options = options_of(&active->writing);
	int r;

	options.on_record = put_record;
	options.context = active;
	r = used_size(active, &options.used_size, err);
	if (r < 0)
		return r;
	return log_writer_new(active->backend, end, &options, &active->writer, err);
}

/* Sizes. */

/* The most bytes that a segment takes in the log. */
static uint64_t segment_bound(void)
{
	uint64_t frames = SEGMENT_FRAME_MAX;

	return segment_header_size(0) + SEGMENT_SIZE_MAX +
	       frames * (FRAME_STORED_MAX - FRAME_SIZE_MAX) +
	       segment_tail_size((uint32_t)frames);
}

static int too_small(const struct volume_writing *writing, int code, uint64_t size,
		     uint64_t least, struct error *err)
{
	char have[SIZE_TEXT_MAX], payload[SIZE_TEXT_MAX];
	char memory[SIZE_TEXT_MAX], need[SIZE_TEXT_MAX];

	return error_set(
		err, code,
		"[volume] max_size = %s is too small: %s with %u + %u extents, "
		"in %s of [limits] memory, need a volume of %s. Set max_size to "
		"that or more, or choose less parity (--parity, [parity] parity)",
		size_format(writing->config->volume.max_size, have),
		size_format(size, payload), writing->data, writing->parity,
		size_format(budget_size(writing->budget), memory),
		size_format(least, need));
}

int volume_writing_check(const struct volume_writing *writing, struct error *err)
{
	const struct log_writer_options options = options_of(writing);
	uint64_t least = log_least_max_size(&options, segment_bound());

	if (least == options.max_size)
		return 0;
	return too_small(writing, -EINVAL, SEGMENT_SIZE_MAX, least, err);
}

int active_volume_too_small(const struct active_volume *active, uint64_t size,
			    struct error *err)
{
	const struct log_writer_options options = options_of(&active->writing);
	uint64_t least = log_least_max_size(&options, size);
	uint64_t payload, written;

	/* The list of names that the volume begins with counts as well. */
	log_writer_totals(active->writer, &payload, &written);
	return too_small(&active->writing, -EFBIG, size, least + written, err);
}

/* A new volume. */

static int add_member(void *context, const struct volume_row *row)
{
	struct volume_info *info = context;
	int r;

	r = volume_info_add_member(info, &row->uuid, row->number,
				   row->label ? row->label : "",
				   row->role == VOLUME_PARITY);
	if (r == 0)
		info->members[info->member_count - 1].retired = row->retired;
	return r;
}

static int fill_info(const struct active_volume *active, const struct hash *head,
		     struct volume_info *info, struct error *err)
{
	const struct volume_writing *writing = &active->writing;
	int64_t now = clock_realtime_ns();
	int r;

	info->label = strdup(active->label);
	if (!info->label)
		return error_set(err, -ENOMEM, "no memory for a volume's header");
	info->number = active->number;
	info->parity = writing->role == VOLUME_PARITY;
	info->created.seconds = now / (int64_t)NS_PER_SECOND;
	info->created.nanoseconds = (uint32_t)(now % (int64_t)NS_PER_SECOND);
	info->policy.tiered = writing->tiered;
	info->policy.data = writing->data;
	info->policy.parity = writing->parity;
	info->policy.spread = writing->config->parity.spread;
	info->policy.burst = writing->config->parity.burst;
	info->policy.burst_from = writing->config->parity.burst_from;
	info->policy.burst_data = writing->config->parity.burst_data;
	info->policy.outer_data = writing->config->volume.outer.data;
	info->policy.outer_parity = writing->config->volume.outer.parity;
	info->policy.copies = writing->config->volume.copies;
	info->policy.min_copies = writing->config->volume.min_copies;
	if (head)
		info->head = *head;
	r = catalog_visit_volumes(writing->catalog, add_member, info, err);
	return r < 0 ? error_prefix(err, r, "list of volumes") : 0;
}

static int write_header(struct active_volume *active, const struct hash *head,
			struct error *err)
{
	autovolume_info struct volume_info info = { 0 };
	autofree char *json = NULL;
	int r;

	r = fill_info(active, head, &info, err);
	if (r < 0)
		return r;
	r = volume_info_encode(&info, &json, err);
	if (r < 0)
		return r;
	return log_write_record(active->writer, STRIPE_HEADER, false, NULL, json, err);
}

/* Everything up to the header record in the file that was just created. */
static int begin_volume(struct active_volume *active, const struct hash *head,
			struct error *err)
{
	struct log_end end = {
		.volume = active->uuid,
		.archive_id = active->writing.archive_id,
		.previous_offset = RECORD_OFFSET_NONE,
	};
	int r;

	r = put_row(active, false, err);
	if (r < 0)
		return r;
	r = begin_session(active, &end, err);
	if (r < 0)
		return r;
	return write_header(active, head, err);
}

/* Make the file, with a name of its own. */
static int create_file(const struct volume_writing *writing,
		       const struct volume_plan *plan, struct active_volume **active_out,
		       struct error *err)
{
	autoptr(active_volume) active = NULL;
	char name[VOLUME_FILE_NAME_MAX];
	autofree char *path = NULL;
	struct uuid uuid;
	int r;

	r = random_bytes(uuid.bytes, UUID_SIZE, err);
	if (r < 0)
		return r;
	volume_file_name(plan->number, &uuid, name);
	if (places_join(writing->places, plan->place, name, &path) < 0)
		return error_set(err, -ENOMEM, "no memory for a path");
	r = active_volume_new(writing, &uuid, plan->number, plan->label, path, &active,
			      err);
	if (r < 0)
		return r;
	r = backend_file_create(places_base(writing->places), path, &active->backend,
				err);
	if (r < 0)
		return r;
	*active_out = take_ptr(active);
	return 0;
}

int active_volume_create(const struct volume_writing *writing,
			 const struct volume_plan *plan,
			 struct active_volume **active_out, struct error *err)
{
	autoptr(active_volume) active = NULL;
	int r;

	r = create_file(writing, plan, &active, err);
	if (r < 0)
		return r;
	assert(active);
	crash_point("archive.volume.created");
	r = begin_volume(active, plan->head, err);
	if (r < 0) { /* nobody knows of it yet */
		(void)unlinkat(places_base(writing->places), active->file, 0);
		(void)catalog_forget_volume(writing->catalog, &active->uuid, NULL);
		return error_prefix(err, r, "new volume '%s'", active->file);
	}
	crash_point("archive.volume.begun");
	active->fresh = true;
	active->begun = writing->role == VOLUME_PARITY;
	*active_out = take_ptr(active);
	return 0;
}

/* A volume that is there. */

static int check_end(const struct volume_row *row, const struct record *record,
		     struct error *err)
{
	if (hash_equal(&record->hash, &row->record_hash))
		return 0;
	if (record->sequence + 1 < row->record_count)
		return error_set(err, -ESTALE,
				 "it ends with record %" PRIu64 ", but had %" PRIu64
				 " records. " VOLUME_FILE_STALE_ADVICE,
				 record->sequence, row->record_count);
	return error_set(err, -ESTALE,
			 "its last record is not the one in the "
			 "catalog. " VOLUME_FILE_FORK_ADVICE);
}

#define FOUND (-ECANCELED) /* ends a walk over records */

/* Records with a head end an opening checkpoint, or a commit. */
static int find_head(void *context, const struct record *record,
		     const struct stripe_info *own, struct error *err)
{
	struct active_volume *active = context;
	struct head head = { 0 };
	int r;

	(void)own;
	if (!record->head || record->head_size == 0)
		return 0;
	r = head_decode(record->head, record->head_size, &head, err);
	if (r < 0)
		return r;
	active->last_head = head.hash;
	head_done(&head);
	return FOUND;
}

/* What the last head is that the volume knows, and so whether its opening checkpoint was
 * finished. Mostly the last record tells. */
static int learn_head(struct active_volume *active, const struct record *last,
		      struct error *err)
{
	int r;

	active->begun = active->writing.role == VOLUME_PARITY;
	if (active->begun)
		return 0;
	r = find_head(active, last, NULL, err);
	if (r == 0)
		r = chain_visit_back(active->backend, &active->uuid, NULL, find_head,
				     active, err);
	active->begun = active->number == 1 || r == FOUND;
	return r == FOUND ? 0 : r;
}

static int complete(struct backend *backend, const struct volume_writing *writing,
		    struct record *record, const struct stripe_info *own,
		    struct error *err)
{
	return record_complete(backend, writing->budget, writing->pool, record, own, err);
}

static int continue_at_end(struct active_volume *active, const struct volume_row *row,
			   struct log_end *end, struct error *err)
{
	autoptr(record) record = NULL;
	struct stripe_info own = { 0 };
	int r;

	r = chain_find_last(active->backend, &active->uuid, &record, &own, err);
	if (r < 0)
		return r;
	r = check_end(row, record, err);
	if (r == 0)
		r = learn_head(active, record, err);
	if (r == 0)
		r = complete(active->backend, &active->writing, record, &own, err);
	if (r == 0)
		r = chain_end(record, &own, end, err);
	active->fresh =
		record->checkpoint && backend_position(active->backend) ==
					      own.offset + stripe_physical_size(&own);
	stripe_info_done(&own);
	return r;
}

static int continue_volume(struct active_volume *active, const struct volume_row *row,
			   struct error *err)
{
	struct budget *budget = active->writing.budget;
	struct log_end end = { 0 };
	int r;

	r = budget_reserve(budget, CHAIN_MEMORY, "records", err);
	if (r < 0)
		return r;
	r = continue_at_end(active, row, &end, err);
	budget_release(budget, CHAIN_MEMORY);
	if (r == 0)
		r = begin_session(active, &end, err);
	log_end_done(&end);
	return r;
}

int active_volume_open(const struct volume_writing *writing, const struct volume_row *row,
		       const char *file, struct active_volume **active_out,
		       struct error *err)
{
	autoptr(active_volume) active = NULL;
	int r;

	if (outer_is_cut(writing->catalog, row))
		return error_set(err, -EROFS,
				 "volume '%s' was made again without its end, and is not "
				 "written to any more",
				 row->label ? row->label : "");
	r = active_volume_new(writing, &row->uuid, row->number,
			      row->label ? row->label : "", file, &active, err);
	if (r < 0)
		return r;
	r = backend_file_open(places_base(writing->places), file, 1, &active->backend,
			      err);
	if (r < 0)
		return r;
	r = continue_volume(active, row, err);
	if (r < 0)
		return error_prefix(err, r, "volume '%s'", active->label);
	*active_out = take_ptr(active);
	return 0;
}

int active_volume_seal(struct active_volume *active, struct error *err)
{
	int r;

	r = log_write_record(active->writer, STRIPE_PLACEMENT, false, NULL, NULL, err);
	if (r < 0)
		return r;
	crash_point("archive.volume.placed");
	r = log_write_record(active->writer, STRIPE_END, false, NULL, NULL, err);
	if (r < 0)
		return r;
	crash_point("archive.volume.ended");
	r = backend_seal(active->backend, err);
	if (r < 0)
		return r;
	crash_point("archive.volume.sealed");
	return put_row(active, true, err);
}

/* Whether the writer of @file came to its last step: a sealed file is protected, any other
 * reaches to the end of its last record's stripe. */
static bool is_finished(const struct volume_writing *writing,
			const struct volume_row *row, const char *file)
{
	struct stripe_info own = { 0 };
	uint64_t end;
	struct stat st;

	if (fstatat(places_base(writing->places), file, &st, 0) < 0)
		return true; /* who needs it will say what is wrong */
	if (row->sealed)
		return !(st.st_mode & S_IWUSR);
	if (catalog_find_stripe(writing->catalog, &row->uuid, row->log_end, &own, NULL))
		return true;
	end = own.offset + stripe_physical_size(&own);
	stripe_info_done(&own);
	return (uint64_t)st.st_size >= end;
}

static int finish(struct backend *backend, const struct volume_writing *writing,
		  struct record *record, const struct stripe_info *own, struct error *err)
{
	int r = complete(backend, writing, record, own, err);

	if (r == 0 && record->kind == STRIPE_END)
		r = backend_seal(backend, err);
	return r;
}

int active_volume_finish(const struct volume_writing *writing,
			 const struct volume_row *row, const char *file,
			 struct error *err)
{
	autoptr(backend) backend = NULL;
	autoptr(record) record = NULL;
	struct stripe_info own = { 0 };
	int r;

	if (is_finished(writing, row, file) ||
	    backend_file_open(places_base(writing->places), file, 1, &backend, NULL) <
		    0 ||
	    chain_find_last(backend, &row->uuid, &record, &own, NULL) < 0)
		return 0; /* nothing to write here any more */
	r = 0;
	if (hash_equal(&record->hash, &row->record_hash)) /* else it is another file */
		r = finish(backend, writing, record, &own, err);
	stripe_info_done(&own);
	return r < 0 ? error_prefix(err, r, "end of '%s'", file) : 0;
}
