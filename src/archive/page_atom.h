/* SPDX-License-Identifier: MIT */
#pragma once
/* Tree and list pages as they stand in a log: a skippable frame each. Pure. */
#include <stdint.h>

struct error;
struct hash;
struct page_place;

/* Whether @atom, of place->stored_size bytes, is the page with @hash. -EBADMSG. */
int page_atom_check(const struct page_place *place, const struct hash *hash,
		    const uint8_t *atom, struct error *err);
