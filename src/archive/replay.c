/* SPDX-License-Identifier: MIT */
/* Heads may come in any order and, from checkpoints, more than once; commits are replayed in
 * order of their numbers. Between two heads that follow each other in the chain, what lies
 * between their trees is what the later commit did. Where heads are missing, because their
 * volume is, the next known one stands for them all. The work follows the heads that there
 * are, never their numbers: those come from volumes, and any number may stand there.
 *
 * Two heads have the same number where a writer of copies was killed when one volume had the
 * commit record, and that volume was away when the next commit was made. Which one counts is
 * for the volumes alone to say: the one that a later commit follows, or else the later one.
 *
 * The heads wait in the catalog's own table, so that nothing here grows with their number.
 */
#include "archive/replay.h"

#include "archive/head.h"
#include "archive/salvage.h"
#include "archive/source.h"
#include "archive/tree_diff.h"
#include "base/error.h"
#include "catalog/history.h"
#include "volume/record.h"

#include <inttypes.h>
#include <string.h>

/* Decode and release @row. */
static int take_head(struct commit_row *row, struct head *head_out, struct error *err)
{
	int r = head_decode(row->head, strlen(row->head), head_out, err);

	commit_row_done(row);
	return r;
}

/* The catalog's last commit: 0, or CATALOG_END. */
static int last_head(struct catalog *catalog, struct head *head_out, struct error *err)
{
	struct commit_row row = { 0 };
	int r = catalog_get_commit(catalog, VERSION_CURRENT, &row, err);

	return r != 0 ? r : take_head(&row, head_out, err);
}

/* The first commit that was not replayed: 0, or CATALOG_END. */
static int next_head(const struct replay *replay, struct head *head_out,
		     struct error *err)
{
	uint64_t sequence = replay->started ? replay->last + 1 : 0;
	struct commit_row row = { 0 };
	int r = catalog_next_commit(replay->catalog, sequence, &row, err);

	return r != 0 ? r : take_head(&row, head_out, err);
}

static void set_last(struct replay *replay, const struct head *head)
{
	replay->started = true;
	replay->last = head->sequence;
	replay->last_hash = head->hash;
	replay->root = head->tree;
}

int replay_init(struct replay *replay, struct catalog *catalog, struct error *err)
{
	struct head head = { 0 };
	int r;

	*replay = (struct replay){ .catalog = catalog };
	r = last_head(catalog, &head, err);
	if (r == CATALOG_END)
		return 0;
	if (r < 0)
		return r;
	set_last(replay, &head);
	head_done(&head);
	return 0;
}

static int compare_times(const struct entry_time *a, const struct entry_time *b)
{
	if (a->seconds != b->seconds)
		return a->seconds > b->seconds ? 1 : -1;
	return (a->nanoseconds > b->nanoseconds) - (a->nanoseconds < b->nanoseconds);
}

/* Whether @head counts rather than @known, which has its number. */
static bool is_later(const struct head *head, const struct head *known)
{
	int order = compare_times(&head->time, &known->time);

	if (order == 0)
		order = hash_compare(&head->hash, &known->hash);
	return order > 0;
}

/* The same, if a commit that follows one of them does not tell. Releases @row. */
static int counts(struct replay *replay, const struct head *head, struct commit_row *row,
		  bool *counts_out, struct error *err)
{
	struct commit_row next_row = { 0 };
	struct head known = { 0 }, next = { 0 };
	int r;

	r = take_head(row, &known, err);
	if (r < 0)
		return r;
	*counts_out = is_later(head, &known);
	r = catalog_get_commit(replay->catalog, head->sequence + 1, &next_row, err);
	if (r == 0)
		r = take_head(&next_row, &next, err);
	if (r == 0 && (hash_equal(&next.previous, &head->hash) ||
		       hash_equal(&next.previous, &known.hash)))
		*counts_out = hash_equal(&next.previous, &head->hash);
	head_done(&next);
	head_done(&known);
	return r < 0 ? r : 0;
}

/* @head has the number of the commit @row, which is released: the one that counts stays. */
static int settle(struct replay *replay, const struct head *head, const char *json,
		  struct commit_row *row, struct error *err)
{
	bool waiting = !replay->started || head->sequence > replay->last;
	bool better = false;
	int r = 0;

	if (waiting)
		r = counts(replay, head, row, &better, err);
	commit_row_done(row);
	if (r == 0 && better)
		r = catalog_put_commit(replay->catalog, head->sequence, &head->hash, json,
				       err);
	if (r < 0)
		return r;
	return error_set(err, -ESTALE,
			 "there are two commits number %" PRIu64
			 ": the archive was continued from an older state",
			 head->sequence);
}

static int take(struct replay *replay, const struct head *head, const char *json,
		struct error *err)
{
	struct commit_row known = { 0 };
	int r;

