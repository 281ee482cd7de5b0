/* SPDX-License-Identifier: MIT */
/* Whatever a server says with an error, the error is one, and its text harmless. */
#include "base/error.h"
#include "base/text.h"
#include "remote/http_status.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const long statuses[] = {
		301, 400, 403, 404, 429, 500, 502, 503, 504, 999
	};
	autotext struct text problem = { 0 };
	struct error err = { 0 };
	long status;

	if (size == 0)
		return 0;
	status = statuses[data[0] % (sizeof(statuses) / sizeof(statuses[0]))];
	if (text_append_bytes(&problem, data + 1, size - 1) < 0)
		return 0;
	if (http_status_error(status, data[0] & 0x80 ? "application/problem+json" : NULL,
			      &problem, &err) >= 0)
		abort();
	for (const char *c = err.text; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			abort();
	return 0;
}
