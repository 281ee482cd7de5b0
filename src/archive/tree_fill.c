/* SPDX-License-Identifier: MIT */
/* A cursor goes through the tree of a commit to what is wanted, entering only pages that can
 * hold it. Keys of a folder and of all below it are one stretch of the tree; to list a folder
 * is to jump, from each folder in it, to behind what that one holds.
 *
 * What is found waits in a batch and is then put into the catalog in one transaction, so that
 * no lock is held while pages come from far away. A batch goes in the order of keys: folders
 * stand before what is in them. That a folder is known completely is put in after the last of
 * its entries.
 *
 * Names of one file (hard links) are put in together: which number the file has, and how many
 * names, must not depend on the order in which somebody looks at them. Where its other names
 * are can't be told from one name's manifest, so the server is asked; each name is then looked
 * up like any other, and has then the same names. A server that keeps names to itself makes
 * one file look like several.
 */
#include "archive/tree_fill.h"

#include "archive/head.h"
#include "archive/source.h"
#include "archive/tree_cursor.h"
#include "archive/tree_diff.h"
#include "archive/tree_seek.h"
#include "base/error.h"
#include "base/mutex.h"
#include "base/number.h"
#include "base/text.h"
#include "catalog/entry.h"
#include "catalog/filler.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_ITEMS 512u
#define BATCH_SIZE (256u << 10) /* bytes of lines */

struct tree_fill {
	struct catalog_filler filler; /* first member */
	struct tree_fill_options options;
	struct mutex mutex;      /* guards the catalog */
	struct catalog *catalog; /* owned; asks nobody */
};

/* A line, or a key that `known` is known of. */
struct item {
	size_t offset; /* in the batch's data */
	size_t size;
	enum catalog_known known; /* 0: a line */
};

struct filling {
	struct tree_fill *fill;
	uint64_t at;
	struct hash root;
	struct tree_cursor cursor;
	bool with_names; /* ask for other names of files */
	struct text data;
	struct item items[BATCH_ITEMS];
	size_t count;
};

static struct tree_fill *fill_of(struct catalog_filler *filler)
{
	return (struct tree_fill *)filler;
}

/* Commits. */

/* CATALOG_END: it is not among the proved ones. */
static int read_root(struct tree_fill *fill, uint64_t at, struct hash *root_out,
		     struct error *err)
{
	struct commit_row commit = { 0 };
	struct head head = { 0 };
	int r;

	mutex_scope(&fill->mutex);
	r = catalog_get_commit(fill->catalog, at, &commit, err);
	if (r == 0)
		r = head_decode(commit.head, strlen(commit.head), &head, err);
	if (r == 0)
		*root_out = head.tree;
	head_done(&head);
	commit_row_done(&commit);
	return r;
}

static int find_root(struct tree_fill *fill, uint64_t at, struct hash *root_out,
		     struct error *err)
{
	int r;

	r = read_root(fill, at, root_out, err);
	if (r != CATALOG_END)
		return r;
	r = head_chain_prove(fill->options.chain, at, NULL, err);
	if (r == 0)
		r = read_root(fill, at, root_out, err);
	return r == CATALOG_END
		       ? error_set(err, -ENOENT, "there is no commit %" PRIu64, at)
		       : r;
}

/* Batches. */

static int add_item(struct filling *filling, const void *data, size_t size,
		    enum catalog_known known, struct error *err)
{
	size_t offset = filling->data.size;

	if (text_append_bytes(&filling->data, data, size) < 0)
		return error_set(err, -ENOMEM, "no memory for a folder");
	filling->items[filling->count++] = (struct item){ offset, size, known };
	return 0;
}

static int put_item(struct filling *filling, const struct item *item, struct error *err)
{
	struct catalog *catalog = filling->fill->catalog;
	const char *data = filling->data.data + item->offset;
	struct manifest manifest = { 0 };
	int r;

	if (item->known)
		return catalog_put_known(catalog, (const uint8_t *)data, item->size,
					 item->known, filling->at, err);
	r = manifest_decode(data, item->size, &manifest, err);
	if (r == 0)
		r = catalog_put_seen(catalog, filling->at, &manifest, data, item->size,
				     err);
	manifest_done(&manifest);
	return r;
}

static int put_items(struct filling *filling, struct error *err)
{
	struct tree_fill *fill = filling->fill;
	int r;

	mutex_scope(&fill->mutex);
	r = catalog_begin(fill->catalog, err);
	if (r < 0)
		return r;
	for (size_t i = 0; r == 0 && i < filling->count; i++)
		r = put_item(filling, &filling->items[i], err);
	if (r == 0)
		return catalog_commit(fill->catalog, err);
	catalog_rollback(fill->catalog);
	return r;
}

