/* SPDX-License-Identifier: MIT */
#pragma once
/* What a mount has met: counts of what was verified, repaired, written back and lost, and a
 * line in the log for each piece of damage. Internally locked: any thread.
 */
#include "base/cleanup.h"
#include "volume/write_back.h"

#include <stddef.h>

struct error;
struct health;
struct request;

int health_new(struct health **health_out, struct error *err);
void health_free(struct health *health);
DEFINE_AUTOPTR(health);

/* To be told of everything by the volumes. Borrowed by the archive that is opened with it. */
struct repair_observer health_observer(struct health *health);

/* What was met in the file with this path: "ok", "repaired" or "lost". Constant. */
const char *health_of(struct health *health, const char *path);

/* The text of .blockframe/health; the caller frees it. */
int health_text(struct request *request, char **text_out, size_t *size_out);
