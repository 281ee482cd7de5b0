/* SPDX-License-Identifier: MIT */
/* A record exists as soon as its data extent can be read, because a reader can't tell
 * parity that was never written from parity that was lost. A writer killed between the two
 * leaves a record that counts and has less protection than all others, or none. Nobody
 * would ever make up for that: the stripe is listed by the next record, as the hashes of
 * what it should be.
 *
 * The next writer does, and by appending alone: the volume ends within the stripe, so what
 * is missing is exactly what comes next. The stripe is made again from the record, with the
 * epoch, the place and the number that its first part has, and each extent must have the
 * hash that follows from that part before a byte of it is appended. A last page that was cut
 * in half stays as it is: one bad page among m + 1 extents.
 *
 * Not handled here: parity that is missing in front of the volume's end, because a power cut
 * lost a write and kept a later one. That can't be appended any more; it is damage like any
 * other, within the bounds as long as one extent is whole, and for a repair to write back.
 */
#include "volume/record_completion.h"

#include "base/crash_point.h"
#include "base/error.h"
#include "base/log.h"
#include "volume/backend.h"
#include "volume/record.h"
#include "volume/record_build.h"

static int append_rest(struct record_build *build, struct record *record,
		       const struct stripe_info *own, struct error *err)
{
	const struct log_end before = {
		.volume = record->volume,
		.previous_offset = record->previous_offset,
		.previous_hash = record->previous_hash,
	};
	autofree uint8_t *data = NULL;
	size_t size;
	int r;

	r = record_encode(record, &data, &size, err);
	if (r < 0)
		return r;
	r = record_build_rest(build, own, data, size, &before, err);
	if (r < 0)
		return r;
	return backend_sync(build->backend, err);
}

int record_complete(struct backend *backend, struct budget *budget, struct pool *pool,
		    struct record *record, const struct stripe_info *own,
		    struct error *err)
{
	struct record_build build = { .backend = backend,
				      .pool = pool,
				      .budget = budget };
	uint64_t end = own->offset + stripe_physical_size(own);
	struct error why = { 0 };
	int r;

	if (backend_position(backend) >= end)
		return 0;
	r = append_rest(&build, record, own, &why);
	record_build_done(&build);
	if (r == -EBADMSG) {
		log_debug("'%s': the last record stays as it is: %s", backend->name,
			  why.text);
		return 0;
	}
	if (r < 0)
		return error_set(err, r, "parity of the last record: %s", why.text);
	crash_point("volume.record.completed");
	return 0;
}
