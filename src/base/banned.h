/* SPDX-License-Identifier: MIT */
#ifndef __ASSEMBLER__ /* the build includes it before assembler files too */
#pragma once
/* Functions that this project never calls, poisoned for the compiler.
 *
 * The build includes this file before every C file (-include, top meson.build). The
 * headers that declare these names come first, because a poisoned name may not even be
 * declared any more.
 *
 *   strcpy, strcat, sprintf   unbounded writes; use base/text.h or snprintf
 *   strtok, gmtime, localtime hidden shared state; use strsep, gmtime_r, localtime_r
 *   atoi                      cannot report an error; use base/number.h
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Some fortified headers define these as macros. */
#undef strcpy
#undef strcat
#undef sprintf
#undef strtok

#pragma GCC poison strcpy strcat sprintf strtok atoi gmtime localtime
#endif
