/* SPDX-License-Identifier: MIT */
#pragma once
/* Brings one file back. Any number of threads, each for another file: the caller sees to it
 * that nobody else recalls or makes a stub of the same file (tier/work.h).
 */
#include <stdint.h>

struct error;
struct kept_times;
struct object_watch;
struct recall_place;
struct space;
struct stub_row;
struct tier;
struct tiers;

/* What all recalls share. */
struct recall_setup {
	const struct tiers *tiers;
	int group;
	struct space *space;
};

/* What a process asks for that opens the marked file @fd: 0 once it has all its content, and
 * that is durable; then it is no stub any more. What is no stub is left alone, which is also
 * 0. On failure nobody may read it:
 *   -EIO        its table row, marker, size or blocks contradict each other: tier check
 *   -ENOENT, -EBADMSG  its content is lost
 *   -ENOMEDIUM  its volume is not attached
 *   -ENOSPC     no room for it */
int recall_file(const struct recall_setup *setup, int fd,
		const struct object_watch *watch, struct error *err);

/* Where the content of the file @fd begins; unchanged if that is not to be found out. */
void recall_locate(const struct tiers *tiers, int fd, struct recall_place *place);

/* Take a row back whose file, open for writing as @fd, still has its content: it was about
 * to become a stub when a process was killed, or it could not. The mark goes too. */
int recall_cancel(struct tier *tier, int group, int fd, const struct stub_row *row,
		  struct error *err);

/* Remove all content of the file @fd, of @size bytes, and set its times back. -errno. */
int recall_punch(int fd, uint64_t size, struct kept_times *times);

/* The errno, positive, that a process gets for the result @r; 0 for 0. */
int recall_errno(int r);
