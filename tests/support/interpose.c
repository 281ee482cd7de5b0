/* SPDX-License-Identifier: MIT */
/* A preloaded library that stands between the program and the kernel, for tests:
 *
 *   INTERPOSE_ROOT=DIR         only files below DIR count
 *   INTERPOSE_FAIL=CALL:N:ERRNO[:all]
 *                              the N-th CALL (from 1) fails with that number; with ":all"
 *                              so does every later one. ERRNO 0: a short write of half
 *   INTERPOSE_COUNT=FILE       at exit, append a line "CALL N" for each call
 *   INTERPOSE_RECORD=FILE      append every change to FILE, for replaying power cuts
 *   INTERPOSE_RESTLESS=1       each read of a file is followed by another time of change
 *   INTERPOSE_DROP_SYNC=TEXT   syncs of files whose path holds TEXT do nothing
 *
 * CALL is write (write, pwrite), read (read, pread), sync (fsync, fdatasync), open, truncate,
 * rename, link (mkdir, unlink), or alloc (malloc, calloc, realloc; anywhere but where glibc
 * looks up users and groups, which crashes by itself without memory).
 *
 * A record is: struct record_header, path, second path or data. Writes and names are recorded
 * when the call has returned. A sync is recorded with the number of records that existed when
 * it began: only those are durable because of it.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum call {
	CALL_WRITE,
	CALL_READ,
	CALL_SYNC,
	CALL_OPEN,
	CALL_TRUNCATE,
	CALL_RENAME,
	CALL_LINK,
	CALL_ALLOC,
	CALL_COUNT
};

static const char *const call_names[CALL_COUNT] = {
	"write", "read", "sync", "open", "truncate", "rename", "link", "alloc"
};

enum operation {
	OPERATION_WRITE = 1,
	OPERATION_SYNC,
	OPERATION_CREATE,
	OPERATION_TRUNCATE,
	OPERATION_RENAME,
	OPERATION_UNLINK,
	OPERATION_MKDIR,
	OPERATION_EXIT,
};

struct record_header {
	uint32_t operation;
	uint32_t path_size;
	uint64_t
		offset; /* of a write; a truncate's size; a sync's records before it; exit code */
	uint64_t size; /* bytes of data or of the second path */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t counts[CALL_COUNT];
static uint64_t records;
static const char *root;
static size_t root_size;
static int record_fd = -1;
static const char *drop_sync;
static bool restless;
static int fail_call = -1;
static uint64_t fail_from;
static int fail_errno;
static bool fail_all;
static bool ready;
static __thread bool inside; /* our own calls pass through */

#define REAL(name) ((__typeof__(&name))real(#name))

static void *real(const char *name)
{
	void *p = dlsym(RTLD_NEXT, name);

	if (!p)
		abort();
	return p;
}

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t size);

static void parse_fail(const char *text)
{
	char call[16];
	unsigned long long from;
	char all[8] = "";

	if (!text ||
	    sscanf(text, "%15[a-z]:%llu:%d:%7s", call, &from, &fail_errno, all) < 3)
		return;
	for (int i = 0; i < CALL_COUNT; i++)
		if (strcmp(call, call_names[i]) == 0)
			fail_call = i;
	fail_from = from;
	fail_all = all[0] != '\0';
}

static uint64_t count_records(const char *file)
{
	FILE *f = fopen(file, "re");
	struct record_header header;
	uint64_t n = 0;

	while (f && fread(&header, sizeof(header), 1, f) == 1) {
		(void)fseek(f, (long)(header.path_size + header.size), SEEK_CUR);
		n++;
	}
	if (f)
		(void)fclose(f);
	return n;
}

