/* SPDX-License-Identifier: MIT */
/* Used is what stands in the volumes, parity included; free is what the file system of the
 * first place has left, so that used and free together are what the archive can become.
 * Everything comes from a few rows: nothing is counted.
 */
#include "mount/space.h"

#include "archive/archive.h"
#include "archive/places.h"
#include "catalog/entry.h"
#include "catalog/placement.h"
#include "mount/file_system.h"

#define BLOCK_SIZE 4096u /* bytes */
#define NAME_MAX_SIZE 255u

static int add_volume(void *context, const struct volume_row *volume)
{
	uint64_t *size = context;

	*size += volume->payload_size + volume->parity_size;
	return 0;
}

int space_of(struct request *request, struct statvfs *space_out)
{
	struct archive *archive = backing_archive(request->backing);
	struct statvfs medium = { .f_frsize = BLOCK_SIZE };
	uint64_t used = 0, paths = 0;
	int r;

	r = catalog_visit_volumes(request->catalog, add_volume, &used, &request->err);
	if (r == 0)
		r = entry_count(request->catalog, &paths, &request->err);
	if (r < 0)
		return r;
	if (!archive_origin(archive) && !places_medium(archive_places(archive), &medium))
		medium = (struct statvfs){ .f_frsize = BLOCK_SIZE };

	*space_out = (struct statvfs){
		.f_bsize = BLOCK_SIZE,
		.f_frsize = BLOCK_SIZE,
		.f_bfree = medium.f_bfree * medium.f_frsize / BLOCK_SIZE,
		.f_bavail = medium.f_bavail * medium.f_frsize / BLOCK_SIZE,
		.f_files = paths,
		.f_namemax = NAME_MAX_SIZE,
	};
	space_out->f_blocks = (used + BLOCK_SIZE - 1) / BLOCK_SIZE + space_out->f_bfree;
	return 0;
}
