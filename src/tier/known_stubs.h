/* SPDX-License-Identifier: MIT */
#pragma once
/* What stubs contain, for commits to their archive (archive/known_content.h), which so open
 * none. One thread at a time.
 */
#include "archive/known_content.h"
#include "base/cleanup.h"

struct error;
struct hash;
struct known_stubs;

/* The stubs of all tiers of the state folder @state that are in the archive @archive. Where
 * there are no tiers, or they can't be looked at, none is known. -ENOMEM. */
int known_stubs_new(const char *state, const struct hash *archive,
		    struct known_stubs **known_out, struct error *err);
void known_stubs_free(struct known_stubs *known);
DEFINE_AUTOPTR(known_stubs);

/* Borrowed until it is freed. */
const struct known_content *known_stubs_content(const struct known_stubs *known);
