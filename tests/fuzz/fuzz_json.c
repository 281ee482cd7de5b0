/* SPDX-License-Identifier: MIT */
/* Whatever is accepted prints, parses again and prints the same; and is small enough in
 * depth. So no two readers of an accepted document can see different things. */
#include "base/cleanup.h"
#include "base/json.h"
#include "base/json_build.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	autoptr(json) json = NULL;
	autoptr(json) again = NULL;
	autofree char *printed = NULL;
	autofree char *reprinted = NULL;

	if (json_parse(data, size, 1 << 20, &json, NULL) < 0)
		return 0;
	if (json_print(json, &printed) < 0 ||
	    json_parse(printed, strlen(printed), SIZE_MAX, &again, NULL) < 0 ||
	    json_print(again, &reprinted) < 0 || strcmp(printed, reprinted) != 0)
		abort();
	return 0;
}
