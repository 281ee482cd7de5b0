/* SPDX-License-Identifier: MIT */
#pragma once
/* Answers that are written from beginning to end by a function that knows nothing of clients:
 * it has a thread of its own, a catalog handle, and a pipe. Few of these run at a time, and a
 * client that stalls holds one of them up until its deadline.
 */
#include <stddef.h>

struct catalog;
struct error;
struct request;

/* Write everything to @fd. The caller of the client that is gone gets -EPIPE from writing.
 * @request is borrowed: its route's variables, token and backing may be looked at. */
typedef int producer_fn(struct request *request, struct catalog *catalog, int fd,
			struct error *err);

/* Answer with what @produce writes. An error before it has written anything is returned; one
 * after that ends the body without its last chunk. -EBUSY: too many run. */
int producer_answer(struct request *request, const char *type, producer_fn *produce,
		    struct error *err);
