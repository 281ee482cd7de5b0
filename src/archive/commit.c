/* SPDX-License-Identifier: MIT */
/* A commit is one pass: for each source, in the order of keys, walk (archive/walk.h) yields
 * what differs from the archive, entry_writer brings it in, and content_writer reads and
 * stores content behind its back. commit_session begins to write when there is something to
 * write, and makes all of it one commit in the end.
 *
 * What was stored but never became part of a commit (the commit was interrupted; a file kept
 * changing) costs space only, and serves the next commit as far as records list it.
 */
#include "archive/commit.h"

#include "archive/archive.h"
#include "archive/commit_session.h"
#include "archive/commit_source.h"
#include "archive/commit_strength.h"
#include "archive/commit_verify.h"
#include "archive/content_writer.h"
#include "archive/entry_writer.h"
#include "archive/known_content.h"
#include "archive/volume_set.h"
#include "archive/walk.h"
#include "base/config.h"
#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SOURCES_AT_ONCE 4096u

/* Sources that come one by one, as long as entries of theirs may be on their way. */
struct source_window {
	struct ready_source *items; /* owned; SOURCES_AT_ONCE */
	size_t count;
};

struct commit {
	struct archive *archive;
	const struct commit_options *options;
	struct commit_summary *summary;
	struct commit_monitor monitor;
	struct ready_sources sources; /* owned, like all below */
	struct source_window window;
	struct commit_session *session;
	struct content_writer *content; /* NULL in a dry run */
	struct entry_writer *entries;   /* likewise */
	struct walk *walk;
};

void commit_options_init(struct commit_options *options, const struct archive *archive)
{
	const struct config *config = archive_config(archive);

	*options = (struct commit_options){
		.excludes = config->commit.exclude.items,
		.exclude_count = config->commit.exclude.count,
		.one_file_system = config->commit.one_file_system,
		.tiered = config->parity.policy == CONFIG_POLICY_TIERED,
		.data = config->parity.data,
		.parity = config->parity.parity,
		.level = config->compression.level,
		.frame_size = (uint32_t)config->compression.frame_size,
	};
}

static void commit_done(struct commit *commit)
{
	walk_free(commit->walk);
	content_writer_free(commit->content);
	entry_writer_free(commit->entries);
	commit_session_free(commit->session);
	ready_sources_done(&commit->sources);
	for (size_t i = 0; i < commit->window.count; i++)
		ready_source_done(&commit->window.items[i]);
	free(commit->window.items);
}

static int make_writers(struct commit *commit, struct error *err)
{
	struct content_writer_options content = {
		.session = commit->session,
		.monitor = &commit->monitor,
		.pool = archive_pool(commit->archive),
		.budget = archive_budget(commit->archive),
		.frame_size = commit->options->frame_size,
		.level = commit->options->level,
	};
	struct entry_writer_options entries = {
		.session = commit->session,
		.monitor = &commit->monitor,
		.summary = commit->summary,
		.known = commit->options->known,
	};
	int r;

	r = content_writer_new(&content, &commit->content, err);
	if (r < 0)
		return r;
	entries.content = commit->content;
	return entry_writer_new(&entries, &commit->entries, err);
}

static int make_walk(struct commit *commit, struct error *err)
{
	const struct commit_options *options = commit->options;
	struct walk_options walk = {
		.catalog = archive_catalog(commit->archive),
		.monitor = &commit->monitor,
		.excludes = options->excludes,
		.exclude_count = options->exclude_count,
		.exclude_caches = options->exclude_caches,
		.one_file_system = options->one_file_system,
		.read_all = options->read_all,
		.lost = commit_session_lost(commit->session),
		.source = archive_source(commit->archive),
		.linked = commit->entries ? entry_writer_linked : NULL,
		.context = commit->entries,
	};

	own_folders_of(commit->archive, &walk.own);
	return walk_new(&walk, &commit->walk, err);
}

