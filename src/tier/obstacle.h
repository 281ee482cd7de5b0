/* SPDX-License-Identifier: MIT */
#pragma once
/* What keeps an open file from becoming a stub, whatever the policy says. Calls to the kernel,
 * any thread.
 */
#include "tier/policy.h"

struct error;

/* POLICY_TAKE: nothing; else the text says what. */
enum policy_skip obstacle_find(int fd, struct error *err);

/* POLICY_IN_USE if somebody else has the file open, or mapped. SIGIO must be ignored: it tells
 * of others who come meanwhile. */
enum policy_skip obstacle_find_user(int fd);
