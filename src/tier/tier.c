/* SPDX-License-Identifier: MIT */
#include "tier/tier.h"

#include "archive/archive.h"
#include "archive/backing.h"
#include "base/config_find.h"
#include "base/error.h"
#include "catalog/stub_table.h"
#include "tier/cover.h"
#include "tier/tier_list.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int tier_table_open(const char *state, const struct tier_uuid *uuid, bool create,
		    struct stub_table **table_out, struct error *err)
{
	char name[TIER_TABLE_NAME_SIZE];
	autofree char *path = NULL;

	tier_table_name(uuid, name);
	if (asprintf(&path, "%s/%s", state, name) < 0) {
		path = NULL; /* undefined after a failure */
		return error_set(err, -ENOMEM, "no memory for a path");
	}
	return stub_table_open(path, create, table_out, err);
}

static int open_folder(struct tier *tier, const struct tier_entry *entry,
		       struct error *err)
{
	int r;

	r = cover_open_beneath(entry->folder, &tier->root_fd, &tier->beneath, err);
	if (r < 0)
		return r;
	r = tier_uuid_get(tier->root_fd, &tier->uuid, err);
	if (r < 0)
		return error_prefix(err, r, "'%s'", entry->folder);
	if (memcmp(&tier->uuid, &entry->uuid, sizeof(tier->uuid)) != 0)
		return error_set(err, -ESTALE,
				 "'%s' is on another file system than it was: is it "
				 "mounted?",
				 entry->folder);
	return 0;
}

static int open_archive(struct tier *tier, const char *directory, uint64_t reserve,
			struct error *err)
{
	autoconfig struct config config = { 0 };
	const struct archive_options options = { .directory = directory,
						 .config = &config,
						 .write_back = true };
	int r;

	r = config_resolve_archive(&config, directory, err);
	if (r == 0)
		r = backing_open(&options, 0, reserve, &tier->backing, err);
	if (r < 0)
		return error_prefix(err, r, "archive '%s'", directory);
	archive_id(backing_archive(tier->backing), &tier->archive_id);
	return 0;
}

/* Tiers of one archive share it, and those of one file system its table: both are opened for
 * the first. */
static int open_tier(const char *state, const struct tier_list *list, size_t index,
		     uint64_t reserve, struct tiers *tiers, struct error *err)
{
	const struct tier_entry *entry = &list->items[index];
	struct tier *tier = &tiers->items[index];
	int r;

	*tier = (struct tier){ .root_fd = -1 };
	tiers->count++;
	tier->folder = strdup(entry->folder);
	tier->into = strdup(entry->into);
	if (!tier->folder || !tier->into)
		return error_set(err, -ENOMEM, "no memory for a tier");
	r = open_folder(tier, entry, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < index; i++) {
		if (strcmp(list->items[i].archive, entry->archive) == 0) {
			tier->backing = backing_ref(tiers->items[i].backing);
			tier->archive_id = tiers->items[i].archive_id;
		}
	}
	if (!tier->backing)
		r = open_archive(tier, entry->archive, reserve, err);
	if (r == 0)
		r = tier_table_open(state, &tier->uuid, false, &tier->table, err);
	return r;
}

int tiers_open(const char *state, int state_fd, uint64_t reserve, struct tiers *tiers_out,
	       struct error *err)
{
	struct tier_list list = { 0 };
	struct tiers tiers = { 0 };
	int r;

	r = tier_list_load(state_fd, &list, err);
	if (r == 0 && list.count == 0)
		r = error_set(err, -ENOENT, "there are no tiers: 'tier add' makes them");
	if (r == 0) {
		tiers.items = calloc(list.count, sizeof(*tiers.items));
		r = tiers.items ? 0 : error_set(err, -ENOMEM, "no memory for the tiers");
	}
	for (size_t i = 0; i < list.count && r == 0; i++)
		r = open_tier(state, &list, i, reserve, &tiers, err);
	tier_list_done(&list);
	if (r < 0) {
		tiers_done(&tiers);
		return r;
	}
	*tiers_out = tiers;
	return 0;
}

void tiers_done(struct tiers *tiers)
{
	for (size_t i = 0; i < tiers->count; i++) {
		struct tier *tier = &tiers->items[i];

		stub_table_free(tier->table);
		backing_unref(tier->backing);
		cleanup_close_p(&tier->root_fd);
		free(tier->folder);
		free(tier->into);
	}
	free(tiers->items);
	*tiers = (struct tiers){ 0 };
}

struct tier *tiers_of_file(const struct tiers *tiers, int fd)
{
	struct tier_uuid uuid;

	if (tier_uuid_get(fd, &uuid, NULL) < 0)
		return NULL;
	for (size_t i = 0; i < tiers->count; i++)
		if (memcmp(&tiers->items[i].uuid, &uuid, sizeof(uuid)) == 0)
			return &tiers->items[i];
	return NULL;
}

struct tier *tiers_with_archive(const struct tiers *tiers, const struct hash *id)
{
	for (size_t i = 0; i < tiers->count; i++)
		if (hash_equal(&tiers->items[i].archive_id, id))
			return &tiers->items[i];
	return NULL;
}
