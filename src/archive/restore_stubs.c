/* SPDX-License-Identifier: MIT */
/* The order that lets nobody see a hole:
 *
 *   1. a file without a name, of the right size: nobody can open it
 *   2. the stubber has marked it, and durably knows its content
 *   3. it gets its temporary name, attributes, and its own name, as any restored file does
 *
 * A crash before 3 leaves nothing but what the stubber knows of files that are gone. After a
 * crash in 3 there is a stub, whole and guarded, under its temporary name, which the next
 * run replaces.
 */
#include "archive/restore_stubs.h"

#include "archive/restore_work.h"
#include "base/crash_point.h"
#include "base/error.h"
#include "catalog/history.h"

#include <string.h>

#define CAPABILITY "security.capability"

bool restore_stubs_possible(const struct version_row *row)
{
	return row->size > 0 &&
	       !memmem(row->line, row->line_size, CAPABILITY, strlen(CAPABILITY));
}

void restore_stubs_add(struct restore_stubs *stubs, const char *line, size_t line_size,
		       const char *path)
{
	struct restore_work *work = stubs->work;
	struct restore_file *file = NULL;
	struct manifest manifest = { 0 };
	struct error err = { 0 };
	int r;

	r = manifest_decode(line, line_size, &manifest, &err);
	if (r == 0 && restore_work_look(work, stubs->worker, &manifest, path))
		r = restore_file_open_stub(&work->target, &stubs->worker->parent,
					   &manifest, path, &file, &err);
	if (r < 0)
		restore_work_fail(work, path, r, &err);
	manifest_done(&manifest);
	if (file)
		stubs->files[stubs->count++] = file;
}

static int guard(const struct restore_stubs *stubs, struct error *err)
{
	const struct restore_stubber *stubber = stubs->work->options->stubber;
	struct restore_stub list[RESTORE_STUBS_MAX];

	for (size_t i = 0; i < stubs->count; i++)
		list[i] = (struct restore_stub){ stubs->files[i]->fd,
						 &stubs->files[i]->manifest,
						 stubs->files[i]->path };
	return stubber->guard(stubber->context, list, stubs->count, err);
}

static void name_file(const struct restore_stubs *stubs, struct restore_file *file)
{
	struct restore_work *work = stubs->work;
	struct error err = { 0 };
	int r = restore_file_link(file, &err);

	crash_point("archive.restore.linked");
	if (r < 0)
		restore_work_fail(work, file->path, r, &err);
	else if (restore_file_finish(&work->target, file, stubs->worker->reader,
				     &work->sink))
		restore_work_count_stub(work);
}

void restore_stubs_finish(struct restore_stubs *stubs)
{
	struct error err = { 0 };
	int r = 0;

	if (stubs->count > 0)
		r = guard(stubs, &err);
	if (r < 0)
		restore_work_stop(stubs->work, r, &err);
	else
		crash_point("archive.restore.guarded");
	for (size_t i = 0; i < stubs->count; i++) {
		if (r == 0)
			name_file(stubs, stubs->files[i]);
		restore_file_free(stubs->files[i]);
	}
	stubs->count = 0;
}
