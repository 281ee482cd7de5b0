/* SPDX-License-Identifier: MIT */
/* health_files_read(): every content once, however many files have it. The catalog's handle is
 * this thread's, so it walks the versions and the workers read; a few contents wait for a
 * worker at a time. A catalog that is filled on demand does not know which versions there are
 * before it has asked for them, so of that the newest tree is walked, page by page.
 */
#include "archive/health_files.h"

#include "archive/archive.h"
#include "archive/health_probe.h"
#include "archive/reader.h"
#include "base/budget.h"
#include "base/cancel.h"
#include "base/error.h"
#include "base/mutex.h"
#include "base/pool.h"
#include "catalog/listing.h"
#include "catalog/search.h"
#include "merkle/key.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define AHEAD 2u /* contents that wait, for each worker */

struct reading {
	const struct health_files_options *options;
	struct health_files *files; /* guarded by the mutex while workers run */
	struct mutex mutex;
	struct reader **readers; /* one for each worker */
	unsigned reader_count;
	struct task_group group;
};

/* A version whose content a worker reads. Frees itself. */
struct read_task {
	struct task task;
	struct reading *reading;
	struct health_file file;
	uint64_t size; /* bytes */
	char *line;    /* owned */
	size_t line_size;
};

static void read_task_free(struct read_task *task)
{
	health_file_done(&task->file);
	free(task->line);
	free(task);
}

static bool is_known(const struct health_files *files, const struct health_file *file)
{
	for (size_t i = 0; i < files->count; i++)
		if (files->items[i].version == file->version &&
		    files->items[i].state == HEALTH_LOST &&
		    strcmp(files->items[i].path, file->path) == 0)
			return true;
	return false;
}

/* What came of reading it. */
static int settle(struct read_task *task, int r, struct error *err)
{
	struct reading *reading = task->reading;
	mutex_scope(&reading->mutex);

	reading->files->deep++;
	reading->files->deep_bytes += task->size;
	if (reading->options->progress)
		reading->options->progress(reading->options->context,
					   reading->files->deep_bytes, 0);
	if (r == -ENOMEDIUM) {
		reading->files->away++;
		return 0;
	}
	if (r == 0 && task->file.lost_count == 0)
		return 0;
	if (r < 0 && r != -EBADMSG)
		return error_prefix(err, r, "'%s'", task->file.path);
	if (r < 0 && reading->options->problem) {
		(void)error_prefix(err, r, "'%s'", task->file.path);
		reading->options->problem(reading->options->context, err->text);
	}
	task->file.state = HEALTH_LOST;
	if (is_known(reading->files, &task->file))
		return 0;
	r = health_files_add(reading->files, &task->file);
	return r < 0 ? error_set(err, r, "no memory for the list of files") : 0;
}

static int read_content(struct read_task *task, struct reader *reader, struct error *err)
{
	struct manifest manifest = { 0 };
	autoptr(content) content = NULL;
	struct error ignored = { 0 };
	int r;

	r = manifest_decode(task->line, task->line_size, &manifest, err);
	if (r == 0)
		r = content_open(&manifest, &content, err);
	manifest_done(&manifest);
	if (r < 0)
		return r;
	r = content_verify(content, reader, err);
	if (r != -EBADMSG)
		return r;
	r = health_probe(task->reading->options, content, reader, 0,
			 content_size(content), &task->file, &ignored);
	return r == 0 ? -EBADMSG : r;
}

static bool is_wanted(void *context)
{
	const struct health_files_options *options = context;

	return !options->stopped || !options->stopped(options->context);
}

static int run_task(struct task *base, unsigned worker, struct error *err)
{
	struct read_task *task = (struct read_task *)base;
	const struct health_files_options *options = task->reading->options;
	int r;

	cancel_scope((struct cancel){ is_wanted, (void *)(uintptr_t)options });
	if (cancelled())
		r = error_set(err, -EINTR, "interrupted");
	else
		r = settle(task, read_content(task, task->reading->readers[worker], err),
			   err);
	read_task_free(task);
	return r;
}

