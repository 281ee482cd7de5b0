/* SPDX-License-Identifier: MIT */
#pragma once
/* Helpers for struct log_end (volume/log_writer.h). Pure functions. */
#include "volume/log_writer.h"

/* Deep copy into an uninitialised *copy_out; release with log_end_done(). -ENOMEM. */
int log_end_copy(const struct log_end *end, struct log_end *copy_out);

/* Move @end behind @record, whose own stripe is @own (copied). -ENOMEM: unchanged. */
int log_end_advance(struct log_end *end, const struct record *record,
		    const struct stripe_info *own);

/* Where the next stripe starts on a volume of @size bytes: behind everything that is there,
 * and behind where the last record's own stripe should end. If a crash or a cut took its
 * parity, the room for that stays free, so that a repair can write it without meeting a
 * later stripe. */
uint64_t log_end_position(const struct log_end *end, uint64_t size);
