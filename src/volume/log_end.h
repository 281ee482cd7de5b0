/* SPDX-License-Identifier: MIT */
#pragma once
/* Helpers for struct log_end (volume/log_writer.h). Pure functions. */
#include "volume/log_writer.h"

/* Deep copy into an uninitialised *copy_out; release with log_end_done(). -ENOMEM. */
int log_end_copy(const struct log_end *end, struct log_end *copy_out);

/* Move @end behind @record, whose own stripe is @own (copied). -ENOMEM: unchanged. */
int log_end_advance(struct log_end *end, const struct record *record,
		    const struct stripe_info *own);
