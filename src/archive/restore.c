/* SPDX-License-Identifier: MIT */
/* The walk: the calling thread goes through the catalog in key order. Folders and other small
 * entries are made at once, files go to the pool (archive/restore_work.c). Folders' attributes
 * and hard links wait in spools until all content is there, because writing into a folder
 * changes its time and may need its permissions; folders are finished children first.
 */
#include "archive/restore.h"

#include "archive/archive.h"
#include "archive/restore_links.h"
#include "archive/restore_work.h"
#include "archive/spool.h"
#include "base/error.h"
#include "base/text.h"
#include "catalog/listing.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct restore {
	struct restore_work work;
	struct restore_links *links;
	struct spool *folders; /* struct folder_record, path with NUL, line */
	struct restore_root root;
};

static int visit_file(struct restore *restore, const uint8_t *key, size_t key_size,
		      const struct version_row *row, const char *path, struct error *err)
{
	/* Cheap look before a full decode: few files have several names. */
	if (memmem(row->line, row->line_size, "\"link", 5)) {
		struct manifest manifest = { 0 };
		int r = manifest_decode(row->line, row->line_size, &manifest, err);

		if (r == 0 && manifest.link.size > 0)
			r = restore_links_try(restore->links, &restore->root, key,
					      key_size, &manifest, path, err);
		manifest_done(&manifest);
		if (r != 0)
			return r < 0 ? r : 0;
	}
	return restore_work_file(&restore->work, row, path, err);
}

struct folder_record {
	uint32_t path_size; /* NUL included */
	uint32_t line_size;
};

static int defer_folder(struct restore *restore, const struct version_row *row,
			const char *path, struct error *err)
{
	struct folder_record head = {
		.path_size = (uint32_t)strlen(path) + 1,
		.line_size = (uint32_t)row->line_size,
	};
	autotext struct text record = { 0 };

	if (text_append_bytes(&record, &head, sizeof(head)) < 0 ||
	    text_append_bytes(&record, path, head.path_size) < 0 ||
	    text_append_bytes(&record, row->line, row->line_size) < 0)
		return error_set(err, -ENOMEM, "out of memory");
	return spool_append(restore->folders, record.data, record.size, err);
}

static int visit_folder(struct restore *restore, const struct version_row *row,
			const char *path, struct error *err)
{
	struct restore_worker *worker = restore_work_main(&restore->work);
	struct error problem = { 0 };
	bool created = false;
	const char *name;
	int r;

	r = target_find_parent(&restore->work.target, path, &worker->parent, &name,
			       &problem);
	if (r == 0)
		r = target_make_directory(&restore->work.target, worker->parent.fd, name,
					  &created, &problem);
	if (r < 0) {
		restore_work_fail(&restore->work, path, r, &problem);
		return WALK_SKIP;
	}
	restore->work.summary.directories++;
	if (created || restore->work.options->force || restore->work.options->resume)
		return defer_folder(restore, row, path, err);
	return 0;
}

static int make_other(struct restore *restore, const struct version_row *row,
		      const char *path, struct error *err)
{
	struct restore_worker *worker = restore_work_main(&restore->work);
	struct manifest manifest = { 0 };
	struct error problem = { 0 };
	const char *name;
	int r;

	r = manifest_decode(row->line, row->line_size, &manifest, err);
	if (r < 0)
		return r;
	r = target_find_parent(&restore->work.target, path, &worker->parent, &name,
			       &problem);
	if (r == 0 && (restore->work.options->force || restore->work.options->resume))
		(void)unlinkat(worker->parent.fd, name, 0);
	if (r == 0)
		r = target_make_special(worker->parent.fd, name, &manifest, &problem);
	if (r == -EEXIST) {
		restore_work_problem(&restore->work, RESTORE_EXISTS, path, &problem);
	} else if (r < 0) {
		restore_work_fail(&restore->work, path, r, &problem);
	} else {
		restore->work.summary.others++;
		r = target_set_attributes(&restore->work.target, worker->parent.fd, name,
					  &manifest, worker->reader, &problem);
		if (r < 0)
			restore_work_problem(&restore->work, RESTORE_ATTRIBUTE, path,
					     &problem);
	}
	manifest_done(&manifest);
	return 0;
}

