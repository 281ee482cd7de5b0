/* SPDX-License-Identifier: MIT */
/* What a volume can't give has no parity that could be right. So in each stripe the bytes from
 * the first to the last that can't be read are left out, and not what else the group would have
 * had; one range a stripe, so that there are not thousands of small groups in the end. A
 * failed group has appended parity that nothing lists: reading all members once more finds
 * all such ranges at once, and what health has found lost is looked at before anything is
 * appended.
 *
 * The ledger only says where to look. A range is left out because it can't be read now.
 */
#include "archive/protect_probe.h"

#include "archive/archive.h"
#include "archive/outer_plan.h"
#include "archive/protect_group.h"
#include "archive/volume_set.h"
#include "base/budget.h"
#include "base/error.h"
#include "catalog/ledger.h"

#include <errno.h>

#define PROBE_SIZE (1u << 20) /* bytes of one read */

struct probe {
	struct protect *protect;
	struct outer_plan *plan;
	struct buffer buffer;
	unsigned count; /* ranges excluded */
};

/* Of a volume's log. */
struct range {
	uint64_t start, end;
};

/* Find what of @range can't be read; *bad_out is empty if nothing is. */
static int find_bad(struct probe *probe, const struct uuid *volume, struct range range,
		    struct range *bad_out, struct error *err)
{
	struct protect *protect = probe->protect;
	struct range bad = { range.end, range.start };

	for (uint64_t at = range.start, part = 0; at < range.end; at += part) {
		struct error why = { 0 };
		int r;

		part = range.end - at < PROBE_SIZE ? range.end - at : PROBE_SIZE;
		r = volume_set_read(archive_volumes(protect->archive), volume, at,
				    probe->buffer.data, (size_t)part, &why);
		if (r == 0)
			continue;
		if (r != -EBADMSG)
			return error_set(err, r, "%s", why.text);
		if (protect->left_out == 0 && bad.start > bad.end)
			protect->why = why;
		if (bad.start > bad.end)
			bad.start = at;
		bad.end = at + part;
	}
	*bad_out = bad;
	return 0;
}

static bool is_known_lost(const struct probe *probe, const struct uuid *volume,
			  const struct stripe_info *stripe)
{
	struct ledger_entry entry = { 0 };

	return ledger_get(archive_catalog(probe->protect->archive), volume,
			  stripe->offset, &entry, NULL) == 0 &&
	       entry.lost > 0;
}

static int probe_stripe(struct probe *probe, const struct group_member *member,
			const struct stripe_info *stripe, struct error *err)
{
	struct range range = { stripe->log_start,
			       stripe->log_start + stripe_log_size(stripe) };
	struct range bad = { 0 };
	int r;

	if (range.start < member->log_start)
		range.start = member->log_start;
	if (range.end > member->log_start + member->log_size)
		range.end = member->log_start + member->log_size;
	r = find_bad(probe, &member->volume, range, &bad, err);
	if (r < 0 || bad.start >= bad.end)
		return r;
	probe->protect->left_out += bad.end - bad.start;
	probe->count++;
	return outer_plan_exclude(probe->plan, &member->volume, bad.start, bad.end, err);
}

int protect_probe(struct protect *protect, struct outer_plan *plan,
		  const struct group *group, bool known, unsigned *count_out,
		  struct error *err)
{
	struct probe probe = { .protect = protect, .plan = plan };
	int r;

	r = buffer_alloc(&probe.buffer, archive_budget(protect->archive), PROBE_SIZE,
			 "looking for what can't be read", err);
	for (size_t i = 0; r == 0 && i < group->member_count; i++) {
		const struct group_member *member = &group->members[i];

		for (size_t j = 0; r == 0 && j < member->stripe_count; j++)
			if (!known ||
			    is_known_lost(&probe, &member->volume, &member->stripes[j]))
				r = probe_stripe(&probe, member, &member->stripes[j],
						 err);
	}
	buffer_free(&probe.buffer);
	*count_out = probe.count;
	return r;
}
