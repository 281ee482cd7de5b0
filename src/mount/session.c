/* SPDX-License-Identifier: MIT */
/* SIGINT, SIGTERM and SIGHUP are blocked in every thread and taken by the watcher's, which
 * unmounts: plainly if nobody uses the mount; otherwise lazily, and then ends the loop, so
 * that files which are still open give errors from then on. A second signal ends the process
 * at once.
 *
 * libfuse's loop ends by itself when the mount is gone. To end it while it still has users,
 * its main thread is interrupted by SIGUSR1 until it has seen the request to leave.
 */
#include "mount/session.h"

#include "archive/origin.h"
#include "archive/read_health.h"
#include "archive/read_pieces.h"
#include "base/config.h"
#include "base/log.h"
#include "base/number.h"
#include "catalog/history.h"
#include "mount/bare_inodes.h"
#include "mount/kernel_reading.h"
#include "mount/mountpoint.h"
#include "mount/operations.h"
#include "mount/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define THREADS_MAX 64u        /* that wait for volumes, at most; see session_loop() */
#define TIMEOUT_WATCHED 3600.0 /* seconds; changes are told to the kernel */
#define TIMEOUT_ELSEWHERE 2.0  /* so is not that a server is not believed any more */

struct session {
	const struct session_options *options;
	struct file_system fs;
	struct fuse_session *fuse;
	struct watch *watch;
	bool mounted;
	unsigned device[2]; /* of the mount */
};

/* What libfuse says last while it mounts is why it can't, and becomes a part of the error;
 * later it goes to the log. One session in a process, so that this can be static. */
static char refusal[256];
static bool serving;

/* End the connection to the kernel. libfuse unmounts by path, if the kernel still has it;
 * what somebody else has put there meanwhile must stay. */
static void disconnect(struct session *session)
{
	unsigned device[2];
	int r = mountpoint_device(session->options->mountpoint, &device[0], &device[1],
				  NULL);

	serving = false;
	if (session->mounted &&
	    (r < 0 || memcmp(device, session->device, sizeof(device)) == 0))
		fuse_session_unmount(session->fuse);
	fuse_session_destroy(session->fuse);
}

/* Nobody asks any more: what still waits for a server has no use. */
static void stop_waiting(const struct session *session)
{
	struct origin *origin = session->options->archive.origin;

	if (origin)
		origin->ops->stop(origin);
}

static void session_done(struct session *session)
{
	stop_waiting(session);
	watch_free(session->watch);
	if (session->fuse)
		disconnect(session);
	operations_close_all(&session->fs);
	backing_unref(session->fs.backing);
	free(session->fs.bare);
	read_health_free(session->fs.health);
	read_buffers_done(&session->fs.buffers);
	mutex_done(&session->fs.mutex);
}

/* The commit that --at means. */
static int find_commit(struct session *session, const char *text, struct error *err)
{
	struct catalog *catalog = archive_catalog(backing_archive(session->fs.backing));
	struct commit_row commit = { 0 };
	uint64_t sequence;
	int r = CATALOG_END;

	if (number_parse_u64(text, &sequence) == 0)
		r = catalog_get_commit(catalog, sequence, &commit, err);
	if (r == CATALOG_END)
		r = catalog_find_commit(catalog, text, &commit, err);
	if (r == CATALOG_END)
		return error_set(err, -ENOENT,
				 "no commit '%s'; 'blockframe log' lists them", text);
	if (r == 0)
		session->fs.at = commit.sequence;
	commit_row_done(&commit);
	return r;
}

static int open_archive(struct session *session, struct error *err)
{
	const struct session_options *options = session->options;
	struct archive_options archive = options->archive;
	struct file_system *fs = &session->fs;
	int r;

	r = read_health_new(&fs->health, err);
	if (r < 0)
		return r;
	fs->bare = bare_inodes_new();
	if (!fs->bare)
		return error_set(err, -ENOMEM, "no memory for a mount");
	archive.observer = read_health_observer(fs->health);
	r = backing_open(&archive, 0, 0, &fs->backing, err);
	if (r < 0)
		return r;
	if (archive_warning(backing_archive(fs->backing)))
		log_warn("%s", archive_warning(backing_archive(fs->backing)));
	return options->at ? find_commit(session, options->at, err) : 0;
}

static void __attribute__((__format__(__printf__, 2, 0)))
log_fuse(enum fuse_log_level level, const char *fmt, va_list ap)
{
	char text[512];
	size_t size;

	(void)vsnprintf(text, sizeof(text), fmt, ap);
	size = strlen(text);
	if (size > 0 && text[size - 1] == '\n')
		text[size - 1] = '\0';
	if (!serving && level <= FUSE_LOG_ERR) {
		(void)snprintf(refusal, sizeof(refusal), "%.250s",
			       strncmp(text, "fuse: ", 6) == 0 ? text + 6 : text);
		return;
	}
	log_write(level <= FUSE_LOG_ERR       ? LOG_LEVEL_ERROR
		  : level == FUSE_LOG_WARNING ? LOG_LEVEL_WARN
					      : LOG_LEVEL_DEBUG,
		  "%s", text);
}

