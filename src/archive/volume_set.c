/* SPDX-License-Identifier: MIT */
/* The volumes that are read from.
 *
 * A volume is found by the path under which the catalog saw it last; if that file is not
 * there or is another volume, by a scan of all places, whose result is kept until one of
 * them changes (its modification time), comes or goes, so that a missing volume costs one
 * scan and not one for each read. Nothing is written but repairs (volume/write_back.h): it is catch_up.c
 * that refreshes the catalog's names.
 *
 * An open volume is a backend and a log reader. It has users while threads read from it;
 * up to VOLUME_SET_OPEN_MAX without users stay open, the most recently used first in the
 * list. Opening reads the medium and so happens without the lock; when two threads open
 * the same volume at once, the second one drops its own.
 *
 * Two locks, never held together: `mutex` guards the list and the scan, `catalog_mutex`
 * serialises the look-ups.
 */
#include "archive/volume_set.h"

#include "archive/places.h"
#include "archive/volume_folder.h"
#include "base/budget.h"
#include "base/error.h"
#include "base/hex.h"
#include "base/mutex.h"
#include "catalog/groups.h"
#include "catalog/placement.h"
#include "volume/backend.h"

#include <assert.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define TABLE_CACHE_SIZE (2u << 20) /* bytes a volume: the tables of 40 full extents */

/* Of one place; zeroes: it is not there. Without padding, as it is hashed. */
struct place_state {
	uint64_t device, inode;
	int64_t seconds, nanoseconds;
};
static_assert(sizeof(struct place_state) == 32, "no padding");

struct open_volume {
	struct open_volume *next; /* set->mutex */
	struct volume_set *set;
	struct uuid uuid;
	char *label;    /* owned; for messages */
	unsigned users; /* threads reading now; set->mutex */
	struct backend *backend;
	struct write_back
		*write_back; /* NULL: repairs stay in memory, and are not told */
	struct log_reader *reader;
	size_t reserved; /* bytes of the budget */
};

struct volume_set {
	const struct places *places;
	struct hash archive_id;
	struct budget *budget;
	bool frugal;
	enum write_back_mode write_back;
	struct repair_observer observer;
	struct mutex mutex;
	struct open_volume *volumes;  /* most recently used first; mutex */
	struct log_counters counters; /* of volumes closed since; mutex */
	struct volume_files files;    /* of the last scan; mutex */
	bool scanned;                 /* there was one; mutex */
	struct hash places_state;     /* what the places looked like then; mutex */
	struct mutex catalog_mutex;
	struct catalog *catalog; /* catalog_mutex */
};

static void add_counters(struct log_counters *sum, const struct log_counters *more)
{
	sum->leaves_read += more->leaves_read;
	sum->leaves_repaired += more->leaves_repaired;
	sum->pages_repaired += more->pages_repaired;
	sum->leaves_lost += more->leaves_lost;
	sum->bytes_read += more->bytes_read;
}

static void open_volume_free(struct open_volume *volume)
{
	if (!volume)
		return;
	log_reader_free(volume->reader);
	write_back_free(volume->write_back);
	backend_free(volume->backend);
	if (volume->reserved > 0)
		budget_release(volume->set->budget, volume->reserved);
	free(volume->label);
	free(volume);
}
DEFINE_AUTOPTR(open_volume);

int volume_set_new(const struct volume_set_options *options, struct volume_set **set_out,
		   struct error *err)
{
	struct volume_set *set = calloc(1, sizeof(*set));

	if (!set)
		return error_set(err, -ENOMEM, "no memory for the set of volumes");
	set->places = options->places;
	set->archive_id = options->archive_id;
	set->budget = options->budget;
	set->frugal = options->frugal;
	set->write_back = options->write_back;
	set->observer = options->observer;
	set->catalog = options->catalog;
	mutex_init(&set->mutex);
	mutex_init(&set->catalog_mutex);
	*set_out = set;
	return 0;
}

void volume_set_free(struct volume_set *set)
{
	struct open_volume *next;

	if (!set)
		return;
	for (struct open_volume *v = set->volumes; v; v = next) {
		next = v->next;
		open_volume_free(v);
	}
	volume_files_done(&set->files);
	mutex_done(&set->catalog_mutex);
	mutex_done(&set->mutex);
	free(set);
}

const struct places *volume_set_places(const struct volume_set *set)
{
	return set->places;
}

/* Look-ups in the catalog. */

