/* SPDX-License-Identifier: MIT */
/* The steps, each durable before the next one:
 *
 *   1. table and marker agree, the size is the stub's, and what blocks the file has hold
 *      what the archive has, or zeroes
 *   2. all content is written and flushed, the modification time set back
 *   3. the marker goes
 *   4. the row goes; then the mark, and only then the answer
 *
 * A crash in 2 leaves a stub with some of its blocks, which the next recall compares and
 * fills; this is also how punching that did not get to its end is undone. A crash after 3
 * leaves a row without a marker: the next recall finds by the content's hash that all is
 * there. Any other combination means that somebody was at the file while it was not guarded:
 * then nobody gets anything before `tier check` was asked.
 *
 * The modification time decides nothing. If a program changed it on a stub, or while that is
 * being filled, it stays changed.
 */
#include "tier/recall.h"

#include "archive/open_file.h"
#include "base/cleanup.h"
#include "base/crash_point.h"
#include "base/error.h"
#include "base/file.h"
#include "catalog/stub_table.h"
#include "tier/group.h"
#include "tier/handle.h"
#include "tier/kept_times.h"
#include "tier/marker.h"
#include "tier/object.h"
#include "tier/space.h"
#include "tier/tier.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 4096u               /* bytes that are zero or not, together */
#define PIECE (64u << 10)         /* bytes that are written, or left out as zeroes */
#define DIRECT_MIN (32ull << 20)  /* bytes of files that go around the page cache */
#define SPARE_SPACE (16ull << 20) /* bytes that a recall leaves free */

struct recall {
	struct tier *tier;
	struct tier *source; /* has the archive */
	const struct recall_setup *setup;
	struct space_claim *claim;
	int fd;     /* for writing */
	int direct; /* the same, around the page cache; -1: not */
	struct stub_row *row;
	struct stat before;
	struct kept_times *times;
	const struct object_watch *watch;
};

/* ---- the file ---- */

/* The whole last block, so that nothing of it stays. */
static uint64_t punch_size(uint64_t size)
{
	return (size / OBJECT_CHUNK + 1) * OBJECT_CHUNK;
}

int recall_punch(int fd, uint64_t size, struct kept_times *times)
{
	int r;

	r = kept_times_before(times, fd);
	if (r < 0)
		return r;
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
		      (off_t)punch_size(size)) < 0)
		return -errno;
	r = kept_times_after(times, fd);
	if (r == 0)
		r = kept_times_restore(times, fd);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	return r;
}

static bool has_data(int fd)
{
	return lseek(fd, 0, SEEK_DATA) >= 0 || errno != ENXIO;
}

static int unmark(const struct recall *recall)
{
	/* A mark that stays only makes opening slower. */
	(void)group_unmark(recall->setup->group, recall->fd, NULL);
	return 0;
}

static int contradiction(struct error *err, const char *what)
{
	return error_set(err, -EIO, "%s: see 'tier check'", what);
}

/* ---- filling ---- */

static bool is_zero(const uint8_t *data, size_t size)
{
	return size == 0 || (data[0] == 0 && memcmp(data, data + 1, size - 1) == 0);
}

/* Whether what the file has at @offset is known: the archive's, or nothing. */
static int check_blocks(const struct recall *recall, uint64_t offset, const uint8_t *data,
			uint8_t *found, size_t size, struct error *err)
{
	int r = pread_full(recall->fd, found, size, offset, NULL);

	if (r < 0)
		return error_set_errno(err, r, "read what is there");
	for (size_t i = 0; i < size; i += BLOCK) {
		size_t n = size - i < BLOCK ? size - i : BLOCK;

		if (memcmp(found + i, data + i, n) != 0 && !is_zero(found + i, n))
			return contradiction(err, "it was written to while it was not "
						  "guarded");
	}
	return 0;
}

static int write_piece(const struct recall *recall, const uint8_t *data, size_t size,
		       uint64_t offset)
{
	/* Whatever the device wants to be written as a whole, a piece is a multiple of it. */
	bool direct = recall->direct >= 0 && size % PIECE == 0;

	return pwrite_full(direct ? recall->direct : recall->fd, data, size, offset);
}

/* All but what is zero: a file that had holes gets them back. */
static int write_data(const struct recall *recall, const uint8_t *data, size_t size,
		      uint64_t offset)
{
	for (size_t start = 0; start < size;) {
		size_t end = start;
		int r;

		while (end < size &&
		       !is_zero(data + end, size - end < PIECE ? size - end : PIECE))
			end += PIECE;
		if (end > size)
			end = size;
		r = write_piece(recall, data + start, end - start, offset + start);
		if (r < 0)
			return r;
		start = end + PIECE;
	}
	return 0;
}

static int fill_chunk(const struct recall *recall, struct open_file *object, bool compare,
		      uint64_t offset, uint8_t *buffer, size_t size,
		      struct hasher *hasher, struct error *err)
{
	int r;

