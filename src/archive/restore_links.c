/* SPDX-License-Identifier: MIT */
/* Manifests of one inode share `link`: the path of the name that it was first found under.
 * That name, if it is restored too and is still the same inode, is restored as a file and the
 * others are linked to it: no table is needed. Only where it is not restored, the first of
 * the others stands in, and is remembered.
 */
#include "archive/restore_links.h"

#include "archive/archive.h"
#include "archive/spool.h"
#include "base/error.h"
#include "base/text.h"
#include "catalog/history.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ORPHAN_LINKS_MAX (1u << 16) /* inodes remembered; see link_orphan() */

struct orphan_link {
	char *link; /* the inode's name in the manifests; owned */
	char *path; /* where it is restored; owned */
};

struct restore_links {
	struct restore_work *work;
	struct spool *spool; /* pairs of NUL-terminated paths: first name, link */
	struct orphan_link *orphans;
	size_t orphan_count;
};

int restore_links_new(struct restore_work *work, struct restore_links **links_out,
		      struct error *err)
{
	autoptr(restore_links) links = calloc(1, sizeof(*links));
	int r;

	if (!links)
		return error_set(err, -ENOMEM, "out of memory");
	links->work = work;
	r = spool_new(&links->spool, err);
	if (r < 0)
		return r;
	*links_out = take_ptr(links);
	return 0;
}

void restore_links_free(struct restore_links *links)
{
	if (!links)
		return;
	for (size_t i = 0; i < links->orphan_count; i++) {
		free(links->orphans[i].link);
		free(links->orphans[i].path);
	}
	free(links->orphans);
	spool_free(links->spool);
	free(links);
}

static int defer_link(struct restore_links *links, const char *first, const char *path,
		      struct error *err)
{
	autotext struct text record = { 0 };

	if (text_append_bytes(&record, first, strlen(first) + 1) < 0 ||
	    text_append_bytes(&record, path, strlen(path) + 1) < 0)
		return error_set(err, -ENOMEM, "out of memory");
	return spool_append(links->spool, record.data, record.size, err);
}

/* Whether @key lies in what is being restored. */
static bool in_root(const struct restore_root *root, const struct bytes *key)
{
	size_t size = root->key->size;

	if (size == 0)
		return true;
	return key->size >= size && memcmp(key->data, root->key->data, size) == 0 &&
	       (key->size == size || key->data[size] == '\0');
}

/* Whether the name that @manifest's inode was first found under is restored too, with the
 * same inode. */
static int leader_is_restored(struct restore_links *links,
			      const struct restore_root *root,
			      const struct manifest *manifest, const struct bytes *leader,
			      struct error *err)
{
	struct manifest first = { 0 };
	struct version_row row = { 0 };
	int r;

	if (!in_root(root, leader) || links->work->options->line)
		return 0;
	r = catalog_get_version(archive_catalog(links->work->archive), leader->data,
				leader->size, links->work->options->at, &row, err);
	if (r == 0)
		r = manifest_decode(row.line, row.line_size, &first, err);
	if (r == 0)
		r = first.link.size == manifest->link.size &&
		    memcmp(first.link.data, manifest->link.data, first.link.size) == 0 &&
		    hash_equal(&first.hash, &manifest->hash);
	else if (r == CATALOG_END)
		r = 0;
	manifest_done(&first);
	version_row_done(&row);
	return r;
}

/* The first name is not restored: the first of the others stands in for it. Beyond the
 * table's limit, names are restored as files of their own. Returns 1 if @path was linked. */
static int link_orphan(struct restore_links *links, const struct manifest *manifest,
		       const char *path, struct error *err)
{
	struct orphan_link *orphan;

	for (size_t i = 0; i < links->orphan_count; i++) {
		orphan = &links->orphans[i];
		if (strlen(orphan->link) == manifest->link.size &&
		    memcmp(orphan->link, manifest->link.data, manifest->link.size) == 0) {
			int r = defer_link(links, orphan->path, path, err);

			return r < 0 ? r : 1;
		}
	}
	if (links->orphan_count == ORPHAN_LINKS_MAX)
		return 0;
	if ((links->orphan_count & (links->orphan_count - 1)) == 0) {
		size_t capacity = links->orphan_count ? 2 * links->orphan_count : 1;

		orphan = realloc(links->orphans, capacity * sizeof(*orphan));
		if (!orphan)
			return error_set(err, -ENOMEM, "out of memory");
		links->orphans = orphan;
	}
	orphan = &links->orphans[links->orphan_count];
	orphan->link = strndup((const char *)manifest->link.data, manifest->link.size);
	orphan->path = strdup(path);
	if (!orphan->link || !orphan->path) {
		free(orphan->link);
		free(orphan->path);
		return error_set(err, -ENOMEM, "out of memory");
	}
	links->orphan_count++;
	return 0;
}

int restore_links_try(struct restore_links *links, const struct restore_root *root,
		      const uint8_t *key, size_t key_size,
		      const struct manifest *manifest, const char *path,
		      struct error *err)
{
	autofree char *link =
		strndup((const char *)manifest->link.data, manifest->link.size);
	struct bytes leader = { 0 };
	int r;

	if (!link)
		return error_set(err, -ENOMEM, "out of memory");
	r = key_from_path(link, &leader, err);
	if (r < 0)
		return r;
	if (leader.size == key_size && memcmp(leader.data, key, key_size) == 0) {
		free(leader.data);
		return 0;
	}
	r = leader_is_restored(links, root, manifest, &leader, err);
	free(leader.data);
	if (r < 0)
		return r;
	if (r == 0)
		return link_orphan(links, manifest, path, err);
	r = defer_link(links, link + root->strip, path, err);
	return r < 0 ? r : 1;
}

static int make_link(void *context, const void *data, size_t size, struct error *err)
{
	struct restore_links *links = context;
	struct restore_worker *worker = restore_work_main(links->work);
	struct target_parent first_parent = { .fd = -1 };
	const char *first = data;
	const char *path = first + strlen(first) + 1;
	const char *first_name, *name;
	struct error problem = { 0 };
	int r;

	(void)size;
	(void)err;
	r = target_find_parent(&links->work->target, first, &first_parent, &first_name,
			       &problem);
	if (r == 0)
		r = target_find_parent(&links->work->target, path, &worker->parent, &name,
				       &problem);
	if (r == 0 && (links->work->options->force || links->work->options->resume))
		(void)unlinkat(worker->parent.fd, name, 0);
	if (r == 0 && linkat(first_parent.fd, first_name, worker->parent.fd, name, 0) < 0)
		r = error_set_errno(&problem, -errno, "link to '%s'", first);
	target_parent_done(&first_parent);
	if (r < 0)
		restore_work_fail(links->work, path, r, &problem);
	else
		restore_work_count(links->work, 1, 0);
	return 0;
}

int restore_links_make(struct restore_links *links, struct error *err)
{
	return spool_visit(links->spool, make_link, links, err);
}