int volume_set_find_segment(struct volume_set *set, const struct hash *id, uint64_t index,
			    unsigned nth, struct segment_place *place_out,
			    struct error *err)
{
	mutex_scope(&set->catalog_mutex);
	return catalog_find_segment(set->catalog, id, index, nth, place_out, err);
}

int volume_set_find_page(struct volume_set *set, const struct hash *hash, unsigned nth,
			 struct page_place *place_out, struct uuid *volume_out,
			 struct error *err)
{
	mutex_scope(&set->catalog_mutex);
	return catalog_find_page(set->catalog, hash, nth, place_out, volume_out, err);
}

int volume_set_find_group(struct volume_set *set, const struct uuid *volume,
			  uint64_t log_offset, unsigned nth,
			  struct group_place *group_out, struct error *err)
{
	mutex_scope(&set->catalog_mutex);
	return catalog_find_group(set->catalog, volume, log_offset, nth, group_out, err);
}

int volume_set_find_parity(struct volume_set *set, const struct uuid *volume,
			   uint64_t log_offset, unsigned nth,
			   struct group_place *group_out, struct error *err)
{
	mutex_scope(&set->catalog_mutex);
	return catalog_find_parity(set->catalog, volume, log_offset, nth, group_out, err);
}

int volume_set_find_stripe(struct volume_set *set, const struct uuid *volume,
			   uint64_t log_offset, struct stripe_info *stripe_out,
			   struct error *err)
{
	int r;

	mutex_scope(&set->catalog_mutex);
	r = catalog_find_stripe(set->catalog, volume, log_offset, stripe_out, err);
	if (r == CATALOG_END)
		return error_set(err, -ENOENT, "no stripe holds log offset %" PRIu64,
				 log_offset);
	return r;
}

static int find_stripe(void *context, uint64_t log_offset, struct stripe_info *stripe_out,
		       struct error *err)
{
	const struct open_volume *volume = context;

	return volume_set_find_stripe(volume->set, &volume->uuid, log_offset, stripe_out,
				      err);
}

/* Label and file name as the catalog has them; both may be NULL, the caller frees them. */
static int find_row(struct volume_set *set, const struct uuid *uuid, char **label_out,
		    char **file_out, struct error *err)
{
	struct volume_row row = { 0 };
	int r;

	mutex_scope(&set->catalog_mutex);
	r = catalog_get_volume(set->catalog, uuid, &row, err);
	if (r < 0)
		return r;
	if (r == CATALOG_END)
		return 0;
	*label_out = take_ptr(row.label);
	*file_out = take_ptr(row.file);
	volume_row_done(&row);
	return 0;
}

/* Finding the file. */

/* What changes when a place does: which are there, and when each was changed. */
static int look_at_places(struct volume_set *set, struct hash *state_out,
			  struct error *err)
{
	size_t count = places_count(set->places);
	autofree struct place_state *states = calloc(count, sizeof(*states));
	struct stat st;

	if (!states)
		return error_set(err, -ENOMEM, "no memory for the list of places");
	for (size_t i = 0; i < count; i++) {
		if (places_stat(set->places, i, &st) < 0)
			continue;
		states[i] = (struct place_state){ st.st_dev, st.st_ino, st.st_mtim.tv_sec,
						  st.st_mtim.tv_nsec };
	}
	hash_bytes(states, count * sizeof(*states), state_out);
	return 0;
}

static bool scan_is_current(struct volume_set *set, const struct hash *now)
{
	mutex_scope(&set->mutex);
	return set->scanned && hash_equal(&set->places_state, now);
}

static int refresh_scan(struct volume_set *set, struct error *err)
{
	autovolume_files struct volume_files files = { 0 };
	struct volume_files old;
	struct hash now;
	int r;

	r = look_at_places(set, &now, err);
	if (r < 0)
		return r;
	if (scan_is_current(set, &now))
		return 0;
	r = volume_folder_scan(set->places, &set->archive_id, &files, err);
	if (r < 0)
		return r;

	mutex_scope(&set->mutex);
	old = set->files;
	set->files = files;
	set->scanned = true;
	set->places_state = now;
	files = old;
	return 0;
}

