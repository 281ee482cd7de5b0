/* SPDX-License-Identifier: MIT */
/* Each operation finds its inode by number, does its work with a catalog handle of its own,
 * gives that back and replies once. Nothing has to be forgotten: numbers are calculated.
 *
 * Folders are not opened: the kernel keeps what it read of them until it is told otherwise
 * (watch.c), and so are attributes and names, those that are not there included. The pages
 * of a file may stay for ever: other content has another inode.
 */
#include "mount/operations.h"

#include "archive/archive.h"
#include "archive/read_pieces.h"
#include "base/cancel.h"
#include "base/log.h"
#include "mount/bare_inodes.h"
#include "mount/entry.h"
#include "mount/file.h"
#include "mount/file_system.h"
#include "mount/folder.h"
#include "mount/look_up.h"
#include "mount/space.h"
#include "mount/special.h"
#include "mount/xattr.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* What a file handle of the kernel stands for. */
struct handle {
	struct file *file;
	char *text; /* of SPECIAL_HEALTH */
	size_t text_size;
	struct handle *newer; /* in the list of all */
	struct handle *older;
};

static struct file_system *file_system_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

/* Whether the caller still waits: nobody does when a signal ended it. */
static bool is_wanted(void *context)
{
	return !fuse_req_interrupted(context);
}

/* Begin a request about @number. */
static int begin(struct request *request, fuse_req_t req, fuse_ino_t number,
		 struct inode *inode_out)
{
	if (!inode_decode(number, inode_out))
		return -ESTALE;
	return request_begin(request, file_system_of(req));
}

/* Damage of the catalog is told to whoever runs the mount; the rest is none of theirs. */
static void reply_error(struct request *request, fuse_req_t req, int r)
{
	if (request_errno(r) == EIO && request->err.text[0])
		log_error("%s", request->err.text);
	request_end(request);
	(void)fuse_reply_err(req, request_errno(r));
}

static void describe(const struct request *request, const struct found *found,
		     struct fuse_entry_param *param_out)
{
	*param_out = (struct fuse_entry_param){
		.ino = found->stat.st_ino,
		.attr = found->stat,
		.attr_timeout = request->fs->timeout,
		.entry_timeout = request->fs->timeout,
	};
	if (found->inode.kind != INODE_SPECIAL && param_out->ino != INODE_ROOT)
		param_out->generation = backing_generation(request->backing);
	if (found->inode.kind == INODE_SPECIAL && found->inode.node == SPECIAL_HEALTH)
		param_out->attr_timeout = 0;
}

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	struct file_system *fs = userdata;
	unsigned wanted = FUSE_CAP_EXPORT_SUPPORT | FUSE_CAP_READDIRPLUS |
			  FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_CACHE_SYMLINKS |
			  FUSE_CAP_NO_OPENDIR_SUPPORT | FUSE_CAP_ASYNC_READ |
			  FUSE_CAP_ASYNC_DIO;

	/* Those who are shown other owners than the archive's have no use for its ACLs. */
	if (!fs->masks.has_uid && !fs->masks.has_gid && !fs->masks.has_umask)
		wanted |= FUSE_CAP_POSIX_ACL;
	/* Attributes come with every name, not only with the first ones of a folder: to ask
	 * for those of one more file costs ten times as much. */
	conn->want &= ~(unsigned)(FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_READDIRPLUS_AUTO);
	conn->want |= conn->capable & (wanted | FUSE_CAP_EXPLICIT_INVAL_DATA);
	conn->max_read = MOUNT_READ_MAX;
	conn->max_write = MOUNT_READ_MAX; /* it gives the pages of a request, reads too */
	conn->max_readahead = MOUNT_READ_MAX;
	conn->max_background = 64;
	conn->congestion_threshold = 48;
	conn->time_gran = 1;
	if (fs->ready)
		fs->ready(fs->ready_context);
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	cancel_scope((struct cancel){ is_wanted, req });
	struct bytes bytes = { (uint8_t *)(uintptr_t)name, strlen(name) };
	struct fuse_entry_param param = { 0 };
	autorequest request = { 0 };
	struct inode folder;
	struct found found;
	int r;

	r = begin(&request, req, parent, &folder);
	if (r == 0)
		r = look_up_name(&request, &folder, &bytes, &found);
	if (r < 0 && r != -ENOENT) {
		reply_error(&request, req, r);
		return;
	}
	if (r == 0)
		describe(&request, &found, &param);
	else
		param.entry_timeout = request.fs->timeout; /* there is none */
	request_end(&request);
	(void)fuse_reply_entry(req, &param);
}

