/* SPDX-License-Identifier: MIT */
#pragma once
/* Gives the last record of a volume the parity that its writer did not live to append.
 * One thread at a time, the one that owns the backend's position.
 */
#include <stdbool.h>

struct backend;
struct budget;
struct error;
struct pool;
struct record;
struct stripe_info;

/* If @backend, open for writing, ends within the stripe @own of its last record @record (both
 * as chain_find_last() gives them), append the rest of that stripe and sync. Else nothing
 * is done, as when the stripe is one that this version would not have made in that way.
 * Buffers are taken from @budget meanwhile. -ENOMEM, or as backend_append(). */
int record_complete(struct backend *backend, struct budget *budget, struct pool *pool,
		    struct record *record, const struct stripe_info *own,
		    struct error *err);
