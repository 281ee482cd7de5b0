/* SPDX-License-Identifier: MIT */
/* Each verb is one transaction of the catalog, and its record is durable before that is
 * committed: a kill in between leaves a volume that the next opening takes in.
 */
#include "archive/volume_verbs.h"

#include "archive/active_volume.h"
#include "archive/appender.h"
#include "archive/archive.h"
#include "archive/lane.h"
#include "archive/lane_choice.h"
#include "archive/volume_set.h"
#include "base/budget.h"
#include "base/config.h"
#include "base/error.h"
#include "base/hex.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct volume_writing writing_of(struct archive *archive)
{
	const struct config *config = archive_config(archive);
	struct volume_writing writing = {
		.places = archive_places(archive),
		.config = config,
		.budget = archive_budget(archive),
		.pool = archive_pool(archive),
		.catalog = archive_catalog(archive),
		.tiered = config->parity.policy == CONFIG_POLICY_TIERED,
		.data = config->parity.data,
		.parity = config->parity.parity,
	};

	archive_id(archive, &writing.archive_id);
	return writing;
}

/* Commit the transaction, or undo it. */
static int end(struct archive *archive, int r, struct error *err)
{
	if (r == 0)
		return catalog_commit(archive_catalog(archive), err);
	catalog_rollback(archive_catalog(archive));
	return r;
}

/* ---- begin ---- */

static int begin_in(struct archive *archive, const struct lane_choice *choice,
		    struct budget *reading, struct uuid *uuid_out, struct error *err)
{
	const struct lane_setup setup = { archive, reading, writing_of(archive) };
	struct lane lane;
	int r = volume_writing_check(&setup.writing, err);

	if (r < 0)
		return r;
	r = lane_open(&lane, &setup, choice, err);
	if (lane.active)
		*uuid_out = lane.active->uuid;
	lane_done(&lane);
	return r;
}

int volume_begin(struct archive *archive, size_t place, const char *label,
		 struct volume_row *volume_out, struct error *err)
{
	const struct lane_choice choice = { .place = place, .label = label };
	struct budget *reading = NULL;
	struct uuid uuid;
	int r;

	r = budget_new(LANE_READING_MEMORY, &reading);
	if (r < 0)
		return error_set(err, r, "no memory to begin a volume");
	r = catalog_begin(archive_catalog(archive), err);
	if (r == 0)
		r = end(archive, begin_in(archive, &choice, reading, &uuid, err), err);
	budget_free(reading);
	if (r == 0)
		r = catalog_get_volume(archive_catalog(archive), &uuid, volume_out, err);
	return r;
}

/* ---- seal ---- */

static int seal(struct archive *archive, const struct volume_row *volume,
		const char *file, struct error *err)
{
	struct volume_writing writing = writing_of(archive);
	autoptr(active_volume) active = NULL;
	int r;

	writing.role = volume->role;
	r = active_volume_open(&writing, volume, file, &active, err);
	return r < 0 ? r : active_volume_seal(active, err);
}

int volume_seal(struct archive *archive, const struct volume_row *volume,
		struct error *err)
{
	autofree char *file = NULL;
	int r;

	if (volume->sealed)
		return error_set(err, -EALREADY, "it is sealed already");
	r = volume_set_find_file(archive_volumes(archive), &volume->uuid, &file, err);
	if (r == 0)
		r = catalog_begin(archive_catalog(archive), err);
	return r < 0 ? r : end(archive, seal(archive, volume, file, err), err);
}

/* ---- retire ---- */

static int write_retirement(struct archive *archive, const struct uuid *uuid,
			    struct error *err)
{
	const struct config *config = archive_config(archive);
	const struct appender_options options = {
		.tiered = config->parity.policy == CONFIG_POLICY_TIERED,
		.data = config->parity.data,
		.parity = config->parity.parity,
		.least = 1, /* the place that it was in may be gone, too */
	};
	autoptr(appender) appender = NULL;
	char hex[2 * UUID_SIZE + 1];
	char info[64 + sizeof(hex)];
	int r;

	hex_encode(uuid->bytes, UUID_SIZE, hex);
	(void)snprintf(info, sizeof(info), "{\"retired\":[{\"uuid\":\"%s\"}]}", hex);
	r = appender_open(archive, &options, &appender, err);
	return r < 0 ? r : appender_list(appender, info, err);
}

int volume_retire(struct archive *archive, const struct volume_row *volume,
		  struct error *err)
{
	struct catalog *catalog = archive_catalog(archive);
	struct volume_row row = { .uuid = volume->uuid, .retired = true };
	int r;

	if (volume->retired)
		return error_set(err, -EALREADY, "it is retired already");
	r = catalog_begin(catalog, err);
	if (r < 0)
		return r;
	/* First, so that nothing is written to it any more. */
	r = catalog_put_volume(catalog, &row, err);
	if (r == 0)
		r = write_retirement(archive, &volume->uuid, err);
	return end(archive, r, err);
}
