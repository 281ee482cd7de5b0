/* SPDX-License-Identifier: MIT */
/* volume info: one volume, and its runs: the stretches of closed stripes that lie one after
 * the other. `zstd -dc` prints the content of each; in between are the tails of interrupted
 * writers.
 */
#include "cli/command.h"
#include "cli/print.h"
#include "cli/session.h"
#include "cli/volume_lookup.h"

#include "archive/archive.h"
#include "archive/volume_status.h"
#include "base/error.h"
#include "base/hex.h"
#include "base/json_build.h"
#include "base/size.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Runs. */

struct runs {
	bool json;
	struct json *array;
	uint64_t offset; /* of the run so far */
	uint64_t end;
	uint64_t count;
};

static void end_run(struct runs *runs)
{
	struct json *object;

	if (runs->end == runs->offset)
		return;
	runs->count++;
	if (!runs->json) {
		(void)printf("  %20" PRIu64 " %20" PRIu64 "\n", runs->offset,
			     runs->end - runs->offset);
	} else if (json_add_object(runs->array, NULL, &object) == 0) {
		(void)json_add_u64(object, "offset", runs->offset);
		(void)json_add_u64(object, "size", runs->end - runs->offset);
	}
}

static void add_stripe(struct runs *runs, const struct stripe_info *stripe)
{
	if (stripe->offset != runs->end) {
		end_run(runs);
		runs->offset = stripe->offset;
	}
	runs->end = stripe->offset + stripe_physical_size(stripe);
}

/* All stripes of the log, in order. */
static int list_runs(struct archive *archive, const struct volume_row *volume,
		     struct runs *runs, struct error *err)
{
	uint64_t log_offset = 0;
	int r;

	for (;;) {
		struct stripe_info stripe = { 0 };

		r = catalog_find_stripe(archive_catalog(archive), &volume->uuid,
					log_offset, &stripe, err);
		if (r != 0)
			break;
		add_stripe(runs, &stripe);
		log_offset = stripe.log_start + stripe_log_size(&stripe);
		stripe_info_done(&stripe);
	}
	end_run(runs);
	return r < 0 ? r : 0;
}

/* Printing. */

static int print_info_json(struct archive *archive, const struct volume_row *volume,
			   const struct volume_status *status, struct error *err)
{
	autoptr(json) json = json_object_new();
	struct runs runs = { .json = true };
	int r;

	if (!json)
		return error_set(err, -ENOMEM, "out of memory");
	volume_status_add_json(volume, status, json);
	if (json_add_array(json, "runs", &runs.array) < 0)
		return error_set(err, -ENOMEM, "out of memory");
	r = list_runs(archive, volume, &runs, err);
	if (r < 0)
		return r;
	print_json(json);
	return 0;
}

static void print_fill(const struct volume_status *status, uint64_t max_size)
{
	char size[SIZE_TEXT_MAX];
	char most[SIZE_TEXT_MAX];
	char whole[SIZE_TEXT_MAX];

	(void)printf("size      %s of %s (%u %%), %s with holes\n",
		     size_format(status->allocated, size), size_format(max_size, most),
		     (unsigned)((double)status->allocated * 100 / (double)max_size),
		     size_format(status->size, whole));
}

static void print_facts(struct archive *archive, const struct volume_row *volume,
			const struct volume_status *status)
{
	const struct config *config = archive_config(archive);
	const char *label = volume->label ? volume->label : "";
	char payload[SIZE_TEXT_MAX];
	char parity[SIZE_TEXT_MAX];
	char hex[2 * UUID_SIZE + 1];

	hex_encode(volume->uuid.bytes, UUID_SIZE, hex);
	(void)printf("volume    %" PRIu64 "\nuuid      %s\nlabel     ", volume->number,
		     hex);
	print_name(label, strlen(label));
	(void)printf("\nbackend   file\nstate     %s\n",
		     volume->sealed ? "sealed" : "open");
	if (status->attached) {
		(void)printf("file      ");
		print_name(status->file, strlen(status->file));
		(void)putchar('\n');
		print_fill(status, config->volume.max_size);
	} else {
		(void)puts("file      not attached");
	}
	(void)printf("stripes   %" PRIu64 "\npayload   %s\nparity    %s (%u %%)\n",
		     volume->stripe_count, size_format(volume->payload_size, payload),
		     size_format(volume->parity_size, parity), volume_overhead(volume));
}

static int print_info(struct archive *archive, const struct volume_row *volume,
		      const struct volume_status *status, struct error *err)
{
	struct runs runs = { 0 };

	print_facts(archive, volume, status);
	(void)puts("runs      offset and size in bytes; zstd -dc prints the content of "
		   "each");
	return list_runs(archive, volume, &runs, err);
}

static enum exit_code run(struct invocation *invocation)
{
	struct volume_status status = { 0 };
	struct volume_row volume = { 0 };
	autoptr(archive) archive = NULL;
	struct error err = { 0 };
	enum exit_code code;
	int r;

	code = session_open(invocation, SESSION_READ, &archive);
	if (code != CODE_DONE)
		return code;
	r = volume_lookup(archive, options_argument(invocation->options, 0), &volume,
			  &err);
	if (r == 0)
		r = volume_status_get(archive, &volume, &status, &err);
	if (r == 0)
		r = invocation->json ? print_info_json(archive, &volume, &status, &err)
				     : print_info(archive, &volume, &status, &err);
	volume_status_done(&status);
	volume_row_done(&volume);
	return r < 0 ? session_fail_lookup(r, &err) : CODE_DONE;
}

const struct command command_volume_info = {
	.name = "volume info",
	.summary = "print what is known about one volume",
	.usage = "VOLUME",
	.details = "VOLUME is its number, its UUID (or the first digits of that), or its "
		   "label. The runs are the\nstretches of the volume that 'zstd -dc' "
		   "decodes; one run is the whole volume if no writer was interrupted.",
	.options = (const struct option_spec[]){ { 0 } },
	.arguments_min = 1,
	.arguments_max = 1,
	.run = run,
};
