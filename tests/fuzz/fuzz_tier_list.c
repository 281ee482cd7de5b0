/* SPDX-License-Identifier: MIT */
/* Every tier of a list that is accepted has absolute paths, and is found by its folder. */
#include "tier/tier_list.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tier_list list = { 0 };
	const char *rest;

	if (tier_list_parse(data, size, &list, NULL) < 0)
		return 0;
	for (size_t i = 0; i < list.count; i++)
		if (list.items[i].archive[0] != '/' ||
		    !tier_list_find(&list, list.items[i].folder, &rest))
			abort();
	tier_list_done(&list);
	return 0;
}
