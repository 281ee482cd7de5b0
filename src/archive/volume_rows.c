/* SPDX-License-Identifier: MIT */
#include "archive/volume_rows.h"

#include "archive/volume_folder.h"
#include "archive/volume_info.h"
#include "base/error.h"
#include "catalog/placement.h"

#include <string.h>

/* The number that a file's name starts with, 0 if with none: a guess for a volume whose
 * header record is lost. */
static uint64_t number_in_name(const char *name)
{
	const char *slash = strrchr(name, '/');
	uint64_t number = 0;

	if (slash)
		name = slash + 1;
	for (unsigned i = 0; i < 9 && name[i] >= '0' && name[i] <= '9'; i++)
		number = number * 10 + (uint64_t)(name[i] - '0');
	return number;
}

static int put_row(struct catalog *catalog, const struct uuid *uuid, uint64_t number,
		   const char *label, const char *file, enum volume_role role,
		   bool sealed, struct error *err)
{
	autofree char *label_copy = strdup(label);
	autofree char *file_copy = strdup(file);
	struct volume_row row = {
		.uuid = *uuid,
		.number = number,
		.label = label_copy,
		.file = file_copy,
		.role = role,
		.sealed = sealed,
	};

	if (!label_copy || !file_copy)
		return error_set(err, -ENOMEM, "no memory for a volume");
	return catalog_put_volume(catalog, &row, err);
}

/* For a volume without a readable header record. */
static int put_nameless(struct catalog *catalog, const struct volume_file *file,
			bool sealed, struct error *err)
{
	struct volume_row known = { 0 };
	int r;

	r = catalog_get_volume(catalog, &file->uuid, &known, err);
	if (r < 0)
		return r;
	if (r == 0 && known.number > 0)
		r = put_row(catalog, &file->uuid, known.number,
			    known.label ? known.label : "", file->name, known.role,
			    sealed, err);
	else
		r = put_row(catalog, &file->uuid, number_in_name(file->name), file->name,
			    file->name, VOLUME_DATA, sealed, err);
	volume_row_done(&known);
	return r;
}

int volume_rows_put(struct catalog *catalog, const struct volume_file *file, bool sealed,
		    struct error *err)
{
	autovolume_info struct volume_info info = { 0 };
	int r;

	if (!file->info)
		return put_nameless(catalog, file, sealed, err);
	r = volume_info_decode(file->info, file->info_size, &info, err);
	if (r == -EBADMSG)
		return put_nameless(catalog, file, sealed, err);
	if (r < 0)
		return r;
	return put_row(catalog, &file->uuid, info.number, info.label, file->name,
		       info.parity ? VOLUME_PARITY : VOLUME_DATA, sealed, err);
}

/* What a roster says of another volume. */
static int put_known(struct catalog *catalog, const struct volume_member *member,
		     struct error *err)
{
	struct volume_row row = {
		.uuid = member->uuid,
		.number = member->number,
		.label = member->label,
		.role = member->parity ? VOLUME_PARITY : VOLUME_DATA,
		.retired = member->retired,
	};

	return catalog_put_volume(catalog, &row, err);
}

static int put_member(struct catalog *catalog, const struct volume_member *member,
		      struct error *err)
{
	struct volume_row known = { 0 };
	int r;

	r = catalog_get_volume(catalog, &member->uuid, &known, err);
	if (r < 0)
		return r;
	if (r == 0) {
		bool complete = known.number > 0 && known.retired >= member->retired;

		volume_row_done(&known);
		if (complete)
			return 0;
	}
	return put_known(catalog, member, err);
}

int volume_rows_put_roster(struct catalog *catalog, const struct volume_file *file,
			   struct error *err)
{
	autovolume_info struct volume_info info = { 0 };
	int r;

	if (!file->info)
		return 0;
	r = volume_info_decode(file->info, file->info_size, &info, err);
	if (r == -EBADMSG)
		return 0; /* a roster is a help, no more */
	if (r < 0)
		return r;
	for (size_t i = 0; i < info.member_count; i++) {
		r = put_member(catalog, &info.members[i], err);
		if (r < 0)
			return r;
	}
	return 0;
}
