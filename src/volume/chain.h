/* SPDX-License-Identifier: MIT */
#pragma once
/* The chain of records of a volume: found from its end, walked back to its header, each
 * record decoded with the help of its parity. This is how a catalog is rebuilt and how a
 * writer learns where the log goes on. One thread at a time.
 *
 * Any of these functions takes up to CHAIN_MEMORY, however long the chain is, which who has a
 * budget reserves: two records decoded, and the bytes of one of them twice.
 */
#include "volume/log_writer.h"
#include "volume/record.h"

struct backend;
struct error;
struct stripe_rescue;

#define CHAIN_MEMORY (5u * RECORD_SIZE_MAX) /* bytes */

/* The UUID that the pages of the volume's first stripe name; if none of them is left, that
 * which header pages in its first 16 MiB, or at its end, name. -EBADMSG if there is no such
 * page (foreign or empty) or as many pages name another, -EPROTONOSUPPORT for a newer
 * version. */
int chain_identify(struct backend *backend, struct uuid *volume_out, struct error *err);

/* Read the record stripe at byte @offset of @volume, repairing in memory from its parity.
 * @expected, if not NULL, is the record's hash. On success *record_out (free with
 * record_free()) and *own_out (its stripe; stripe_info_done()) are set.
 * *own_out is what the stripe must be, computed from the record's own extent, whatever is
 * left of the others. -EBADMSG: no whole record there; -EPROTONOSUPPORT: a newer version's. */
int chain_read_record(struct backend *backend, const struct uuid *volume, uint64_t offset,
		      const struct hash *expected, struct record **record_out,
		      struct stripe_info *own_out, struct error *err);

/* Find the last whole record of @volume, looking from the end backwards. Reads little more
 * than that record's stripe and what follows it. -EBADMSG if the volume has none,
 * -EPROTONOSUPPORT if newer versions wrote at its end. */
int chain_find_last(struct backend *backend, const struct uuid *volume,
		    struct record **record_out, struct stripe_info *own_out,
		    struct error *err);

/* The walks below ask @rescue (volume/stripe_view.h; may be NULL) for the payload of a record
 * of which too little is left, if the next one has listed its stripe. The hash decides. */

/* Find the records after @end, oldest first (commits that a catalog has not seen), stopping
 * at the first negative result of @visit. 0 records is success. -ESTALE: the volume ends
 * before @end, it is older than the catalog; -EBADMSG: it is no continuation of @end (a
 * fork), or a record in between is lost. Nothing is visited then. */
int chain_visit_after(struct backend *backend, const struct log_end *end,
		      const struct stripe_rescue *rescue,
		      int (*visit)(void *context, const struct record *record,
				   const struct stripe_info *own, struct error *err),
		      void *context, struct error *err);

/* All records from the last back to the header record, newest first. A record that can't
 * be read ends the walk with -EBADMSG (with the offset in the text) after those visited. */
int chain_visit_back(struct backend *backend, const struct uuid *volume,
		     const struct stripe_rescue *rescue,
		     int (*visit)(void *context, const struct record *record,
				  const struct stripe_info *own, struct error *err),
		     void *context, struct error *err);

/* The end of the log that follows @record and its own stripe. Deep copy; log_end_done(). */
int chain_end(const struct record *record, const struct stripe_info *own,
	      struct log_end *end_out, struct error *err);
