/* SPDX-License-Identifier: MIT */
/* The order of the last steps is what makes a commit atomic:
 *
 *     tree pages appended             part of the open data stripe
 *     appender_commit()               data flushed, then the commit record: it exists
 *     catalog: the commit's row       in the transaction
 *     catalog_commit()                visible
 *
 * A failure before the second leaves a tail that nobody looks at and a transaction that is
 * rolled back. A failure after it leaves a catalog that is behind, which the next opening of
 * the archive mends.
 */
#include "archive/commit_session.h"

#include "archive/archive.h"
#include "archive/copies.h"
#include "archive/lost_places.h"
#include "archive/tree_builder.h"
#include "archive/tree_page.h"
#include "base/budget.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/crash_point.h"
#include "base/error.h"
#include "base/text.h"
#include "base/timestamp.h"
#include "catalog/history.h"
#include "catalog/placement.h"
#include "chunker/frame.h"
#include "chunker/skippable.h"
#include "volume/atom.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	PAGE_ATOM_MAX = SKIPPABLE_HEADER_SIZE + TREE_PAGE_HEADER_SIZE + FRAME_STORED_MAX,
};

struct commit_session {
	struct archive *archive;
	struct catalog *catalog; /* the archive's */
	struct commit_session_options options;
	struct head base;
	bool open;                     /* the transaction is */
	struct appender *appender;     /* owned; NULL until it is needed */
	struct tree_builder *builder;  /* likewise */
	struct frame_encoder *encoder; /* likewise; of list pages */
	struct copies copies;          /* loaded when first asked for */
	struct lost_places lost;
	struct text line;
	uint64_t changes;
};

static int read_base(struct commit_session *session, struct error *err)
{
	struct commit_row commit = { 0 };
	int r;

	r = catalog_get_commit(session->catalog, VERSION_CURRENT, &commit, err);
	if (r == CATALOG_END)
		return error_set(err, -EBADMSG, "the catalog has no commit");
	if (r < 0)
		return r;
	r = head_decode(commit.head, strlen(commit.head), &session->base, err);
	commit_row_done(&commit);
	return r;
}

int commit_session_new(const struct commit_session_options *options,
		       struct commit_session **session_out, struct error *err)
{
	autoptr(commit_session) session = calloc(1, sizeof(*session));
	int r;

	if (!session)
		return error_set(err, -ENOMEM, "no memory for a commit");
	session->archive = options->archive;
	session->catalog = archive_catalog(options->archive);
	session->options = *options;
	r = read_base(session, err);
	if (r == 0)
		r = lost_places_init(session->catalog, &session->lost, err);
	if (r < 0)
		return r;
	*session_out = take_ptr(session);
	return 0;
}

void commit_session_free(struct commit_session *session)
{
	if (!session)
		return;
	tree_builder_free(session->builder);
	appender_free(session->appender);
	if (session->open)
		catalog_rollback(session->catalog);
	frame_encoder_free(session->encoder);
	head_done(&session->base);
	text_done(&session->line);
	copies_done(&session->copies);
	free(session);
}

struct archive *commit_session_archive(const struct commit_session *session)
{
	return session->archive;
}

struct catalog *commit_session_catalog(const struct commit_session *session)
{
	return session->catalog;
}

const struct head *commit_session_base(const struct commit_session *session)
{
	return &session->base;
}

uint64_t commit_session_changes(const struct commit_session *session)
{
	return session->changes;
}

const struct lost_places *commit_session_lost(const struct commit_session *session)
{
	return &session->lost;
}

bool commit_session_has_work(const struct commit_session *session)
{
	return session->changes > 0 || (session->lost.any && session->appender);
}

static int begin(struct commit_session *session, struct error *err)
{
	int r;

	if (session->open)
		return 0;
	r = catalog_begin(session->catalog, err);
	if (r < 0)
		return r;
	session->open = true;
	return 0;
}

int commit_session_appender(struct commit_session *session,
			    struct appender **appender_out, struct error *err)
{
	int r;

	if (!session->appender) {
		r = begin(session, err);
		if (r < 0)
			return r;
		r = appender_open(session->archive, &session->options.appender,
				  &session->appender, err);
		if (r < 0)
			return r;
	}
	*appender_out = session->appender;
	return 0;
}

