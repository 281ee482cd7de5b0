/* SPDX-License-Identifier: MIT */
#include "archive/commit_monitor.h"

#include "base/error.h"

#include <errno.h>
#include <stddef.h>

const char *commit_problem_name(enum commit_problem problem)
{
	switch (problem) {
	case COMMIT_UNREADABLE:
		return "unreadable";
	case COMMIT_CHANGED:
		return "changed";
	case COMMIT_VANISHED:
		return "vanished";
	case COMMIT_BIT_ROT:
		return "bit_rot";
	case COMMIT_SKIPPED:
		return "skipped";
	case COMMIT_NO_COPY:
		return "no_copy";
	}
	return "unknown";
}

void monitor_problem(struct commit_monitor *monitor, enum commit_problem problem,
		     const char *path, const struct error *err)
{
	const struct commit_callbacks *callbacks = &monitor->callbacks;

	monitor->problems++;
	if (callbacks->problem)
		callbacks->problem(callbacks->context, problem, path, err);
}

void monitor_advance(struct commit_monitor *monitor, uint64_t files, uint64_t bytes)
{
	const struct commit_callbacks *callbacks = &monitor->callbacks;

	monitor->progress.files += files;
	monitor->progress.bytes += bytes;
	if (callbacks->progress)
		callbacks->progress(callbacks->context, &monitor->progress);
}

int monitor_check(const struct commit_monitor *monitor, struct error *err)
{
	if (monitor->callbacks.cancel && atomic_load(monitor->callbacks.cancel))
		return error_set(err, -EINTR, "interrupted");
	return 0;
}