static int put_names_of(struct filling *filling, struct error *err);

static int put_batch(struct filling *filling, struct error *err)
{
	int r = 0;

	if (filling->with_names)
		r = put_names_of(filling, err);
	if (r == 0 && filling->count > 0)
		r = put_items(filling, err);
	text_clear(&filling->data);
	filling->count = 0;
	return r;
}

static int add(struct filling *filling, const void *data, size_t size,
	       enum catalog_known known, struct error *err)
{
	int r = 0;

	if (filling->count == BATCH_ITEMS || filling->data.size > BATCH_SIZE)
		r = put_batch(filling, err);
	return r < 0 ? r : add_item(filling, data, size, known, err);
}

/* Looking. */

static void filling_free(struct filling *filling)
{
	if (!filling)
		return;
	tree_cursor_done(&filling->cursor);
	text_done(&filling->data);
	free(filling);
}
DEFINE_AUTOPTR(filling);

static int begin(struct tree_fill *fill, uint64_t at, struct filling **filling_out,
		 struct error *err)
{
	autoptr(filling) filling = calloc(1, sizeof(*filling));
	int r;

	if (!filling) {
		error_set(err, -ENOMEM, "no memory to look into a folder");
		return -ENOMEM; /* said here: the compiler warns of no NULL then */
	}
	filling->fill = fill;
	filling->at = at;
	filling->with_names = true;
	r = find_root(fill, at, &filling->root, err);
	if (r < 0)
		return r;
	tree_cursor_init(&filling->cursor, fill->options.source, &filling->root);
	*filling_out = take_ptr(filling);
	return 0;
}

static int add_line(struct filling *filling, struct error *err)
{
	return add(filling, filling->cursor.line, filling->cursor.line_size, 0, err);
}

/* Add @key and the folders on the way to it, as far as they are there. */
static int add_path(struct filling *filling, const uint8_t *key, size_t key_size,
		    struct error *err)
{
	size_t size = 0;
	int r = 0;

	while (r == 0 && size < key_size) {
		const uint8_t *zero =
			memchr(key + size + (size > 0), 0, key_size - size - (size > 0));

		size = zero ? (size_t)(zero - key) : key_size;
		r = tree_seek(&filling->cursor, key, size, err);
		if (r < 0 || !tree_stands_at(&filling->cursor, key, size))
			return r;
		r = add_line(filling, err);
	}
	return r;
}

static int fill_entry(struct catalog_filler *filler, const uint8_t *key, size_t key_size,
		      uint64_t at, struct error *err)
{
	autoptr(filling) filling = NULL;
	int r;

	r = begin(fill_of(filler), at, &filling, err);
	if (r == 0)
		r = add_path(filling, key, key_size, err);
	return r < 0 ? r : put_batch(filling, err);
}

static int add_children(struct filling *filling, const uint8_t *folder,
			size_t folder_size, struct error *err)
{
	struct tree_cursor *cursor = &filling->cursor;
	size_t skip = folder_size ? folder_size + 1 : 0;
	uint8_t key[MANIFEST_KEY_MAX + 1];
	int r;

	if (folder_size)
		memcpy(key, folder, folder_size);
	key[folder_size] = 0; /* the least key below it; "" at the top */
	r = tree_seek(cursor, key, skip, err);
	while (r == 0 && tree_is_below(cursor, folder, folder_size)) {
		if (memchr(cursor->key + skip, 0, cursor->key_size - skip))
			return error_set(err, -EBADMSG,
					 "an entry in a folder that is none");
		r = add_line(filling, err);
		if (r == 0)
			r = tree_pass(cursor, err);
	}
	return r;
}

static int fill_folder(struct catalog_filler *filler, const uint8_t *key, size_t key_size,
		       uint64_t at, struct error *err)
{
	autoptr(filling) filling = NULL;
	int r;

	r = begin(fill_of(filler), at, &filling, err);
	if (r == 0)
		r = add_path(filling, key, key_size, err);
	if (r == 0)
		r = add_children(filling, key, key_size, err);
	if (r == 0)
		r = add(filling, key, key_size, CATALOG_FOLDER, err);
	return r < 0 ? r : put_batch(filling, err);
}

/* Names of one file. */

/* Put the names in @lines in, as far as they are there; or that those of each are @known. */
static int add_names(struct filling *names, const char *lines, bool known,
		     struct error *err)
{
	uint8_t key[MANIFEST_KEY_MAX];
	size_t key_size;
	int r = 0;

