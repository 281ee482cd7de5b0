/* SPDX-License-Identifier: MIT */
#include "base/cancel.h"

static _Thread_local struct cancel current;

struct cancel cancel_enter_(struct cancel cancel)
{
	struct cancel before = current;

	current = cancel;
	return before;
}

void cancel_leave_(struct cancel *before)
{
	current = *before;
}

bool cancelled(void)
{
	return current.wanted && !current.wanted(current.context);
}