/* The name that the scan found for @uuid, or NULL. The caller frees it. */
static int scanned_name(struct volume_set *set, const struct uuid *uuid, char **name_out)
{
	mutex_scope(&set->mutex);
	for (size_t i = 0; i < set->files.count; i++) {
		const struct volume_file *file = &set->files.items[i];

		if (file->state != VOLUME_FILE_GOOD ||
		    memcmp(&file->uuid, uuid, UUID_SIZE) != 0)
			continue;
		*name_out = strdup(file->name);
		return *name_out ? 0 : -ENOMEM;
	}
	*name_out = NULL;
	return 0;
}

/* @file is where it was last seen, or NULL. */
static int not_attached(struct error *err, const struct uuid *uuid, const char *label,
			const char *file)
{
	bool seen = file && file[0];
	char hex[2 * UUID_SIZE + 1];

	hex_encode(uuid->bytes, UUID_SIZE, hex);
	return error_set(err, -ENOMEDIUM, "volume %s ('%s'%s%s) is not attached", hex,
			 label ? label : "", seen ? ", last seen at " : "",
			 seen ? file : "");
}

static int find_by_scan(struct volume_set *set, const struct uuid *uuid,
			const char *label, const char *file, char **name_out,
			struct error *err)
{
	autofree char *name = NULL;
	int r;

	r = refresh_scan(set, err);
	if (r < 0)
		return r;
	r = scanned_name(set, uuid, &name);
	if (r < 0)
		return error_set(err, r, "no memory for a file name");
	if (!name)
		return not_attached(err, uuid, label, file);
	r = volume_folder_check(places_base(set->places), name, uuid, err);
	if (r == -ENOENT)
		return not_attached(err, uuid, label, file); /* gone since the scan */
	if (r < 0)
		return r;
	*name_out = take_ptr(name);
	return 0;
}

/* With @label_out, also the label (or NULL); the caller frees both. */
static int find_file(struct volume_set *set, const struct uuid *uuid, char **name_out,
		     char **label_out, struct error *err)
{
	autofree char *label = NULL;
	autofree char *name = NULL;
	autofree char *found = NULL;
	int r;

	r = find_row(set, uuid, &label, &name, err);
	if (r < 0)
		return r;
	r = -ENOENT;
	if (name && name[0])
		r = volume_folder_check(places_base(set->places), name, uuid, err);
	if (r == -ENOENT)
		r = find_by_scan(set, uuid, label, name, &found, err);
	else if (r == 0)
		found = take_ptr(name);
	if (r < 0)
		return r;
	*name_out = take_ptr(found);
	if (label_out)
		*label_out = take_ptr(label);
	return 0;
}

int volume_set_find_file(struct volume_set *set, const struct uuid *volume,
			 char **name_out, struct error *err)
{
	return find_file(set, volume, name_out, NULL, err);
}

/* Open volumes. */

/* Take memory for a table cache: the full size, or as little as will do. */
static int reserve_cache(struct open_volume *volume, struct error *err)
{
	struct budget *budget = volume->set->budget;
	size_t size = TABLE_CACHE_SIZE;
	int r = -ENOMEM;

	if (!volume->set->frugal)
		r = budget_reserve(budget, size, "volume tables", NULL);
	if (r < 0) {
		size = VOLUME_SET_TABLES_LEAST;
		r = budget_reserve(budget, size, "volume tables", err);
	}
	if (r < 0)
		return r;
	volume->reserved = size;
	return 0;
}

/* Over volume->backend. */
static int make_reader(struct open_volume *volume, struct error *err)
{
	const struct stripe_lookup lookup = { .find = find_stripe, .context = volume };
	struct volume_set *set = volume->set;
	int r;

	r = log_reader_new(volume->backend, &volume->uuid, &lookup, volume->reserved,
			   &volume->reader, err);
	if (r < 0 || (set->write_back == WRITE_BACK_OFF && !set->observer.event))
		return r;
	r = write_back_new(volume->backend, &volume->uuid, set->write_back,
			   &set->observer, &volume->write_back, err);
	if (r < 0)
		return r;
	log_reader_set_write_back(volume->reader, volume->write_back);
	return 0;
}

static int open_volume_new(struct volume_set *set, const struct uuid *uuid,
			   struct open_volume **volume_out, struct error *err)
{
	autoptr(open_volume) volume = calloc(1, sizeof(*volume));
	autofree char *name = NULL;
	int r;

