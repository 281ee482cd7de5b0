/* SPDX-License-Identifier: MIT */
#pragma once
/* Who asks for a file: a process that waits for the answer, and so can neither end nor become
 * another one meanwhile. Calls to the kernel, any thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define CALLER_UNKNOWN ((uid_t)-1) /* its process is out of this one's sight */

/* The user of the process. */
uid_t caller_user(pid_t pid);

/* Whether it runs one of the programs @paths. A name that is a symbolic link stands for what
 * it leads to; a program that was replaced meanwhile is what it was. Scripts are their
 * interpreters. */
bool caller_runs(pid_t pid, char *const *paths, size_t count);
