/* SPDX-License-Identifier: MIT */
/* A stub is known if everything agrees: the row of its handle in the table, its marker, its
 * size, and that it has no content of its own. Both that the marker was forged and that
 * somebody wrote to it while it was not guarded then mean that it is opened, and whoever opens
 * it gets the right bytes or an error.
 *
 * Blocks that it has may be those of an attribute that did not fit into its inode. Then its
 * modification time decides: one from before it became a stub says that nobody wrote to it.
 *
 * A stub whose content is in another archive is none here: it is opened, and its bytes are
 * copied. If it is this archive that has the content, opening it could give no more than what
 * is there already.
 *
 * Between two looks at its change time a stub stays what it is: a recall changes that.
 */
#include "tier/known_stubs.h"

#include "archive/attributes.h"
#include "base/error.h"
#include "base/log.h"
#include "base/timestamp.h"
#include "catalog/stub_table.h"
#include "tier/handle.h"
#include "tier/marker.h"
#include "tier/tier.h"
#include "tier/tier_list.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCKS_MAX 8 /* of 512 bytes: an attribute that did not fit into the inode */

struct known_table {
	dev_t device;
	struct stub_table *table; /* owned */
};

struct known_stubs {
	struct known_content content;
	struct hash archive;
	struct known_table *tables; /* owned */
	size_t count;
};

/* ---- one file ---- */

static bool is_punched(const struct known_stubs *known, const struct stub_row *row,
		       const struct marker *marker, const struct stat *stat)
{
	int64_t changed =
		stat->st_mtim.tv_sec * (int64_t)NS_PER_SECOND + stat->st_mtim.tv_nsec;

	return row->state == STUB_PUNCHED && hash_equal(&row->archive, &known->archive) &&
	       row->size == (uint64_t)stat->st_size && marker_matches(marker, row) &&
	       (stat->st_blocks == 0 || changed < row->time);
}

static bool look_up(const struct known_stubs *known, struct stub_table *table, int fd,
		    const struct stat *stat, struct hash *hash_out)
{
	uint8_t handle[STUB_HANDLE_MAX];
	struct stub_row row = { 0 };
	struct marker marker;
	size_t size;
	bool found;

	if (marker_get_path_fd(fd, &marker) < 0 ||
	    tier_handle_get(fd, handle, &size, NULL) < 0 ||
	    stub_table_get(table, handle, size, &row, NULL) != 0)
		return false;
	found = is_punched(known, &row, &marker, stat);
	*hash_out = row.hash;
	stub_row_done(&row);
	return found;
}

static bool looks_like(int fd, const struct stat *stat)
{
	struct stat now;

	return fstat(fd, &now) == 0 && attributes_untouched(stat, &now);
}

static int find(void *context, int dirfd, const char *name, const struct stat *stat,
		struct hash *hash_out)
{
	const struct known_stubs *known = context;
	struct stub_table *table = NULL;
	autoclose int fd = -1;

	if (!S_ISREG(stat->st_mode) || stat->st_size == 0 || stat->st_blocks > BLOCKS_MAX)
		return 0;
	for (size_t i = 0; i < known->count; i++)
		if (known->tables[i].device == stat->st_dev)
			table = known->tables[i].table;
	if (!table)
		return 0;
	fd = openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return fd >= 0 && looks_like(fd, stat) &&
	       look_up(known, table, fd, stat, hash_out) && looks_like(fd, stat);
}

/* ---- all of them ---- */

/* A tier that can't be looked at has no stubs that are known; they are opened. */
static void add_table(struct known_stubs *known, const char *state,
		      const struct tier_entry *tier)
{
	struct known_table *entry = &known->tables[known->count];
	struct error why = { 0 };
	struct stat info;

	if (stat(tier->folder, &info) < 0)
		return;
	if (tier_table_open(state, &tier->uuid, false, &entry->table, &why) < 0) {
		log_debug("%s", why.text);
		return;
	}
	entry->device = info.st_dev;
	known->count++;
}

static int add_tables(struct known_stubs *known, const char *state, int state_fd,
		      struct error *err)
{
	struct tier_list list = { 0 };

	if (tier_list_load(state_fd, &list, err) < 0)
		return 0;
	known->tables = calloc(list.count + 1, sizeof(*known->tables));
	for (size_t i = 0; known->tables && i < list.count; i++)
		add_table(known, state, &list.items[i]);
	tier_list_done(&list);
	return known->tables ? 0 : error_set(err, -ENOMEM, "no memory for stubs");
}

int known_stubs_new(const char *state, const struct hash *archive,
		    struct known_stubs **known_out, struct error *err)
{
	autoptr(known_stubs) known = calloc(1, sizeof(*known));
	autoclose int fd = open(state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (!known)
		return error_set(err, -ENOMEM, "no memory for stubs");
	known->content = (struct known_content){ find, known };
	known->archive = *archive;
	r = fd < 0 ? 0 : add_tables(known, state, fd, err);
	if (r < 0)
		return r;
	*known_out = take_ptr(known);
	return 0;
}

void known_stubs_free(struct known_stubs *known)
{
	if (!known)
		return;
	for (size_t i = 0; i < known->count; i++)
		stub_table_free(known->tables[i].table);
	free(known->tables);
	free(known);
}

const struct known_content *known_stubs_content(const struct known_stubs *known)
{
	return &known->content;
}
