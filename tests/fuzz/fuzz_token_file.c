/* SPDX-License-Identifier: MIT */
/* A token file is taken whole or refused with the reason, and none lets the empty token in. */
#include "base/error.h"
#include "serve/token_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	autoptr(token_file) file = NULL;
	struct error err = { 0 };

	if (token_file_parse((const char *)data, size, &file, &err) < 0) {
		if (file || !err.text[0])
			abort();
		return 0;
	}
	(void)token_file_find(file, "token");
	return 0;
}
