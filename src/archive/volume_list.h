/* SPDX-License-Identifier: MIT */
#pragma once
/* The volumes that a catalog knows, copied out of it: while the catalog changes, no cursor
 * of it is open. One thread at a time.
 */
#include "catalog/placement.h"

#include <stddef.h>

struct volume_list {
	struct volume_row *rows; /* owned, with what they own; in order of number */
	size_t count;
};

int volume_list_load(struct catalog *catalog, struct volume_list *list_out,
		     struct error *err);

/* The row of volume @uuid; the row last seen in file @name. NULL: none. */
const struct volume_row *volume_list_find(const struct volume_list *list,
					  const struct uuid *uuid);
const struct volume_row *volume_list_find_file(const struct volume_list *list,
					       const char *name);

void volume_list_done(struct volume_list *list);
#define autovolume_list __attribute__((__cleanup__(volume_list_done)))
