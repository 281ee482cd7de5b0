/* SPDX-License-Identifier: MIT */
/* The difference of the two trees is what the commit brought, found without a list in memory:
 * the trees are read from the volumes as well, so that pages are verified on the way.
 */
#include "archive/commit_verify.h"

#include "archive/archive.h"
#include "archive/commit_monitor.h"
#include "archive/frame_cache.h"
#include "archive/reader.h"
#include "archive/tree_diff.h"
#include "base/budget.h"
#include "base/error.h"
#include "chunker/frame.h"
#include "merkle/manifest.h"

#include <errno.h>
#include <inttypes.h>

/* Bytes: small files share frames with their neighbours. */
#define CACHE_SIZE (4u * FRAME_SIZE_MAX)
#define VERIFY_MEMORY (READER_MEMORY + CACHE_SIZE)

struct verify {
	struct source *source;
	struct reader *reader; /* owned */
	struct commit_monitor *monitor;
	uint64_t files;
	uint64_t failures;
	struct error first; /* failure */
};

static int check_content(struct verify *verify, const struct manifest *manifest,
			 struct error *err)
{
	autoptr(content) content = NULL;
	int r;

	r = content_open(manifest, &content, err);
	if (r < 0)
		return r;
	return content_verify(content, verify->reader, err);
}

static int check_entry(struct verify *verify, const struct manifest *manifest)
{
	autofree char *path = NULL;
	struct error text = { 0 };
	int r;

	if (manifest->type != ENTRY_FILE)
		return 0;
	r = check_content(verify, manifest, &text);
	verify->files++;
	if (r >= 0)
		return 0;
	(void)key_to_path(manifest->key.data, manifest->key.size, &path);
	if (verify->failures++ == 0) {
		verify->first = text;
		error_prefix(&verify->first, r, "'%s'", path ? path : "?");
	}
	return r == -ENOMEM ? r : 0;
}

static int visit(void *context, const uint8_t *key, size_t key_size, const char *line,
		 size_t line_size, struct error *err)
{
	struct verify *verify = context;
	struct manifest manifest = { 0 };
	int r;

	(void)key;
	(void)key_size;
	r = monitor_check(verify->monitor, err);
	if (r < 0 || !line)
		return r;
	r = manifest_decode(line, line_size, &manifest, err);
	if (r < 0)
		return r;
	r = check_entry(verify, &manifest);
	manifest_done(&manifest);
	return r < 0 ? error_set(err, r, "no memory to read the commit back") : 0;
}

int commit_verify(struct archive *archive, const struct hash *old_tree,
		  const struct hash *new_tree, struct commit_monitor *monitor,
		  uint64_t *files_out, struct error *err)
{
	struct budget *budget = archive_budget(archive);
	struct verify verify = { .source = archive_source(archive), .monitor = monitor };
	struct frame_cache *cache = NULL;
	int r;

	r = budget_reserve(budget, VERIFY_MEMORY, "reading back", err);
	if (r < 0)
		return r;
	r = frame_cache_new(NULL, CACHE_SIZE, &cache, err);
	if (r == 0)
		r = reader_new(verify.source, cache, &verify.reader, err);
	if (r == 0)
		r = tree_diff(verify.source, old_tree, new_tree, visit, &verify, err);
	reader_free(verify.reader);
	frame_cache_free(cache);
	budget_release(budget, VERIFY_MEMORY);
	if (r < 0)
		return error_prefix(err, r, "reading the commit back");
	*files_out = verify.files;
	if (verify.failures == 0)
		return 0;
	if (err)
		*err = verify.first;
	return error_prefix(err, -EBADMSG,
			    "%" PRIu64 " of %" PRIu64
			    " files of the commit can't be read back",
			    verify.failures, verify.files);
}