static void op_getattr(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *fi)
{
	cancel_scope((struct cancel){ is_wanted, req });
	struct fuse_entry_param param;
	autorequest request = { 0 };
	struct inode inode;
	struct found found;
	int r;

	(void)fi;
	r = begin(&request, req, number, &inode);
	if (r == 0)
		r = look_up_inode(&request, &inode, &found);
	if (r < 0) {
		reply_error(&request, req, r);
		return;
	}
	describe(&request, &found, &param);
	request_end(&request);
	param.attr.st_ino = number;
	(void)fuse_reply_attr(req, &param.attr, param.attr_timeout);
}

static void op_readlink(fuse_req_t req, fuse_ino_t number)
{
	cancel_scope((struct cancel){ is_wanted, req });
	char target[SPECIAL_TARGET_MAX];
	autorequest request = { 0 };
	autoentry entry = { 0 };
	struct inode inode;
	int r;

	r = begin(&request, req, number, &inode);
	if (r == 0 && inode.kind == INODE_SPECIAL) {
		request_end(&request);
		special_target(&inode, target);
		(void)fuse_reply_readlink(req, target);
		return;
	}
	if (r == 0)
		r = entry_load(&request, &inode, &entry);
	if (r == 0 && entry.manifest.type != ENTRY_SYMLINK)
		r = -EINVAL;
	if (r < 0) {
		reply_error(&request, req, r);
		return;
	}
	request_end(&request);
	(void)fuse_reply_readlink(req, (const char *)entry.manifest.target.data);
}

/* Entries for a reply of the kernel's size. */
struct reply {
	struct folder_sink sink; /* first member */
	fuse_req_t req;
	const struct request *request;
	char *data;
	size_t size;
	size_t used;
	bool plus;
};

static bool add_entry(struct folder_sink *sink, const char *name,
		      const struct found *found, bool complete, uint64_t offset)
{
	struct reply *reply = (struct reply *)sink;
	char *to = reply->data + reply->used;
	size_t room = reply->size - reply->used;
	struct fuse_entry_param param = { .attr = found->stat };
	size_t n;

	if (!reply->plus) {
		n = fuse_add_direntry(reply->req, to, room, name, &found->stat,
				      (off_t)offset);
	} else {
		if (complete) /* otherwise number 0: the kernel asks when it wants more */
			describe(reply->request, found, &param);
		n = fuse_add_direntry_plus(reply->req, to, room, name, &param,
					   (off_t)offset);
	}
	if (n > room)
		return false;
	reply->used += n;
	return true;
}

static void read_folder(fuse_req_t req, fuse_ino_t number, size_t size, off_t offset,
			bool plus)
{
	cancel_scope((struct cancel){ is_wanted, req });
	struct read_buffers *buffers = &file_system_of(req)->buffers;
	uint8_t *data = read_buffers_take(buffers, size);
	struct reply reply = { .sink = { add_entry, plus },
			       .req = req,
			       .data = (char *)data,
			       .size = size,
			       .plus = plus };
	autorequest request = { 0 };
	struct inode folder;
	int r = data ? 0 : -ENOMEM;

	reply.request = &request;
	if (r == 0)
		r = begin(&request, req, number, &folder);
	if (r == 0)
		r = folder_list(&request, &folder, (uint64_t)offset, &reply.sink);
	if (r < 0) {
		reply_error(&request, req, r);
	} else {
		request_end(&request);
		(void)fuse_reply_buf(req, reply.data, reply.used);
	}
	if (data)
		read_buffers_give(buffers, data, size);
}

static void op_readdir(fuse_req_t req, fuse_ino_t number, size_t size, off_t offset,
		       struct fuse_file_info *fi)
{
	(void)fi;
	read_folder(req, number, size, offset, false);
}

