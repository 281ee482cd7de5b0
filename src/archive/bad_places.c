/* SPDX-License-Identifier: MIT */
#include "archive/bad_places.h"

#include <string.h>

void bad_places_init(struct bad_places *places)
{
	*places = (struct bad_places){ 0 };
	mutex_init(&places->mutex);
}

void bad_places_done(struct bad_places *places)
{
	mutex_done(&places->mutex);
}

bool bad_places_have(struct bad_places *places, const struct segment_place *place)
{
	mutex_scope(&places->mutex);
	for (unsigned i = 0; i < places->count && i < BAD_PLACES_MAX; i++) {
		if (places->ring[i].log_offset == place->log_offset &&
		    memcmp(&places->ring[i].volume, &place->volume, UUID_SIZE) == 0)
			return true;
	}
	return false;
}

void bad_places_add(struct bad_places *places, const struct segment_place *place)
{
	unsigned i;

	if (bad_places_have(places, place))
		return;
	mutex_scope(&places->mutex);
	i = places->count++ % BAD_PLACES_MAX;
	places->ring[i].volume = place->volume;
	places->ring[i].log_offset = place->log_offset;
}
