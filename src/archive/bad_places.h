/* SPDX-License-Identifier: MIT */
#pragma once
/* Places of segments that could not be read a while ago: the last few, so that another place
 * is tried first. Internally locked. */
#include "base/mutex.h"
#include "volume/record.h"

#include <stdbool.h>

#define BAD_PLACES_MAX 64u /* remembered; the oldest is forgotten */

struct bad_places {
	struct mutex mutex; /* guards what is below */
	struct {
		struct uuid volume;
		uint64_t log_offset;
	} ring[BAD_PLACES_MAX];
	unsigned count; /* ever */
};

void bad_places_init(struct bad_places *places);
void bad_places_done(struct bad_places *places);

bool bad_places_have(struct bad_places *places, const struct segment_place *place);
void bad_places_add(struct bad_places *places, const struct segment_place *place);
