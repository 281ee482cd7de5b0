/* SPDX-License-Identifier: MIT */
#include "support/backend_watched.h"

#include "base/error.h"
#include "volume/rewriter.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#undef NDEBUG
#include <assert.h>

struct backend_watched {
	struct backend base;
	struct watch *watch;
	struct backend *file;
};

struct watched_session {
	struct rewriter base;
	struct backend_watched *backend;
	struct rewriter *rewriter;
	unsigned calls;
	bool wrote;
};

static struct watched_session *session_of(struct rewriter *rewriter)
{
	return (struct watched_session *)rewriter;
}

void watch_init(struct watch *watch)
{
	*watch = (struct watch){ 0 };
	assert(pthread_mutex_init(&watch->mutex, NULL) == 0);
}

static int fail(const struct watch *watch, enum watched_step step, struct error *err)
{
	if (watch->fail_step != step)
		return 0;
	return error_set(err, watch->fail_code, "injected");
}

/* The process ends here, if it is time, as if it were killed. */
static void maybe_die(struct watched_session *session)
{
	if (++session->calls == session->backend->watch->die_at)
		_exit(9);
}

static bool touches_bad(const struct watch *watch, uint64_t offset, size_t size)
{
	return watch->bad && offset <= watch->bad_offset &&
	       watch->bad_offset - offset < size;
}

static int session_read(struct rewriter *rewriter, uint64_t offset, void *data,
			size_t size, struct error *err)
{
	struct watched_session *session = session_of(rewriter);
	struct watch *watch = session->backend->watch;
	int r = fail(watch, session->wrote ? WATCHED_CHECK : WATCHED_READ, err);

	maybe_die(session);
	pthread_mutex_lock(&watch->mutex);
	if (size > watch->read_largest)
		watch->read_largest = size;
	if (touches_bad(watch, offset, size))
		r = error_set(err, -EIO, "injected bad sector");
	pthread_mutex_unlock(&watch->mutex);
	return r < 0 ? r : rewriter_read(session->rewriter, offset, data, size, err);
}

static void tear(struct watched_session *session, uint64_t offset, const void *data,
		 size_t size)
{
	int fd = open(session->backend->base.name, O_WRONLY | O_CLOEXEC);

	assert(fd >= 0);
	assert(pwrite(fd, data, size / 2, (off_t)offset) == (ssize_t)(size / 2));
	_exit(9);
}

static int session_write(struct rewriter *rewriter, uint64_t offset, const void *data,
			 size_t size, struct error *err)
{
	struct watched_session *session = session_of(rewriter);
	struct watch *watch = session->backend->watch;
	int r = fail(watch, WATCHED_WRITE, err);

	if (watch->tear && session->calls + 1 == watch->die_at)
		tear(session, offset, data, size);
	maybe_die(session);
	session->wrote = true;
	pthread_mutex_lock(&watch->mutex);
	assert(watch->writes < WATCHED_WRITES_MAX);
	watch->offsets[watch->writes++] = offset;
	if (size > watch->write_largest)
		watch->write_largest = size;
	if (touches_bad(watch, offset, size) && r == 0)
		watch->bad = false;
	pthread_mutex_unlock(&watch->mutex);
	return r < 0 ? r : rewriter_write(session->rewriter, offset, data, size, err);
}

static int session_sync(struct rewriter *rewriter, uint64_t offset, size_t size,
			struct error *err)
{
	struct watched_session *session = session_of(rewriter);
	int r = fail(session->backend->watch, WATCHED_SYNC, err);

	maybe_die(session);
	return r < 0 ? r : rewriter_sync(session->rewriter, offset, size, err);
}

static void begin_asking(struct watch *watch)
{
	pthread_mutex_lock(&watch->mutex);
	if (++watch->asking_now > watch->asking_most)
		watch->asking_most = watch->asking_now;
	pthread_mutex_unlock(&watch->mutex);
}

static void done_asking(struct watch *watch)
{
	pthread_mutex_lock(&watch->mutex);
	watch->asking_now--;
	pthread_mutex_unlock(&watch->mutex);
}

static void session_free(struct rewriter *rewriter)
{
	struct watched_session *session = session_of(rewriter);
	struct watch *watch = session->backend->watch;

	pthread_mutex_lock(&watch->mutex);
	watch->open_now--;
	pthread_mutex_unlock(&watch->mutex);
	rewriter_free(session->rewriter);
	free(session);
	done_asking(watch);
}

static const struct rewriter_ops session_ops = {
	.read = session_read,
	.write = session_write,
	.sync = session_sync,
	.free = session_free,
};

static struct backend_watched *watched_of(struct backend *backend)
{
	return (struct backend_watched *)backend;
}

static int watched_open_rewriter(struct backend *backend, unsigned patience_ms,
				 struct rewriter **rewriter_out, struct error *err)
{
	struct backend_watched *watched = watched_of(backend);
	struct watch *watch = watched->watch;
	struct watched_session *session;
	int r = fail(watch, WATCHED_OPEN, err);

	if (watch->meet)
		(void)pthread_barrier_wait(watch->meet);
	if (r < 0)
		return r;
	begin_asking(watch);
	session = calloc(1, sizeof(*session));
	assert(session);
	r = backend_open_rewriter(watched->file, patience_ms, &session->rewriter, err);
	if (r < 0) {
		free(session);
		done_asking(watch);
		return r;
	}
	session->base.ops = &session_ops;
	session->base.size = session->rewriter->size;
	session->backend = watched;
	pthread_mutex_lock(&watch->mutex);
	watch->sessions++;
	if (++watch->open_now > watch->open_most)
		watch->open_most = watch->open_now;
	pthread_mutex_unlock(&watch->mutex);
	*rewriter_out = &session->base;
	return 0;
}

static int watched_read(struct backend *backend, uint64_t offset, void *data, size_t size,
			size_t *size_out, struct error *err)
{
	struct backend_watched *watched = watched_of(backend);
	struct watch *watch = watched->watch;
	bool bad;

	pthread_mutex_lock(&watch->mutex);
	bad = touches_bad(watch, offset, size);
	watch->read_bytes += size;
	pthread_mutex_unlock(&watch->mutex);
	if (bad)
		return error_set(err, -EIO, "injected bad sector");
	return backend_read(watched->file, offset, data, size, size_out, err);
}

static uint64_t watched_position(struct backend *backend)
{
	return backend_position(watched_of(backend)->file);
}

static void watched_free(struct backend *backend)
{
	struct backend_watched *watched = watched_of(backend);

	backend_free(watched->file);
	free(watched->base.name);
	free(watched);
}

static const struct backend_ops watched_ops = {
	.type = "watched",
	.read = watched_read,
	.position = watched_position,
	.open_rewriter = watched_open_rewriter,
	.free = watched_free,
};

struct backend *backend_watched_open(const char *path, struct watch *watch)
{
	struct backend_watched *watched = calloc(1, sizeof(*watched));

	assert(watched);
	watched->base.ops = &watched_ops;
	watched->base.name = strdup(path);
	watched->watch = watch;
	assert(watched->base.name);
	assert(backend_file_open(AT_FDCWD, path, 0, &watched->file, NULL) == 0);
	return &watched->base;
}