	while (r == 0 && *lines) {
		size_t size = strcspn(lines, "\n");

		r = manifest_decode_key(lines, size, key, &key_size, err);
		if (r < 0)
			return r;
		lines += size + (lines[size] == '\n');
		if (known) {
			r = add(names, key, key_size, CATALOG_NAMES, err);
			continue;
		}
		tree_cursor_done(&names->cursor);
		tree_cursor_init(&names->cursor, names->fill->options.source,
				 &names->root);
		r = add_path(names, key, key_size, err);
	}
	return r;
}

static int get_known(struct tree_fill *fill, const uint8_t *key, size_t key_size,
		     enum catalog_known known, uint64_t at, bool *known_out,
		     struct error *err)
{
	mutex_scope(&fill->mutex);

	return catalog_get_known(fill->catalog, key, key_size, known, at, known_out, err);
}

/* Put the other names of the file in @line in. */
static int put_names(struct filling *filling, const struct manifest *manifest,
		     struct error *err)
{
	const struct tree_fill_options *options = &filling->fill->options;
	autoptr(filling) names = NULL;
	autotext struct text lines = { 0 };
	autofree char *path = NULL;
	bool known = false;
	int r;

	r = get_known(filling->fill, manifest->key.data, manifest->key.size,
		      CATALOG_NAMES, filling->at, &known, err);
	if (r < 0 || known)
		return r;
	r = key_to_path(manifest->key.data, manifest->key.size, &path);
	if (r < 0)
		return error_set(err, r, "no memory for a path");
	r = options->hint_names(options->context, path, filling->at, &lines, err);
	if (r == 0)
		r = begin(filling->fill, filling->at, &names, err);
	if (r < 0)
		return r;
	names->with_names = false;
	r = add_names(names, text_string(&lines), false, err);
	if (r == 0)
		r = add_names(names, text_string(&lines), true, err);
	if (r == 0)
		r = add(names, manifest->key.data, manifest->key.size, CATALOG_NAMES,
			err);
	return r < 0 ? r : put_batch(names, err);
}

static int put_names_of(struct filling *filling, struct error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < filling->count; i++) {
		const struct item *item = &filling->items[i];
		struct manifest manifest = { 0 };

		if (item->known)
			continue;
		r = manifest_decode(filling->data.data + item->offset, item->size,
				    &manifest, err);
		if (r == 0 && manifest.link.size > 0)
			r = put_names(filling, &manifest, err);
		manifest_done(&manifest);
	}
	return r;
}

/* History. */

static int set_known(struct tree_fill *fill, const uint8_t *key, size_t key_size,
		     enum catalog_known known, uint64_t at, struct error *err)
{
	struct filling filling = { .fill = fill, .at = at };
	int r;

	r = add_item(&filling, key, key_size, known, err);
	if (r == 0)
		r = put_items(&filling, err);
	text_done(&filling.data);
	return r;
}

static int fill_current(struct catalog_filler *filler, uint64_t *sequence_out,
			struct error *err)
{
	const struct tree_fill_options *options = &fill_of(filler)->options;

	return options->current(options->context, sequence_out, err);
}

/* Fill in @key as of each commit that @lines begin with. */
static int fill_hinted(struct catalog_filler *filler, const uint8_t *key, size_t key_size,
		       uint64_t current, char *lines, struct error *err)
{
	char *next = lines;
	int r = 0;

	while (r == 0 && next && *next) {
		char *line = strsep(&next, "\n");
		uint64_t commit;

		if (number_parse_u64(line, &commit) < 0 || commit > current)
			return error_set(err, -EBADMSG,
					 "the server's list of versions is none");
		r = fill_entry(filler, key, key_size, commit, err);
	}
	return r;
}

static int fill_versions(struct catalog_filler *filler, const uint8_t *key,
			 size_t key_size, struct error *err)
{
	struct tree_fill *fill = fill_of(filler);
	autotext struct text lines = { 0 };
	autofree char *path = NULL;
	uint64_t current = 0;
	bool known = false;
	int r;

	r = fill_current(filler, &current, err);
	if (r == 0)
		r = get_known(fill, key, key_size, CATALOG_VERSIONS, current, &known,
			      err);
	if (r < 0 || known)
		return r;
	r = key_to_path(key, key_size, &path);
	if (r < 0)
		return error_set(err, r, "no memory for a path");
	r = fill_entry(filler, key, key_size, current, err);
	if (r == 0)
		r = fill->options.hint_versions(fill->options.context, path, &lines, err);
	if (r == 0 && lines.size > 0)
		r = fill_hinted(filler, key, key_size, current, lines.data, err);
	if (r == 0)
		r = set_known(fill, key, key_size, CATALOG_VERSIONS, current, err);
	return r;
}

