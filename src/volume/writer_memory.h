/* SPDX-License-Identifier: MIT */
#pragma once
/* How a log writer divides the memory it may have: at most 5/8 of the budget. One thread at
 * a time. */
#include "volume/log_writer.h"

/* Whether there can be stripes like that: 0 or -EINVAL. */
int writer_options_check(const struct log_writer_options *options, struct error *err);

struct writer_memory {
	unsigned frames_max; /* f of the largest data stripes */
	size_t staging_size; /* bytes that hold back a commit's beginning; 0 = none */
	uint64_t total;      /* bytes to reserve */
};

/* Divide at most @available bytes. If that is not enough for the smallest stripes, ->total
 * is what those need. */
void writer_memory_plan(const struct log_writer_options *options, uint64_t available,
			struct writer_memory *memory_out);

/* What a session may have of options->budget at most, as things are. */
uint64_t writer_memory_available(const struct log_writer_options *options);

/* Plan, and reserve what was planned from options->budget; *budget_out is of that size, for
 * the writer's own buffers. -ENOMEM. */
int writer_memory_reserve(const struct log_writer_options *options,
			  struct writer_memory *memory_out, struct budget **budget_out,
			  struct error *err);

/* Give all back. @budget may be NULL: then nothing was reserved. */
void writer_memory_release(const struct log_writer_options *options,
			   const struct writer_memory *memory, struct budget *budget);
