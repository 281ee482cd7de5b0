/* SPDX-License-Identifier: MIT */
#pragma once
/* What a run of health found, for people, as JSON, and for Prometheus. Main thread. */
#include "archive/health.h"
#include "cli/exit_code.h"

#include <stdbool.h>

struct error;

void health_report_print(const struct health_report *report, bool check);

/* One document; the caller frees it with json_free(). NULL: no memory. */
struct json *health_report_json(const struct health_report *report, bool check,
				enum exit_code code);

/* Replace the file @path by the document; by metrics in Prometheus' text format. */
int health_report_save(const struct json *json, const char *path, struct error *err);
int health_metrics_save(const struct health_report *report, enum exit_code code,
			const char *path, struct error *err);