/* Append a whole page and say where it is. */
static int append_page(struct commit_session *session, unsigned kind,
		       const struct hash *hash, const uint8_t *atom, size_t size,
		       struct error *err)
{
	struct page_place place = { .hash = *hash,
				    .stored_size = (uint32_t)size,
				    .kind = (uint8_t)kind };
	struct appender *appender;
	int r;

	r = commit_session_appender(session, &appender, err);
	if (r < 0)
		return r;
	r = appender_begin(appender, size, err);
	if (r < 0)
		return r;
	r = appender_append(appender, ATOM(atom, size), err);
	if (r < 0)
		return r;
	return appender_place_page(appender, &place, err);
}

static int take_tree_page(void *context, const struct hash *hash, const uint8_t *atom,
			  size_t size, struct error *err)
{
	return append_page(context, SKIPPABLE_TREE_PAGE, hash, atom, size, err);
}

static int begin_tree(struct commit_session *session, struct error *err)
{
	const struct tree_sink sink = { .page = take_tree_page, .context = session };
	int r;

	if (session->builder)
		return 0;
	r = begin(session, err);
	if (r < 0)
		return r;
	return tree_builder_new(archive_source(session->archive), &session->base.tree,
				&sink, &session->builder, err);
}

/* Places are looked at once: a disk that comes or goes during a commit changes nothing. */
int commit_session_count_copy(struct commit_session *session, const struct uuid *volume,
			      uint64_t log_offset, uint64_t size, struct copy_set *set,
			      bool *enough_out, struct error *err)
{
	bool lost;
	int r;

	*enough_out = false;
	r = lost_places_have(&session->lost, volume, log_offset, size, &lost, err);
	if (r < 0 || lost)
		return r;
	if (!session->copies.volumes) {
		r = copies_load(session->archive, session->catalog, &session->copies,
				err);
		if (r < 0)
			return r;
	}
	copies_add(&session->copies, volume, set);
	*enough_out = copies_suffice(&session->copies, set);
	return 0;
}

/* Whether there are enough copies of the page. */
static int page_is_known(struct commit_session *session, const struct hash *page,
			 bool *known_out, struct error *err)
{
	struct copy_set set = { 0 };
	struct page_place place;
	struct uuid volume;
	bool known = false;

	for (unsigned nth = 0; !known; nth++) {
		int r = catalog_find_page(session->catalog, page, nth, &place, &volume,
					  err);

		if (r == 0)
			r = commit_session_count_copy(session, &volume, place.log_offset,
						      place.stored_size, &set, &known,
						      err);
		if (r < 0)
			return r;
		if (r == CATALOG_END)
			break;
	}
	*known_out = known;
	return 0;
}

static int encode_list(struct commit_session *session, const struct hash *ids,
		       size_t count, uint8_t *atom, size_t *size_out,
		       struct hash *page_out, struct error *err)
{
	int r;

	if (!session->encoder) {
		int level = archive_config(session->archive)->compression.level;

		r = frame_encoder_new(level, &session->encoder, err);
		if (r < 0)
			return r;
	}
	return tree_page_encode(session->encoder, TREE_LIST, 0, ids[0].bytes,
				count * HASH_SIZE, atom, size_out, page_out, err);
}

int commit_session_put_list(struct commit_session *session, const struct hash *ids,
			    size_t count, struct hash *page_out, struct error *err)
{
	autofree uint8_t *atom = malloc(PAGE_ATOM_MAX);
	struct hash page;
	bool known;
	size_t size;
	int r;

	assert(count >= 1 && count <= LIST_PAGE_IDS);
	if (!atom)
		return error_set(err, -ENOMEM, "no memory for a list page");
	r = encode_list(session, ids, count, atom, &size, &page, err);
	if (r < 0)
		return r;
	r = page_is_known(session, &page, &known, err);
	if (r < 0)
		return r;
	if (!known) {
		r = append_page(session, SKIPPABLE_LIST_PAGE, &page, atom, size, err);
		if (r < 0)
			return r;
	}
	*page_out = page;
	return 0;
}

/* The number of the entry's next version. */
static int next_version(struct commit_session *session, const struct bytes *key,
			uint32_t *version_out, struct error *err)
{
	uint32_t last = 0;
	int r;

	if (session->base.sequence > 0) {
		r = catalog_last_version(session->catalog, key->data, key->size, &last,
					 err);
		if (r < 0)
			return r;
	}
	*version_out = last + 1;
	return 0;
}

