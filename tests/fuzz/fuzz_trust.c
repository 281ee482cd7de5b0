/* SPDX-License-Identifier: MIT */
/* What is remembered of a server is taken whole or refused with the reason. */
#include "base/error.h"
#include "remote/trust.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	autotrust trust = { 0 };
	struct error err = { 0 };
	int r = trust_decode(data, size, &trust, &err);

	if (r < 0 ? trust.url || !err.text[0] : !trust.url)
		abort();
	return 0;
}
