/* SPDX-License-Identifier: MIT */
/* Damage is logged when it is met, by the thread that reads, and counted. Which files it was
 * met in is kept for a bounded number of files, in the order in which they were met: a medium
 * on which more are damaged is one to restore from, not one to study.
 *
 * What the medium refuses to take is logged once for each volume, not for every leaf.
 */
#include "mount/health.h"

#include "archive/archive.h"
#include "archive/read_service.h"
#include "archive/volume_set.h"
#include "base/error.h"
#include "base/log.h"
#include "base/log_subject.h"
#include "base/mutex.h"
#include "base/text.h"
#include "catalog/history.h"
#include "mount/file_system.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define FILES_MAX 4096u

struct damaged_file {
	char *path; /* owned */
	bool lost;
};

struct health {
	struct mutex mutex; /* guards all below */
	uint64_t counts[REPAIR_LOST + 1];
	uint64_t blocks_written;
	struct damaged_file files[FILES_MAX];
	size_t file_count;
};

int health_new(struct health **health_out, struct error *err)
{
	struct health *health = calloc(1, sizeof(*health));

	if (!health)
		return error_set(err, -ENOMEM, "no memory for a mount");
	mutex_init(&health->mutex);
	*health_out = health;
	return 0;
}

void health_free(struct health *health)
{
	if (!health)
		return;
	for (size_t i = 0; i < health->file_count; i++)
		free(health->files[i].path);
	mutex_done(&health->mutex);
	free(health);
}

static struct damaged_file *find_file_locked(struct health *health, const char *path)
	requires_mutex(health->mutex)
{
	for (size_t i = 0; i < health->file_count; i++)
		if (strcmp(health->files[i].path, path) == 0)
			return &health->files[i];
	return NULL;
}

/* Files beyond the limit, or without memory for the name, are only logged. True if the file
 * is as damaged for the first time. */
static bool note_file_locked(struct health *health, const char *path, bool lost)
	requires_mutex(health->mutex)
{
	struct damaged_file *file = find_file_locked(health, path);
	bool first = !file;

	if (!file && health->file_count < FILES_MAX) {
		file = &health->files[health->file_count];
		*file = (struct damaged_file){ .path = strdup(path) };
		if (!file->path)
			return true;
		health->file_count++;
	}
	if (file && lost) {
		first = first || !file->lost;
		file->lost = true;
	}
	return first;
}

/* Whether the file that is being read had no such damage so far. */
static bool count(struct health *health, const struct repair_event *event)
{
	const char *path = log_subject();
	mutex_scope(&health->mutex);

	health->counts[event->outcome]++;
	health->blocks_written += event->blocks;
	return path && note_file_locked(health, path, event->outcome == REPAIR_LOST);
}

static void log_event(const struct repair_event *event)
{
	const char *what = event->kind == REPAIR_LEAF ? "content" : "table page";
	const char *subject = log_subject();
	const char *file = subject ? subject : "(the archive's own data)";

	switch (event->outcome) {
	case REPAIR_WRITTEN:
		log_warn("%s: offset %" PRIu64 ": damaged %s of '%s' was repaired and "
			 "written back",
			 event->name, event->offset, what, file);
		break;
	case REPAIR_OFF:
		log_warn("%s: offset %" PRIu64 ": damaged %s of '%s' was repaired in "
			 "memory",
			 event->name, event->offset, what, file);
		break;
	case REPAIR_NOT_WRITTEN:
		if (!event->repeated)
			log_warn("%s: offset %" PRIu64
				 ": damaged %s of '%s' was repaired "
				 "in memory; the volume does not take it back: %s",
				 event->name, event->offset, what, file, event->reason);
		break;
	case REPAIR_LOST:
		log_error("%s: offset %" PRIu64 ": %" PRIu32
			  " bytes of %s of '%s' are lost beyond repair",
			  event->name, event->offset, event->size, what, file);
		break;
	}
}

static void on_event(void *context, const struct repair_event *event)
{
	bool first = count(context, event);

	/* What is lost is asked for page by page. */
	if (first || event->outcome != REPAIR_LOST || !event->repeated)
		log_event(event);
}

struct repair_observer health_observer(struct health *health)
{
	return (struct repair_observer){ .event = on_event, .context = health };
}

const char *health_of(struct health *health, const char *path)
{
	mutex_scope(&health->mutex);
	const struct damaged_file *file = find_file_locked(health, path);

	if (!file)
		return "ok";
	return file->lost ? "lost" : "repaired";
}

static int append_counters(struct request *request, struct text *text)
{
	struct archive *archive = backing_archive(request->backing);
	struct log_counters counters;

	volume_set_counters(archive_volumes(archive), &counters);
	return text_appendf(text,
			    "read_from_volumes: %" PRIu64 "\n"
			    "leaves_verified: %" PRIu64 "\n"
			    "leaves_repaired: %" PRIu64 "\n"
			    "pages_repaired: %" PRIu64 "\n"
			    "leaves_lost: %" PRIu64 "\n",
			    counters.bytes_read, counters.leaves_read,
			    counters.leaves_repaired, counters.pages_repaired,
			    counters.leaves_lost);
}

/* How reads were answered: what the cache of decoded frames is worth. */
static int append_reading(struct request *request, struct text *text)
{
	struct read_counters counters;

	read_service_counters(backing_service(request->backing), &counters);
	return text_appendf(text,
			    "frames_from_cache: %" PRIu64 "\n"
			    "frames_decoded: %" PRIu64 "\n"
			    "frames_decoded_ahead: %" PRIu64 "\n"
			    "frames_decoded_in_part: %" PRIu64 "\n"
			    "bytes_served_undecoded: %" PRIu64 "\n"
			    "bytes_in_cache: %" PRIu64 "\n",
			    counters.hits, counters.misses, counters.ahead,
			    counters.partial, counters.stored_bytes,
			    counters.cached_bytes);
}

static int append_damage(struct health *health, struct text *text)
{
	mutex_scope(&health->mutex);
	int r;

	r = text_appendf(text,
			 "written_back: %" PRIu64 "\n"
			 "blocks_written_back: %" PRIu64 "\n"
			 "not_written_back: %" PRIu64 "\n"
			 "files_damaged: %zu\n",
			 health->counts[REPAIR_WRITTEN], health->blocks_written,
			 health->counts[REPAIR_NOT_WRITTEN] + health->counts[REPAIR_OFF],
			 health->file_count);
	for (size_t i = 0; r == 0 && i < health->file_count; i++) {
		const struct damaged_file *file = &health->files[i];

		r = text_append(text, file->lost ? "lost: " : "repaired: ");
		if (r == 0)
			r = text_append_quoted(text, file->path, strlen(file->path));
		if (r == 0)
			r = text_append_char(text, '\n');
	}
	return r;
}

int health_text(struct request *request, char **text_out, size_t *size_out)
{
	autotext struct text text = { 0 };
	struct commit_row commit = { 0 };
	int r;

	r = catalog_get_commit(request->catalog, request->fs->at, &commit, &request->err);
	if (r >= 0)
		r = text_appendf(&text, "commit: %" PRIu64 "\n", commit.sequence);
	commit_row_done(&commit);
	if (r == 0)
		r = append_counters(request, &text);
	if (r == 0)
		r = append_reading(request, &text);
	if (r == 0)
		r = append_damage(request->fs->health, &text);
	if (r < 0)
		return r;
	*size_out = text.size;
	*text_out = text_take(&text);
	return *text_out ? 0 : -ENOMEM;
}
