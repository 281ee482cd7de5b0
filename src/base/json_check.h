/* SPDX-License-Identifier: MIT */
#pragma once
/* The grammar of RFC 8259 with the restrictions of base/json.h, but for duplicate names:
 * what passes here can be given to a lenient parser. Pure function, any thread.
 */
#include "base/error.h"

#include <stddef.h>

/* -EBADMSG with the byte where it goes wrong. */
int json_check(const void *data, size_t size, struct error *err);
