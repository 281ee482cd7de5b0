/* SPDX-License-Identifier: MIT */
#pragma once
/* Which folders are hot tiers, and of which archives: the file tiers.json of the state
 * folder, where the tables of stubs are too. One thread at a time.
 */
#include "base/config_tier.h"
#include "tier/handle.h"

#include <stdbool.h>
#include <stddef.h>

struct error;

struct tier_entry {
	char *folder;          /* owned, as all strings: absolute, without symlinks */
	char *archive;         /* the archive's folder, likewise */
	char *into;            /* path in the archive */
	struct tier_uuid uuid; /* of the folder's file system */
	bool configured;       /* it is a table of the configuration */
	bool retired; /* likewise, but there is no such table any more: no passes */
	struct config_tier policy; /* owned; paths are those above */
};

/* Starts as { 0 }. */
struct tier_list {
	struct tier_entry *items; /* owned */
	size_t count;
};

/* Parse what tier_list_save() writes. -EBADMSG, -ENOMEM. */
int tier_list_parse(const void *data, size_t size, struct tier_list *list_out,
		    struct error *err);
/* The list in the folder @state_fd; empty if there is no file. */
int tier_list_load(int state_fd, struct tier_list *list_out, struct error *err);
/* -EFBIG: tier_list_load() would refuse it. */
int tier_list_save(int state_fd, const struct tier_list *list, struct error *err);
void tier_list_done(struct tier_list *list);

void tier_entry_done(struct tier_entry *entry);

/* Copies strings and policy. -ENOMEM. */
int tier_list_add(struct tier_list *list, const struct tier_entry *entry);
void tier_list_remove(struct tier_list *list, struct tier_entry *entry);

/* The tier that the absolute @path is in; *rest_out is where the path goes on below its
 * folder ("" for the folder). NULL: in none. */
struct tier_entry *tier_list_find(const struct tier_list *list, const char *path,
				  const char **rest_out);

/* The tier whose folder this is. NULL. */
struct tier_entry *tier_list_find_folder(const struct tier_list *list,
					 const char *folder);

/* Whether @path is @folder or in it. */
bool tier_path_below(const char *path, const char *folder, const char **rest_out);

/* The name of the table's file: "<uuid>.db". */
#define TIER_TABLE_NAME_SIZE (TIER_UUID_HEX + 3)
void tier_table_name(const struct tier_uuid *uuid, char name_out[TIER_TABLE_NAME_SIZE]);
