/* SPDX-License-Identifier: MIT */
/* tier add, remove and list: which folders are hot tiers. What a recall needs must not be
 * something that has to be recalled: the archive, the tables, the program itself.
 */
#include "cli/command.h"
#include "cli/print.h"
#include "cli/session.h"
#include "cli/tier_state.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/json_build.h"
#include "base/log.h"
#include "catalog/stub_table.h"
#include "tier/group.h"
#include "tier/tier.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif

/* ---- add ---- */

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

static int add_entry(struct tier_state *state, struct tier_entry *entry,
		     struct error *err)
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

static int into_path(const struct invocation *invocation, const char *folder,
		     char **into_out, struct error *err)
{
	const char *into = option_value(invocation->options, "into");
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

static int add(const struct invocation *invocation, const char *archive,
	       struct error *err)
{
	autofree char *folder = NULL;
	autofree char *directory = NULL;
	autofree char *into = NULL;
	struct tier_state state = { 0 };
	struct tier_entry entry;
	int r;

	r = tier_resolve(options_argument(invocation->options, 0), &folder, err);
	if (r == 0)
		r = tier_resolve(archive, &directory, err);
	if (r == 0)
		r = into_path(invocation, folder, &into, err);
	if (r == 0)
		r = tier_state_open_to_change(invocation, true, &state, err);
	if (r < 0)
		return r;
	entry = (struct tier_entry){ folder, directory, into, { { 0 } } };
	r = add_entry(&state, &entry, err);
	tier_state_done(&state);
	return r;
}

static enum exit_code run_add(struct invocation *invocation)
{
	struct error err = { 0 };
	const char *archive;
	enum exit_code code = session_directory(invocation, &archive);
	int r;

	if (code != CODE_DONE)
		return code;
	r = add(invocation, archive, &err);
	if (r < 0)
		return fail(r, &err);
	if (!invocation->quiet)
		log_info("'tier run', when it is started again, guards it");
	return CODE_DONE;
}

const struct command command_tier_add = {
	.name = "tier add",
	.summary = "make a folder a hot tier of the archive",
	.usage = "[-a ARCHIVE] [--into PATH] DIR",
	.details =
		"DIR is on ext4 or xfs. Its files can become stubs, whose content is in "
		"the archive only and comes\nback when somebody opens them.",
	.options =
		(const struct option_spec[]){
			{ 0, "into", "PATH",
			  "where its files are in the archive; default: its name" },
			{ 0 },
		},
	.arguments_min = 1,
	.arguments_max = 1,
	.without_json = true,
	.run = run_add,
};

/* ---- remove ---- */

/* Stubs are found wherever they are, so the table of the whole file system has to be empty. */
static int check_empty(void *context, struct stub_table *table,
		       const struct tier_entry *tier, struct error *err)
{
	const struct tier_entry *entry = context;
	uint64_t count, size;
	int r;

	if (memcmp(&tier->uuid, &entry->uuid, sizeof(tier->uuid)) != 0)
		return 0;
	r = stub_table_totals(table, &count, &size, err);
	if (r == 0 && count > 0)
		r = error_set(err, -EBUSY,
			      "there are stubs on its file system: recall them first");
	return r;
}

static int remove_tier(const struct invocation *invocation, struct tier_state *state,
		       struct error *err)
{
	const char *path = options_argument(invocation->options, 0);
	autofree char *folder = NULL;
	struct tier_entry *entry = NULL;
	int r;

	r = tier_resolve(path, &folder, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < state->list.count; i++)
		if (strcmp(state->list.items[i].folder, folder) == 0)
			entry = &state->list.items[i];
	if (!entry)
		return error_set(err, -ENOENT, "'%s' is no tier", path);
	r = tier_state_visit_tables(state, check_empty, entry, err);
	if (r < 0)
		return r;
	tier_list_remove(&state->list, entry);
	return tier_list_save(state->fd, &state->list, err);
}

static enum exit_code run_remove(struct invocation *invocation)
{
	struct tier_state state = { 0 };
	struct error err = { 0 };
	int r;

	r = tier_state_open_to_change(invocation, false, &state, &err);
	if (r == 0)
		r = remove_tier(invocation, &state, &err);
	tier_state_done(&state);
	return r < 0 ? fail(r, &err) : CODE_DONE;
}

const struct command command_tier_remove = {
	.name = "tier remove",
	.summary = "make a folder no hot tier any more",
	.usage = "DIR",
	.details = "Only when there is no stub left on its file system.",
	.options = (const struct option_spec[]){ { 0 } },
	.arguments_min = 1,
	.arguments_max = 1,
	.without_json = true,
	.run = run_remove,
};

/* ---- list ---- */

static int print_entry_json(const struct tier_entry *entry)
{
	autoptr(json) json = json_object_new();
	autofree char *line = NULL;

	if (!json)
		return -ENOMEM;
	(void)json_add_bytes(json, "folder", entry->folder, strlen(entry->folder));
	(void)json_add_bytes(json, "archive", entry->archive, strlen(entry->archive));
	(void)json_add_bytes(json, "into", entry->into, strlen(entry->into));
	(void)json_add_hex(json, "file_system", entry->uuid.bytes, TIER_UUID_SIZE);
	if (json_print(json, &line) < 0)
		return -ENOMEM;
	(void)puts(line);
	return 0;
}

static void print_entry(const struct tier_entry *entry)
{
	print_name(entry->folder, strlen(entry->folder));
	(void)fputs(" -> ", stdout);
	print_name(entry->archive, strlen(entry->archive));
	(void)fputs(" : ", stdout);
	print_name(entry->into, strlen(entry->into));
	(void)putchar('\n');
}

static enum exit_code run_list(struct invocation *invocation)
{
	struct tier_state state = { 0 };
	struct error err = { 0 };
	int r;

	r = tier_state_open(invocation, false, &state, &err);
	if (r == -ENOENT)
		return CODE_DONE;
	for (size_t i = 0; i < state.list.count && r == 0; i++) {
		if (invocation->json)
			r = print_entry_json(&state.list.items[i]);
		else
			print_entry(&state.list.items[i]);
	}
	tier_state_done(&state);
	return r < 0 ? fail(r, &err) : CODE_DONE;
}

const struct command command_tier_list = {
	.name = "tier list",
	.summary = "list the hot tiers",
	.usage = "",
	.options = (const struct option_spec[]){ { 0 } },
	.run = run_list,
};
