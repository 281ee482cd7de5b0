/* SPDX-License-Identifier: MIT */
/* volume retire: what only this volume has is told first, and keeps it from being retired
 * unless --force is given.
 */
#include "cli/command.h"
#include "cli/print.h"
#include "cli/session.h"
#include "cli/volume_lookup.h"

#include "archive/archive.h"
#include "archive/copies.h"
#include "archive/outer_reach.h"
#include "archive/volume_verbs.h"
#include "base/error.h"
#include "base/json_build.h"
#include "base/log.h"
#include "base/size.h"

#include <inttypes.h>
#include <stdio.h>

/* What the archive would miss, and what groups of the outer code could still give of it. */
struct loss {
	uint64_t only_there; /* bytes */
	uint64_t in_groups;  /* bytes of its log */
};

static int count_lost(struct archive *archive, const struct volume_row *volume,
		      struct loss *loss_out, struct error *err)
{
	struct catalog *catalog = archive_catalog(archive);
	autocopies struct copies copies = { 0 };
	int r;

	r = copies_load(archive, catalog, &copies, err);
	if (r == 0)
		r = copies_only_on(&copies, catalog, &volume->uuid, &loss_out->only_there,
				   err);
	if (r == 0)
		r = outer_reach_get(&copies, catalog, &volume->uuid, &loss_out->in_groups,
				    err);
	return r;
}

static void show(const struct invocation *invocation, const struct volume_row *volume,
		 const struct loss *loss, bool retired)
{
	autoptr(json) json = json_object_new();

	if (!invocation->json) {
		if (retired && !invocation->quiet)
			(void)printf("volume %" PRIu64 " is retired\n", volume->number);
		return;
	}
	if (!json)
		return;
	(void)json_add_bool(json, "retired", retired);
	(void)json_add_u64(json, "only_there", loss->only_there);
	(void)json_add_u64(json, "in_groups", loss->in_groups);
	print_json(json);
}

/* A group that has a retired member is given up, so what it can give is to be copied first. */
static enum exit_code refuse(const struct loss *loss)
{
	char size[SIZE_TEXT_MAX];
	char given[SIZE_TEXT_MAX];

	(void)size_format(loss->only_there, size);
	if (loss->in_groups > 0)
		log_error("%" PRIu64
			  " bytes (%s) are on this volume only. Groups can give %s of "
			  "it without it: 'blockframe volume evacuate' copies that to "
			  "other volumes; or give them up with --force",
			  loss->only_there, size, size_format(loss->in_groups, given));
	else
		log_error("%" PRIu64
			  " bytes (%s) are on this volume only: 'blockframe volume "
			  "evacuate' copies them to others, or give them up with "
			  "--force",
			  loss->only_there, size);
	return CODE_LOST;
}

static enum exit_code retire(const struct invocation *invocation, struct archive *archive,
			     const struct volume_row *volume, struct error *err)
{
	struct loss loss = { 0 };
	int r = count_lost(archive, volume, &loss, err);

	if (r < 0)
		return session_fail_lookup(r, err);
	if (loss.only_there > 0 && !option_flag(invocation->options, "force")) {
		show(invocation, volume, &loss, false);
		return refuse(&loss);
	}
	r = volume_retire(archive, volume, err);
	if (r < 0)
		return session_fail_lookup(r, err);
	show(invocation, volume, &loss, true);
	return CODE_DONE;
}

static enum exit_code run(struct invocation *invocation)
{
	struct volume_row volume = { 0 };
	autoptr(archive) archive = NULL;
	struct error err = { 0 };
	enum exit_code code;
	int r;

	code = session_open(invocation, SESSION_WRITE, &archive);
	if (code != CODE_DONE)
		return code;
	r = volume_lookup(archive, options_argument(invocation->options, 0), &volume,
			  &err);
	code = r < 0 ? session_fail_lookup(r, &err)
		     : retire(invocation, archive, &volume, &err);
	volume_row_done(&volume);
	return code;
}

const struct command command_volume_retire = {
	.name = "volume retire",
	.summary = "say that a volume is gone for good, or is to be",
	.usage = "[--force] VOLUME",
	.details = "Nothing is asked of it any more, and it counts as no copy. If "
		   "something is on "
		   "no other volume, that\nis said, and nothing is done (exit code 4) "
		   "without "
		   "--force.",
	.options =
		(const struct option_spec[]){
			{ 0, "force", NULL, "give up what only this volume has" },
			{ 0 },
		},
	.arguments_min = 1,
	.arguments_max = 1,
	.run = run,
};
