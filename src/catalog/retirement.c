/* SPDX-License-Identifier: MIT */
#include "catalog/retirement.h"

#include "base/error.h"
#include "base/json.h"
#include "catalog/placement.h"

#include <errno.h>

static int retire(struct catalog *catalog, const struct json *item, struct error *err)
{
	struct volume_row row = { .retired = true };

	if (json_get_hex(item, "uuid", row.uuid.bytes, UUID_SIZE, NULL) < 0)
		return 0;
	return catalog_put_volume(catalog, &row, err);
}

int retirement_take(struct catalog *catalog, const struct record *record,
		    struct error *err)
{
	autoptr(json) json = NULL;
	const struct json *list;
	int r;

	if (record->kind != STRIPE_PLACEMENT || !record->info || record->info_size == 0)
		return 0;
	r = json_parse(record->info, record->info_size, RECORD_SIZE_MAX, &json, NULL);
	if (r == -ENOMEM)
		return error_set(err, r, "no memory for a record");
	if (r < 0 || json_get_array(json, "retired", &list, NULL) < 0)
		return 0;
	r = 0;
	for (const struct json *i = json_first(list); r == 0 && i; i = json_next(i))
		r = retire(catalog, i, err);
	return r;
}
