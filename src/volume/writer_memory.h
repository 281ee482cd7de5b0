/* SPDX-License-Identifier: MIT */
#pragma once
/* How a log writer divides the memory it may have. Pure arithmetic. */
#include "volume/log_writer.h"

struct writer_memory {
	unsigned frames_max; /* f of the largest data stripes */
	size_t staging_size; /* bytes that hold back a commit's beginning; 0 = none */
	uint64_t total;      /* bytes to reserve */
};

/* Divide at most @available bytes. If that is not enough for the smallest stripes, ->total
 * is what those need. */
void writer_memory_plan(const struct log_writer_options *options, uint64_t available,
			struct writer_memory *memory_out);
