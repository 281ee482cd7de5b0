/* SPDX-License-Identifier: MIT */
#include "base/log_subject.h"

static _Thread_local const char *subject_of_thread;

const char *log_subject_set(const char *subject)
{
	const char *outer = subject_of_thread;

	subject_of_thread = subject;
	return outer;
}

const char *log_subject(void)
{
	return subject_of_thread;
}
