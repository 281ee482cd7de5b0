/* SPDX-License-Identifier: MIT */
#pragma once
/* Where things lie: volumes, stripes, segments and tree pages. Threads: as the catalog. */
#include "catalog/catalog.h"
#include "volume/record.h"

#include <stdbool.h>

enum volume_role {
	VOLUME_DATA = 0,
	VOLUME_PARITY = 1, /* of the outer code, and nothing else */
};

/* A volume as the catalog knows it, and where its log goes on. */
struct volume_row {
	int64_t id; /* row, private to this catalog */
	struct uuid uuid;
	uint64_t number; /* in the set, from 1 */
	char *label;     /* owned */
	char *file;      /* owned: its path when last seen; not in the dump */
	enum volume_role role;
	bool sealed;
	bool retired; /* gone for good, or to be: nothing is asked of it any more */
	uint64_t
		record_count; /* sequence of the last record + 1; 0: known by name only */
	uint64_t record_offset;
	struct hash record_hash;
	uint64_t
		log_end; /* covered by its records, own stripe of the last not included */
	uint64_t stripe_count; /* of all kinds, own stripe of the last record included */
	uint64_t payload_size; /* bytes of payload in them */
	uint64_t parity_size;  /* bytes of parity extents in them, pages included */
};

void volume_row_done(struct volume_row *volume);

/* Insert or update by uuid: label, file, number and role unless NULL or 0, and sealed and
 * retired, which stay once they were true. Sets volume->id. */
int catalog_put_volume(struct catalog *catalog, struct volume_row *volume,
		       struct error *err);
/* Drop a volume of which nothing is known but its name. Others stay. */
int catalog_forget_volume(struct catalog *catalog, const struct uuid *uuid,
			  struct error *err);
/* By uuid. CATALOG_END if unknown. */
int catalog_get_volume(struct catalog *catalog, const struct uuid *uuid,
		       struct volume_row *volume_out, struct error *err);
/* All, in order of number. Stops at the first non-zero result of @visit and returns it. */
int catalog_visit_volumes(struct catalog *catalog,
			  int (*visit)(void *context, const struct volume_row *volume),
			  void *context, struct error *err);

/* Take in one record of a known volume (else -ENOENT), whose own stripe is @own: its stripes,
 * segments, pages, foreign segments (as places in their own volumes, unknown volumes become
 * known by uuid only), and the volume's new end; an end record seals the volume. Records of
 * a volume may come in any order; the end is that of the highest sequence. Twice the same is
 * harmless. Heads are not looked at. */
int catalog_put_record(struct catalog *catalog, const struct record *record,
		       const struct stripe_info *own, struct error *err);

/* The stripe of @volume that holds payload byte @log_offset; release with
 * stripe_info_done(). CATALOG_END if none. */
int catalog_find_stripe(struct catalog *catalog, const struct uuid *volume,
			uint64_t log_offset, struct stripe_info *stripe_out,
			struct error *err);

/* A place of segment @id (index @index; 0 for packs), place number @nth from 0 in order of
 * volume number, the newest in a volume first. CATALOG_END if there is none (more). */
int catalog_find_segment(struct catalog *catalog, const struct hash *id, uint64_t index,
			 unsigned nth, struct segment_place *place_out,
			 struct error *err);

/* Likewise for tree and list pages. */
int catalog_find_page(struct catalog *catalog, const struct hash *hash, unsigned nth,
		      struct page_place *place_out, struct uuid *volume_out,
		      struct error *err);

/* All places of segments, by id and index, for checkpoints and the dump; of pages, by hash;
 * of stripes of one volume, by log offset. They stop at non-zero and return it. */
int catalog_visit_segments(struct catalog *catalog,
			   int (*visit)(void *context, const struct segment_place *place),
			   void *context, struct error *err);
/* Those behind segment @id, index @index; likewise pages behind @hash. NULL: all. */
int catalog_visit_segments_after(struct catalog *catalog, const struct hash *id,
				 uint64_t index,
				 int (*visit)(void *context,
					      const struct segment_place *place),
				 void *context, struct error *err);
int catalog_visit_pages_after(struct catalog *catalog, const struct hash *hash,
			      int (*visit)(void *context, const struct page_place *place,
					   const struct uuid *volume),
			      void *context, struct error *err);
int catalog_visit_pages(struct catalog *catalog,
			int (*visit)(void *context, const struct page_place *place,
				     const struct uuid *volume),
			void *context, struct error *err);
int catalog_visit_stripes(struct catalog *catalog, const struct uuid *volume,
			  int (*visit)(void *context, const struct stripe_info *stripe),
			  void *context, struct error *err);
