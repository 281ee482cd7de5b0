/* SPDX-License-Identifier: MIT */
/* The folder of the archive is watched with inotify: SQLite writes its log when a commit is
 * made, a rebuild renames a new catalog into place. As events can be missed (a file system
 * that has none), the catalog is also looked at every few seconds; that is one look-up.
 * SQLite writes a commit first and publishes it in shared memory then, which is no event. So
 * after an event the catalog is looked at again, at growing intervals.
 *
 * The kernel may get an answer that is a moment too old after it was told to forget: a look-up
 * that began before the commit ends after it. So it is told again a second later.
 *
 * How a mount ends is told in session.c.
 */
#include "mount/watch.h"

#include "archive/origin.h"
#include "archive/read_health.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mutex.h"
#include "catalog/history.h"
#include "mount/changes.h"
#include "mount/file_system.h"
#include "mount/mountpoint.h"
#include "mount/operations.h"
#include "mount/session.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOOK_INTERVAL 5000 /* milliseconds, without events */
#define SETTLE_FIRST 5     /* milliseconds, until the first look after an event ... */
#define SETTLE_LAST 1000   /* ... doubled until the last one */
#define REPEAT_DELAY 1000  /* milliseconds, until the kernel is told again */
#define MILLISECOND UINT64_C(1000000)
#define INTERRUPT_INTERVAL 20 /* milliseconds */

struct watch {
	struct file_system *fs;
	struct fuse_session *fuse;
	const struct session_options *options;
	pthread_t thread;
	pthread_t loop_thread;
	bool started;
	atomic_bool loop_ended;
	int signal_fd;
	int inotify_fd; /* -1: none */
	int stop_fd;

	/* The thread's own. */
	struct stat catalog; /* what stands under its name */
	uint64_t
		missed_at; /* clock_monotonic_ns() when it could not be opened first; 0: it can */
	bool complained; /* about that */
	int settle; /* milliseconds until the next look after an event; 0: none to come */
	uint64_t seen; /* commit that the kernel knows */
	uint64_t repeat_after;
	uint64_t repeat_at; /* clock_monotonic_ns(); 0: nothing to repeat */
};

void watch_signals(sigset_t *set_out)
{
	(void)sigemptyset(set_out);
	(void)sigaddset(set_out, SIGINT);
	(void)sigaddset(set_out, SIGTERM);
	(void)sigaddset(set_out, SIGHUP);
}

static int last_commit(struct request *request, uint64_t *sequence_out)
{
	struct commit_row commit = { 0 };
	int r;

	r = catalog_get_commit(request->catalog, VERSION_CURRENT, &commit, &request->err);
	if (r == 0)
		*sequence_out = commit.sequence;
	commit_row_done(&commit);
	return r;
}

static void look_for_commits(struct watch *watch)
{
	autorequest request = { 0 };
	uint64_t last = watch->seen;
	int r;

	r = request_begin(&request, watch->fs);
	if (r == 0)
		r = last_commit(&request, &last);
	if (r == 0 && last > watch->seen) {
		r = changes_tell(&request, watch->fuse, watch->seen, last);
		if (watch->repeat_at == 0)
			watch->repeat_after = watch->seen;
		watch->repeat_at = clock_monotonic_ns() + REPEAT_DELAY * MILLISECOND;
		watch->seen = last;
	}
	if (r < 0)
		log_debug("looking for commits: %s", request.err.text);
}

static void repeat(struct watch *watch)
{
	autorequest request = { 0 };

	if (watch->repeat_at == 0 || clock_monotonic_ns() < watch->repeat_at)
		return;
	watch->repeat_at = 0;
	if (request_begin(&request, watch->fs) == 0)
		(void)changes_tell(&request, watch->fuse, watch->repeat_after,
				   watch->seen);
}

