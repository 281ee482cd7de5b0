/* SPDX-License-Identifier: MIT */
/* Entries wait in the queue of changes until those before them are complete, since tree and
 * catalog want them in order. The queue is drained whenever its front is settled and no
 * segment is half written; when it is too long, the content writer is made to finish what
 * the front waits for.
 *
 * Hard links: the first name of an inode is read, and its `link` is its own path. Every other
 * name becomes a CHANGE_LINK, which takes content, holes and extended attributes from the
 * first name's manifest when its turn comes; by then that one is in the catalog.
 *
 * What looks changed may turn out to be the same when it was read; then nothing is written.
 * A file whose content somebody vouches for (archive/known_content.h) is not even read.
 */
#include "archive/entry_writer.h"

#include "archive/attributes.h"
#include "archive/change.h"
#include "archive/commit.h"
#include "archive/commit_session.h"
#include "archive/commit_source.h"
#include "archive/content_writer.h"
#include "archive/known_content.h"
#include "archive/link_table.h"
#include "archive/xattrs.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/timestamp.h"
#include "catalog/history.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	QUEUE_MAX = 8192, /* changes: about 8 MiB */
};

struct entry_writer {
	struct entry_writer_options options;
	struct catalog *catalog;
	struct link_table *links;
	struct change_queue queue;
};

int entry_writer_new(const struct entry_writer_options *options,
		     struct entry_writer **writer_out, struct error *err)
{
	autoptr(entry_writer) writer = calloc(1, sizeof(*writer));

	if (!writer || link_table_new(&writer->links) < 0)
		return error_set(err, -ENOMEM, "no memory for entries");
	writer->options = *options;
	writer->catalog = commit_session_catalog(options->session);
	*writer_out = take_ptr(writer);
	return 0;
}

void entry_writer_free(struct entry_writer *writer)
{
	if (!writer)
		return;
	change_queue_done(&writer->queue);
	link_table_free(writer->links);
	free(writer);
}

/* The entry's current version, in memory of its own; NULL if there is none. */
static int load_version(struct entry_writer *writer, const struct bytes *key,
			struct manifest **manifest_out, struct error *err)
{
	autofree struct manifest *manifest = calloc(1, sizeof(*manifest));
	struct version_row row = { 0 };
	int r;

	*manifest_out = NULL;
	if (!manifest)
		return error_set(err, -ENOMEM, "no memory for an entry");
	r = catalog_get_version(writer->catalog, key->data, key->size, VERSION_CURRENT,
				&row, err);
	if (r != 0)
		return r == CATALOG_END ? 0 : r;
	r = manifest_decode(row.line, row.line_size, manifest, err);
	version_row_done(&row);
	if (r == 0)
		*manifest_out = take_ptr(manifest);
	return r;
}

static void tell(struct entry_writer *writer, const struct change *change,
		 enum commit_problem problem, const struct error *err)
{
	autofree char *path = change_path(change);

	monitor_problem(writer->options.monitor, problem, path ? path : "?", err);
}

/* Move the content out of @from. */
static void move_content(struct manifest *manifest, struct manifest *from)
{
	manifest->size = from->size;
	manifest->hash = from->hash;
	manifest->pack = from->pack;
	manifest->segments = take_ptr(from->segments);
	manifest->segment_count = from->segment_count;
	manifest->segment_pages = take_ptr(from->segment_pages);
	manifest->segment_page_count = from->segment_page_count;
	manifest->holes = take_ptr(from->holes);
	manifest->hole_count = from->hole_count;

	from->segment_count = 0;
	from->segment_page_count = 0;
	from->hole_count = 0;
}

/* Move what all names of an inode share out of @first. */
static void share_inode(struct manifest *manifest, struct manifest *first)
{
	move_content(manifest, first);
	manifest->link = first->link;
	manifest->xattrs = take_ptr(first->xattrs);
	manifest->xattr_count = first->xattr_count;

	first->link = (struct bytes){ 0 };
	first->xattr_count = 0;
}

/* Complete another name from the first one's manifest: 1; or report that it can't be: 0. */
static int resolve_link(struct entry_writer *writer, struct change *change,
			struct error *err)
{
	struct manifest *first = NULL;
	struct error text = { 0 };
	int r = 0;