static int prepare(struct commit *commit, struct error *err)
{
	const struct commit_options *options = commit->options;
	struct commit_session_options session = {
		.archive = commit->archive,
		.appender = { options->tiered, options->data, options->parity },
		.message = options->message,
		.tags = options->tags,
		.tag_count = options->tag_count,
	};
	int r;

	r = ready_sources_make(options, archive_catalog(commit->archive),
			       &commit->sources, err);
	if (r < 0)
		return r;
	r = commit_session_new(&session, &commit->session, err);
	if (r < 0)
		return r;
	if (!options->dry_run) {
		r = make_writers(commit, err);
		if (r < 0)
			return r;
	}
	return make_walk(commit, err);
}

/* What a dry run knows of an entry. */
static void count_entry(const struct commit *commit, const struct walk_entry *entry)
{
	struct commit_summary *summary = commit->summary;
	struct hash hash;
	bool known;

	if (entry->state == WALK_GONE) {
		summary->deleted_files += !entry->was_folder;
		return;
	}
	if (S_ISDIR(entry->stat.st_mode))
		return;
	known = known_content_find(commit->options->known, entry->parent->fd, entry->name,
				   &entry->stat, &hash);
	if (S_ISREG(entry->stat.st_mode) && !known)
		summary->read_size += (uint64_t)entry->stat.st_size;
	if (entry->state == WALK_NEW)
		summary->new_files++;
	else if (known)
		summary->unchanged_files++;
	else
		summary->changed_files++;
}

static int take_tree(struct commit *commit, const struct ready_source *source,
		     struct error *err)
{
	struct walk_entry entry;
	struct folder *folder;
	const char *name;
	int r;

	r = ready_source_open(source, &folder, &name, err);
	if (r < 0)
		return r;
	r = walk_start(commit->walk, &source->root, folder, name, source->key.data,
		       source->key.size, err);
	if (r < 0)
		return r;
	while ((r = walk_next(commit->walk, &entry, err)) > 0) {
		if (commit->entries)
			r = entry_writer_take(commit->entries, &entry, source, err);
		else
			count_entry(commit, &entry);
		if (r < 0)
			return r;
	}
	return r;
}

