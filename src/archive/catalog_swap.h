/* SPDX-License-Identifier: MIT */
#pragma once
/* Puts a rebuilt catalog in the place of the old one, so that a crash at any step leaves one
 * or the other, or both and the way to go on. Whoever calls holds the writer's lock.
 */
#include <stdbool.h>

struct error;

/* The name under which a new catalog is written, closed and complete. */
#define CATALOG_NEW_FILE "catalog.db.rebuild"

/* Make the closed CATALOG_NEW_FILE in @folder_fd durable and give it the catalog's name. */
int catalog_swap(int folder_fd, struct error *err);

/* Whether a swap began and did not end. Needs no lock. */
bool catalog_swap_is_pending(int folder_fd);

/* End it. */
int catalog_swap_finish(int folder_fd, struct error *err);