static void op_readdirplus(fuse_req_t req, fuse_ino_t number, size_t size, off_t offset,
			   struct fuse_file_info *fi)
{
	(void)fi;
	read_folder(req, number, size, offset, true);
}

static void op_opendir(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *fi)
{
	(void)number;
	(void)fi;
	/* To the kernel: folders need no opening, here or later, and may be cached. */
	(void)fuse_reply_err(req, ENOSYS);
}

static int open_handle(struct request *request, const struct inode *inode,
		       struct handle *handle)
{
	if (inode->kind != INODE_SPECIAL)
		return file_open(request, inode, &handle->file);
	if (inode->node != SPECIAL_HEALTH)
		return -EISDIR;
	return special_health(request, &handle->text, &handle->text_size);
}

static void keep_handle(struct file_system *fs, struct handle *handle)
{
	mutex_scope(&fs->mutex);

	handle->older = fs->handles;
	if (handle->older)
		handle->older->newer = handle;
	fs->handles = handle;
}

static void drop_handle(struct file_system *fs, struct handle *handle)
{
	mutex_scope(&fs->mutex);

	if (handle->older)
		handle->older->newer = handle->newer;
	if (handle->newer)
		handle->newer->older = handle->older;
	else
		fs->handles = handle->older;
}

static void free_handle(struct file_system *fs, struct handle *handle)
{
	drop_handle(fs, handle);
	file_free(handle->file);
	free(handle->text);
	free(handle);
}

static void op_open(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *fi)
{
	cancel_scope((struct cancel){ is_wanted, req });
	struct file_system *fs = file_system_of(req);
	struct handle *handle = calloc(1, sizeof(*handle));
	autorequest request = { 0 };
	struct inode inode;
	int r = handle ? 0 : -ENOMEM;

	if (r == 0 && (fi->flags & O_ACCMODE) != O_RDONLY)
		r = -EROFS;
	if (r == 0)
		r = begin(&request, req, number, &inode);
	if (r == 0)
		r = open_handle(&request, &inode, handle);
	if (r < 0) {
		free(handle);
		reply_error(&request, req, r);
		return;
	}
	request_end(&request);
	keep_handle(fs, handle);
	fi->fh = (uintptr_t)handle;
	fi->keep_cache = handle->file != NULL;
	fi->direct_io = handle->file == NULL;
	fi->noflush = 1;
	if (fuse_reply_open(req, fi) < 0)
		free_handle(fs, handle); /* interrupted: nobody will release it */
}

static void op_release(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *fi)
{
	(void)number;
	free_handle(file_system_of(req), (struct handle *)(uintptr_t)fi->fh);
	(void)fuse_reply_err(req, 0);
}

void operations_close_all(struct file_system *fs)
{
	while (fs->handles)
		free_handle(fs, fs->handles);
}

static void add_text(const struct handle *handle, uint64_t offset,
		     struct read_pieces *pieces, size_t size)
{
	size_t rest = offset < handle->text_size ? handle->text_size - (size_t)offset : 0;

	if (rest > size)
		rest = size;
	if (rest == 0)
		return;
	memcpy(pieces->next, handle->text + offset, rest);
	read_pieces_add(pieces, rest);
}

static void reply_pieces(fuse_req_t req, const struct read_pieces *pieces)
{
	struct iovec vectors[READ_PIECES_MAX];

	for (unsigned i = 0; i < pieces->count; i++)
		vectors[i] = (struct iovec){
			.iov_base = (void *)(uintptr_t)pieces->pieces[i].data,
			.iov_len = pieces->pieces[i].size,
		};
	(void)fuse_reply_iov(req, vectors, (int)pieces->count);
}

/* The reply comes out of the cache and a buffer of its own, text as well: who gets it may
 * close the file while the call that sent it has not returned. So the backing, whose cache it
 * is, is held until then. */
static void op_read(fuse_req_t req, fuse_ino_t number, size_t size, off_t offset,
		    struct fuse_file_info *fi)
{
	cancel_scope((struct cancel){ is_wanted, req });
	const struct handle *handle = (struct handle *)(uintptr_t)fi->fh;
	struct read_buffers *buffers = &file_system_of(req)->buffers;
	uint8_t *data = read_buffers_take(buffers, size + READ_PIECES_SLACK);
	struct backing *backing = NULL;
	struct read_pieces pieces;
	int r = 0;

