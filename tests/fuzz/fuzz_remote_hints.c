/* SPDX-License-Identifier: MIT */
/* What a server says of versions becomes lines that are numbers, or an error with a reason. */
#include "base/error.h"
#include "base/text.h"
#include "remote/hints.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	autotext struct text lines = { 0 };
	struct error err = { 0 };
	uint64_t cursor;

	if (hints_decode_versions(data, size, &lines, &cursor, &err) < 0) {
		if (!err.text[0])
			abort();
		return 0;
	}
	if (lines.size > 0 && (strspn(lines.data, "0123456789\n") != lines.size ||
			       lines.data[lines.size - 1] != '\n'))
		abort();
	return 0;
}
