/* SPDX-License-Identifier: MIT */
#include "archive/volume_list.h"

#include "base/error.h"

#include <string.h>

void volume_list_done(struct volume_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		volume_row_done(&list->rows[i]);
	free(list->rows);
	*list = (struct volume_list){ 0 };
}

static int add_row(void *context, const struct volume_row *row)
{
	struct volume_list *list = context;
	struct volume_row *copy;
	struct volume_row *grown;

	grown = realloc(list->rows, (list->count + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	list->rows = grown;
	copy = &grown[list->count++];
	*copy = *row;
	copy->label = strdup(row->label ? row->label : "");
	copy->file = strdup(row->file ? row->file : "");
	return copy->label && copy->file ? 0 : -ENOMEM;
}

int volume_list_load(struct catalog *catalog, struct volume_list *list_out,
		     struct error *err)
{
	autovolume_list struct volume_list list = { 0 };
	int r;

	r = catalog_visit_volumes(catalog, add_row, &list, err);
	if (r < 0)
		return error_prefix(err, r, "list of volumes");
	*list_out = list;
	list = (struct volume_list){ 0 };
	return 0;
}

const struct volume_row *volume_list_find(const struct volume_list *list,
					  const struct uuid *uuid)
{
	for (size_t i = 0; i < list->count; i++) {
		if (memcmp(&list->rows[i].uuid, uuid, UUID_SIZE) == 0)
			return &list->rows[i];
	}
	return NULL;
}

const struct volume_row *volume_list_find_file(const struct volume_list *list,
					       const char *name)
{
	for (size_t i = 0; i < list->count; i++) {
		if (strcmp(list->rows[i].file, name) == 0)
			return &list->rows[i];
	}
	return NULL;
}
