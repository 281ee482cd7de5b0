/* SPDX-License-Identifier: MIT */
#include "tier/object.h"

#include "archive/archive.h"
#include "archive/backing.h"
#include "archive/content.h"
#include "archive/copies.h"
#include "archive/open_file.h"
#include "base/config.h"
#include "base/error.h"
#include "base/file.h"
#include "catalog/history.h"
#include "catalog/placement.h"
#include "merkle/hash.h"
#include "tier/recall_queue.h"
#include "tier/tier.h"

#include <errno.h>
#include <stdlib.h>

static int find_manifest(struct backing *backing, const struct hash *hash, uint64_t size,
			 struct manifest *manifest_out, struct error *err)
{
	struct version_row row = { 0 };
	struct catalog *catalog;
	int r;

	r = backing_take_catalog(backing, &catalog, err);
	if (r < 0)
		return r;
	r = catalog_find_content(catalog, hash, size, &row, err);
	backing_give_catalog(backing, catalog);
	if (r == CATALOG_END)
		return error_set(err, -ENOENT, "the archive does not have this content");
	if (r < 0)
		return r;
	r = manifest_decode(row.line, row.line_size, manifest_out, err);
	version_row_done(&row);
	return r;
}

int object_open(struct tier *tier, const struct hash *hash, uint64_t size,
		struct open_file **file_out, struct error *err)
{
	struct manifest manifest = { 0 };
	int r;

	r = find_manifest(tier->backing, hash, size, &manifest, err);
	if (r < 0)
		return r;
	if (manifest.type != ENTRY_FILE || manifest.size != size ||
	    !hash_equal(&manifest.hash, hash))
		r = error_set(err, -EBADMSG, "the catalog tells of another content");
	if (r == 0)
		r = open_file_new(backing_service(tier->backing), &manifest, file_out,
				  err);
	manifest_done(&manifest);
	return r;
}

/* ---- how many copies there are ---- */

static int count_copies(const struct copies *copies, struct catalog *catalog,
			const struct content_piece *piece, unsigned *count_out,
			struct error *err)
{
	struct segment_place place;
	struct copy_set set = { 0 };
	int r = 0;

	for (unsigned nth = 0; r == 0; nth++) {
		r = catalog_find_segment(catalog, &piece->id, piece->index, nth, &place,
					 err);
		if (r == 0)
			copies_add(copies, &place.volume, &set);
	}
	*count_out = copies_count(&set);
	return r == CATALOG_END ? 0 : r;
}

static int check_copies(struct archive *archive, struct catalog *catalog,
			const struct content *content, unsigned least, struct error *err)
{
	autocopies struct copies copies = { 0 };
	struct content_piece piece = { 0 };
	unsigned count;
	int r = copies_load(archive, catalog, &copies, err);

	for (uint64_t offset = 0; r == 0 && offset < content_size(content);
	     offset = piece.offset + piece.size) {
		r = content_locate(content, archive_source(archive), offset, &piece, err);
		if (r == 0)
			r = count_copies(&copies, catalog, &piece, &count, err);
		if (r == 0 && count < least)
			r = error_set(err, -EIO,
				      "it is on fewer volumes than [volume] min_copies: "
				      "'blockframe health' copies it to others");
	}
	return r;
}

int object_check_copies(struct tier *tier, const struct hash *hash, uint64_t size,
			struct error *err)
{
	struct archive *archive = backing_archive(tier->backing);
	unsigned least = config_min_copies(archive_config(archive));
	autoptr(content) content = NULL;
	struct manifest manifest = { 0 };
	struct catalog *catalog;
	int r;

	if (least <= 1)
		return 0; /* it is read back */
	r = find_manifest(tier->backing, hash, size, &manifest, err);
	if (r < 0)
		return r;
	r = content_open(&manifest, &content, err);
	manifest_done(&manifest);
	if (r == 0)
		r = backing_take_catalog(tier->backing, &catalog, err);
	if (r < 0)
		return r;
	r = check_copies(archive, catalog, content, least, err);
	backing_give_catalog(tier->backing, catalog);
	return r;
}

/* ---- where it is ---- */

static const struct hash *first_segment(const struct manifest *manifest)
{
	static const struct hash none;

	if (!hash_equal(&manifest->pack.segment, &none))
		return &manifest->pack.segment;
	return manifest->segment_count > 0 ? &manifest->segments[0] : NULL;
}

void object_locate(struct tier *tier, const struct hash *hash, uint64_t size,
		   struct recall_place *place)
{
	struct manifest manifest = { 0 };
	struct segment_place found;
	const struct hash *segment;
	struct catalog *catalog;

	if (find_manifest(tier->backing, hash, size, &manifest, NULL) < 0)
		return;
	segment = first_segment(&manifest);
	if (segment && backing_take_catalog(tier->backing, &catalog, NULL) == 0) {
		if (catalog_find_segment(catalog, segment, 0, 0, &found, NULL) == 0) {
			place->volume = found.volume;
			place->offset = found.log_offset + manifest.pack.offset;
		}
		backing_give_catalog(tier->backing, catalog);
	}
	manifest_done(&manifest);
}

/* ---- reading ---- */

int object_read(struct open_file *file, uint64_t offset, uint8_t *buffer, size_t size,
		struct error *err)
{
	size_t done = 0;

	while (done < size) {
		size_t n = 0;
		int r = open_file_read(file, offset + done, buffer + done, size - done,
				       &n, err);

		if (r < 0)
			return r;
		if (n == 0)
			return error_set(err, -EBADMSG, "the content ends early");
		done += n;
	}
	return 0;
}

static size_t chunk_size(uint64_t offset, uint64_t size)
{
	return size - offset < OBJECT_CHUNK ? (size_t)(size - offset) : OBJECT_CHUNK;
}

int object_verify(struct open_file *file, const struct hash *hash,
		  const struct object_watch *watch, struct error *err)
{
	autofree uint8_t *buffer = malloc(OBJECT_CHUNK);
	uint64_t size = open_file_size(file);
	struct hasher hasher;
	struct hash found;

	if (!buffer)
		return error_set(err, -ENOMEM, "no memory to read with");
	hasher_init(&hasher);
	for (uint64_t offset = 0; offset < size; offset += OBJECT_CHUNK) {
		size_t n = chunk_size(offset, size);
		int r = object_read(file, offset, buffer, n, err);

		if (r < 0)
			return r;
		hasher_update(&hasher, buffer, n);
		r = watch->chunk(watch->context);
		if (r < 0)
			return error_set_errno(err, r, "stopped");
	}
	hasher_final(&hasher, &found);
	return hash_equal(&found, hash)
		       ? 0
		       : error_set(err, -EBADMSG, "the archive has other content");
}

int object_hash_file(int fd, uint64_t size, const struct object_watch *watch,
		     struct hash *hash_out, struct error *err)
{
	autofree uint8_t *buffer = malloc(OBJECT_CHUNK);
	struct hasher hasher;

	if (!buffer)
		return error_set(err, -ENOMEM, "no memory to read with");
	hasher_init(&hasher);
	for (uint64_t offset = 0; offset < size; offset += OBJECT_CHUNK) {
		size_t n = chunk_size(offset, size);
		int r = pread_full(fd, buffer, n, offset, NULL);

		if (r == -ENODATA)
			return error_set(err, -ESTALE, "the file was cut");
		if (r < 0)
			return error_set_errno(err, r, "read");
		hasher_update(&hasher, buffer, n);
		r = watch->chunk(watch->context);
		if (r < 0)
			return error_set_errno(err, r, "stopped");
	}
	hasher_final(&hasher, hash_out);
	return 0;
}
