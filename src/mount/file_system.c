/* SPDX-License-Identifier: MIT */
#include "mount/file_system.h"

#include <errno.h>

struct backing *file_system_backing(struct file_system *fs)
{
	mutex_scope(&fs->mutex);

	return backing_ref(fs->backing);
}

void file_system_replace(struct file_system *fs, struct backing *backing)
{
	struct backing *old;

	mutex_lock(&fs->mutex);
	old = fs->backing;
	fs->backing = backing;
	mutex_unlock(&fs->mutex);
	backing_unref(old);
}

int request_begin(struct request *request, struct file_system *fs)
{
	*request = (struct request){ .fs = fs, .backing = file_system_backing(fs) };
	return backing_take_catalog(request->backing, &request->catalog, &request->err);
}

void request_end(struct request *request)
{
	if (request->catalog)
		backing_give_catalog(request->backing, request->catalog);
	backing_unref(request->backing);
	request->catalog = NULL;
	request->backing = NULL;
}

int request_errno(int r)
{
	switch (-r) {
	case EBADMSG:
	case EBUSY:
	case ENOMEDIUM:
	case EPROTONOSUPPORT:
		return EIO;
	default:
		return -r;
	}
}
