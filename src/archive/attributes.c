/* SPDX-License-Identifier: MIT */
/* Owner names are kept in two small direct-mapped tables: a source has few owners, and a
 * clash costs a look-up only. An owner without a name is remembered too.
 */
#include "archive/attributes.h"

#include "catalog/history.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	NAME_SLOTS = 256,
	LOOKUP_SIZE_MAX = 1 << 20, /* bytes: groups can have many members */
};

struct owner_name {
	bool known;
	uint32_t id;
	struct bytes name; /* owned; empty if it has none */
};

struct owner_names {
	struct owner_name users[NAME_SLOTS];
	struct owner_name groups[NAME_SLOTS];
};

int bytes_copy(struct bytes *copy_out, const void *data, size_t size)
{
	uint8_t *copy;

	if (size == 0) {
		*copy_out = (struct bytes){ 0 };
		return 0;
	}
	copy = malloc(size + 1);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, data, size);
	copy[size] = 0;
	*copy_out = (struct bytes){ .data = copy, .size = size };
	return 0;
}

int owner_names_new(struct owner_names **names_out)
{
	*names_out = calloc(1, sizeof(**names_out));
	return *names_out ? 0 : -ENOMEM;
}

void owner_names_free(struct owner_names *names)
{
	if (!names)
		return;
	for (unsigned i = 0; i < NAME_SLOTS; i++) {
		free(names->users[i].name.data);
		free(names->groups[i].name.data);
	}
	free(names);
}

/* The name of a user or group, borrowed from @buffer; NULL if there is none. */
static int look_up(bool group, uint32_t id, char *buffer, size_t size,
		   const char **name_out)
{
	struct passwd user;
	struct passwd *user_found = NULL;
	struct group entry;
	struct group *group_found = NULL;
	int r;

	if (group) {
		r = getgrgid_r(id, &entry, buffer, size, &group_found);
		*name_out = group_found ? group_found->gr_name : NULL;
	} else {
		r = getpwuid_r(id, &user, buffer, size, &user_found);
		*name_out = user_found ? user_found->pw_name : NULL;
	}
	return r == ERANGE ? -ERANGE : 0; /* any other failure: it has no name */
}

static int find_name(bool group, uint32_t id, struct bytes *name_out)
{
	for (size_t size = 1024; size <= LOOKUP_SIZE_MAX; size *= 4) {
		autofree char *buffer = malloc(size);
		const char *name = NULL;

		if (!buffer)
			return -ENOMEM;
		if (look_up(group, id, buffer, size, &name) < 0)
			continue;
		return bytes_copy(name_out, name, name ? strlen(name) : 0);
	}
	*name_out = (struct bytes){ 0 };
	return 0;
}

static int set_name(struct owner_name *slots, bool group, uint32_t id,
		    struct bytes *name_out)
{
	struct owner_name *slot = &slots[id % NAME_SLOTS];
	int r;

	if (!slot->known || slot->id != id) {
		struct bytes name;

		r = find_name(group, id, &name);
		if (r < 0)
			return r;
		free(slot->name.data);
		*slot = (struct owner_name){ .known = true, .id = id, .name = name };
	}
	free(name_out->data);
	*name_out = (struct bytes){ 0 };
	return bytes_copy(name_out, slot->name.data, slot->name.size);
}

enum entry_type attributes_type(unsigned mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return ENTRY_FILE;
	case S_IFDIR:
		return ENTRY_DIRECTORY;
	case S_IFLNK:
		return ENTRY_SYMLINK;
	case S_IFIFO:
		return ENTRY_FIFO;
	case S_IFSOCK:
		return ENTRY_SOCKET;
	case S_IFCHR:
		return ENTRY_CHAR;
	case S_IFBLK:
		return ENTRY_BLOCK;
	default:
		return 0;
	}
}

static struct entry_time entry_time(const struct timespec *time)
{
	return (struct entry_time){
		.seconds = time->tv_sec,
		.nanoseconds = (uint32_t)time->tv_nsec,
	};
}

int attributes_set(struct manifest *manifest, const struct stat *stat,
		   struct owner_names *names)
{
	int r;

	manifest->type = attributes_type(stat->st_mode);
	manifest->mode = stat->st_mode & 07777;
	manifest->uid = stat->st_uid;
	manifest->gid = stat->st_gid;
	manifest->mtime = entry_time(&stat->st_mtim);
	manifest->ctime = entry_time(&stat->st_ctim);
	manifest->inode = stat->st_ino;
	manifest->device =
		S_ISCHR(stat->st_mode) || S_ISBLK(stat->st_mode) ? stat->st_rdev : 0;
	manifest->size = S_ISREG(stat->st_mode) ? (uint64_t)stat->st_size : 0;

	r = set_name(names->users, false, stat->st_uid, &manifest->user);
	if (r < 0)
		return r;
	return set_name(names->groups, true, stat->st_gid, &manifest->group);
}

static bool same_timespec(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

bool attributes_untouched(const struct stat *before, const struct stat *after)
{
	return before->st_dev == after->st_dev && before->st_ino == after->st_ino &&
	       before->st_size == after->st_size &&
	       same_timespec(&before->st_mtim, &after->st_mtim) &&
	       same_timespec(&before->st_ctim, &after->st_ctim);
}

static bool is_time(const struct entry_time *time, const struct timespec *now)
{
	return time->seconds == now->tv_sec &&
	       time->nanoseconds == (uint32_t)now->tv_nsec;
}

bool attributes_match(const struct version_row *row, const struct stat *stat)
{
	return row->type == attributes_type(stat->st_mode) &&
	       row->inode == stat->st_ino && is_time(&row->mtime, &stat->st_mtim) &&
	       is_time(&row->ctime, &stat->st_ctim) &&
	       (row->type != ENTRY_FILE || row->size == (uint64_t)stat->st_size);
}

int attributes_read_target(int dirfd, const char *name, struct bytes *target_out)
{
	char target[PATH_MAX];
	ssize_t size = readlinkat(dirfd, name, target, sizeof(target));

	if (size < 0)
		return -errno;
	return bytes_copy(target_out, target, (size_t)size);
}
