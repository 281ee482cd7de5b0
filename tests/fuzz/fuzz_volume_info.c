/* SPDX-License-Identifier: MIT */
/* What decodes encodes, and the encoding decodes to itself. */
#include "archive/volume_info.h"

#include "base/cleanup.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	autovolume_info struct volume_info info = { 0 };
	autovolume_info struct volume_info again = { 0 };
	autofree char *json = NULL;
	autofree char *json_again = NULL;

	if (volume_info_decode((const char *)data, size, &info, NULL) < 0)
		return 0;
	if (volume_info_encode(&info, &json, NULL) < 0 ||
	    volume_info_decode(json, strlen(json), &again, NULL) < 0 ||
	    volume_info_encode(&again, &json_again, NULL) < 0 ||
	    strcmp(json, json_again) != 0)
		abort();
	return 0;
}