/* Make the folders that the source's destination is in, unless the one before did. */
static int take_parents(struct commit *commit, const struct ready_source *source,
			struct error *err)
{
	for (size_t i = source->shared + 1; i < source->key.size; i++) {
		int r;

		if (source->key.data[i] != 0)
			continue;
		r = entry_writer_folder(commit->entries, source->key.data, i, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int take_source(struct commit *commit, const struct ready_source *source,
		       struct error *err)
{
	int r;

	if (commit->entries) {
		r = take_parents(commit, source, err);
		if (r < 0)
			return r;
	}
	if (source->path)
		return take_tree(commit, source, err);
	return commit->entries ? entry_writer_stream(commit->entries, source, err) : 0;
}

/* Files that go while others are committed, and those whose folder was replaced. */
static bool may_be_left_out(int r)
{
	return r == -ENOENT || r == -ENOTDIR;
}

/* Wait for all of them, and keep the last one only, which the next is compared with. */
static int settle_window(struct commit *commit, struct source_window *window,
			 struct error *err)
{
	struct ready_source last = window->items[window->count - 1];
	int r = commit->entries ? entry_writer_finish(commit->entries, err) : 0;

	if (r < 0)
		return r;
	for (size_t i = 0; i < window->count - 1; i++)
		ready_source_done(&window->items[i]);
	window->items[0] = last;
	window->count = 1;
	return 0;
}

static int take_next(struct commit *commit, const struct commit_source *given,
		     struct source_window *window, struct error *err)
{
	static const struct ready_source none;
	struct ready_source *source = &window->items[window->count];
	struct error why = { 0 };
	int r;

	r = monitor_check(&commit->monitor, err);
	if (r < 0)
		return r;
	r = ready_source_make(commit->options, archive_catalog(commit->archive), given,
			      window->count > 0 ? source - 1 : &none, source, &why);
	if (r == 0) {
		window->count++;
		r = take_source(commit, source, &why);
	}
	if (may_be_left_out(r)) {
		monitor_problem(&commit->monitor, COMMIT_VANISHED, given->path, &why);
		r = 0;
	}
	if (r < 0 && err)
		*err = why;
	if (r < 0 || window->count < SOURCES_AT_ONCE)
		return r;
	return settle_window(commit, window, err);
}

static int take_window(struct commit *commit, struct source_window *window,
		       struct error *err)
{
	const struct commit_options *options = commit->options;
	struct commit_source given;
	int r;

	do {
		given = (struct commit_source){ .fd = -1 };
		r = options->next_source(options->next_context, &given, err);
		if (r > 0)
			r = take_next(commit, &given, window, err);
		else
			return r;
	} while (r == 0);
	return r;
}

/* Entries still refer to their sources, so those are freed after the entries are written, or
 * with them. */
static int take_sources(struct commit *commit, struct error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < commit->sources.count; i++)
		r = take_source(commit, &commit->sources.items[i], err);
	if (r < 0 || !commit->options->next_source)
		return r;
	commit->window.items = calloc(SOURCES_AT_ONCE, sizeof(*commit->window.items));
	if (!commit->window.items)
		return error_set(err, -ENOMEM, "no memory for sources");
	return take_window(commit, &commit->window, err);
}

static void sum_up(struct commit *commit)
{
	const struct walk_counters *seen = walk_counters(commit->walk);
	struct commit_summary *summary = commit->summary;

	summary->unchanged_files += seen->unchanged_files;
	summary->folders = seen->folders;
	summary->problems = commit->monitor.problems;
	if (commit->content) {
		const struct content_counters *content =
			content_writer_counters(commit->content);

		summary->read_size = content->read_size;
		summary->new_size = content->new_size;
		summary->known_size = content->known_size;
	}
}

/* Tell of copies that are missing. */
static int count_copies(struct commit *commit, uint64_t copies, struct error *err)
{
	struct commit_summary *summary = commit->summary;
	struct appender *appender;
	int r;

	r = commit_session_appender(commit->session, &appender, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < appender_problem_count(appender); i++) {
		const struct lane_problem *problem = appender_problem(appender, i);

		monitor_problem(&commit->monitor, COMMIT_NO_COPY, problem->place,
				&problem->why);
	}
	summary->copies = copies;
	summary->too_few_copies =
		copies < config_min_copies(archive_config(commit->archive));
	summary->problems = commit->monitor.problems;
	return 0;
}

/* Make what was taken in a commit. */
static int finish(struct commit *commit, struct error *err)
{
	const struct commit_options *options = commit->options;
	struct commit_summary *summary = commit->summary;
	struct commit_made made;
	int r;

	r = commit_session_finish(commit->session, &made, err);
	if (r < 0)
		return r;
	summary->made = true;
	summary->sequence = made.sequence;
	summary->hash = made.hash;
	summary->payload_size = made.totals.payload_size;
	summary->written_size = made.totals.written_size;
	r = count_copies(commit, made.totals.copies, err);
	if (r < 0)
		return r;
	commit_strength(options->tiered, options->data, options->parity,
			archive_config(commit->archive)->parity.spread,
			summary->payload_size, &summary->strength);
	if (!options->verify)
		return 0;
	content_writer_free(take_ptr(commit->content)); /* its memory is wanted */
	return commit_verify(commit->archive, &commit_session_base(commit->session)->tree,
			     &made.tree, &commit->monitor, &summary->verified_files, err);
}

static int run(struct commit *commit, struct error *err)
{
	const struct commit_options *options = commit->options;
	int r;

	r = prepare(commit, err);
	if (r == 0)
		r = take_sources(commit, err);
	if (r == 0 && commit->entries)
		r = entry_writer_finish(commit->entries, err);
	if (r < 0)
		return r;

	sum_up(commit);
	if (options->dry_run)
		return 0;
	if (!commit_session_has_work(commit->session) && !options->message &&
	    options->tag_count == 0)
		return commit_session_end_unchanged(commit->session, err);
	return finish(commit, err);
}

int commit_run(struct archive *archive, const struct commit_options *options,
	       struct commit_summary *summary_out, struct error *err)
{
	struct commit commit = {
		.archive = archive,
		.options = options,
		.summary = summary_out,
		.monitor = { .callbacks = options->callbacks },
	};
	int r;

	*summary_out = (struct commit_summary){ 0 };
	r = run(&commit, err);
	commit_done(&commit);
	return r;
}
