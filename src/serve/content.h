/* SPDX-License-Identifier: MIT */
#pragma once
/* The content of a file as an answer: conditions, ranges, headers. Threads: as the request. */
struct error;
struct manifest;
struct request;

/* Answer with the content of @manifest, which is a file, or what the request's conditions and
 * ranges make of it. */
int content_answer(struct request *request, const struct manifest *manifest,
		   struct error *err);
