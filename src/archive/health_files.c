/* SPDX-License-Identifier: MIT */
/* Damaged segments come first (health_segments.h); then every version of every file is asked
 * whether it has one of them. That reads all manifests, and is done only if something is
 * damaged. A file is as bad off as the worst of its segments; one of which a scrub could not
 * save a leaf is read, because a copy of that segment may be elsewhere, and because what is
 * lost of a file is a matter of frames.
 */
#include "archive/health_files.h"

#include "archive/archive.h"
#include "archive/content.h"
#include "archive/health_probe.h"
#include "archive/health_segments.h"
#include "base/budget.h"
#include "base/error.h"
#include "catalog/search.h"
#include "merkle/key.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

struct finding_files {
	const struct health_files_options *options;
	struct damaged_segments segments;
	struct health_files *files;
	struct reader *reader; /* owned */
};

const char *health_state_name(enum health_state state)
{
	static const char *const names[] = {
		[HEALTH_REPAIRED] = "repaired",
		[HEALTH_DEGRADED] = "degraded",
		[HEALTH_LOST] = "lost",
	};

	return names[state];
}

void health_files_done(struct health_files *files)
{
	for (size_t i = 0; i < files->count; i++)
		health_file_done(&files->items[i]);
	free(files->items);
	*files = (struct health_files){ 0 };
}

static enum health_state state_of(enum scrub_outcome outcome)
{
	if (outcome == SCRUB_LOST)
		return HEALTH_LOST;
	return outcome == SCRUB_REPAIRED ? HEALTH_REPAIRED : HEALTH_DEGRADED;
}

/* Take the fate of @segment, which holds [offset, offset + size) of @content. */
static int add_segment(struct finding_files *finding, const struct content *content,
		       const struct damaged_segment *segment, uint64_t offset,
		       uint64_t size, struct health_file *file, struct error *err)
{
	enum health_state state = state_of(segment->worst);
	size_t before = file->lost_count;
	uint64_t lost = before ? file->lost[before - 1].size : 0;
	int r = 0;

	if (state == HEALTH_LOST) {
		r = health_probe(finding->options, content, finding->reader, offset, size,
				 file, err);
		/* It was read after all: there is a copy. */
		if (r == 0 && file->lost_count == before &&
		    (!before || file->lost[before - 1].size == lost))
			state = HEALTH_DEGRADED;
		if (r == -ENOMEDIUM) /* and that is away: nobody knows */
			r = 0;
	}
	file->segments++;
	if (segment->margin < file->margin)
		file->margin = segment->margin;
	if (state > file->state)
		file->state = state;
	return r;
}

static int add_pieces(struct finding_files *finding, const struct content *content,
		      struct health_file *file, struct error *err)
{
	uint64_t offset = 0;
	uint64_t size = content_size(content);

	while (offset < size) {
		struct content_piece piece;
		const struct damaged_segment *segment;
		int r;

		r = content_locate(content, archive_source(finding->options->archive),
				   offset, &piece, err);
		if (r == -EBADMSG || r == -ENOMEDIUM) { /* the list itself is lost */
			file->state = HEALTH_LOST;
			return health_file_add_lost(file, offset, size - offset);
		}
		if (r < 0)
			return r;
		segment =
			damaged_segments_get(&finding->segments, &piece.id, piece.index);
		if (segment)
			r = add_segment(finding, content, segment, piece.offset,
					piece.size, file, err);
		if (r < 0)
			return r;
		offset = piece.offset + piece.size;
	}
	return 0;
}

/* The content of a pack, which may be a file's or a long xattr's. */
static int add_packed(struct finding_files *finding, const struct content *content,
		      const struct hash *pack, struct health_file *file,
		      struct error *err)
{
	const struct damaged_segment *segment =
		damaged_segments_get(&finding->segments, pack, 0);

	if (!segment)
		return 0;
	return add_segment(finding, content, segment, 0, content_size(content), file,
			   err);
}

static int add_xattrs(struct finding_files *finding, const struct manifest *manifest,
		      struct health_file *file, struct error *err)
{
	for (size_t i = 0; i < manifest->xattr_count; i++) {
		const struct manifest_xattr *xattr = &manifest->xattrs[i];
		struct health_file inner = { .margin = UINT_MAX };
		autoptr(content) content = NULL;
		int r;

		if (hash_is_zero(&xattr->pack.segment))
			continue;
		r = content_open_xattr(xattr, &content, err);
		if (r == 0)
			r = add_packed(finding, content, &xattr->pack.segment, &inner,
				       err);
		if (inner.segments > 0 && inner.state > file->state)
			file->state = inner.state;
		if (inner.margin < file->margin)
			file->margin = inner.margin;
		file->segments += inner.segments;
		health_file_done(&inner);
		if (r < 0)
			return r;
	}
	return 0;
}

static int examine(struct finding_files *finding, const struct manifest *manifest,
		   struct health_file *file, struct error *err)
{
	autoptr(content) content = NULL;
	int r;

	r = add_xattrs(finding, manifest, file, err);
	if (r < 0 || manifest->type != ENTRY_FILE || manifest->size == 0)
		return r;
	r = content_open(manifest, &content, err);
	if (r < 0)
		return r;
	if (!hash_is_zero(&manifest->pack.segment))
		return add_packed(finding, content, &manifest->pack.segment, file, err);
	return add_pieces(finding, content, file, err);
}

static int visit(void *context, const uint8_t *path, size_t path_size,
		 const struct version_row *row, struct error *err)
{
	struct finding_files *finding = context;
	const struct health_files_options *options = finding->options;
	struct health_file file = { .first = row->first,
				    .end = row->end,
				    .version = row->version,
				    .margin = UINT_MAX };
	struct manifest manifest = { 0 };
	int r;

	if (options->stopped && options->stopped(options->context))
		return error_set(err, -EINTR, "interrupted");
	r = manifest_decode(row->line, row->line_size, &manifest, err);
	if (r < 0)
		return r;
	r = examine(finding, &manifest, &file, err);
	manifest_done(&manifest);
	if (r == 0 && file.segments + file.lost_count > 0) {
		r = key_to_path(path, path_size, &file.path);
		if (r == 0)
			r = health_files_add(finding->files, &file);
		if (r < 0)
			r = error_set(err, r, "no memory for the list of files");
	}
	health_file_done(&file);
	return r;
}

static int visit_versions(struct finding_files *finding, struct error *err)
{
	const struct search everything = {
		.at = VERSION_CURRENT,
		.all = true,
		.size_max = UINT64_MAX,
	};
	struct archive *archive = finding->options->archive;
	int r;

	r = budget_reserve(archive_budget(archive), READER_MEMORY, "reading", err);
	if (r < 0)
		return r;
	r = reader_new(archive_source(archive), NULL, &finding->reader, err);
	if (r == 0)
		r = catalog_search(archive_catalog(archive), &everything, visit, finding,
				   err);
	reader_free(finding->reader);
	budget_release(archive_budget(archive), READER_MEMORY);
	return r;
}

int health_files_find(const struct health_files_options *options,
		      const struct damage_list *damage, struct health_files *files,
		      struct error *err)
{
	struct finding_files finding = { .options = options, .files = files };
	int r;

	r = damaged_segments_find(options->archive, options->volumes, damage,
				  &finding.segments, err);
	if (r < 0)
		return r;
	files->damaged_pages = finding.segments.damaged_pages;
	files->lost_pages = finding.segments.lost_pages;
	if (finding.segments.count > 0)
		r = visit_versions(&finding, err);
	damaged_segments_done(&finding.segments);
	return r;
}
