/* SPDX-License-Identifier: MIT */
#pragma once
/* What the program's exit status means; blockframe(1) documents the same list. */
enum exit_code {
	CODE_DONE = 0,    /* also when a read was repaired in memory */
	CODE_FAILED = 1,  /* nothing was done, or it stopped half-way with an error */
	CODE_USAGE = 2,   /* wrong options or arguments */
	CODE_PARTIAL = 3, /* done, but some inputs could not be read or were damaged */
	CODE_LOST = 4,    /* data is lost beyond repair */
	CODE_NO_ARCHIVE = 10, /* there is no archive */
	CODE_BUSY = 11,       /* another writer is at work */
	CODE_INTERRUPTED = 130,
};

/* The exit code for a negative errno of an operation on an open archive. */
enum exit_code exit_code_of(int r);