static int visit(void *context, const uint8_t *key, size_t key_size,
		 const struct version_row *row, struct error *err)
{
	struct restore *restore = context;
	autofree char *path = NULL;
	int r;

	if (restore_work_cancelled(&restore->work))
		return error_set(err, -EINTR, "interrupted");
	r = key_to_path(key + restore->root.strip, key_size - restore->root.strip, &path);
	if (r < 0)
		return error_set(err, r, "out of memory");
	switch (row->type) {
	case ENTRY_FILE:
		return visit_file(restore, key, key_size, row, path, err);
	case ENTRY_DIRECTORY:
		return visit_folder(restore, row, path, err);
	case ENTRY_SYMLINK:
	case ENTRY_FIFO:
	case ENTRY_SOCKET:
	case ENTRY_CHAR:
	case ENTRY_BLOCK:
		return make_other(restore, row, path, err);
	}
	return error_set(err, -EBADMSG, "catalog is damaged: unknown type of entry");
}

static int finish_folder(void *context, const void *data, size_t size, struct error *err)
{
	struct restore *restore = context;
	struct restore_worker *worker = restore_work_main(&restore->work);
	const struct folder_record *head = data;
	const char *path = (const char *)(head + 1);
	struct manifest manifest = { 0 };
	struct error problem = { 0 };
	const char *name;
	int r;

	(void)size;
	r = manifest_decode(path + head->path_size, head->line_size, &manifest, err);
	if (r < 0)
		return r;
	r = target_find_parent(&restore->work.target, path, &worker->parent, &name,
			       &problem);
	if (r == 0)
		r = target_set_attributes(&restore->work.target, worker->parent.fd, name,
					  &manifest, worker->reader, &problem);
	if (r < 0)
		restore_work_problem(&restore->work, RESTORE_ATTRIBUTE, path, &problem);
	manifest_done(&manifest);
	return 0;
}

/* Bytes of key up to the last component: what the target folder stands for. */
static size_t strip_of(const struct bytes *key)
{
	size_t strip = key->size;

	while (strip > 0 && key->data[strip - 1] != '\0')
		strip--;
	return strip;
}

/* One older version of one entry: a row with just what visit() looks at. */
static int restore_line(struct restore *restore, const struct bytes *key,
			struct error *err)
{
	const struct restore_options *options = restore->work.options;
	struct manifest manifest = { 0 };
	struct version_row row = {
		.line = (char *)(uintptr_t)options->line, /* only read */
		.line_size = options->line_size,
	};
	int r;

	r = manifest_decode(options->line, options->line_size, &manifest, err);
	if (r < 0)
		return r;
	row.type = manifest.type;
	row.size = manifest.size;
	manifest_done(&manifest);
	return visit(restore, key->data, key->size, &row, err);
}

static int restore_root(struct restore *restore, const struct bytes *key,
			struct error *err)
{
	const struct restore_options *options = restore->work.options;

	restore->root = (struct restore_root){ .key = key, .strip = strip_of(key) };
	if (options->line)
		return restore_line(restore, key, err);
	return catalog_walk(archive_catalog(restore->work.archive), key->data, key->size,
			    options->at, visit, restore, err);
}

static int restore_all(struct restore *restore, struct error *err)
{
	const struct restore_options *options = restore->work.options;
	struct error why = { 0 };
	int stopped;
	int r = 0;

	for (size_t i = 0; i < options->key_count && r >= 0; i++)
		r = restore_root(restore, &options->keys[i], err);
	stopped = restore_work_wait(&restore->work, &why);
	if (stopped < 0)
		r = error_set(err, stopped, "%s", why.text);
	if (r >= 0 && restore_work_cancelled(&restore->work))
		r = error_set(err, -EINTR, "interrupted");
	if (r >= 0)
		r = restore_links_make(restore->links, err);
	if (r >= 0)
		r = spool_visit_back(restore->folders, finish_folder, restore, err);
	return r < 0 ? r : 0;
}

int restore_run(struct archive *archive, const struct restore_options *options,
		struct restore_summary *summary_out, struct error *err)
{
	struct restore restore = { .links = NULL };
	int r;

	assert(!options->line || options->key_count == 1);
	r = restore_work_open(&restore.work, archive, options, err);
	if (r == 0)
		r = spool_new(&restore.folders, err);
	if (r == 0)
		r = restore_links_new(&restore.work, &restore.links, err);
	if (r == 0)
		r = restore_all(&restore, err);
	*summary_out = restore.work.summary;
	restore_links_free(restore.links);
	spool_free(restore.folders);
	restore_work_done(&restore.work);
	return r;
}