	r = catalog_get_commit(replay->catalog, head->sequence, &known, err);
	if (r < 0)
		return r;
	if (r == 0 && !hash_equal(&known.hash, &head->hash))
		return settle(replay, head, json, &known, err);
	if (r == 0) {
		commit_row_done(&known);
		return REPLAY_KNOWN;
	}
	if (replay->started && head->sequence <= replay->last)
		return REPLAY_OLD;
	return catalog_put_commit(replay->catalog, head->sequence, &head->hash, json,
				  err);
}

int replay_take(struct replay *replay, const struct record *record, struct error *err)
{
	struct head head = { 0 };
	int r;

	if (!record->head || record->head_size == 0)
		return REPLAY_KNOWN;
	r = head_decode(record->head, record->head_size, &head, err);
	if (r < 0)
		return r;
	r = take(replay, &head, record->head, err);
	head_done(&head);
	return r;
}

bool replay_knows(struct catalog *catalog, const struct record *record,
		  uint64_t *sequence_out)
{
	struct commit_row row = { 0 };
	struct head head = { 0 };
	bool known;

	if (!record->head || record->head_size == 0 ||
	    head_decode(record->head, record->head_size, &head, NULL) < 0)
		return false;
	known = catalog_get_commit(catalog, head.sequence, &row, NULL) == 0 &&
		hash_equal(&row.hash, &head.hash);
	*sequence_out = head.sequence;
	commit_row_done(&row);
	head_done(&head);
	return known;
}

struct change {
	struct catalog *catalog;
	uint64_t sequence;
};

static int put_change(void *context, const uint8_t *key, size_t key_size,
		      const char *line, size_t line_size, struct error *err)
{
	const struct change *change = context;
	struct manifest manifest = { 0 };
	int r;

	if (!line)
		return catalog_end_version(change->catalog, change->sequence, key,
					   key_size, err);
	r = manifest_decode(line, line_size, &manifest, err);
	if (r < 0)
		return r;
	r = catalog_put_version(change->catalog, change->sequence, &manifest, line,
				line_size, err);
	manifest_done(&manifest);
	return r;
}

static int check_chain(const struct replay *replay, const struct head *head,
		       struct error *err)
{
	if (!replay->started || head->sequence != replay->last + 1 ||
	    hash_equal(&head->previous, &replay->last_hash))
		return 0;
	return error_set(err, -ESTALE,
			 "it does not follow commit %" PRIu64
			 ": the archive was continued from an older state",
			 replay->last);
}

static bool is_damage(int r)
{
	return r == -EBADMSG || r == -ENOMEDIUM || r == -ENOENT || r == -EIO ||
	       r == -EPROTONOSUPPORT || r == -ESTALE;
}

/* Make a failure an event, or the error that it is. */
static int report_damage(const struct head *head, int r, const struct error *why,
			 const struct replay_events *events, struct error *err)
{
	if (events->damaged && is_damage(r))
		return events->damaged(events->context, head->sequence, why, err);
	if (err)
		*err = *why;
	return error_prefix(err, r, "commit %" PRIu64, head->sequence);
}

/* Put what @head did. Damage is an event, and then what can be read of its tree counts. */
static int replay_head(struct replay *replay, struct source *source,
		       const struct head *head, const struct replay_events *events,
		       struct error *err)
{
	struct change change = { .catalog = replay->catalog, .sequence = head->sequence };
	struct error why = { 0 };
	int r;

	r = check_chain(replay, head, &why);
	if (r < 0)
		r = report_damage(head, r, &why, events, err);
	if (r < 0)
		return r;
	r = tree_diff(source, &replay->root, &head->tree, put_change, &change, &why);
	if (r == 0)
		return 0;
	r = report_damage(head, r, &why, events, err);
	if (r < 0)
		return r;
	return salvage_tree(replay->catalog, source, head->sequence, &head->tree, err);
}

static int report_gap(const struct replay *replay, uint64_t next,
		      const struct replay_events *events, struct error *err)
{
	uint64_t first = replay->started ? replay->last + 1 : 0;

	if (first == next || !events->missing)
		return 0;
	return events->missing(events->context, first, next - 1, err);
}

/* Replay the next commit that is known: 0, or CATALOG_END. */
static int replay_next(struct replay *replay, struct source *source,
		       const struct replay_events *events, struct error *err)
{
	struct head head = { 0 };
	int r;

	r = next_head(replay, &head, err);
	if (r != 0)
		return r;
	r = report_gap(replay, head.sequence, events, err);
	if (r == 0)
		r = replay_head(replay, source, &head, events, err);
	if (r == 0)
		set_last(replay, &head);
	head_done(&head);
	return r;
}

int replay_run(struct replay *replay, struct source *source,
	       const struct replay_events *events, struct error *err)
{
	const struct replay_events none = { 0 };
	int r;

	do
		r = replay_next(replay, source, events ? events : &none, err);
	while (r == 0);
	return r == CATALOG_END ? 0 : r;
}