int commit_session_put(struct commit_session *session, struct manifest *manifest,
		       struct error *err)
{
	const struct bytes *key = &manifest->key;
	size_t line_size;
	int r;

	r = begin_tree(session, err);
	if (r < 0)
		return r;
	r = next_version(session, key, &manifest->version, err);
	if (r < 0)
		return r;
	text_clear(&session->line);
	r = manifest_encode(manifest, &session->line, err);
	if (r < 0)
		return r;
	line_size = session->line.size - 1;
	session->line.data[line_size] = 0; /* in place of the newline */

	r = tree_builder_put(session->builder, key->data, key->size, session->line.data,
			     line_size, err);
	if (r == -EINVAL)
		return error_prefix(err, -EBADMSG, "entry"); /* ours is -EINVAL */
	if (r < 0)
		return r;
	session->changes++;
	return catalog_put_version(session->catalog, session->base.sequence + 1, manifest,
				   session->line.data, line_size, err);
}

int commit_session_remove(struct commit_session *session, const uint8_t *key,
			  size_t key_size, struct error *err)
{
	int r;

	r = begin_tree(session, err);
	if (r < 0)
		return r;
	r = tree_builder_put(session->builder, key, key_size, NULL, 0, err);
	if (r < 0)
		return r;
	session->changes++;
	return catalog_end_version(session->catalog, session->base.sequence + 1, key,
				   key_size, err);
}

static int make_head(struct commit_session *session, struct head *head_out,
		     char **json_out, struct error *err)
{
	const int64_t now = clock_realtime_ns();
	const int64_t second = (int64_t)NS_PER_SECOND;
	int64_t seconds = now / second - (now % second < 0);
	autofree char *message = NULL;
	int r;

	*head_out = (struct head){
		.sequence = session->base.sequence + 1,
		.previous = session->base.hash,
		.time = { seconds, (uint32_t)(now - seconds * second) },
	};
	archive_id(session->archive, &head_out->archive_id);
	r = tree_builder_finish(session->builder, &head_out->tree, err);
	if (r < 0)
		return r;

	if (session->options.message) {
		message = strdup(session->options.message);
		if (!message)
			return error_set(err, -ENOMEM, "no memory for a head");
	}
	head_out->message = message;
	head_out->tag_count = session->options.tag_count;
	head_out->tags = calloc(head_out->tag_count + 1, sizeof(*head_out->tags));
	if (!head_out->tags)
		return error_set(err, -ENOMEM, "no memory for a head");
	for (size_t i = 0; i < head_out->tag_count; i++)
		head_out->tags[i] = session->options.tags[i]; /* lent */
	r = head_encode(head_out, json_out, err);
	free(head_out->tags);
	head_out->tags = NULL;
	head_out->tag_count = 0;
	head_out->message = NULL;
	return r;
}

int commit_session_finish(struct commit_session *session, struct commit_made *made_out,
			  struct error *err)
{
	autofree char *json = NULL;
	struct appender *appender;
	struct head head;
	int r;

	r = begin_tree(session, err);
	if (r < 0)
		return r;
	r = make_head(session, &head, &json, err);
	if (r < 0)
		return r;
	r = commit_session_appender(session, &appender, err);
	if (r < 0)
		return r;
	r = appender_commit(appender, json, err);
	if (r < 0)
		return r;
	*made_out = (struct commit_made){
		.sequence = head.sequence,
		.hash = head.hash,
		.tree = head.tree,
	};
	appender_totals(appender, &made_out->totals);

	r = catalog_put_commit(session->catalog, head.sequence, &head.hash, json, err);
	if (r == 0)
		r = catalog_commit(session->catalog, err);
	if (r < 0)
		return error_prefix(err, r,
				    "commit %llu is durable, but the catalog is behind",
				    (unsigned long long)head.sequence);
	session->open = false;
	crash_point("archive.catalog.committed");
	return 0;
}

int commit_session_end_unchanged(struct commit_session *session, struct error *err)
{
	if (session->appender)
		return 0; /* opening it did the same */
	return appender_finish_last(session->archive, &session->options.appender, err);
}