/* Go over to the catalog that is there now. */
static int replace_backing(struct watch *watch, struct error *err)
{
	autobacking current = file_system_backing(watch->fs);
	struct archive_options options = watch->options->archive;
	autobacking backing = NULL;
	autorequest request = { 0 };
	int r;

	options.observer = read_health_observer(watch->fs->health);
	r = backing_open(&options, backing_epoch(current) + 1, 0, &backing, err);
	if (r < 0)
		return r;
	if (backing_generation(backing) == backing_generation(current))
		return 0; /* the same one, under another inode: a copy that was put back */
	if (backing_epoch(backing) > INODE_EPOCH_MAX)
		return error_set(err, -EOVERFLOW,
				 "too many rebuilds for one mount: mount again");
	log_info("the catalog was rebuilt: going on with the new one");
	file_system_replace(watch->fs, take_ptr(backing));
	r = request_begin(&request, watch->fs);
	if (r == 0)
		r = last_commit(&request, &watch->seen);
	if (r >= 0)
		r = changes_tell_all(&request, watch->fuse);
	return 0;
}

static void look_for_catalog(struct watch *watch)
{
	autobacking backing = file_system_backing(watch->fs);
	int folder = archive_folder(backing_archive(backing));
	struct error err = { 0 };
	struct stat st;
	int r;

	if (fstatat(folder, ARCHIVE_CATALOG_FILE, &st, 0) < 0)
		r = error_set_errno(&err, -errno, "catalog");
	else if (st.st_ino == watch->catalog.st_ino && st.st_dev == watch->catalog.st_dev)
		return;
	else
		r = replace_backing(watch, &err);
	if (r == 0) {
		watch->catalog = st;
		watch->missed_at = 0;
		watch->complained = false;
	} else if (watch->missed_at == 0) {
		watch->missed_at = clock_monotonic_ns(); /* a rebuild may be under way */
	} else if (!watch->complained && clock_monotonic_ns() - watch->missed_at >=
						 REPEAT_DELAY * MILLISECOND) {
		watch->complained = true;
		log_warn(
			"%s; going on with the catalog that is open. 'blockframe catalog "
			"rebuild' makes it again from the volumes",
			err.text);
	}
}

/* Leave the loop although the mount is still used. The second signal does not wait. */
static void end_loop(struct watch *watch)
{
	struct pollfd fd = { .fd = watch->signal_fd, .events = POLLIN };
	struct origin *origin = watch->options->archive.origin;

	if (origin)
		origin->ops->stop(origin);
	fuse_session_exit(watch->fuse);
	while (!atomic_load(&watch->loop_ended)) {
		(void)pthread_kill(watch->loop_thread, SIGUSR1);
		if (poll(&fd, 1, INTERRUPT_INTERVAL) > 0)
			_exit(1);
	}
}

static void unmount(struct watch *watch)
{
	const char *path = watch->options->mountpoint;
	struct signalfd_siginfo info;
	struct error err = { 0 };
	int r;

	(void)!read(watch->signal_fd, &info, sizeof(info));
	log_info("unmounting '%s'", path);
	r = mountpoint_unmount(path, false, &err);
	if (r == 0)
		return; /* the loop sees it */
	r = mountpoint_unmount(path, true, &err);
	if (r < 0)
		log_warn("%s", err.text);
	end_loop(watch);
}

static void drain(int fd)
{
	char data[4096];

	while (read(fd, data, sizeof(data)) > 0)
		;
}

/* Tests turn the regular looks off. */
static int look_interval(void)
{
#ifdef TEST_HOOKS
	if (getenv("BLOCKFRAME_LOOK_WHEN_TOLD"))
		return INT_MAX;
#endif
	return LOOK_INTERVAL;
}

static int least(int a, int b)
{
	return a < b ? a : b;
}

static int next_timeout(const struct watch *watch)
{
	uint64_t now = clock_monotonic_ns();
	int timeout = look_interval();

	if (watch->missed_at != 0 && !watch->complained)
		timeout = least(timeout, REPEAT_DELAY);
	if (watch->settle > 0)
		timeout = least(timeout, watch->settle);
	if (watch->repeat_at == 0)
		return timeout;
	return watch->repeat_at <= now
		       ? 0
		       : least(timeout,
			       (int)((watch->repeat_at - now) / MILLISECOND) + 1);
}