	if (!change->link->failed)
		r = load_version(writer, &change->link->key, &first, err);
	if (r < 0)
		return r;
	if (first && first->type == ENTRY_FILE && first->link.size > 0 &&
	    first->inode == change->manifest.inode) {
		share_inode(&change->manifest, first);
		r = 1;
	} else {
		error_set(&text, -EIO, "another name of this file could not be read");
		tell(writer, change, COMMIT_UNREADABLE, &text);
	}
	if (first)
		manifest_done(first);
	free(first);
	return r;
}

static int put(struct entry_writer *writer, struct change *change, struct error *err)
{
	struct commit_session *session = writer->options.session;
	struct manifest *manifest = &change->manifest;
	struct error text = { 0 };
	int r;

	r = commit_session_put(session, manifest, &text);
	if (r == -EINVAL) {
		/* Too long. A folder must not be missing, so try without what is long. */
		tell(writer, change, COMMIT_SKIPPED, &text);
		xattrs_done(&(struct xattrs){ manifest->xattrs, manifest->xattr_count });
		manifest->xattrs = NULL;
		manifest->xattr_count = 0;
		r = commit_session_put(session, manifest, &text);
		if (r == -EINVAL)
			return 0;
	}
	if (r < 0) {
		if (err)
			*err = text;
		return r;
	}
	if (manifest->type != ENTRY_DIRECTORY && change->previous)
		writer->options.summary->changed_files++;
	else if (manifest->type != ENTRY_DIRECTORY)
		writer->options.summary->new_files++;
	return 0;
}

/* What was carried over has been moved to the archive and back, maybe, which changes the time
 * of the last change, and nothing else. */
static bool is_unchanged(struct change *change)
{
	bool carried = change->carried || (change->link && change->link->carried);
	struct manifest *manifest = &change->manifest;
	struct entry_time time = manifest->ctime;
	bool same;

	if (!change->previous || change->forced)
		return false;
	if (carried)
		manifest->ctime = change->previous->ctime;
	same = manifest_same(change->previous, manifest);
	manifest->ctime = time;
	return same;
}

/* A settled change goes into the commit. */
static int emit(struct entry_writer *writer, struct change *change, struct error *err)
{
	const struct manifest *manifest = &change->manifest;
	int r = 1;

	if (change->failed)
		return 0;
	if (change->kind == CHANGE_REMOVE)
		return commit_session_remove(writer->options.session, manifest->key.data,
					     manifest->key.size, err);
	if (change->kind == CHANGE_LINK)
		r = resolve_link(writer, change, err);
	if (r <= 0)
		return r;
	if (is_unchanged(change)) {
		if (manifest->type != ENTRY_DIRECTORY)
			writer->options.summary->unchanged_files++;
		return 0;
	}
	return put(writer, change, err);
}

