/* SPDX-License-Identifier: MIT */
#include "tier/tier_list.h"

#include "base/error.h"
#include "base/file.h"
#include "base/hex.h"
#include "base/json.h"
#include "base/json_build.h"
#include "base/json_optional.h"
#include "tier/policy_json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_NAME "tiers.json"
#define FILE_MAX (1u << 20) /* bytes */

void tier_entry_done(struct tier_entry *entry)
{
	free(entry->folder);
	free(entry->archive);
	free(entry->into);
	config_tier_done(&entry->policy);
}

void tier_list_done(struct tier_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		tier_entry_done(&list->items[i]);
	free(list->items);
	*list = (struct tier_list){ 0 };
}

int tier_list_add(struct tier_list *list, const struct tier_entry *entry)
{
	struct tier_entry copy = { .folder = strdup(entry->folder),
				   .archive = strdup(entry->archive),
				   .into = strdup(entry->into),
				   .uuid = entry->uuid,
				   .configured = entry->configured,
				   .retired = entry->retired };
	int r = config_tier_copy(&copy.policy, &entry->policy);
	struct tier_entry *items =
		reallocarray(list->items, list->count + 1, sizeof(*items));

	if (items)
		list->items = items;
	if (r < 0 || !items || !copy.folder || !copy.archive || !copy.into) {
		tier_entry_done(&copy);
		return -ENOMEM;
	}
	list->items[list->count++] = copy;
	return 0;
}

void tier_list_remove(struct tier_list *list, struct tier_entry *entry)
{
	tier_entry_done(entry);
	*entry = list->items[--list->count];
}

static int get_path(const struct json *object, const char *name, char **path_out,
		    struct error *err)
{
	uint8_t *data;
	size_t size;
	int r = json_get_bytes(object, name, &data, &size, err);

	if (r < 0)
		return r;
	if (memchr(data, '\0', size)) {
		free(data);
		return error_set(err, -EBADMSG, "%s: a NUL", name);
	}
	*path_out = (char *)data;
	return 0;
}

/* Lists of earlier versions have none: the defaults. */
static int parse_policy(const struct json *object, struct tier_entry *entry,
			struct error *err)
{
	const struct json *policy;
	int r = config_tier_init(&entry->policy);

	if (r < 0)
		return error_set(err, r, "no memory for a policy");
	r = json_get_bool_or(object, "configured", false, &entry->configured, err);
	if (r == 0)
		r = json_get_bool_or(object, "retired", false, &entry->retired, err);
	if (r == 0)
		r = json_get_object_or(object, "policy", NULL, &policy, err);
	return r < 0 || !policy ? r : policy_json_read(policy, &entry->policy, err);
}

static int parse_entry(const struct json *object, struct tier_list *list,
		       struct error *err)
{
	struct tier_entry entry = { 0 };
	int r;

	r = get_path(object, "folder", &entry.folder, err);
	if (r == 0)
		r = get_path(object, "archive", &entry.archive, err);
	if (r == 0)
		r = get_path(object, "into", &entry.into, err);
	if (r == 0)
		r = json_get_hex(object, "uuid", entry.uuid.bytes, TIER_UUID_SIZE, err);
	if (r == 0 && (entry.folder[0] != '/' || entry.archive[0] != '/'))
		r = error_set(err, -EBADMSG, "a path that is not absolute");
	if (r == 0)
		r = parse_policy(object, &entry, err);
	if (r == 0)
		r = tier_list_add(list, &entry);
	tier_entry_done(&entry);
	return r;
}

int tier_list_parse(const void *data, size_t size, struct tier_list *list_out,
		    struct error *err)
{
	struct tier_list list = { 0 };
	autoptr(json) json = NULL;
	const struct json *tiers, *tier;
	int r;

	r = json_parse(data, size, FILE_MAX, &json, err);
	if (r == 0)
		r = json_get_array(json, "tiers", &tiers, err);
	if (r < 0)
		return r;
	for (tier = json_first(tiers); tier && r == 0; tier = json_next(tier))
		r = parse_entry(tier, &list, err);
	if (r < 0) {
		tier_list_done(&list);
		return r;
	}
	*list_out = list;
	return 0;
}

int tier_list_load(int state_fd, struct tier_list *list_out, struct error *err)
{
	autofree uint8_t *data = NULL;
	size_t size;
	int r;

	r = file_read_all(state_fd, FILE_NAME, FILE_MAX, &data, &size, err);
	if (r == -ENOENT) {
		*list_out = (struct tier_list){ 0 };
		return 0;
	}
	if (r == 0)
		r = tier_list_parse(data, size, list_out, err);
	return r < 0 ? error_prefix(err, r, "list of tiers") : 0;
}

static int add_entry(struct json *array, const struct tier_entry *entry)
{
	struct json *object;
	int r;

	r = json_add_object(array, NULL, &object);
	if (r == 0)
		r = json_add_bytes(object, "folder", entry->folder,
				   strlen(entry->folder));
	if (r == 0)
		r = json_add_bytes(object, "archive", entry->archive,
				   strlen(entry->archive));
	if (r == 0)
		r = json_add_bytes(object, "into", entry->into, strlen(entry->into));
	if (r == 0)
		r = json_add_hex(object, "uuid", entry->uuid.bytes, TIER_UUID_SIZE);
	if (r == 0 && entry->configured)
		r = json_add_bool(object, "configured", true);
	if (r == 0 && entry->retired)
		r = json_add_bool(object, "retired", true);
	if (r == 0)
		r = policy_json_add(object, "policy", &entry->policy);
	return r;
}

int tier_list_save(int state_fd, const struct tier_list *list, struct error *err)
{
	autoptr(json) json = json_object_new();
	autofree char *text = NULL;
	struct json *array;
	int r = json ? 0 : -ENOMEM;

	if (r == 0)
		r = json_add_array(json, "tiers", &array);
	for (size_t i = 0; i < list->count && r == 0; i++)
		r = add_entry(array, &list->items[i]);
	if (r == 0)
		r = json_print_formatted(json, &text);
	if (r < 0)
		return error_set_errno(err, r, "list of tiers");
	if (strlen(text) > FILE_MAX)
		return error_set(err, -EFBIG, "list of tiers: it would be too large");
	return file_replace(state_fd, FILE_NAME, text, strlen(text), 0600, err);
}

bool tier_path_below(const char *path, const char *folder, const char **rest_out)
{
	size_t size = strlen(folder);

	while (size > 0 && folder[size - 1] == '/')
		size--;
	if (strncmp(path, folder, size) != 0 || (path[size] != '/' && path[size]))
		return false;
	*rest_out = path + size + strspn(path + size, "/");
	return true;
}

struct tier_entry *tier_list_find_folder(const struct tier_list *list, const char *folder)
{
	for (size_t i = 0; i < list->count; i++)
		if (strcmp(list->items[i].folder, folder) == 0)
			return &list->items[i];
	return NULL;
}

struct tier_entry *tier_list_find(const struct tier_list *list, const char *path,
				  const char **rest_out)
{
	for (size_t i = 0; i < list->count; i++)
		if (tier_path_below(path, list->items[i].folder, rest_out))
			return &list->items[i];
	return NULL;
}

void tier_table_name(const struct tier_uuid *uuid, char name_out[TIER_TABLE_NAME_SIZE])
{
	hex_encode(uuid->bytes, TIER_UUID_SIZE, name_out);
	memcpy(name_out + TIER_UUID_HEX - 1, ".db", sizeof(".db"));
}
