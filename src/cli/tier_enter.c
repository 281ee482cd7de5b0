/* SPDX-License-Identifier: MIT */
#include "cli/tier_enter.h"

#include "cli/tier_state.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "catalog/stub_table.h"
#include "merkle/key.h"
#include "tier/group.h"
#include "tier/tier.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif

static int check_file_system(const char *folder, struct tier_uuid *uuid,
			     struct error *err)
{
	autoclose int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autoclose int group = -1;
	struct statfs info;
	int r;

	if (fd < 0 || fstatfs(fd, &info) < 0)
		return error_set_errno(err, -errno, "'%s'", folder);
	if (info.f_type == BTRFS_SUPER_MAGIC)
		return error_set(err, -EOPNOTSUPP,
				 "'%s' is on btrfs, where a snapshot would show stubs as "
				 "zeroes: its inodes can't be marked",
				 folder);
	if (info.f_type != EXT4_SUPER_MAGIC && info.f_type != XFS_SUPER_MAGIC)
		return error_set(err, -EOPNOTSUPP,
				 "'%s' is neither on ext4 nor on xfs: stubs can't be "
				 "guarded there",
				 folder);
	r = group_new(&group, err);
	return r < 0 ? r : tier_uuid_get(fd, uuid, err);
}

static int keep_apart(const char *folder, const char *path, const char *what,
		      struct error *err)
{
	const char *rest;

	if (!tier_path_below(path, folder, &rest))
		return 0;
	return error_set(err, -EINVAL, "%s is in '%s': recalls need it", what, folder);
}

static int check_places(const struct tier_state *state, const struct tier_entry *entry,
			struct error *err)
{
	autofree char *place = NULL;
	autofree char *program = NULL;
	const char *rest;
	int r;

	for (size_t i = 0; i < state->list.count; i++) {
		const char *other = state->list.items[i].folder;

		if (tier_path_below(entry->folder, other, &rest) ||
		    tier_path_below(other, entry->folder, &rest))
			return error_set(err, -EEXIST, "'%s' is a tier", other);
	}
	if (tier_path_below(entry->folder, entry->archive, &rest))
		return error_set(err, -EINVAL, "'%s' is in the archive", entry->folder);
	r = tier_resolve(state->path, &place, err);
	if (r == 0)
		r = tier_resolve("/proc/self/exe", &program, err);
	if (r == 0)
		r = keep_apart(entry->folder, entry->archive, "the archive", err);
	if (r == 0)
		r = keep_apart(entry->folder, place, "the state folder", err);
	if (r == 0)
		r = keep_apart(entry->folder, program, "the program", err);
	return r;
}

int tier_enter(struct tier_state *state, struct tier_entry *entry, struct error *err)
{
	autoptr(stub_table) table = NULL;
	int r;

	r = check_places(state, entry, err);
	if (r == 0)
		r = check_file_system(entry->folder, &entry->uuid, err);
	if (r == 0)
		r = tier_table_open(state->path, &entry->uuid, true, &table, err);
	if (r == 0 && tier_list_add(&state->list, entry) < 0)
		r = error_set(err, -ENOMEM, "no memory for a tier");
	if (r == 0)
		r = tier_list_save(state->fd, &state->list, err);
	return r;
}

/* The name of the folder, if nothing else is said. */
static int into_path(const char *into, const char *folder, char **into_out,
		     struct error *err)
{
	const char *slash = strrchr(folder, '/');
	struct bytes key = { 0 };
	int r;

	if (!into)
		into = slash ? slash + 1 : folder;
	r = key_from_path(into, &key, err);
	free(key.data);
	if (r < 0)
		return r;
	*into_out = strdup(into);
	return *into_out ? 0 : error_set(err, -ENOMEM, "no memory for a path");
}

int tier_entry_resolve(struct tier_entry *entry, const char *folder, const char *archive,
		       const char *into, struct error *err)
{
	int r;

	*entry = (struct tier_entry){ 0 };
	entry->folder = strdup(folder);
	if (!entry->folder)
		return error_set(err, -ENOMEM, "no memory for a path");
	r = tier_resolve(archive, &entry->archive, err);
	return r < 0 ? r : into_path(into, entry->folder, &entry->into, err);
}
