/* SPDX-License-Identifier: MIT */
#pragma once
/* The result of a tier's last pass, and of its last dry run, as JSON in the state folder. One
 * thread at a time.
 */
#include "tier/pass.h"

struct error;
struct json;

/* Add the members of the result to @object. -ENOMEM. */
int pass_report_add(struct json *object, const struct pass_result *result);

/* The text of a result. -EBADMSG. */
int pass_report_parse(const void *data, size_t size, struct pass_result *result_out,
		      struct error *err);

/* Keep the result for the tier @folder, in place of the one before. */
int pass_report_save(int state_fd, const char *folder, const struct pass_result *result,
		     struct error *err);
/* -ENOENT: there was none. -EBADMSG. */
int pass_report_load(int state_fd, const char *folder, bool dry_run,
		     struct pass_result *result_out, struct error *err);
