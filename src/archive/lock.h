/* SPDX-License-Identifier: MIT */
#pragma once
/* The writer's lock of an archive: flock() on its `lock` file, so that it ends with the
 * process that holds it, however that ends. The file's text names the holder. Readers take
 * it only to bring the catalog up to date.
 *
 * Threads: pure functions; the descriptor is the lock.
 */
#include <stdbool.h>

struct error;

#define ARCHIVE_LOCK_FILE "lock"
#define HEALTH_LOCK_FILE "health.lock"

/* Take the lock of the archive in folder @dir_fd, making the file if there is none. Close
 * *fd_out to release it. With @wait this blocks until the lock is free, else -EBUSY (the
 * text names the holder's process), of a reader only after two seconds. -EACCES, -EROFS:
 * this user can't write here. */
int lock_take(int dir_fd, bool wait, int *fd_out, struct error *err);

/* The same for a reader, who never waits and will release it soon. */
int lock_take_for_reader(int dir_fd, int *fd_out, struct error *err);

/* Another lock, of those who check or repair the volumes: -EBUSY at once if somebody has it.
 * The writer's lock has nothing to do with it. */
int lock_take_for_health(int dir_fd, int *fd_out, struct error *err);