static int drain(struct entry_writer *writer, struct error *err)
{
	while (!content_writer_is_writing(writer->options.content)) {
		autoptr(change) change = change_queue_take(&writer->queue);
		int r;

		if (!change)
			return 0;
		r = emit(writer, change, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Write what is settled; and more, while more than @queued changes wait. */
static int drain_to(struct entry_writer *writer, size_t queued, struct error *err)
{
	int r;

	r = drain(writer, err);
	while (r == 0 && writer->queue.count > queued) {
		r = content_writer_step(writer->options.content, err);
		if (r == 0)
			return error_set(err, -EIO, "an entry waits for nothing");
		if (r > 0)
			r = drain(writer, err);
	}
	return r;
}

int entry_writer_finish(struct entry_writer *writer, struct error *err)
{
	int r;

	do
		r = content_writer_step(writer->options.content, err);
	while (r > 0 && (r = drain(writer, err)) == 0);
	return r < 0 ? r : drain_to(writer, 0, err);
}

/* A change for @entry, in the queue. */
static int queue_change(struct entry_writer *writer, enum change_kind kind,
			const struct walk_entry *entry, struct change **change_out,
			struct error *err)
{
	struct change *change;
	int r;

	r = change_new(kind, entry->key, entry->key_size, entry->root, &change);
	if (r < 0) {
		(void)error_set(err, r, "no memory for an entry");
		return r;
	}
	change_queue_push(&writer->queue, change);
	if (entry->state == WALK_CHANGED) {
		r = load_version(writer, &change->manifest.key, &change->previous, err);
		if (r < 0)
			return r;
	}
	*change_out = change;
	return 0;
}

static int take_gone(struct entry_writer *writer, const struct walk_entry *entry,
		     struct error *err)
{
	struct change *change;

	if (!entry->was_folder)
		writer->options.summary->deleted_files++;
	return queue_change(writer, CHANGE_REMOVE, entry, &change, err);
}

/* Another name of an inode that was met before. */
static int take_link(struct entry_writer *writer, struct change *change,
		     struct link *link, const struct walk_entry *entry, struct error *err)
{
	struct xattrs none = { 0 };

	change->kind = CHANGE_LINK;
	change->link = link;
	monitor_advance(writer->options.monitor, 1, 0);
	return content_writer_entry(writer->options.content, change, &entry->stat, &none,
				    err);
}

/* `link` names an inode by the path of its first name. */
static int set_link(struct manifest *manifest)
{
	char *path;
	int r;

	r = key_to_path(manifest->key.data, manifest->key.size, &path);
	if (r < 0)
		return r;
	manifest->link = (struct bytes){ (uint8_t *)path, strlen(path) };
	return 0;
}

/* Content with this hash and size, in the entry's last version or anywhere: 1, or 0. */
static int find_content(struct entry_writer *writer, const struct change *change,
			const struct hash *hash, uint64_t size, struct manifest *from,
			struct error *err)
{
	const struct manifest *previous = change->previous;
	const struct bytes *key = &change->manifest.key;
	struct version_row row = { 0 };
	int r;

	if (previous && previous->type == ENTRY_FILE && previous->size == size &&
	    hash_equal(&previous->hash, hash))
		r = catalog_get_version(writer->catalog, key->data, key->size,
					VERSION_CURRENT, &row, err);
	else
		r = catalog_find_content(writer->catalog, hash, size, &row, err);
	if (r == 0)
		r = manifest_decode(row.line, row.line_size, from, err);
	version_row_done(&row);
	if (r == CATALOG_END)
		return 0;
	return r < 0 ? r : 1;
}

/* A file whose content is known is not opened: 1; else 0. */
static int carry_over(struct entry_writer *writer, struct change *change,
		      const struct walk_entry *entry, struct error *err)
{
	uint64_t size = (uint64_t)entry->stat.st_size;
	struct manifest from = { 0 };
	struct xattrs xattrs = { 0 };
	struct hash hash;
	int r;

	if (known_content_find(writer->options.known, entry->parent->fd, entry->name,
			       &entry->stat, &hash) == 0)
		return 0;
	r = find_content(writer, change, &hash, size, &from, err);
	if (r <= 0)
		return r;
	/* If it was opened meanwhile they are others, but no less true. */
	if (xattrs_read_at(entry->parent->fd, entry->name, &xattrs) < 0) {
		manifest_done(&from);
		return 0;
	}
	xattrs_drop(&xattrs, XATTR_STUB);
	move_content(&change->manifest, &from);
	manifest_done(&from);
	change->carried = true;
	if (change->link)
		change->link->carried = true;
	monitor_advance(writer->options.monitor, 1, size);
	r = content_writer_entry(writer->options.content, change, &entry->stat, &xattrs,
				 err);
	return r < 0 ? r : 1;
}

static int take_file(struct entry_writer *writer, struct change *change,
		     const struct walk_entry *entry, struct error *err)
{
	struct link *link = NULL;
	int r;

	if (entry->stat.st_nlink > 1) {
		r = link_table_meet(writer->links, &entry->stat, entry->key,
				    entry->key_size, &link, &change->link);
		if (r == 0 && !link)
			r = set_link(&change->manifest);
		if (r < 0)
			return error_set(err, r, "no memory for a hard link");
	}
	if (link)
		return take_link(writer, change, link, entry, err);
	r = carry_over(writer, change, entry, err);
	if (r != 0)
		return r < 0 ? r : 0;
	return content_writer_file(writer->options.content, change, entry->parent,
				   entry->name, &entry->stat, err);
}

/* An entry without content. What can't be read of it is reported and left out: the entry
 * itself must be there, since others may be in it. */
static int take_other(struct entry_writer *writer, struct change *change,
		      const struct walk_entry *entry, struct error *err)
{
	struct xattrs xattrs = { 0 };
	struct error text = { 0 };
	int r = 0;

	if (S_ISLNK(entry->stat.st_mode)) {
		r = attributes_read_target(entry->parent->fd, entry->name,
					   &change->manifest.target);
		change->failed = r < 0;
	}
	if (r == 0)
		r = entry->self ? xattrs_read_fd(entry->self->fd, &xattrs)
				: xattrs_read_at(entry->parent->fd, entry->name, &xattrs);
	if (r < 0) {
		error_set_errno(&text, r, "reading its attributes");
		tell(writer, change, r == -ENOENT ? COMMIT_VANISHED : COMMIT_UNREADABLE,
		     &text);
	}
	monitor_advance(writer->options.monitor, S_ISDIR(entry->stat.st_mode) ? 0 : 1, 0);
	return content_writer_entry(writer->options.content, change, &entry->stat,
				    &xattrs, err);
}

/* The topmost entry says where it came from. */
static int set_source(struct change *change, const struct ready_source *source)
{
	change->forced = source->forced;
	return bytes_copy(&change->manifest.source, source->path, strlen(source->path));
}

int entry_writer_take(struct entry_writer *writer, const struct walk_entry *entry,
		      const struct ready_source *source, struct error *err)
{
	struct change *change;
	int r;

	if (entry->state == WALK_GONE) {
		r = take_gone(writer, entry, err);
		return r < 0 ? r : drain_to(writer, QUEUE_MAX, err);
	}
	r = queue_change(writer, CHANGE_PUT, entry, &change, err);
	if (r < 0)
		return r;
	if (entry->key_size == source->key.size) {
		r = set_source(change, source);
		if (r < 0)
			return error_set(err, r, "no memory for a source");
	}
	r = S_ISREG(entry->stat.st_mode) ? take_file(writer, change, entry, err)
					 : take_other(writer, change, entry, err);
	return r < 0 ? r : drain_to(writer, QUEUE_MAX, err);
}

/* What an entry looks like that is in no file system. */
static void invent_stat(struct stat *stat, mode_t mode)
{
	const int64_t now = clock_realtime_ns();
	struct timespec time = { .tv_sec = now / (int64_t)NS_PER_SECOND,
				 .tv_nsec = now % (int64_t)NS_PER_SECOND };

	*stat = (struct stat){
		.st_mode = mode,
		.st_uid = geteuid(),
		.st_gid = getegid(),
		.st_nlink = 1,
		.st_mtim = time,
		.st_ctim = time,
	};
}

/* A change of an invented entry, in the queue, with its attributes. */
static int invent(struct entry_writer *writer, const uint8_t *key, size_t key_size,
		  mode_t mode, struct manifest *previous, struct change **change_out,
		  struct error *err)
{
	struct xattrs none = { 0 };
	struct change *change;
	struct stat stat;
	int r;

	r = change_new(CHANGE_PUT, key, key_size, NULL, &change);
	if (r < 0) {
		if (previous)
			manifest_done(previous);
		free(previous);
		return error_set(err, r, "no memory for an entry");
	}
	change->previous = previous;
	change_queue_push(&writer->queue, change);
	*change_out = change;
	invent_stat(&stat, mode);
	return content_writer_entry(writer->options.content, change, &stat, &none, err);
}

int entry_writer_stream(struct entry_writer *writer, const struct ready_source *source,
			struct error *err)
{
	struct manifest *previous;
	struct change *change;
	int r;

	r = load_version(writer, &source->key, &previous, err);
	if (r < 0)
		return r;
	r = invent(writer, source->key.data, source->key.size, S_IFREG | 0644, previous,
		   &change, err);
	if (r < 0)
		return r;
	change->forced = source->forced;
	r = content_writer_stream(writer->options.content, change, source->fd, err);
	return r < 0 ? r : drain_to(writer, QUEUE_MAX, err);
}

int entry_writer_folder(struct entry_writer *writer, const uint8_t *key, size_t key_size,
			struct error *err)
{
	struct version_row row = { 0 };
	struct change *change;
	int r;

	r = catalog_get_version(writer->catalog, key, key_size, VERSION_CURRENT, &row,
				err);
	if (r == CATALOG_END)
		return invent(writer, key, key_size, S_IFDIR | 0755, NULL, &change, err);
	if (r < 0)
		return r;
	if (row.type != ENTRY_DIRECTORY) {
		autofree char *path = NULL;

		(void)key_to_path(key, key_size, &path);
		r = error_set(err, -ENOTDIR, "'%s' in the archive is no folder",
			      path ? path : "?");
	}
	version_row_done(&row);
	return r;
}

int entry_writer_linked(void *context, const uint8_t *key, size_t key_size,
			const struct stat *stat, struct error *err)
{
	struct entry_writer *writer = context;
	struct link *link = NULL;

	if (link_table_meet(writer->links, stat, key, key_size, &link, NULL) < 0)
		return error_set(err, -ENOMEM, "no memory for a hard link");
	link_unref(link);
	return 0;
}
