/* SPDX-License-Identifier: MIT */
#include "archive/volume_status.h"

#include "archive/archive.h"
#include "archive/volume_set.h"
#include "base/error.h"
#include "base/json_build.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define ALLOCATION_UNIT 512u /* bytes, of st_blocks */

int volume_status_get(struct archive *archive, const struct volume_row *volume,
		      struct volume_status *status_out, struct error *err)
{
	struct volume_status status = { 0 };
	struct stat st;
	int r;

	r = volume_set_find_file(archive_volumes(archive), &volume->uuid, &status.file,
				 err);
	if (r == -ENOMEDIUM) {
		*status_out = status;
		return 0;
	}
	if (r < 0)
		return r;
	if (fstatat(archive_folder(archive), status.file, &st, 0) < 0) {
		r = error_set_errno(err, -errno, "'%s'", status.file);
		volume_status_done(&status);
		return r;
	}
	status.attached = true;
	status.size = (uint64_t)st.st_size;
	status.allocated = (uint64_t)st.st_blocks * ALLOCATION_UNIT;
	*status_out = status;
	return 0;
}

void volume_status_done(struct volume_status *status)
{
	free(status->file);
	*status = (struct volume_status){ 0 };
}

unsigned volume_overhead(const struct volume_row *volume)
{
	if (volume->payload_size == 0)
		return 0;
	return (unsigned)((double)volume->parity_size * 100 /
				  (double)volume->payload_size +
			  0.5);
}

void volume_status_add_json(const struct volume_row *volume,
			    const struct volume_status *status, struct json *object)
{
	const char *label = volume->label ? volume->label : "";

	(void)json_add_u64(object, "number", volume->number);
	(void)json_add_hex(object, "uuid", volume->uuid.bytes, UUID_SIZE);
	(void)json_add_bytes(object, "label", label, strlen(label));
	(void)json_add_string(object, "backend", "file");
	(void)json_add_bool(object, "attached", status->attached);
	(void)json_add_string(object, "role",
			      volume->role == VOLUME_PARITY ? "parity" : "data");
	(void)json_add_bool(object, "sealed", volume->sealed);
	(void)json_add_bool(object, "retired", volume->retired);
	if (status->attached) {
		(void)json_add_bytes(object, "file", status->file, strlen(status->file));
		(void)json_add_u64(object, "size", status->size);
		(void)json_add_u64(object, "allocated", status->allocated);
	}
	(void)json_add_u64(object, "stripes", volume->stripe_count);
	(void)json_add_u64(object, "payload", volume->payload_size);
	(void)json_add_u64(object, "parity", volume->parity_size);
}
