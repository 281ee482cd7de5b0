/* SPDX-License-Identifier: MIT */
#pragma once
/* A tier's policy as JSON: an object with a member for each of its keys. One thread at a time.
 */
struct config_tier;
struct error;
struct json;

/* Add the object @name to @parent. -EINVAL: a pattern that is no UTF-8. -ENOMEM. */
int policy_json_add(struct json *parent, const char *name,
		    const struct config_tier *policy);

/* Read it over *policy. Keys that are missing keep their values. -EBADMSG, -ENOMEM. */
int policy_json_read(const struct json *object, struct config_tier *policy,
		     struct error *err);
