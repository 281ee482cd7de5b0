/* SPDX-License-Identifier: MIT */
#pragma once
/* Getters of base/json.h for members that may be missing: the fallback is used when the
 * member is not there; one that is there but wrong stays -EBADMSG.
 */
#include "base/json.h"

#define JSON_DEFINE_OPTIONAL_(kind, type)                                          \
	static inline int json_get_##kind##_or(const struct json *object,          \
					       const char *name, type fallback,    \
					       type *value_out, struct error *err) \
	{                                                                          \
		if (json_has(object, name))                                        \
			return json_get_##kind(object, name, value_out, err);      \
		*value_out = fallback;                                             \
		return 0;                                                          \
	}                                                                          \
	struct json

/* json_get_string_or(object, name, fallback, &value, err), and so on. */
JSON_DEFINE_OPTIONAL_(string, const char *);
JSON_DEFINE_OPTIONAL_(u64, uint64_t);
JSON_DEFINE_OPTIONAL_(i64, int64_t);
JSON_DEFINE_OPTIONAL_(u32, uint32_t);
JSON_DEFINE_OPTIONAL_(bool, bool);
JSON_DEFINE_OPTIONAL_(object, const struct json *);
JSON_DEFINE_OPTIONAL_(array, const struct json *);

#undef JSON_DEFINE_OPTIONAL_