/* Whether @row is the version that stands for its content. */
static int is_first(struct catalog *catalog, const struct version_row *row,
		    struct error *err)
{
	struct version_row found = { 0 };
	bool first;
	int r = catalog_find_content(catalog, &row->hash, row->size, &found, err);

	if (r < 0)
		return r;
	first = r == CATALOG_END ||
		(found.node == row->node && found.first == row->first);
	version_row_done(&found);
	return first;
}

static int submit(struct reading *reading, const uint8_t *path, size_t path_size,
		  const struct version_row *row, struct error *err)
{
	struct pool *pool = archive_pool(reading->options->archive);
	struct read_task *task = calloc(1, sizeof(*task));
	int r = task ? 0 : -ENOMEM;

	if (r == 0) {
		task->task.run = run_task;
		task->reading = reading;
		task->file = (struct health_file){ .first = row->first,
						   .end = row->end,
						   .version = row->version };
		task->line = strndup(row->line, row->line_size);
		task->line_size = row->line_size;
		task->size = row->size;
		r = key_to_path(path, path_size, &task->file.path);
	}
	if (r < 0 || !task->line) {
		if (task)
			read_task_free(task);
		return error_set(err, -ENOMEM, "no memory to read a file");
	}
	task_group_wait_at_most(&reading->group, AHEAD * pool_threads(pool));
	pool_submit(pool, &reading->group, &task->task);
	return 0;
}

static int visit(void *context, const uint8_t *path, size_t path_size,
		 const struct version_row *row, struct error *err)
{
	struct reading *reading = context;
	struct archive *archive = reading->options->archive;
	int r = 1;

	if (task_group_failed(&reading->group))
		return error_set(err, -ECANCELED, "a worker failed");
	if (row->type != ENTRY_FILE)
		return 0;
	if (!archive_origin(archive))
		r = is_first(archive_catalog(archive), row, err);
	return r > 0 ? submit(reading, path, path_size, row, err) : r;
}

static int make_readers(struct reading *reading, struct error *err)
{
	struct archive *archive = reading->options->archive;
	unsigned count = pool_threads(archive_pool(archive));
	int r = 0;

	reading->readers = calloc(count, sizeof(struct reader *));
	if (!reading->readers)
		return error_set(err, -ENOMEM, "no memory to read");
	for (unsigned i = 0; i < count && r == 0; i++) {
		r = budget_reserve(archive_budget(archive), READER_MEMORY, "reading",
				   err);
		if (r < 0)
			break;
		reading->reader_count++;
		r = reader_new(archive_source(archive), NULL, &reading->readers[i], err);
	}
	return r;
}

static void reading_done(struct reading *reading)
{
	for (unsigned i = 0; i < reading->reader_count; i++)
		reader_free(reading->readers[i]);
	budget_release(archive_budget(reading->options->archive),
		       (uint64_t)reading->reader_count * READER_MEMORY);
	free(reading->readers);
	task_group_done(&reading->group);
	mutex_done(&reading->mutex);
}

static int read_all(struct reading *reading, struct error *err)
{
	const struct search files = {
		.at = VERSION_CURRENT,
		.all = true,
		.size_min = 1,
		.size_max = UINT64_MAX,
	};
	struct archive *archive = reading->options->archive;
	struct error why = { 0 };
	int worse;
	int r;

	if (archive_origin(archive))
		r = catalog_walk(archive_catalog(archive), NULL, 0, VERSION_CURRENT,
				 visit, reading, err);
	else
		r = catalog_search(archive_catalog(archive), &files, visit, reading, err);
	worse = task_group_wait(&reading->group, &why);
	if (worse < 0 && (r == 0 || r == -ECANCELED)) {
		if (err)
			*err = why;
		r = worse;
	}
	return r;
}

int health_files_read(const struct health_files_options *options,
		      struct health_files *files, struct error *err)
{
	struct reading reading = { .options = options, .files = files };
	int r;

	mutex_init(&reading.mutex);
	task_group_init(&reading.group);
	r = make_readers(&reading, err);
	if (r == 0)
		r = read_all(&reading, err);
	reading_done(&reading);
	return r;
}
