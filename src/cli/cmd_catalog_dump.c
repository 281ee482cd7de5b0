/* SPDX-License-Identifier: MIT */
#include "cli/command.h"
#include "cli/session.h"

#include "archive/archive.h"
#include "base/error.h"
#include "catalog/catalog.h"

#include <stdio.h>

static enum exit_code run(struct invocation *invocation)
{
	autoptr(archive) archive = NULL;
	struct error err = { 0 };
	enum exit_code code;
	int r;

	code = session_open(invocation, SESSION_READ, &archive);
	if (code != CODE_DONE)
		return code;
	r = catalog_dump(archive_catalog(archive), stdout, &err);
	return r < 0 ? session_fail_lookup(r, &err) : CODE_DONE;
}

const struct command command_catalog_dump = {
	.name = "catalog dump",
	.summary = "print all that the catalog knows",
	.usage = "",
	.details =
		"One line of JSON for each commit, version, volume, stripe, segment "
		"and page, in a fixed order:\nequal archives give equal dumps, however "
		"their catalogs came to be.",
	.options = (const struct option_spec[]){ { 0 } },
	.run = run,
};
