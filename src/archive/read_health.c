/* SPDX-License-Identifier: MIT */
/* Damage is logged when it is met, by the thread that reads, and counted. Which files it was
 * met in is kept for a bounded number of files, in the order in which they were met: a medium
 * on which more are damaged is one to restore from, not one to study.
 *
 * What the medium refuses to take is logged once for each volume, not for every leaf.
 */
#include "archive/read_health.h"

#include "archive/archive.h"
#include "archive/backing.h"
#include "archive/origin.h"
#include "archive/read_service.h"
#include "archive/volume_set.h"
#include "base/error.h"
#include "base/log.h"
#include "base/log_subject.h"
#include "base/mutex.h"
#include "base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define FILES_MAX 4096u

struct damaged_file {
	char *path; /* owned */
	bool lost;
};

struct read_health {
	struct mutex mutex; /* guards all below */
	uint64_t counts[REPAIR_LOST + 1];
	uint64_t blocks_written;
	struct damaged_file files[FILES_MAX];
	size_t file_count;
};

int read_health_new(struct read_health **health_out, struct error *err)
{
	struct read_health *health = calloc(1, sizeof(*health));

	if (!health)
		return error_set(err, -ENOMEM, "no memory for what is read");
	mutex_init(&health->mutex);
	*health_out = health;
	return 0;
}

void read_health_free(struct read_health *health)
{
	if (!health)
		return;
	for (size_t i = 0; i < health->file_count; i++)
		free(health->files[i].path);
	mutex_done(&health->mutex);
	free(health);
}

static struct damaged_file *find_file_locked(struct read_health *health, const char *path)
	requires_mutex(health->mutex)
{
	for (size_t i = 0; i < health->file_count; i++)
		if (strcmp(health->files[i].path, path) == 0)
			return &health->files[i];
	return NULL;
}

/* Files beyond the limit, or without memory for the name, are only logged. True if the file
 * is as damaged for the first time. */
static bool note_file_locked(struct read_health *health, const char *path, bool lost)
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
static bool count(struct read_health *health, const struct repair_event *event)
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

struct repair_observer read_health_observer(struct read_health *health)
{
	return (struct repair_observer){ .event = on_event, .context = health };
}

const char *read_health_of(struct read_health *health, const char *path)
{
	mutex_scope(&health->mutex);
	const struct damaged_file *file = find_file_locked(health, path);

	if (!file)
		return "ok";
	return file->lost ? "lost" : "repaired";
}

static int append_counters(struct archive *archive, struct text *text)
{
	struct origin *origin = archive_origin(archive);
	struct log_counters counters;

	if (origin)
		return origin->ops->describe(origin, text);
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
static int append_reading(struct backing *backing, struct text *text)
{
	struct read_counters counters;

	read_service_counters(backing_service(backing), &counters);
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

static int append_damage(struct read_health *health, struct text *text)
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

int read_health_text(struct read_health *health, struct backing *backing, uint64_t commit,
		     struct text *text)
{
	int r;

	r = text_appendf(text, "commit: %" PRIu64 "\n", commit);
	if (r == 0)
		r = append_counters(backing_archive(backing), text);
	if (r == 0)
		r = append_reading(backing, text);
	return r < 0 ? r : append_damage(health, text);
}

void read_health_counts(struct read_health *health, struct read_health_counts *counts_out)
{
	mutex_scope(&health->mutex);

	*counts_out = (struct read_health_counts){
		.written_back = health->counts[REPAIR_WRITTEN],
		.blocks_written = health->blocks_written,
		.not_written_back =
			health->counts[REPAIR_NOT_WRITTEN] + health->counts[REPAIR_OFF],
		.lost = health->counts[REPAIR_LOST],
		.files_damaged = health->file_count,
	};
}