__attribute__((constructor)) static void start(void)
{
	const char *record = getenv("INTERPOSE_RECORD");

	inside = true;
	root = getenv("INTERPOSE_ROOT");
	root_size = root ? strlen(root) : 0;
	drop_sync = getenv("INTERPOSE_DROP_SYNC");
	restless = getenv("INTERPOSE_RESTLESS") != NULL;
	parse_fail(getenv("INTERPOSE_FAIL"));
	if (record) {
		records = count_records(record);
		record_fd = open(record, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	}
	ready = true;
	inside = false;
}

/* True if this call shall fail: *result gets the errno to set. */
static bool should_fail(enum call call, int *result)
{
	bool fails;

	pthread_mutex_lock(&lock);
	counts[call]++;
	fails = fail_call == (int)call &&
		(counts[call] == fail_from || (fail_all && counts[call] > fail_from));
	pthread_mutex_unlock(&lock);
	*result = fail_errno;
	return fails;
}

static bool below_root(const char *path)
{
	return root_size && strncmp(path, root, root_size) == 0 &&
	       (path[root_size] == '/' || path[root_size] == '\0');
}

/* The path of @fd, if it counts. */
static bool path_of(int fd, char path[4096])
{
	char link[64];
	ssize_t n;

	if (!ready || inside)
		return false;
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	inside = true;
	n = readlink(link, path, 4095);
	inside = false;
	if (n <= 0)
		return false;
	path[n] = '\0';
	return below_root(path);
}

static bool path_at(int dirfd, const char *name, char path[4096])
{
	char folder[4096];

	if (!ready || inside)
		return false;
	if (name[0] == '/') {
		(void)snprintf(path, 4096, "%s", name);
	} else {
		if (dirfd == AT_FDCWD) {
			if (!getcwd(folder, sizeof(folder)))
				return false;
		} else {
			char link[64];
			ssize_t n;

			(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", dirfd);
			n = readlink(link, folder, sizeof(folder) - 1);
			if (n <= 0)
				return false;
			folder[n] = '\0';
		}
		if (snprintf(path, 4096, "%s/%s", folder, name) >= 4096)
			return false;
	}
	return below_root(path);
}

static void record(enum operation operation, const char *path, uint64_t offset,
		   const void *data, size_t size)
{
	struct record_header header = {
		.operation = operation,
		.path_size = (uint32_t)strlen(path),
		.offset = offset,
		.size = size,
	};
	struct iovec parts[] = {
		{ &header, sizeof(header) },
		{ (void *)(uintptr_t)path, header.path_size },
		{ (void *)(uintptr_t)data, size },
	};

	if (record_fd < 0)
		return;
	inside = true;
	pthread_mutex_lock(&lock);
	if (writev(record_fd, parts, 3) < 0)
		abort();
	records++;
	pthread_mutex_unlock(&lock);
	inside = false;
}

/* Note: _exit() in a killed process does not get here, which is right: nothing was promised. */
static void finish(int code)
{
	const char *count = getenv("INTERPOSE_COUNT");
	char link[4096];
	ssize_t n = readlink("/proc/self/exe", link, sizeof(link) - 1);

	if (n > 0 && root_size) {
		link[n] = '\0';
		record(OPERATION_EXIT, link, (uint64_t)code, NULL, 0);
	}
	inside = true;
	if (count) {
		FILE *f = fopen(count, "ae");

		for (int i = 0; f && i < CALL_COUNT; i++)
			(void)fprintf(f, "%s %llu\n", call_names[i],
				      (unsigned long long)counts[i]);
		if (f)
			(void)fclose(f);
	}
	inside = false;
}

static void on_exit_code(int code, void *unused)
{
	(void)unused;
	finish(code);
}

__attribute__((constructor)) static void arm_exit(void)
{
	(void)on_exit(on_exit_code, NULL);
}

static ssize_t write_at(int fd, const void *data, size_t size, off64_t offset,
			bool positioned)
{
	char path[4096];
	int code;
	ssize_t n;

	if (!path_of(fd, path))
		return positioned ? REAL(pwrite64)(fd, data, size, offset)
				  : REAL(write)(fd, data, size);
	if (should_fail(CALL_WRITE, &code)) {
		if (code != 0) {
			errno = code;
			return -1;
		}
		if (size >= 8192)
			size = size / 2 / 4096 * 4096;
	}
	if (!positioned)
		offset = lseek64(fd, 0, SEEK_CUR);
	n = positioned ? REAL(pwrite64)(fd, data, size, offset)
		       : REAL(write)(fd, data, size);
	if (n > 0)
		record(OPERATION_WRITE, path, (uint64_t)offset, data, (size_t)n);
	return n;
}

ssize_t write(int fd, const void *data, size_t size)
{
	return write_at(fd, data, size, 0, false);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset)
{
	return write_at(fd, data, size, offset, true);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
	return write_at(fd, data, size, offset, true);
}

static bool read_fails(int fd)
{
	char path[4096];
	int code;

	if (!path_of(fd, path) || !should_fail(CALL_READ, &code))
		return false;
	errno = code;
	return true;
}

/* A file that does not hold still, whatever the resolution of the file system's clock. */
static ssize_t was_read(int fd, ssize_t n)
{
	static atomic_long changes;
	struct timespec times[] = { { .tv_nsec = UTIME_OMIT }, { 0 } };
	char path[4096];
	int saved = errno;

	if (restless && path_of(fd, path)) {
		times[1].tv_sec = ++changes;
		(void)futimens(fd, times);
		errno = saved;
	}
	return n;
}

ssize_t read(int fd, void *data, size_t size)
{
	return read_fails(fd) ? -1 : was_read(fd, REAL(read)(fd, data, size));
}

ssize_t pread64(int fd, void *data, size_t size, off64_t offset)
{
	return read_fails(fd) ? -1 : was_read(fd, REAL(pread64)(fd, data, size, offset));
}

ssize_t pread(int fd, void *data, size_t size, off_t offset)
{
	return read_fails(fd) ? -1 : was_read(fd, REAL(pread)(fd, data, size, offset));
}

static int sync_with(int fd, int (*sync)(int))
{
	char path[4096];
	uint64_t before;
	int code;
	int r;

	if (!path_of(fd, path))
		return sync(fd);
	if (should_fail(CALL_SYNC, &code)) {
		errno = code;
		return -1;
	}
	if (drop_sync && strstr(path, drop_sync))
		return 0;
	pthread_mutex_lock(&lock);
	before = records;
	pthread_mutex_unlock(&lock);
	r = sync(fd);
	if (r == 0)
		record(OPERATION_SYNC, path, before, NULL, 0);
	return r;
}

int fsync(int fd)
{
	return sync_with(fd, REAL(fsync));
}

int fdatasync(int fd)
{
	return sync_with(fd, REAL(fdatasync));
}

static int truncate_to(int fd, off64_t size)
{
	char path[4096];
	int code;
	int r;

	if (!path_of(fd, path))
		return REAL(ftruncate64)(fd, size);
	if (should_fail(CALL_TRUNCATE, &code)) {
		errno = code;
		return -1;
	}
	r = REAL(ftruncate64)(fd, size);
	if (r == 0)
		record(OPERATION_TRUNCATE, path, (uint64_t)size, NULL, 0);
	return r;
}

int ftruncate64(int fd, off64_t size)
{
	return truncate_to(fd, size);
}

int ftruncate(int fd, off_t size)
{
	return truncate_to(fd, size);
}

static int open_at(int dirfd, const char *name, int flags, mode_t mode)
{
	char path[4096];
	bool counts_here = path_at(dirfd, name, path);
	bool existed = true;
	int code;
	int fd;

	if (counts_here) {
		existed = access(path, F_OK) == 0;
		if (should_fail(CALL_OPEN, &code)) {
			errno = code;
			return -1;
		}
	}
	fd = REAL(openat64)(dirfd, name, flags, mode);
	if (fd >= 0 && counts_here && (flags & O_CREAT) && !existed)
		record(OPERATION_CREATE, path, 0, NULL, 0);
	if (fd >= 0 && counts_here && (flags & O_TRUNC) && existed)
		record(OPERATION_TRUNCATE, path, 0, NULL, 0);
	return fd;
}

static mode_t mode_of(int flags, va_list ap)
{
	return flags & (O_CREAT | O_TMPFILE) ? (mode_t)va_arg(ap, int) : 0;
}

#define DEFINE_OPEN(function)                                \
	int function(const char *name, int flags, ...)       \
	{                                                    \
		va_list ap;                                  \
		mode_t mode;                                 \
                                                             \
		va_start(ap, flags);                         \
		mode = mode_of(flags, ap);                   \
		va_end(ap);                                  \
		return open_at(AT_FDCWD, name, flags, mode); \
	}
#define DEFINE_OPENAT(function)                                   \
	int function(int dirfd, const char *name, int flags, ...) \
	{                                                         \
		va_list ap;                                       \
		mode_t mode;                                      \
                                                                  \
		va_start(ap, flags);                              \
		mode = mode_of(flags, ap);                        \
		va_end(ap);                                       \
		return open_at(dirfd, name, flags, mode);         \
	}
DEFINE_OPEN(open)
DEFINE_OPEN(open64)
DEFINE_OPENAT(openat)
DEFINE_OPENAT(openat64)

static int rename_at(int from_fd, const char *from, int to_fd, const char *to,
		     unsigned flags)
{
	char from_path[4096], to_path[4096];
	bool counts_here =
		path_at(from_fd, from, from_path) && path_at(to_fd, to, to_path);
	int code;
	int r;

	if (counts_here && should_fail(CALL_RENAME, &code)) {
		errno = code;
		return -1;
	}
	r = flags ? REAL(renameat2)(from_fd, from, to_fd, to, flags)
		  : REAL(renameat)(from_fd, from, to_fd, to);
	if (r == 0 && counts_here)
		record(OPERATION_RENAME, from_path, 0, to_path, strlen(to_path));
	return r;
}

int rename(const char *from, const char *to)
{
	return rename_at(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
	return rename_at(from_fd, from, to_fd, to, 0);
}

int renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
	return rename_at(from_fd, from, to_fd, to, flags);
}

int unlinkat(int dirfd, const char *name, int flags)
{
	char path[4096];
	bool counts_here = path_at(dirfd, name, path);
	int code;
	int r;

	if (counts_here && should_fail(CALL_LINK, &code)) {
		errno = code;
		return -1;
	}
	r = REAL(unlinkat)(dirfd, name, flags);
	if (r == 0 && counts_here)
		record(OPERATION_UNLINK, path, 0, NULL, 0);
	return r;
}

int unlink(const char *name)
{
	return unlinkat(AT_FDCWD, name, 0);
}

int mkdirat(int dirfd, const char *name, mode_t mode)
{
	char path[4096];
	bool counts_here = path_at(dirfd, name, path);
	int code;
	int r;

	if (counts_here && should_fail(CALL_LINK, &code)) {
		errno = code;
		return -1;
	}
	r = REAL(mkdirat)(dirfd, name, mode);
	if (r == 0 && counts_here)
		record(OPERATION_MKDIR, path, 0, NULL, 0);
	return r;
}

int mkdir(const char *name, mode_t mode)
{
	return mkdirat(AT_FDCWD, name, mode);
}

static bool alloc_fails(void)
{
	int code;

	if (!ready || inside || fail_call != CALL_ALLOC ||
	    !should_fail(CALL_ALLOC, &code))
		return false;
	errno = ENOMEM;
	return true;
}

void *malloc(size_t size)
{
	return alloc_fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	return alloc_fails() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t size)
{
	return alloc_fails() ? NULL : __libc_realloc(p, size);
}

int getpwuid_r(uid_t id, struct passwd *user, char *buffer, size_t size,
	       struct passwd **found)
{
	bool before = inside;
	int r;

	inside = true;
	r = REAL(getpwuid_r)(id, user, buffer, size, found);
	inside = before;
	return r;
}

int getgrgid_r(gid_t id, struct group *group, char *buffer, size_t size,
	       struct group **found)
{
	bool before = inside;
	int r;

	inside = true;
	r = REAL(getgrgid_r)(id, group, buffer, size, found);
	inside = before;
	return r;
}
