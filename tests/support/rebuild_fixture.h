/* SPDX-License-Identifier: MIT */
#pragma once
/* A small archive whose catalog is made again from its volumes, for tests. Asserts with cmocka
 * unless said otherwise. Threads: one at a time.
 */
#include "support/archive_fixture.h"

#include "archive/rebuild.h"
#include "base/text.h"

struct rebuild_fixture {
	struct archive_fixture f;
	struct rebuild_report report;
	struct text problems; /* of the last rebuild, a line each */
};

/* setup and teardown of cmocka: an allocated fixture with an empty archive. */
int rebuild_fixture_setup(void **state);
int rebuild_fixture_teardown(void **state);

/* Make the catalog again. May fail. */
int rebuild_fixture_try(struct rebuild_fixture *t);
/* The same, which must succeed. */
void rebuild_fixture_run(struct rebuild_fixture *t);
void rebuild_fixture_remove_catalog(struct rebuild_fixture *t);

/* Reading each file that @what has put gives @r. */
void rebuild_fixture_check_files(struct archive_fixture *f,
				 const struct fixture_commit *what, int r);
/* A catalog made anew equals the one that it replaces. */
void rebuild_fixture_check_same(struct rebuild_fixture *t);