/* After waiting as long as it said. */
static void settle(struct watch *watch, bool event)
{
	if (event)
		watch->settle = SETTLE_FIRST;
	else
		watch->settle = watch->settle < SETTLE_LAST ? 2 * watch->settle : 0;
}

static void *run(void *context)
{
	struct watch *watch = context;
	struct pollfd fds[] = {
		{ .fd = watch->stop_fd, .events = POLLIN },
		{ .fd = watch->signal_fd, .events = POLLIN },
		{ .fd = watch->inotify_fd, .events = POLLIN },
	};

	for (;;) {
		(void)poll(fds, 3, next_timeout(watch));
		if (fds[0].revents)
			return NULL;
		if (fds[1].revents)
			unmount(watch);
		if (fds[2].revents)
			drain(watch->inotify_fd);
		settle(watch, fds[2].revents != 0);
		look_for_catalog(watch);
		look_for_commits(watch);
		repeat(watch);
	}
}

/* Without inotify, new commits take a few seconds to show. */
static void watch_folder(struct watch *watch, const char *directory)
{
	watch->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (watch->inotify_fd < 0 ||
	    inotify_add_watch(watch->inotify_fd, directory,
			      IN_MODIFY | IN_CREATE | IN_DELETE | IN_MOVED_TO) < 0)
		log_warn("'%s' can't be watched (%s): new commits take some seconds to "
			 "be seen",
			 directory, strerrordesc_np(errno));
}

/* What is there before the kernel asks for the first time. */
static int look_first(struct watch *watch, struct error *err)
{
	autorequest request = { 0 };
	int folder;
	int r;

	r = request_begin(&request, watch->fs);
	if (r == 0)
		r = last_commit(&request, &watch->seen);
	if (r < 0) {
		*err = request.err;
		return r;
	}
	folder = archive_folder(backing_archive(request.backing));
	if (fstatat(folder, ARCHIVE_CATALOG_FILE, &watch->catalog, 0) < 0)
		watch->catalog = (struct stat){ 0 };
	return 0;
}

int watch_new(struct file_system *fs, struct fuse_session *fuse,
	      const struct session_options *options, struct watch **watch_out,
	      struct error *err)
{
	struct watch *watch = calloc(1, sizeof(*watch));
	sigset_t signals;
	int r;

	if (!watch)
		return error_set(err, -ENOMEM, "no memory for a mount");
	*watch_out = watch;
	watch->fs = fs;
	watch->fuse = fuse;
	watch->options = options;
	watch->loop_thread = pthread_self();
	watch_signals(&signals);
	watch->inotify_fd = -1;
	watch->stop_fd = eventfd(0, EFD_CLOEXEC);
	watch->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	if (watch->stop_fd < 0 || watch->signal_fd < 0)
		return error_set_errno(err, -errno, "signals");
	watch_folder(watch, options->archive.origin
				    ? options->archive.origin->ops->folder(
					      options->archive.origin)
				    : options->archive.directory);
	r = look_first(watch, err);
	if (r < 0)
		return r;
	r = pthread_create(&watch->thread, NULL, run, watch);
	if (r != 0)
		return error_set_errno(err, -r, "thread");
	watch->started = true;
	return 0;
}

void watch_stop(struct watch *watch)
{
	uint64_t one = 1;

	if (!watch || !watch->started)
		return;
	atomic_store(&watch->loop_ended, true);
	(void)!write(watch->stop_fd, &one, sizeof(one));
	(void)pthread_join(watch->thread, NULL);
	watch->started = false;
}

void watch_free(struct watch *watch)
{
	if (!watch)
		return;
	assert(!watch->started);
	cleanup_close_p(&watch->stop_fd);
	cleanup_close_p(&watch->signal_fd);
	cleanup_close_p(&watch->inotify_fd);
	free(watch);
}
