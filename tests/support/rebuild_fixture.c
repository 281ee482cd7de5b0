/* SPDX-License-Identifier: MIT */
#include "support/rebuild_fixture.h"

#include "archive/archive.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

int rebuild_fixture_setup(void **state)
{
	struct rebuild_fixture *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	archive_fixture_init(&t->f);
	archive_fixture_must_create(&t->f);
	*state = t;
	return 0;
}

int rebuild_fixture_teardown(void **state)
{
	struct rebuild_fixture *t = *state;

	archive_fixture_done(&t->f);
	text_done(&t->problems);
	free(t);
	return 0;
}

static void note_problem(void *context, const char *text)
{
	struct rebuild_fixture *t = context;

	assert_int_equal(text_appendf(&t->problems, "%s\n", text), 0);
}

int rebuild_fixture_try(struct rebuild_fixture *t)
{
	const struct archive_options options = {
		.directory = t->f.directory,
		.config = &t->f.config,
		.writable = true,
		.without_catalog = true,
	};
	struct archive *archive = NULL;
	int r;

	text_clear(&t->problems);
	assert_int_equal(archive_open(&options, &archive, &t->f.err), 0);
	r = rebuild_catalog(archive, note_problem, t, &t->report, &t->f.err);
	archive_free(archive);
	return r;
}

void rebuild_fixture_run(struct rebuild_fixture *t)
{
	if (rebuild_fixture_try(t) < 0)
		fail_msg("%s", t->f.err.text);
}

void rebuild_fixture_remove_catalog(struct rebuild_fixture *t)
{
	assert_int_equal(unlink(archive_fixture_path(&t->f, "catalog.db")), 0);
}

void rebuild_fixture_check_files(struct archive_fixture *f,
				 const struct fixture_commit *what, int r)
{
	struct archive *archive = archive_fixture_must_open(f, true);

	for (uint32_t i = what->first; i < what->first + what->count; i++)
		assert_int_equal(archive_fixture_read(archive, i, what->size, what->seed),
				 r);
	archive_free(archive);
}

void rebuild_fixture_check_same(struct rebuild_fixture *t)
{
	char *before = archive_fixture_dump(&t->f);
	char *after;

	rebuild_fixture_remove_catalog(t);
	rebuild_fixture_run(t);
	assert_string_equal(text_string(&t->problems), "");
	after = archive_fixture_dump(&t->f);
	assert_string_equal(before, after);
	free(before);
	free(after);
}
