/* SPDX-License-Identifier: MIT */
#pragma once
/* A folder's entries as a page for people and programs that follow links, or as JSON. Made
 * while it is sent, so that a folder of any size takes the same memory. Threads: as the
 * request.
 */
#include <stdbool.h>
#include <stdint.h>

struct error;
struct found;
struct request;

/* Answer with what was in the folder @found (at request->key) at commit @at, which is a
 * number. */
int folder_answer(struct request *request, const struct found *found, uint64_t at,
		  bool json, struct error *err);
