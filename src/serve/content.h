/* SPDX-License-Identifier: MIT */
#pragma once
/* The content of a file as an answer: conditions, ranges, headers. Threads: as the request. */
#include <stdint.h>

struct error;
struct manifest;
struct request;

/* Answer with piece @number of 32 MiB, as segments of old were. -ENOENT. */
int content_answer_piece(struct request *request, const struct manifest *manifest,
			 uint64_t number, struct error *err);

/* Answer with the content of @manifest, which is a file, or what the request's conditions and
 * ranges make of it. */
int content_answer(struct request *request, const struct manifest *manifest,
		   struct error *err);