	if (!volume)
		return error_set(err, -ENOMEM, "no memory to open a volume");
	volume->set = set;
	volume->uuid = *uuid;
	volume->users = 1;
	r = find_file(set, uuid, &name, &volume->label, err);
	if (r < 0)
		return r;
	r = reserve_cache(volume, err);
	if (r < 0)
		return r;
	r = backend_file_open(places_base(set->places), name, 0, &volume->backend, err);
	if (r < 0)
		return r;
	r = make_reader(volume, err);
	if (r < 0)
		return r;
	*volume_out = take_ptr(volume);
	return 0;
}

/* Find it in the list, move it to the front and make the caller a user. */
static struct open_volume *use_locked(struct volume_set *set, const struct uuid *uuid)
	requires_mutex(set->mutex)
{
	for (struct open_volume **p = &set->volumes; *p; p = &(*p)->next) {
		struct open_volume *volume = *p;

		if (memcmp(&volume->uuid, uuid, UUID_SIZE) != 0)
			continue;
		*p = volume->next;
		volume->next = set->volumes;
		set->volumes = volume;
		volume->users++;
		return volume;
	}
	return NULL;
}

/* Take the least recently used volumes beyond the limit out of the list. */
static struct open_volume *evict_locked(struct volume_set *set) requires_mutex(set->mutex)
{
	struct open_volume *evicted = NULL;
	unsigned count = 0;

	for (struct open_volume **p = &set->volumes; *p;) {
		struct open_volume *volume = *p;

		if (++count <= VOLUME_SET_OPEN_MAX || volume->users > 0) {
			p = &volume->next;
			continue;
		}
		*p = volume->next;
		volume->next = evicted;
		evicted = volume;
	}
	return evicted;
}

static void close_evicted(struct volume_set *set, struct open_volume *evicted)
{
	struct open_volume *next;

	for (struct open_volume *v = evicted; v; v = next) {
		struct log_counters counters;

		next = v->next;
		log_reader_counters(v->reader, &counters);
		open_volume_free(v);
		mutex_scope(&set->mutex);
		add_counters(&set->counters, &counters);
	}
}

/* Put a new volume in front, unless another thread was faster: then use that one. */
static struct open_volume *insert(struct volume_set *set, struct open_volume *fresh)
{
	struct open_volume *volume;

	mutex_scope(&set->mutex);
	volume = use_locked(set, &fresh->uuid);
	if (volume)
		return volume;
	fresh->next = set->volumes;
	set->volumes = fresh;
	return fresh;
}

static struct open_volume *find_open(struct volume_set *set, const struct uuid *uuid)
{
	mutex_scope(&set->mutex);
	return use_locked(set, uuid);
}

static int use_volume(struct volume_set *set, const struct uuid *uuid,
		      struct open_volume **volume_out, struct error *err)
{
	autoptr(open_volume) fresh = NULL;
	struct open_volume *volume = find_open(set, uuid);
	int r;

	if (!volume) {
		r = open_volume_new(set, uuid, &fresh, err);
		if (r < 0)
			return r;
		volume = insert(set, fresh);
		if (volume == fresh)
			fresh = NULL;
	}
	*volume_out = volume;
	return 0;
}

static struct open_volume *leave_and_evict(struct volume_set *set,
					   struct open_volume *volume)
{
	mutex_scope(&set->mutex);
	volume->users--;
	return evict_locked(set);
}

int volume_set_read(struct volume_set *set, const struct uuid *volume,
		    uint64_t log_offset, void *data, size_t size, struct error *err)
{
	struct open_volume *open = NULL;
	int r;

	r = use_volume(set, volume, &open, err);
	if (r < 0)
		return r;
	r = log_read(open->reader, log_offset, data, size, NULL, err);
	if (r < 0)
		(void)error_prefix(err, r, "volume '%s'", open->label ? open->label : "");
	close_evicted(set, leave_and_evict(set, open));
	return r;
}

void volume_set_expect(struct volume_set *set, const struct uuid *volume,
		       uint64_t log_offset, size_t size)
{
	struct open_volume *open = NULL;

	if (use_volume(set, volume, &open, NULL) < 0)
		return;
	log_reader_expect(open->reader, log_offset, size);
	close_evicted(set, leave_and_evict(set, open));
}

struct budget *volume_set_budget(struct volume_set *set)
{
	return set->budget;
}

void volume_set_counters(struct volume_set *set, struct log_counters *counters_out)
{
	mutex_scope(&set->mutex);
	*counters_out = set->counters;
	for (struct open_volume *v = set->volumes; v; v = v->next) {
		struct log_counters counters;

		log_reader_counters(v->reader, &counters);
		add_counters(counters_out, &counters);
	}
}