	(void)number;
	if (!data) {
		(void)fuse_reply_err(req, ENOMEM);
		return;
	}
	read_pieces_init(&pieces, data);
	if (handle->text) {
		add_text(handle, (uint64_t)offset, &pieces, size);
	} else {
		backing = backing_ref(file_backing(handle->file));
		r = file_read(handle->file, (uint64_t)offset, &pieces, size);
	}
	if (r < 0)
		(void)fuse_reply_err(req, -r);
	else
		reply_pieces(req, &pieces);
	read_pieces_done(&pieces);
	backing_unref(backing);
	read_buffers_give(buffers, data, size + READ_PIECES_SLACK);
}

static void op_lseek(fuse_req_t req, fuse_ino_t number, off_t offset, int whence,
		     struct fuse_file_info *fi)
{
	const struct handle *handle = (struct handle *)(uintptr_t)fi->fh;
	uint64_t found = 0;
	int r = -EINVAL;

	(void)number;
	if (handle->file)
		r = file_seek(handle->file, (uint64_t)offset, whence, &found);
	if (r < 0)
		(void)fuse_reply_err(req, -r);
	else
		(void)fuse_reply_lseek(req, (off_t)found);
}

static void op_statfs(fuse_req_t req, fuse_ino_t number)
{
	autorequest request = { 0 };
	struct statvfs space = { 0 };
	struct inode inode;
	int r;

	r = begin(&request, req, number ? number : INODE_ROOT, &inode);
	if (r == 0)
		r = space_of(&request, &space);
	if (r < 0) {
		reply_error(&request, req, r);
		return;
	}
	request_end(&request);
	(void)fuse_reply_statfs(req, &space);
}

/* Both calls for xattrs: with @size 0 only the size is asked for. */
static void reply_xattr(struct request *request, fuse_req_t req, int r,
			const struct bytes *value, size_t size)
{
	if (r == 0 && size > 0 && value->size > size)
		r = -ERANGE;
	if (r < 0) {
		reply_error(request, req, r);
		return;
	}
	request_end(request);
	if (size == 0)
		(void)fuse_reply_xattr(req, value->size);
	else
		(void)fuse_reply_buf(req, (const char *)value->data, value->size);
}

static void op_getxattr(fuse_req_t req, fuse_ino_t number, const char *name, size_t size)
{
	cancel_scope((struct cancel){ is_wanted, req });
	autorequest request = { 0 };
	struct bytes value = { 0 };
	struct inode inode;
	int r;

	if (bare_inodes_have(file_system_of(req)->bare, number) && !xattr_is_own(name)) {
		(void)fuse_reply_err(req, ENODATA);
		return;
	}
	r = begin(&request, req, number, &inode);
	if (r == 0)
		r = xattr_get(&request, &inode, name, &value);
	reply_xattr(&request, req, r, &value, size);
	free(value.data);
}

static void op_listxattr(fuse_req_t req, fuse_ino_t number, size_t size)
{
	cancel_scope((struct cancel){ is_wanted, req });
	autorequest request = { 0 };
	struct bytes names = { 0 };
	struct inode inode;
	int r;

	if (bare_inodes_have(file_system_of(req)->bare, number)) {
		reply_xattr(&request, req, 0, &names, size);
		return;
	}
	r = begin(&request, req, number, &inode);
	if (r == 0)
		r = xattr_list(&request, &inode, &names);
	reply_xattr(&request, req, r, &names, size);
	free(names.data);
}

const struct fuse_lowlevel_ops mount_operations = {
	.init = op_init,
	.lookup = op_lookup,
	.getattr = op_getattr,
	.readlink = op_readlink,
	.opendir = op_opendir,
	.readdir = op_readdir,
	.readdirplus = op_readdirplus,
	.open = op_open,
	.release = op_release,
	.read = op_read,
	.lseek = op_lseek,
	.statfs = op_statfs,
	.getxattr = op_getxattr,
	.listxattr = op_listxattr,
};
