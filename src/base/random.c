/* SPDX-License-Identifier: MIT */
#include "base/random.h"

#include "base/error.h"

#include <errno.h>
#include <stdint.h>
#include <sys/random.h>

int random_bytes(void *data, size_t size, struct error *err)
{
	uint8_t *b = data;

	while (size > 0) {
		ssize_t n = getrandom(b, size, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_set_errno(err, -errno, "random bytes");
		b += n;
		size -= (size_t)n;
	}
	return 0;
}
