/* SPDX-License-Identifier: MIT */
/* The ledger is believed about what was verified and found, and about nothing else. A stripe
 * that it does not know counts as not verified, so an archive whose catalog was lost is due as a
 * whole.
 */
#include "archive/safety.h"

#include "archive/archive.h"
#include "archive/volume_list.h"
#include "archive/volume_status.h"
#include "base/config.h"
#include "base/error.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define DAY_NS INT64_C(86400000000000)

const char *safety_name(enum safety_verdict verdict)
{
	static const char *const names[] = {
		[SAFETY_SAFE] = "safe",
		[SAFETY_DUE] = "due",
		[SAFETY_DAMAGED] = "damaged",
		[SAFETY_LOST] = "lost",
	};

	return names[verdict];
}

void safety_done(struct safety *safety)
{
	for (size_t i = 0; i < safety->count; i++)
		volume_row_done(&safety->volumes[i].row);
	free(safety->volumes);
	*safety = (struct safety){ 0 };
}

/* Take @row over, and find out the rest. */
static int get_volume(struct archive *archive, struct catalog *catalog,
		      struct volume_row *row, int64_t now, unsigned due_days,
		      struct safety_volume *volume, struct error *err)
{
	struct volume_status status = { 0 };
	int r;

	volume->row = *row;
	*row = (struct volume_row){ 0 };
	r = volume_status_get(archive, &volume->row, &status, err);
	if (r < 0)
		return r;
	volume->attached = status.attached;
	volume->size = status.size;
	volume->allocated = status.allocated;
	volume_status_done(&status);
	r = ledger_summary(catalog, &volume->row.uuid, &volume->ledger, err);
	if (r < 0)
		return r;
	if (volume->row.stripe_count > volume->ledger.stripes)
		volume->unverified = volume->row.stripe_count - volume->ledger.stripes;
	volume->old = volume->ledger.stripes > 0 &&
		      volume->ledger.oldest < now - due_days * DAY_NS;
	return 0;
}

static void add_volume(struct safety *safety, const struct safety_volume *volume)
{
	safety->away += !volume->attached && !volume->row.retired;
	if (volume->row.retired)
		return;
	safety->payload += volume->row.payload_size;
	safety->stripes += volume->row.stripe_count;
	safety->unverified += volume->unverified;
	safety->damaged += volume->ledger.damaged;
	safety->lost += volume->ledger.lost;
	if (volume->ledger.stripes > 0 &&
	    (safety->oldest == 0 || volume->ledger.oldest < safety->oldest))
		safety->oldest = volume->ledger.oldest;
	if (volume->ledger.margin < safety->margin)
		safety->margin = volume->ledger.margin;
}

static bool any_old(const struct safety *safety)
{
	for (size_t i = 0; i < safety->count; i++)
		if (safety->volumes[i].old)
			return true;
	return false;
}

/* Whether less is in groups than [volume] outer asks for. Until it is, p + 1 copies do as
 * well. */
static bool lacks_groups(const struct safety *safety)
{
	if (safety->code.data == 0)
		return false;
	return safety->outer.incomplete > 0 || (safety->outer.unprotected_size > 0 &&
						safety->copies <= safety->code.parity);
}

/* The worst comes first. */
static void judge(struct safety *safety)
{
	if (safety->lost > 0 || (safety->any_run && safety->run.lost > 0)) {
		safety->verdict = SAFETY_LOST;
		safety->advice = "health --check"; /* it says which files */
	} else if (safety->damaged > 0) {
		safety->verdict = SAFETY_DAMAGED;
		safety->advice = "health";
	} else if (safety->any_run && safety->run.ended == 0) {
		safety->verdict = SAFETY_DUE;
		safety->advice = "health --resume";
	} else if (safety->missing.segments + safety->missing.pages > 0) {
		safety->verdict = SAFETY_DUE;
		safety->advice = "health"; /* it makes the copies */
	} else if (safety->unverified > 0 || any_old(safety)) {
		safety->verdict = SAFETY_DUE;
		safety->advice = "health --due";
	} else if (lacks_groups(safety) || safety->burst.due > 0) {
		safety->verdict = SAFETY_DUE;
		safety->advice = "volume protect";
	} else if (safety->away > 0) {
		safety->verdict = SAFETY_DUE;
		safety->advice = "volume list"; /* it says which to attach */
	}
}

static int get_outer(struct archive *archive, struct catalog *catalog,
		     struct safety *safety, struct error *err)
{
	const struct config *config = archive_config(archive);
	int r;

	safety->burst_size = config->parity.burst;
	if (safety->burst_size > 0) {
		r = burst_totals_get(catalog, config, &safety->burst, err);
		if (r < 0)
			return r;
	}
	safety->code = config->volume.outer;
	return outer_totals_get(catalog, safety->code.data > 0 ? safety->code.parity : 1,
				&safety->outer, err);
}

static int count_copies(struct archive *archive, struct catalog *catalog,
			struct safety *safety, struct error *err)
{
	autocopies struct copies copies = { 0 };
	int r;

	safety->copies = archive_config(archive)->volume.copies;
	safety->min_copies = config_min_copies(archive_config(archive));
	if (safety->copies == 1)
		return 0;
	r = copies_load(archive, catalog, &copies, err);
	return r < 0 ? r : copies_find_missing(&copies, catalog, &safety->missing, err);
}

int safety_get(struct archive *archive, struct catalog *catalog, int64_t now,
	       struct safety *safety_out, struct error *err)
{
	autovolume_list struct volume_list list = { 0 };
	struct safety safety = {
		.margin = UINT_MAX,
		.due_days = archive_config(archive)->health.check_every,
	};
	int r;

	r = volume_list_load(catalog, &list, err);
	if (r < 0)
		return r;
	safety.volumes = calloc(list.count + 1, sizeof(*safety.volumes));
	if (!safety.volumes)
		return error_set(err, -ENOMEM, "no memory for the list of volumes");
	for (size_t i = 0; i < list.count && r == 0; i++) {
		struct safety_volume *volume = &safety.volumes[safety.count++];

		r = get_volume(archive, catalog, &list.rows[i], now, safety.due_days,
			       volume, err);
		add_volume(&safety, volume);
	}
	if (r == 0)
		r = get_outer(archive, catalog, &safety, err);
	if (r == 0)
		r = ledger_last_run(catalog, &safety.run, err);
	safety.any_run = r == 0;
	if (r >= 0)
		r = count_copies(archive, catalog, &safety, err);
	if (r < 0) {
		safety_done(&safety);
		return r;
	}
	judge(&safety);
	*safety_out = safety;
	return 0;
}
