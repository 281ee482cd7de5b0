/* SPDX-License-Identifier: MIT */
#pragma once
/* Whether what the calling thread works for is still wanted. Who answers requests says how to
 * find out; who waits long asks now and then. Each thread for itself.
 */
#include <stdbool.h>

struct cancel {
	bool (*wanted)(void *context); /* NULL: always */
	void *context;
};

/* From here to the end of the enclosing block the thread works for somebody who may lose
 * interest: cancel_scope((struct cancel){ wanted, context }). Scopes may nest. */
#define cancel_scope(...)                                                 \
	struct cancel cancel_scope_                                       \
		__attribute__((__cleanup__(cancel_leave_), __unused__)) = \
			cancel_enter_(__VA_ARGS__)

/* True when the thread may stop. */
bool cancelled(void);

/* The two halves of cancel_scope(): the first returns what was set before. */
struct cancel cancel_enter_(struct cancel cancel);
void cancel_leave_(struct cancel *before);
