/* SPDX-License-Identifier: MIT */
#pragma once
/* Who asks, and whether they may. Threads: as the request. */
#include <stdbool.h>

struct error;
struct request;

#define ACCESS_COOKIE "blockframe" /* the name of a session stands in it */

/* Whether the request is for this server. 1: it is answered already. -EINVAL. */
int access_check_host(struct request *request, struct error *err);

/* Let the pages of [server] cors_origins have the answer, which is there. */
int access_add_cors(struct request *request, struct error *err);
/* Whether the request asks for that in advance, and they may. */
bool access_is_preflight(const struct request *request);

/* Have what the token of the request may as request->token: of an Authorization header, else
 * of a session. -EPERM: there is none, or it is not known. -EDQUOT: too many wrong ones. */
int access_find(struct request *request, struct error *err);
