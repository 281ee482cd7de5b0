/* SPDX-License-Identifier: MIT */
#include "cli/volume_lookup.h"

#include "archive/archive.h"
#include "base/error.h"
#include "base/hex.h"
#include "base/number.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct search {
	const char *text;
	struct volume_row *volume; /* set when found */
	bool by_prefix;
	unsigned matches;
};

static bool matches(const struct search *search, const struct volume_row *volume)
{
	char hex[2 * UUID_SIZE + 1];
	uint64_t number;

	hex_encode(volume->uuid.bytes, UUID_SIZE, hex);
	if (search->by_prefix)
		return strlen(search->text) >= 4 &&
		       strncmp(hex, search->text, strlen(search->text)) == 0;
	if (number_parse_u64(search->text, &number) == 0 && number == volume->number)
		return true;
	return strcmp(hex, search->text) == 0 ||
	       (volume->label && strcmp(volume->label, search->text) == 0);
}

static int visit(void *context, const struct volume_row *volume)
{
	struct search *search = context;

	if (!matches(search, volume))
		return 0;
	if (search->matches++ > 0)
		return 0;
	*search->volume = *volume;
	search->volume->label = volume->label ? strdup(volume->label) : NULL;
	search->volume->file = NULL;
	return volume->label && !search->volume->label ? -ENOMEM : 0;
}

int volume_lookup(struct archive *archive, const char *text, struct volume_row *volume,
		  struct error *err)
{
	struct search search = { .text = text, .volume = volume };
	int r;

	r = catalog_visit_volumes(archive_catalog(archive), visit, &search, err);
	if (r == 0 && search.matches == 0) {
		search.by_prefix = true;
		r = catalog_visit_volumes(archive_catalog(archive), visit, &search, err);
	}
	if (r < 0)
		return r;
	if (search.matches == 0)
		return error_set(err, -ENOENT,
				 "no volume '%s'; 'blockframe volume list' lists them",
				 text);
	if (search.matches > 1)
		return error_set(err, -ENOTUNIQ, "'%s' names %u volumes", text,
				 search.matches);
	return 0;
}
