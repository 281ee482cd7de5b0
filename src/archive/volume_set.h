/* SPDX-License-Identifier: MIT */
#pragma once
/* The attached volumes of an archive, for reading: finds a volume's file by its UUID, keeps
 * a bounded number of them open, and looks stripes, segments and pages up in the catalog.
 *
 * Internally locked: any thread. No lock is held over reads of volumes; look-ups in the
 * catalog are serialised (they are short).
 */
#include "base/cleanup.h"
#include "volume/log_reader.h"
#include "volume/record.h"
#include "volume/write_back.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct budget;
struct catalog;
struct error;
struct group_place;
struct page_place;
struct places;
struct volume_set;

#define VOLUME_SET_OPEN_MAX 8 /* volumes kept open while nobody reads them */
#define VOLUME_SET_TABLES_LEAST \
	(256u << 10) /* bytes of the budget for each open volume */

struct volume_set_options {
	const struct places *places; /* borrowed */
	struct hash archive_id;
	struct catalog
		*catalog;      /* borrowed; nobody else uses it during a call of this set.
				  * Inside its transaction the set sees what was put. */
	struct budget *budget; /* borrowed; tables of open volumes are taken from it */
	bool frugal; /* VOLUME_SET_TABLES_LEAST a volume, and no more; else that at least */
	enum write_back_mode write_back; /* of what is repaired */
	struct repair_observer observer; /* zero: nobody listens */
};

int volume_set_new(const struct volume_set_options *options, struct volume_set **set_out,
		   struct error *err);
void volume_set_free(struct volume_set *set);
DEFINE_AUTOPTR(volume_set);

const struct places *volume_set_places(const struct volume_set *set); /* borrowed */

/* Read exactly @size bytes of a volume's log, verified and if need be repaired: in memory,
 * and on the medium if options->write_back says so (volume/write_back.h).
 * -ENOMEDIUM if the volume is not attached (the text names it), else as log_read(). */
int volume_set_read(struct volume_set *set, const struct uuid *volume,
		    uint64_t log_offset, void *data, size_t size, struct error *err);

/* As log_reader_expect(): nothing if the volume is not attached. */
void volume_set_expect(struct volume_set *set, const struct uuid *volume,
		       uint64_t log_offset, size_t size);

/* The path (archive/places.h) of the file that is @volume now; the caller frees it.
 * -ENOMEDIUM if there is none. */
int volume_set_find_file(struct volume_set *set, const struct uuid *volume,
			 char **name_out, struct error *err);

/* Places in the catalog, as catalog_find_segment() and catalog_find_page(). */
int volume_set_find_segment(struct volume_set *set, const struct hash *id, uint64_t index,
			    unsigned nth, struct segment_place *place_out,
			    struct error *err);
int volume_set_find_page(struct volume_set *set, const struct hash *hash, unsigned nth,
			 struct page_place *place_out, struct uuid *volume_out,
			 struct error *err);

/* As catalog_find_group() and catalog_find_parity(). */
int volume_set_find_parity(struct volume_set *set, const struct uuid *volume,
			   uint64_t log_offset, unsigned nth,
			   struct group_place *group_out, struct error *err);
int volume_set_find_group(struct volume_set *set, const struct uuid *volume,
			  uint64_t log_offset, unsigned nth,
			  struct group_place *group_out, struct error *err);

/* The stripe of @volume that holds log offset @log_offset; release it with
 * stripe_info_done(). -ENOENT. */
int volume_set_find_stripe(struct volume_set *set, const struct uuid *volume,
			   uint64_t log_offset, struct stripe_info *stripe_out,
			   struct error *err);

struct budget *volume_set_budget(struct volume_set *set); /* borrowed */

/* Everything read so far, closed volumes included: leaves_repaired is for the note that
 * damage was met and repaired in memory. */
void volume_set_counters(struct volume_set *set, struct log_counters *counters_out);
