/* SPDX-License-Identifier: MIT */
#include "remote/view.h"

#include "archive/head.h"
#include "archive/tree_fill.h"
#include "base/error.h"
#include "base/mutex.h"
#include "catalog/catalog.h"
#include "remote/hints.h"
#include "remote/server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct view {
	struct http *http;        /* borrowed */
	struct head_chain *chain; /* owned */
	struct mutex mutex;       /* guards all below */
	uint64_t current;         /* commit */
	bool trusted;
	bool retired;
	struct error why;   /* it is not trusted */
	struct view *older; /* in the list of retired ones; owned */
};

static int get_heads(void *context, uint64_t first, uint64_t last, struct text *lines,
		     struct error *err)
{
	struct view *view = context;

	return hints_get_heads(view->http, first, last, lines, err);
}

static int get_versions(void *context, const char *path, struct text *lines,
			struct error *err)
{
	struct view *view = context;

	return hints_get_versions(view->http, path, lines, err);
}

static int get_names(void *context, const char *path, uint64_t at, struct text *lines,
		     struct error *err)
{
	struct view *view = context;

	return hints_get_names(view->http, path, at, lines, err);
}

static int get_current(void *context, uint64_t *sequence_out, struct error *err)
{
	return view_current(context, sequence_out, err);
}

void view_free(struct view *view)
{
	while (view) {
		struct view *older = view->older;

		head_chain_free(view->chain);
		mutex_done(&view->mutex);
		free(view);
		view = older;
	}
}

static int remove_file(const char *path, const char *suffix, struct error *err)
{
	autofree char *name = NULL;

	if (asprintf(&name, "%s%s", path, suffix) < 0) {
		name = NULL; /* undefined after a failure */
		return error_set(err, -ENOMEM, "no memory for a path");
	}
	if (unlink(name) < 0 && errno != ENOENT)
		return error_set_errno(err, -errno, "private catalog");
	return 0;
}

/* The file goes before its log and the log's index, and all before the new file comes, which
 * would be taken for what the log belongs to (archive/catalog_swap.c). Those who have the old
 * ones open keep them. */
static int remove_catalog(const char *path, struct error *err)
{
	int r = remove_file(path, "", err);

	if (r == 0)
		r = remove_file(path, "-wal", err);
	return r < 0 ? r : remove_file(path, "-shm", err);
}

/* Made under another name, so that who opens @path finds all of it. */
static int make_catalog(const char *path, const struct hash *id, struct error *err)
{
	struct catalog *catalog = NULL;
	autofree char *new = NULL;
	int r;

	if (asprintf(&new, "%s.new", path) < 0) {
		new = NULL; /* undefined after a failure */
		return error_set(err, -ENOMEM, "no memory for a path");
	}
	r = catalog_create(new, id, &catalog, err);
	catalog_free(catalog); /* closing it leaves one file */
	if (r == 0)
		r = remove_catalog(path, err);
	if (r == 0 && rename(new, path) < 0)
		r = error_set_errno(err, -errno, "private catalog");
	return r;
}

int view_make(struct http *http, const char *path, const struct head *head,
	      const char *json, struct view **view_out, struct error *err)
{
	autoptr(view) view = calloc(1, sizeof(*view));
	struct hash id;
	int r;

	if (!view)
		return error_set(err, -ENOMEM, "no memory for a private catalog");
	mutex_init(&view->mutex);
	view->http = http;
	view->current = head->sequence;
	view->trusted = true;
	server_archive(head, &id);
	r = make_catalog(path, &id, err);
	if (r == 0)
		r = head_chain_new(path, &id, json,
				   &(struct head_supply){ get_heads, view }, &view->chain,
				   err);
	if (r == 0)
		*view_out = take_ptr(view);
	return r;
}

struct head_chain *view_chain(struct view *view)
{
	return view->chain;
}

int view_open(struct view *view, const char *path, struct source *source,
	      struct tree_fill **fill_out, struct error *err)
{
	return tree_fill_new(&(struct tree_fill_options){ .path = path,
							  .source = source,
							  .chain = view->chain,
							  .current = get_current,
							  .hint_versions = get_versions,
							  .hint_names = get_names,
							  .context = view },
			     fill_out, err);
}

bool view_show(struct view *view, uint64_t sequence)
{
	bool was;

	mutex_scope(&view->mutex);
	was = view->trusted;
	view->trusted = true;
	view->current = sequence;
	return !was;
}

bool view_distrust(struct view *view, const struct error *why)
{
	mutex_scope(&view->mutex);

	if (!view->trusted && strcmp(view->why.text, why->text) == 0)
		return false;
	view->trusted = false;
	view->why = *why;
	return true;
}

void view_retire(struct view *view, struct view **list)
{
	mutex_scope(&view->mutex);

	view->retired = true;
	view->older = *list;
	*list = view;
}

int view_current(struct view *view, uint64_t *sequence_out, struct error *err)
{
	mutex_scope(&view->mutex);

	if (view->retired)
		return error_set(err, -ESTALE,
				 "another state of the archive was accepted");
	if (!view->trusted)
		return error_set(err, -EIO, "%s", view->why.text);
	*sequence_out = view->current;
	return 0;
}
