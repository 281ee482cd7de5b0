/* SPDX-License-Identifier: MIT */
#include "mount/kernel_reading.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "mount/mountpoint.h"

#include <fcntl.h>
#include <stdio.h>

void kernel_reading_widen(const char *path, size_t size)
{
	char name[96], text[24], now[24] = "";
	unsigned major, minor;
	autoclose int fd = -1;
	int n;

	if (mountpoint_device(path, &major, &minor, NULL) < 0)
		return;
	(void)snprintf(name, sizeof(name), "/sys/class/bdi/%u:%u/read_ahead_kb", major,
		       minor);
	fd = open(name, O_RDWR | O_CLOEXEC);
	if (fd < 0 || read(fd, now, sizeof(now) - 1) <= 0 ||
	    strtoul(now, NULL, 10) >= size >> 10)
		return;
	n = snprintf(text, sizeof(text), "%zu", size >> 10);
	if (pwrite_full(fd, text, (size_t)n, 0) < 0)
		log_debug("%s can't be set", name);
}
