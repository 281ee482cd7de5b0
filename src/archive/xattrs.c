/* SPDX-License-Identifier: MIT */
/* Most files have no attributes, so the first call asks with a buffer on the stack and is
 * usually the only one. There is no listxattrat() before Linux 6.13: what is not open is
 * reached through /proc/self/fd/FOLDER/NAME.
 *
 * A list or value that grows between asking for its size and reading it (-ERANGE) is asked
 * for again; one that goes in between is left out.
 */
#include "archive/xattrs.h"

#include "archive/attributes.h"
#include "base/cleanup.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

enum {
	LIST_GUESS = 512,       /* bytes: enough for nearly everything */
	VALUE_GUESS = 512,      /* bytes */
	SIZE_LIMIT = 64 * 1024, /* bytes: the kernel's limit of a list and of a value */
	PROC_PATH_MAX = 32 + NAME_MAX,
};

/* Where to ask: an open file, or a path that is not followed. */
struct subject {
	int fd;
	const char *path; /* if fd < 0 */
};

static ssize_t list(const struct subject *subject, char *data, size_t size)
{
	ssize_t r = subject->fd >= 0 ? flistxattr(subject->fd, data, size)
				     : llistxattr(subject->path, data, size);

	return r < 0 ? -errno : r;
}

static ssize_t get(const struct subject *subject, const char *name, void *data,
		   size_t size)
{
	ssize_t r = subject->fd >= 0 ? fgetxattr(subject->fd, name, data, size)
				     : lgetxattr(subject->path, name, data, size);

	return r < 0 ? -errno : r;
}

static bool is_named(const struct manifest_xattr *xattr, const char *name)
{
	return xattr->name.size == strlen(name) &&
	       memcmp(xattr->name.data, name, strlen(name)) == 0;
}

bool xattrs_have(const struct xattrs *xattrs, const char *name)
{
	for (size_t i = 0; i < xattrs->count; i++)
		if (is_named(&xattrs->items[i], name))
			return true;
	return false;
}

void xattrs_drop(struct xattrs *xattrs, const char *name)
{
	size_t kept = 0;

	for (size_t i = 0; i < xattrs->count; i++) {
		struct manifest_xattr *item = &xattrs->items[i];

		if (!is_named(item, name)) {
			xattrs->items[kept++] = *item;
			continue;
		}
		free(item->name.data);
		free(item->value.data);
	}
	xattrs->count = kept;
}

void xattrs_done(struct xattrs *xattrs)
{
	for (size_t i = 0; i < xattrs->count; i++) {
		free(xattrs->items[i].name.data);
		free(xattrs->items[i].value.data);
	}
	free(xattrs->items);
	*xattrs = (struct xattrs){ 0 };
}

static int add(struct xattrs *xattrs, const char *name, const void *value, size_t size)
{
	struct manifest_xattr *items;
	struct manifest_xattr *item;
	int r;

	items = reallocarray(xattrs->items, xattrs->count + 1, sizeof(*items));
	if (!items)
		return -ENOMEM;
	xattrs->items = items;
	item = &items[xattrs->count++];
	*item = (struct manifest_xattr){ .size = size };
	r = bytes_copy(&item->name, name, strlen(name));
	if (r < 0)
		return r;
	return bytes_copy(&item->value, value, size);
}

static int read_value(const struct subject *subject, const char *name,
		      struct xattrs *xattrs)
{
	uint8_t guess[VALUE_GUESS];
	autofree uint8_t *large = NULL;
	uint8_t *value = guess;
	ssize_t size = get(subject, name, guess, sizeof(guess));

	if (size == -ERANGE) {
		large = malloc(SIZE_LIMIT);
		if (!large)
			return -ENOMEM;
		value = large;
		size = get(subject, name, large, SIZE_LIMIT);
	}
	if (size == -ENODATA)
		return 0;
	if (size < 0)
		return (int)size;
	return add(xattrs, name, value, (size_t)size);
}

static int compare_names(const void *a, const void *b)
{
	const struct manifest_xattr *x = a;
	const struct manifest_xattr *y = b;

	return key_compare(x->name.data, x->name.size, y->name.data, y->name.size);
}

static int read_values(const struct subject *subject, const char *names, size_t size,
		       struct xattrs *xattrs_out)
{
	struct xattrs xattrs = { 0 };

	for (size_t at = 0; at < size; at += strlen(names + at) + 1) {
		int r = 0;

		if (strcmp(names + at, XATTR_PIN) != 0)
			r = read_value(subject, names + at, &xattrs);
		if (r < 0) {
			xattrs_done(&xattrs);
			return r;
		}
	}
	if (xattrs.count > 1)
		qsort(xattrs.items, xattrs.count, sizeof(xattrs.items[0]), compare_names);
	*xattrs_out = xattrs;
	return 0;
}

static int read_all(const struct subject *subject, struct xattrs *xattrs_out)
{
	char guess[LIST_GUESS];
	autofree char *large = NULL;
	ssize_t size = list(subject, guess, sizeof(guess));

	*xattrs_out = (struct xattrs){ 0 };
	if (size == 0 || size == -ENOTSUP)
		return 0;
	if (size > 0)
		return read_values(subject, guess, (size_t)size, xattrs_out);
	if (size != -ERANGE)
		return (int)size;

	large = malloc(SIZE_LIMIT);
	if (!large)
		return -ENOMEM;
	size = list(subject, large, SIZE_LIMIT);
	if (size < 0)
		return (int)size;
	return read_values(subject, large, (size_t)size, xattrs_out);
}

int xattrs_read_fd(int fd, struct xattrs *xattrs_out)
{
	return read_all(&(struct subject){ .fd = fd }, xattrs_out);
}

static bool have_proc(void)
{
	return access("/proc/self/fd", X_OK) == 0;
}

int xattrs_read_at(int dirfd, const char *name, struct xattrs *xattrs_out)
{
	char path[PROC_PATH_MAX + 1];
	struct subject subject = { .fd = -1, .path = path };
	int r;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", dirfd, name);
	r = read_all(&subject, xattrs_out);
	if (r == -ENOENT && !have_proc())
		return 0;
	return r;
}
