/* SPDX-License-Identifier: MIT */
/* Moving the end of a log over a record. chain_end() makes one from nothing. */
#include "volume/log_end.h"

#include "volume/record.h"

int log_end_copy(const struct log_end *end, struct log_end *copy_out)
{
	struct log_end copy = *end;
	int r;

	r = stripe_info_copy(&end->own, &copy.own);
	if (r < 0)
		return r;
	*copy_out = copy;
	return 0;
}

int log_end_advance(struct log_end *end, const struct record *record,
		    const struct stripe_info *own)
{
	struct stripe_info copy;
	int r;

	r = stripe_info_copy(own, &copy);
	if (r < 0)
		return r;
	stripe_info_done(&end->own);
	end->own = copy;
	end->sequence = record->sequence + 1;
	end->previous_offset = own->offset;
	end->previous_hash = record->hash;
	end->covered = record->log_end;
	end->log_offset = own->log_start + stripe_log_size(own);
	end->stripe_number = own->number + 1;
	return 0;
}

uint64_t log_end_position(const struct log_end *end, uint64_t size)
{
	const uint64_t round = PAGE_SIZE_BYTES - 1;
	uint64_t position = (size + round) & ~round;
	uint64_t own_end = 0;

	if (end->own.extents)
		own_end = end->own.offset + stripe_physical_size(&end->own);
	return position > own_end ? position : own_end;
}

void log_end_done(struct log_end *end)
{
	stripe_info_done(&end->own);
}
