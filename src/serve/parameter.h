/* SPDX-License-Identifier: MIT */
#pragma once
/* What a request's parameters mean. -EINVAL is told to the client, with the parameter's name.
 * Threads: as the request.
 */
#include "merkle/key.h"

#include <stdbool.h>
#include <stdint.h>

struct error;
struct request;

/* The commit that the parameter `at` means, VERSION_CURRENT without it; with @resolve, the
 * last commit's number instead of that. -ENOENT. */
int parameter_commit(struct request *request, bool resolve, uint64_t *at_out,
		     struct error *err);

/* Have the path in parameter @name (the top without it) as request->key. -EINVAL. */
int parameter_path(struct request *request, const char *name, struct error *err);

/* The same for the path that is the route's variable, with slashes in it. */
int parameter_name(struct request *request, struct error *err);

/* A name or key in parameter `cursor`, escaped; the caller frees key_out->data, which is NULL
 * without the parameter. -EINVAL. */
int parameter_cursor(const struct request *request, struct bytes *key_out,
		     struct error *err);

/* A number in parameter @name, or @fallback. -EINVAL. */
int parameter_number(const struct request *request, const char *name, uint64_t fallback,
		     uint64_t max, uint64_t *value_out, struct error *err);