	r = object_read(object, offset, buffer, size, err);
	if (r == 0 && compare)
		r = check_blocks(recall, offset, buffer, buffer + OBJECT_CHUNK, size,
				 err);
	if (r < 0)
		return r;
	hasher_update(hasher, buffer, size);
	r = kept_times_before(recall->times, recall->fd);
	if (r == 0)
		r = write_data(recall, buffer, size, offset);
	if (r == 0)
		r = kept_times_after(recall->times, recall->fd);
	if (r < 0)
		return error_set_errno(err, r, "write");
	space_keep(recall->claim, recall->row->size - offset - size);
	crash_point("tier.recall.chunk");
	r = recall->watch->chunk(recall->watch->context);
	return r < 0 ? error_set_errno(err, r, "stopped") : 0;
}

static int fill(const struct recall *recall, struct open_file *object, bool compare,
		struct error *err)
{
	autofree uint8_t *buffer = aligned_alloc(BLOCK, 2 * OBJECT_CHUNK);
	uint64_t size = recall->row->size;
	struct hasher hasher;
	struct hash hash;
	int r = buffer ? 0 : error_set(err, -ENOMEM, "no memory to recall with");

	hasher_init(&hasher);
	for (uint64_t offset = 0; offset < size && r == 0; offset += OBJECT_CHUNK) {
		uint64_t left = size - offset;

		r = fill_chunk(recall, object, compare, offset, buffer,
			       left < OBJECT_CHUNK ? (size_t)left : OBJECT_CHUNK, &hasher,
			       err);
	}
	if (r < 0)
		return r;
	hasher_final(&hasher, &hash);
	if (!hash_equal(&hash, &recall->row->hash))
		return error_set(err, -EBADMSG, "the archive has other content");
	/* This is an access, also where reading leaves no trace (noatime): the policy counts
	 * from it. */
	(void)clock_gettime(CLOCK_REALTIME, &recall->times->atime);
	r = kept_times_restore(recall->times, recall->fd);
	if (r == 0 && fsync(recall->fd) < 0)
		r = -errno;
	return r < 0 ? error_set_errno(err, r, "flush") : 0;
}

/* The file has its content: end the stub. */
static int finish(const struct recall *recall, struct error *err)
{
	int r;

	crash_point("tier.recall.filled");
	r = marker_remove(recall->fd);
	if (r < 0)
		return error_set_errno(err, r, "remove the marker");
	crash_point("tier.recall.unmarked");
	r = stub_table_remove(recall->tier->table, recall->row, err);
	if (r < 0)
		return r;
	crash_point("tier.recall.done");
	return unmark(recall);
}

/* Flushing a large file out of the page cache takes several times as long as writing it
 * past it, and would push out what others need. A file system that can't is none the worse. */
static int open_direct(const struct recall *recall)
{
	int fd = -1;

	if (recall->row->size >= DIRECT_MIN)
		(void)tier_handle_open(recall->tier->root_fd, recall->row->handle,
				       recall->row->handle_size,
				       O_WRONLY | O_DIRECT | O_NOATIME, &fd);
	return fd;
}

/* With room for it. */
static int fill_in_room(struct recall *recall, struct error *err)
{
	bool compare = has_data(recall->fd);
	autoclose int direct = open_direct(recall);
	autoptr(open_file) object = NULL;
	int r;

	r = object_open(recall->source, &recall->row->hash, recall->row->size, &object,
			err);
	if (r < 0)
		return r;
	recall->direct = direct;
	r = fill(recall, object, compare, err);
	/* Who knows what the blocks hold that were there before: they stay. */
	if (r < 0 && !compare)
		(void)recall_punch(recall->fd, recall->row->size, recall->times);
	return r < 0 ? r : finish(recall, err);
}

/* What was interrupted has blocks already. On a disk that is almost full there may be room for
 * no others. */
static uint64_t missing_space(const struct recall *recall)
{
	uint64_t size = recall->row->size;
	uint64_t there =
		has_data(recall->fd) ? (uint64_t)recall->before.st_blocks * 512 : 0;

	return size > there ? size - there : 0;
}

static int fill_from_archive(struct recall *recall, struct error *err)
{
	uint64_t missing = missing_space(recall);
	struct space_claim claim;
	int r;

	r = space_take(recall->setup->space, recall->fd, missing,
		       missing > 0 ? SPARE_SPACE : 0, &claim, err);
	if (r < 0)
		return r;
	recall->claim = &claim;
	r = fill_in_room(recall, err);
	space_give_back(&claim);
	return r;
}

