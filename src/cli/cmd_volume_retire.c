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
#include "archive/volume_verbs.h"
#include "base/error.h"
#include "base/json_build.h"
#include "base/log.h"
#include "base/size.h"

#include <inttypes.h>
#include <stdio.h>

static int count_lost(struct archive *archive, const struct volume_row *volume,
		      uint64_t *bytes_out, struct error *err)
{
	autocopies struct copies copies = { 0 };
	int r;

	r = copies_load(archive, archive_catalog(archive), &copies, err);
	return r < 0 ? r
		     : copies_only_on(&copies, archive_catalog(archive), &volume->uuid,
				      bytes_out, err);
}

static void show(const struct invocation *invocation, const struct volume_row *volume,
		 uint64_t bytes, bool retired)
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
	(void)json_add_u64(json, "only_there", bytes);
	print_json(json);
}

static enum exit_code refuse(uint64_t bytes)
{
	char size[SIZE_TEXT_MAX];

	log_error("%" PRIu64 " bytes (%s) are on this volume only: copy them ([volume] "
		  "copies, and 'blockframe health'), or give them up with --force",
		  bytes, size_format(bytes, size));
	return CODE_LOST;
}

static enum exit_code retire(const struct invocation *invocation, struct archive *archive,
			     const struct volume_row *volume, struct error *err)
{
	uint64_t bytes = 0;
	int r = count_lost(archive, volume, &bytes, err);

	if (r < 0)
		return session_fail_lookup(r, err);
	if (bytes > 0 && !option_flag(invocation->options, "force")) {
		show(invocation, volume, bytes, false);
		return refuse(bytes);
	}
	r = volume_retire(archive, volume, err);
	if (r < 0)
		return session_fail_lookup(r, err);
	show(invocation, volume, bytes, true);
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
