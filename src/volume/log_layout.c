/* SPDX-License-Identifier: MIT */
/* A record is planned before what it lists has been written: its size, and so the place of
 * whatever follows it, depends only on how many entries it has. Hashes are filled in by the
 * write queue: those of the extents it lists through the arrays that the record owns by
 * then, the rest when it is written (record_writer.c).
 */
#include "volume/log_layout.h"

#include "base/error.h"
#include "base/random.h"
#include "volume/record_writer.h"
#include "volume/room.h"

#include <string.h>

int log_layout_init(struct log_layout *layout, const struct log_end *end,
		    uint64_t position, struct error *err)
{
	int r = random_bytes(&layout->epoch, sizeof(layout->epoch), err);

	if (r < 0)
		return r;
	layout->volume = end->volume;
	layout->archive_id = end->archive_id;
	layout->position = position;
	layout->log_offset = end->log_offset;
	layout->stripe_number = end->stripe_number;
	layout->sequence = end->sequence;
	layout->own = end->own;
	layout->own.extents = NULL;
	layout->has_own = end->own.extents;
	return 0;
}

void log_layout_done(struct log_layout *layout)
{
	pending_done(&layout->pending);
}

void log_layout_next(const struct log_layout *layout, unsigned data, unsigned parity,
		     unsigned frames, uint64_t staged, struct stripe_info *info_out)
{
	*info_out = (struct stripe_info){
		.number = layout->stripe_number,
		.offset = layout->position,
		.log_start = layout->log_offset - staged,
		.epoch = layout->epoch,
		.kind = STRIPE_DATA,
	};
	geometry_init(&info_out->geometry, data, parity, frames, layout->spread);
}

/* Account for a stripe that is planned to its end. */
static void advance(struct log_layout *layout, const struct stripe_info *stripe)
{
	layout->position = stripe->offset + stripe_physical_size(stripe);
	layout->written += stripe_written_size(stripe);
	layout->stripe_number = stripe->number + 1;
}

int log_layout_close(struct log_layout *layout, struct stripe_info *stripe)
{
	advance(layout, stripe);
	return pending_add_stripe(&layout->pending, stripe);
}

static int set_text(const char *text, char **copy_out, size_t *size_out)
{
	if (!text)
		return 0;
	*copy_out = strdup(text);
	if (!*copy_out)
		return -ENOMEM;
	*size_out = strlen(text);
	return 0;
}

/* List in @record what the previous records did not: the last one's own stripe, what was
 * closed since, and places. */
static int list_pending(struct log_layout *layout, struct record *record)
{
	if (layout->has_own) {
		record->stripes = malloc(sizeof(*record->stripes));
		if (!record->stripes)
			return -ENOMEM;
		record->stripes[0] = layout->own; /* extents come when they are known */
		record->stripe_count = 1;
	}
	return pending_take(&layout->pending, layout->log_offset, RECORD_LISTS_MAX,
			    record);
}

/* Lay out the stripe of a record of @size bytes. */
static int plan_own(struct log_layout *layout, enum stripe_kind kind, size_t size,
		    struct stripe_info *own)
{
	unsigned parity = layout->record_parity;
	struct extent_info *extents = calloc(1 + parity, sizeof(*extents));

	if (!extents)
		return -ENOMEM;
	*own = (struct stripe_info){
		.number = layout->stripe_number,
		.offset = layout->position,
		.log_start = layout->log_offset,
		.epoch = layout->epoch,
		.kind = kind,
		.data_count = 1,
		.extents = extents,
	};
	record_geometry(&own->geometry, parity, size, layout->spread);
	extents[0].payload_size = record_payload(size);
	for (unsigned i = 0; i < 1 + parity; i++)
		extents[i].area_size = geometry_area_size(extents[0].payload_size);
	return 0;
}

/* Queue the record, whose lists are final. */
static int push_record(struct log_layout *layout, struct record *record, bool sync,
		       struct record_writer *writer, struct error *err)
{
	size_t size = record_size(record);
	struct stripe_info own, planned;
	int r;

	if (size > RECORD_SIZE_MAX)
		return error_set(err, -E2BIG, "record of %zu bytes exceeds %u", size,
				 RECORD_SIZE_MAX);
	r = plan_own(layout, record->kind, size, &own);
	if (r < 0)
		return error_set(err, r, "no memory for a record's stripe");
	planned = own;
	advance(layout, &planned);
	layout->log_offset += own.extents[0].payload_size;
	r = record_writer_push(writer, record, &own, layout->sequence, sync, err);
	if (r < 0) {
		stripe_info_done(&own);
		return r;
	}
	planned.extents = NULL;
	layout->own = planned;
	layout->has_own = true;
	layout->sequence++;
	return 0;
}

static int fill_record(struct log_layout *layout, const struct record_text *text,
		       struct record *record, struct error *err)
{
	int r;

	record->kind = text->kind;
	record->checkpoint = text->checkpoint;
	record->volume = layout->volume;
	record->epoch = layout->epoch;
	record->archive_id = layout->archive_id;
	r = list_pending(layout, record);
	if (r == 0)
		r = set_text(text->head, &record->head, &record->head_size);
	if (r == 0)
		r = set_text(text->info, &record->info, &record->info_size);
	return r < 0 ? error_set(err, r, "no memory for a record") : 0;
}

int log_layout_record(struct log_layout *layout, const struct record_text *text,
		      bool sync, struct record_writer *writer, struct error *err)
{
	autoptr(record) record = calloc(1, sizeof(*record));
	int r;

	if (!record)
		return error_set(err, -ENOMEM, "no memory for a record");
	r = fill_record(layout, text, record, err);
	if (r == 0)
		r = push_record(layout, record, sync, writer, err);
	if (r < 0) { /* jobs may still fill in hashes of the stripes that it owns */
		(void)write_queue_drain(writer->queue, NULL);
		return r;
	}
	(void)take_ptr(record);
	return 0;
}