/* Without a marker: whether all is there, because a recall got almost to its end. */
static int finish_if_whole(const struct recall *recall, struct error *err)
{
	struct hash hash;
	int r = object_hash_file(recall->fd, recall->row->size, recall->watch, &hash,
				 err);

	if (r < 0)
		return r;
	if (!hash_equal(&hash, &recall->row->hash))
		return contradiction(err, "its marker is gone");
	return finish(recall, err);
}

static int recall_stub(struct recall *recall, struct error *err)
{
	struct marker marker = { 0 };
	int r = marker_get(recall->fd, &marker);

	if ((uint64_t)recall->before.st_size != recall->row->size)
		return contradiction(err, "its size has changed while it was not "
					  "guarded");
	if (r == -ENODATA)
		return finish_if_whole(recall, err);
	if (r < 0 || !marker_matches(&marker, recall->row))
		return contradiction(err, "its marker is another stub's");
	if (!recall->source)
		return error_set(err, -ENOMEDIUM, "its archive is no tier's any more");
	return fill_from_archive(recall, err);
}

/* ---- what is asked for ---- */

int recall_cancel(struct tier *tier, int group, int fd, const struct stub_row *row,
		  struct error *err)
{
	int r = marker_remove(fd);

	if (r < 0)
		return error_set_errno(err, r, "remove the marker");
	r = stub_table_remove(tier->table, row, err);
	if (r == 0)
		(void)group_unmark(group, fd, NULL);
	return r;
}

static int note_problem(struct tier *tier, struct stub_row *row, const struct error *err)
{
	free(row->problem);
	row->problem = strdup(err->text);
	return stub_table_put(tier->table, row, NULL);
}

static int recall_row(const struct recall_setup *setup, struct tier *tier,
		      struct stub_row *row, const struct object_watch *watch,
		      struct error *err)
{
	struct recall recall = { .direct = -1,
				 .tier = tier,
				 .source =
					 tiers_with_archive(setup->tiers, &row->archive),
				 .setup = setup,
				 .row = row,
				 .watch = watch };
	struct kept_times times;
	autoclose int fd = -1;
	int r;

	/* The kernel asks the guard about this, which knows who it is. */
	r = tier_handle_open(tier->root_fd, row->handle, row->handle_size,
			     O_RDWR | O_NOATIME, &fd);
	if (r < 0)
		return error_set_errno(err, r, "open to recall");
	recall.fd = fd;
	if (fstat(fd, &recall.before) < 0)
		return error_set_errno(err, -errno, "open to recall");
	kept_times_begin(&times, &recall.before);
	recall.times = &times;
	if (row->state == STUB_PREPARED)
		return recall_cancel(tier, setup->group, fd, row, err);
	r = recall_stub(&recall, err);
	if (r < 0)
		(void)note_problem(tier, row, err);
	return r;
}

/* A marked file of which the table says nothing: whole, or a stub of which it ought to. */
static int check_stranger(int group, int fd, struct error *err)
{
	struct marker marker;

	if (marker_get(fd, &marker) != -ENODATA)
		return contradiction(err, "the table of stubs does not know it");
	(void)group_unmark(group, fd, NULL);
	return 0;
}

/* The row of the file @fd. CATALOG_END. */
static int find_row(const struct tiers *tiers, int fd, struct tier **tier_out,
		    struct stub_row *row_out, struct error *err)
{
	struct tier *tier = tiers_of_file(tiers, fd);
	uint8_t handle[STUB_HANDLE_MAX];
	size_t size;
	int r;

	if (!tier)
		return contradiction(err, "its tier is unknown");
	r = tier_handle_get(fd, handle, &size, err);
	if (r == 0)
		r = stub_table_get(tier->table, handle, size, row_out, err);
	*tier_out = tier;
	return r;
}

int recall_file(const struct recall_setup *setup, int fd,
		const struct object_watch *watch, struct error *err)
{
	struct stub_row row = { 0 };
	struct tier *tier = NULL;
	int r = find_row(setup->tiers, fd, &tier, &row, err);

	if (r < 0)
		return r;
	if (r == CATALOG_END)
		return check_stranger(setup->group, fd, err);
	r = recall_row(setup, tier, &row, watch, err);
	stub_row_done(&row);
	return r;
}

void recall_locate(const struct tiers *tiers, int fd, struct recall_place *place)
{
	struct stub_row row = { 0 };
	struct tier *tier;

	if (find_row(tiers, fd, &tier, &row, NULL) != 0)
		return;
	tier = tiers_with_archive(tiers, &row.archive);
	if (tier)
		object_locate(tier, &row.hash, row.size, place);
	stub_row_done(&row);
}

int recall_errno(int r)
{
	switch (r) {
	case 0:
		return 0;
	case -ENOSPC:
	case -EDQUOT:
	case -EBUSY:
		return -r;
	case -ENOMEDIUM:
	case -ENOMEM:
	case -EAGAIN:
	case -EINTR:
	case -EMFILE:
		return EAGAIN;
	default:
		return EIO;
	}
}