/* The name that the list of mounts shows: the archive's path, as -o has it. */
static int append_source(const struct session *session, char *text, size_t size)
{
	struct origin *origin = session->options->archive.origin;
	autofree char *path =
		origin ? strdup(origin->ops->name(origin))
		       : realpath(session->options->archive.directory, NULL);
	size_t used = 0;

	if (!path)
		return -errno;
	for (const char *c = path; *c && used + 2 < size; c++) {
		if (*c == ',' || *c == '\\')
			text[used++] = '\\';
		text[used++] = *c;
	}
	text[used] = '\0';
	return 0;
}

static int new_fuse(struct session *session, struct error *err)
{
	const char *more = session->options->fuse_options;
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	autofree char *words = NULL;
	char source[4096];
	int r;

	r = append_source(session, source, sizeof(source));
	if (r < 0)
		return error_set_errno(err, r, "archive");
	if (asprintf(&words,
		     "-oro,default_permissions,subtype=blockframe,max_read=%u,fsname=%s%"
		     "s%s",
		     MOUNT_READ_MAX, source, more && *more ? "," : "",
		     more ? more : "") < 0) {
		words = NULL; /* undefined after a failure */
		return error_set(err, -ENOMEM, "no memory for a mount");
	}
	fuse_set_log_func(log_fuse);
	if (fuse_opt_add_arg(&args, "blockframe") == 0 &&
	    fuse_opt_add_arg(&args, words) == 0)
		session->fuse = fuse_session_new(&args, &mount_operations,
						 sizeof(mount_operations), &session->fs);
	fuse_opt_free_args(&args);
	return session->fuse ? 0 : error_set(err, -EINVAL, "mount options: %s", refusal);
}

static int check_device(struct error *err)
{
	autoclose int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		return 0;
	if ((errno == EACCES || errno == EPERM) && geteuid() != 0)
		return 0; /* fusermount3 may */
	if (errno == ENOENT || errno == ENODEV || errno == ENXIO)
		return error_set(err, -ENODEV,
				 "there is no FUSE here: /dev/fuse is missing (load the "
				 "kernel's module 'fuse', or give the container the "
				 "device)");
	return error_set_errno(err, -errno, "/dev/fuse");
}

static int put_in_place(struct session *session, struct error *err)
{
	const char *mountpoint = session->options->mountpoint;
	autoclose int lock_fd = -1;
	int r;

	r = mountpoint_lock(mountpoint, &lock_fd, err);
	if (r == 0)
		r = mountpoint_prepare(mountpoint, err);
	if (r < 0)
		return r;
	if (fuse_session_mount(session->fuse, mountpoint) < 0)
		return error_set(err, -EPERM, "mounting on '%s': %s", mountpoint,
				 refusal[0] ? refusal : "fusermount3 failed");
	serving = true;
	session->mounted = true;
	(void)mountpoint_device(mountpoint, &session->device[0], &session->device[1],
				NULL);
	kernel_reading_widen(mountpoint, MOUNT_READ_MAX);
	return 0;
}

static void on_interrupt(int number)
{
	(void)number; /* only ends a wait */
}

static void block_signals(void)
{
	struct sigaction action = { .sa_handler = on_interrupt };
	sigset_t set;

	watch_signals(&set);
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
	(void)sigemptyset(&action.sa_mask);
	(void)sigaction(SIGUSR1, &action, NULL);
}

/* Every read keeps its thread while a volume makes it wait, so there are many more of them
 * than cores: one slow volume must not take them all. Those that are idle end. */
static int session_loop(struct session *session, struct error *err)
{
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	unsigned jobs = config_jobs(session->options->archive.config);
	int r;

	if (!config)
		return error_set(err, -ENOMEM, "no memory for a mount");
	fuse_loop_cfg_set_max_threads(config, THREADS_MAX);
	fuse_loop_cfg_set_idle_threads(config, jobs + 2);
	fuse_loop_cfg_set_clone_fd(config, jobs > 2);
	r = fuse_session_loop_mt(session->fuse, config);
	fuse_loop_cfg_destroy(config);
	return r < 0 ? error_set_errno(err, r, "the connection to the kernel") : 0;
}

static int serve(struct session *session, struct error *err)
{
	int r;

	block_signals();
	r = watch_new(&session->fs, session->fuse, session->options, &session->watch,
		      err);
	if (r == 0)
		r = session_loop(session, err);
	watch_stop(session->watch);
	return r;
}

int session_run(const struct session_options *options, struct error *err)
{
	struct session session = {
		.options = options,
		.fs = { .at = VERSION_CURRENT,
			.masks = options->masks,
			.timeout = options->archive.origin ? TIMEOUT_ELSEWHERE
							   : TIMEOUT_WATCHED,
			.ready = options->ready,
			.ready_context = options->context },
	};
	int r;

	mutex_init(&session.fs.mutex);
	read_buffers_init(&session.fs.buffers, MOUNT_READ_MAX + READ_PIECES_SLACK);
	r = check_device(err);
	if (r == 0)
		r = open_archive(&session, err);
	if (r == 0)
		r = new_fuse(&session, err);
	if (r == 0)
		r = put_in_place(&session, err);
	if (r == 0)
		r = serve(&session, err);
	session_done(&session);
	return r;
}