/* There is no way around looking at the folder in each commit. */
static int fill_paths(struct catalog_filler *filler, const uint8_t *key, size_t key_size,
		      struct error *err)
{
	struct tree_fill *fill = fill_of(filler);
	uint64_t current = 0;
	bool known = false;
	int r;

	r = fill_current(filler, &current, err);
	if (r == 0)
		r = get_known(fill, key, key_size, CATALOG_PATHS, current, &known, err);
	if (r < 0 || known)
		return r;
	for (uint64_t n = current + 1; r == 0 && n > 0; n--)
		r = fill_folder(filler, key, key_size, n - 1, err);
	if (r == 0)
		r = set_known(fill, key, key_size, CATALOG_PATHS, current, err);
	return r;
}

static int fill_heads(struct catalog_filler *filler, uint64_t from, struct error *err)
{
	uint64_t current = 0;
	int r = fill_current(filler, &current, err);

	if (r < 0 || from > current)
		return r;
	return head_chain_prove(fill_of(filler)->options.chain, from, NULL, err);
}

/* What changed. */

struct telling {
	struct tree_fill *fill;
	int (*visit)(void *context, const struct version_row *row, struct error *err);
	void *context;
};

/* Node and folder of @key. CATALOG_END: nobody looked into that folder. */
static int find_nodes(struct tree_fill *fill, const uint8_t *key, size_t key_size,
		      struct version_row *row, struct error *err)
{
	size_t name_size = key_name_size(key, key_size);
	size_t folder_size = key_size > name_size ? key_size - name_size - 1 : 0;
	int64_t above;
	int r;

	mutex_scope(&fill->mutex);
	r = catalog_find_node(fill->catalog, key, folder_size, &row->parent, &above, err);
	if (r != 0)
		return r;
	r = catalog_find_node(fill->catalog, key, key_size, &row->node, &above, err);
	return r < 0 ? r : 0; /* of a new name, only the folder is known */
}

static int tell(void *context, const uint8_t *key, size_t key_size, const char *line,
		size_t line_size, struct error *err)
{
	struct telling *telling = context;
	size_t name_size = key_name_size(key, key_size);
	struct manifest manifest = { 0 };
	struct version_row row = { 0 };
	int r;

	r = find_nodes(telling->fill, key, key_size, &row, err);
	if (r != 0)
		return r == CATALOG_END ? 0 : r;
	r = line ? manifest_decode(line, line_size, &manifest, err) : 0;
	if (r < 0)
		return r;
	row.name.data = (uint8_t *)(uintptr_t)(key + key_size - name_size); /* borrowed */
	row.name.size = name_size;
	row.type = line ? manifest.type : ENTRY_FILE;
	row.version = manifest.version;
	manifest_done(&manifest);
	return telling->visit(telling->context, &row, err);
}

static int fill_changes(struct catalog_filler *filler, uint64_t after, uint64_t last,
			int (*visit)(void *context, const struct version_row *row,
				     struct error *err),
			void *context, struct error *err)
{
	struct tree_fill *fill = fill_of(filler);
	struct telling telling = { fill, visit, context };
	struct hash old, new;
	int r;

	r = find_root(fill, after, &old, err);
	if (r == 0)
		r = find_root(fill, last, &new, err);
	if (r < 0)
		return r;
	return tree_diff(fill->options.source, &old, &new, tell, &telling, err);
}

static const struct catalog_filler_ops ops = {
	.current = fill_current,
	.entry = fill_entry,
	.folder = fill_folder,
	.versions = fill_versions,
	.paths = fill_paths,
	.heads = fill_heads,
	.changes = fill_changes,
};

int tree_fill_new(const struct tree_fill_options *options, struct tree_fill **fill_out,
		  struct error *err)
{
	autoptr(tree_fill) fill = calloc(1, sizeof(*fill));
	int r;

	if (!fill)
		return error_set(err, -ENOMEM, "no memory for a private catalog");
	mutex_init(&fill->mutex);
	fill->filler.ops = &ops;
	fill->options = *options;
	r = catalog_open(options->path, &fill->catalog, err);
	if (r == 0)
		r = catalog_be_disposable(fill->catalog, err);
	if (r < 0)
		return r;
	fill->options.path = NULL;
	*fill_out = take_ptr(fill);
	return 0;
}

void tree_fill_free(struct tree_fill *fill)
{
	if (!fill)
		return;
	catalog_free(fill->catalog);
	mutex_done(&fill->mutex);
	free(fill);
}

struct catalog_filler *tree_fill_filler(struct tree_fill *fill)
{
	return &fill->filler;
}
