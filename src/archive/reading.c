/* SPDX-License-Identifier: MIT */
#include "archive/reading.h"

#include "archive/folder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int reading_new(struct change *change, struct folder *folder, const char *name,
		const struct stat *stat, struct reading **reading_out)
{
	struct reading *reading = calloc(1, sizeof(*reading));

	if (reading)
		reading->name = strdup(name);
	if (!reading || !reading->name) {
		free(reading);
		return -ENOMEM;
	}
	reading->change = change;
	reading->folder = folder_ref(folder);
	reading->stat = *stat;
	*reading_out = reading;
	return 0;
}

void reading_free(struct reading *reading)
{
	if (!reading)
		return;
	folder_unref(reading->folder);
	free(reading->name);
	free(reading);
}
