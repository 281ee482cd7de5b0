/* SPDX-License-Identifier: MIT */
#include "support/archive_fixture.h"

#include "archive/appender.h"
#include "archive/archive.h"
#include "archive/head.h"
#include "archive/source.h"
#include "archive/tree_builder.h"
#include "base/text.h"
#include "catalog/history.h"
#include "catalog/placement.h"
#include "chunker/frame.h"
#include "chunker/segment.h"
#include "chunker/segment_table.h"
#include "chunker/skippable.h"
#include "merkle/manifest.h"
#include "volume/atom.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#define FRAME 262144u /* bytes of content */

void archive_fixture_init(struct archive_fixture *f)
{
	memset(f, 0, sizeof(*f));
	(void)snprintf(f->parent, sizeof(f->parent), "/tmp/blockframe-test-XXXXXX");
	assert_non_null(mkdtemp(f->parent));
	(void)snprintf(f->directory, sizeof(f->directory), "%s/archive", f->parent);
	assert_int_equal(config_defaults(&f->config), 0);
	f->config.volume.max_size = 64u << 20;
	f->config.limits.jobs = 2;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void archive_fixture_done(struct archive_fixture *f)
{
	assert_int_equal(nftw(f->parent, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
	config_done(&f->config);
}

int archive_fixture_create(struct archive_fixture *f)
{
	return archive_init(f->directory, &f->config, "test", &f->err);
}

int archive_fixture_open(struct archive_fixture *f, bool writable,
			 struct archive **archive_out)
{
	const struct archive_options options = {
		.directory = f->directory,
		.config = &f->config,
		.writable = writable,
	};

	return archive_open(&options, archive_out, &f->err);
}

int archive_fixture_setup(void **state)
{
	struct archive_fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	archive_fixture_init(f);
	*state = f;
	return 0;
}

int archive_fixture_teardown(void **state)
{
	archive_fixture_done(*state);
	free(*state);
	return 0;
}

void archive_fixture_must_create(struct archive_fixture *f)
{
	if (archive_fixture_create(f) < 0)
		fail_msg("%s", f->err.text);
}

struct archive *archive_fixture_must_open(struct archive_fixture *f, bool writable)
{
	struct archive *archive = NULL;

	if (archive_fixture_open(f, writable, &archive) < 0)
		fail_msg("%s", f->err.text);
	return archive;
}

void archive_fixture_must_commit(struct archive_fixture *f,
				 const struct fixture_commit *commit)
{
	if (archive_fixture_commit(f, commit) < 0)
		fail_msg("%s", f->err.text);
}

/* Content. */

static void fill(uint8_t *data, size_t size, uint32_t i, uint32_t seed)
{
	uint64_t state = ((uint64_t)seed << 32 | i) * 0x9e3779b97f4a7c15u + 1;

	for (size_t k = 0; k < size; k++) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		data[k] = (uint8_t)(state >> 32);
	}
}

/* A commit in the making. */
struct making {
	struct archive *archive;
	struct appender *appender;
	struct tree_builder *builder;
	struct head head;
	struct error *err;
};

static int append(struct making *m, const void *atom, size_t size)
{
	return appender_append(m->appender, ATOM(atom, size), m->err);
}

static int append_frames(struct making *m, const uint8_t *content,
			 const struct segment_frame *frames, uint32_t count)
{
	static uint8_t stored[FRAME_STORED_MAX];
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < count; i++) {
		frame_store(content + frames[i].content_offset, frames[i].content_size,
			    stored);
		r = append(m, stored, frames[i].stored_size);
	}
	return r;
}

static int append_tables(struct making *m, const struct segment_info *info,
			 const struct segment_frame *frames, const struct hash *hashes)
{
	size_t size = segment_frame_table_size(info->frame_count);
	autofree uint8_t *table = malloc(segment_tail_size(info->frame_count));
	int r;

	assert_non_null(table);
	segment_tail_encode(info, frames, hashes, table);
	r = append(m, table, size);
	if (r < 0)
		return r;
	return append(m, table + size, segment_seek_table_size(info->frame_count));
}

/* Append @content as a pack; its id goes to *id_out. */
static int append_pack(struct making *m, const uint8_t *content, uint32_t size,
		       struct hash *id_out)
{
	static struct segment_frame frames[SEGMENT_FRAME_MAX];
	static struct hash hashes[SEGMENT_FRAME_MAX];
	struct segment_info info = {
		.kind = SEGMENT_PACK,
		.codec = SEGMENT_CODEC_ZSTD,
		.content_size = size,
		.frame_count = (size + FRAME - 1) / FRAME,
		.frame_size = FRAME,
	};
	uint32_t stored = (uint32_t)segment_header_size(0);
	struct segment_place place = { .kind = SEGMENT_PACK };
	uint8_t header[SEGMENT_HEADER_SIZE];
	int r;

	for (uint32_t i = 0; i < info.frame_count; i++) {
		uint32_t part = size - i * FRAME < FRAME ? size - i * FRAME : FRAME;

		frames[i] = (struct segment_frame){ i * FRAME, part, stored,
						    (uint32_t)frame_bound(part) };
		hash_bytes(content + i * FRAME, part, &hashes[i]);
		stored += frames[i].stored_size;
	}
	segment_id(SEGMENT_PACK, frames, hashes, info.frame_count, &info.id);
	place.id = info.id;
	place.content_size = size;
	place.frame_count = info.frame_count;
	place.stored_size = stored + (uint32_t)segment_tail_size(info.frame_count);
	*id_out = info.id;

	r = appender_begin(m->appender, place.stored_size, m->err);
	if (r < 0)
		return r;
	segment_header_encode(&info, header);
	r = append(m, header, segment_header_size(0));
	if (r == 0)
		r = append_frames(m, content, frames, info.frame_count);
	if (r == 0)
		r = append_tables(m, &info, frames, hashes);
	return r < 0 ? r : appender_place_segment(m->appender, &place, m->err);
}

/* Pages. */

static int put_page(void *context, const struct hash *hash, const uint8_t *atom,
		    size_t size, struct error *err)
{
	struct making *m = context;
	struct page_place place = { .hash = *hash, .stored_size = (uint32_t)size };
	unsigned kind;
	int r;

	assert_int_equal(skippable_get(atom, size, &kind, NULL), 0);
	place.kind = (uint8_t)kind;
	r = appender_begin(m->appender, size, err);
	if (r == 0)
		r = appender_append(m->appender, ATOM(atom, size), err);
	return r < 0 ? r : appender_place_page(m->appender, &place, err);
}

/* Entries. */

static int next_version(struct making *m, const struct bytes *key, uint32_t *version_out)
{
	int r = catalog_last_version(archive_catalog(m->archive), key->data, key->size,
				     version_out, m->err);

	*version_out += 1;
	return r;
}

static int put_file(struct making *m, uint32_t i, const struct fixture_commit *commit)
{
	char name[16];
	struct manifest manifest = {
		.key = { (uint8_t *)name, 0 },
		.type = ENTRY_FILE,
		.mode = 0644,
		.inode = i + 1,
		.size = commit->size,
	};
	autofree uint8_t *content = malloc(commit->size + 1);
	autotext struct text line = { 0 };
	int r = 0;

	assert_non_null(content);
	fill(content, commit->size, i, commit->seed);
	manifest.key.size = (size_t)snprintf(name, sizeof(name), "f%06u", i);
	manifest.mtime.seconds = commit->seed;
	hash_bytes(content, commit->size, &manifest.hash);
	if (commit->size > 0)
		r = append_pack(m, content, commit->size, &manifest.pack.segment);
	if (r == 0)
		r = next_version(m, &manifest.key, &manifest.version);
	if (r == 0)
		r = manifest_encode(&manifest, &line, m->err);
	if (r < 0)
		return r;
	r = tree_builder_put(m->builder, manifest.key.data, manifest.key.size, line.data,
			     line.size - 1, m->err);
	if (r < 0)
		return r;
	return catalog_put_version(archive_catalog(m->archive), m->head.sequence,
				   &manifest, line.data, line.size - 1, m->err);
}

static int remove_file(struct making *m, uint32_t i)
{
	uint8_t name[16];
	size_t size = (size_t)snprintf((char *)name, sizeof(name), "f%06u", i);
	int r;

	r = tree_builder_put(m->builder, name, size, NULL, 0, m->err);
	if (r < 0)
		return r;
	return catalog_end_version(archive_catalog(m->archive), m->head.sequence, name,
				   size, m->err);
}

static int put_entries(struct making *m, const struct fixture_commit *commit)
{
	uint32_t end = commit->first + commit->count;
	int r = 0;

	for (uint32_t i = commit->first; r == 0 && i < end; i++)
		r = put_file(m, i, commit);
	for (uint32_t i = end; r == 0 && i < end + commit->remove_count; i++)
		r = remove_file(m, i);
	return r;
}

/* Begin the commit that follows the archive's last one. */
static int begin(struct archive_fixture *f, struct making *m)
{
	const struct appender_options options = {
		.tiered = f->config.parity.policy == CONFIG_POLICY_TIERED,
		.data = f->config.parity.data,
		.parity = f->config.parity.parity,
	};
	const struct tree_sink sink = { .page = put_page, .context = m };
	struct commit_row row = { 0 };
	struct head last = { 0 };
	int r;

	m->err = &f->err;
	r = archive_fixture_open(f, true, &m->archive);
	if (r < 0)
		return r;
	assert_int_equal(catalog_get_commit(archive_catalog(m->archive), VERSION_CURRENT,
					    &row, NULL),
			 0);
	assert_int_equal(head_decode(row.head, strlen(row.head), &last, NULL), 0);
	commit_row_done(&row);
	m->head.sequence = last.sequence + 1;
	m->head.previous = last.hash;
	m->head.time.seconds = 1700000000 + (int64_t)m->head.sequence;
	archive_id(m->archive, &m->head.archive_id);
	r = catalog_begin(archive_catalog(m->archive), m->err);
	if (r == 0)
		r = appender_open(m->archive, &options, &m->appender, m->err);
	if (r == 0)
		r = tree_builder_new(archive_source(m->archive), &last.tree, &sink,
				     &m->builder, m->err);
	head_done(&last);
	return r;
}

static int finish(struct making *m)
{
	autofree char *json = NULL;
	int r;

	r = head_encode(&m->head, &json, m->err);
	if (r == 0)
		r = appender_commit(m->appender, json, m->err);
	if (r == 0)
		r = catalog_put_commit(archive_catalog(m->archive), m->head.sequence,
				       &m->head.hash, json, m->err);
	if (r == 0)
		r = catalog_commit(archive_catalog(m->archive), m->err);
	return r;
}

static void making_done(struct making *m)
{
	tree_builder_free(m->builder);
	appender_free(m->appender);
	archive_free(m->archive);
	head_done(&m->head);
}

static int make(struct archive_fixture *f, const struct fixture_commit *commit,
		bool complete)
{
	struct making m = { 0 };
	int r;

	r = begin(f, &m);
	if (r == 0)
		r = put_entries(&m, commit);
	if (r == 0)
		r = tree_builder_finish(m.builder, &m.head.tree, m.err);
	if (r == 0 && complete)
		r = finish(&m);
	making_done(&m);
	return r;
}

int archive_fixture_commit(struct archive_fixture *f, const struct fixture_commit *commit)
{
	return make(f, commit, true);
}

void archive_fixture_interrupt(struct archive_fixture *f,
			       const struct fixture_commit *commit)
{
	assert_int_equal(make(f, commit, false), 0);
}

/* Killing. */

bool archive_fixture_killed(struct archive_fixture *f, const char *name, int n,
			    int (*run)(struct archive_fixture *f, void *context),
			    void *context)
{
	char text[64];
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		(void)snprintf(text, sizeof(text), "%s:%d", name, n);
		(void)setenv("BLOCKFRAME_CRASH_AT", text, 1);
		_exit(run(f, context) == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
	return WIFSIGNALED(status);
}

static int run_commit(struct archive_fixture *f, void *context)
{
	return archive_fixture_commit(f, context);
}

bool archive_fixture_commit_killed(struct archive_fixture *f,
				   const struct fixture_commit *commit, const char *name,
				   int n)
{
	struct fixture_commit copy = *commit;

	return archive_fixture_killed(f, name, n, run_commit, &copy);
}

/* Reading. */

static int read_pack(struct source *source, const struct manifest *manifest,
		     uint8_t *content)
{
	autofree uint8_t *stored = malloc(FRAME_STORED_MAX);
	autoptr(frame_decoder) decoder = NULL;
	const struct segment_ref *segment;
	int r;

	assert_non_null(stored);
	assert_int_equal(frame_decoder_new(&decoder, NULL), 0);
	r = source_segment(source, &manifest->pack.segment, 0, &segment, NULL);
	if (r < 0)
		return r;
	for (uint32_t i = 0; r == 0 && i < segment->table->frame_count; i++) {
		const struct segment_frame *frame = &segment->table->frames[i];

		r = source_frames(source, segment, i, 1, stored, NULL);
		if (r == 0)
			r = frame_decode(decoder, stored, frame->stored_size,
					 content + frame->content_offset,
					 frame->content_size, NULL);
	}
	source_segment_unref(source, segment);
	return r;
}

int archive_fixture_read(struct archive *archive, uint32_t i, uint32_t size,
			 uint32_t seed)
{
	autofree uint8_t *expected = malloc(size + 1);
	autofree uint8_t *content = calloc(1, size + 1);
	struct manifest manifest = { 0 };
	struct version_row row = { 0 };
	uint8_t key[16];
	size_t key_size = (size_t)snprintf((char *)key, sizeof(key), "f%06u", i);
	int r;

	assert_non_null(expected);
	assert_non_null(content);
	r = catalog_get_version(archive_catalog(archive), key, key_size, VERSION_CURRENT,
				&row, NULL);
	if (r == CATALOG_END)
		return -ENOENT;
	if (r < 0)
		return r;
	r = manifest_decode(row.line, row.line_size, &manifest, NULL);
	version_row_done(&row);
	if (r == 0 && manifest.size != size)
		r = -EBADMSG;
	if (r == 0 && size > 0)
		r = read_pack(archive_source(archive), &manifest, content);
	manifest_done(&manifest);
	if (r < 0)
		return r;
	fill(expected, size, i, seed);
	return memcmp(content, expected, size) == 0 ? 0 : -EBADMSG;
}

char *archive_fixture_dump(struct archive_fixture *f)
{
	struct archive *archive = NULL;
	char *dump = NULL;
	size_t size = 0;
	FILE *out;

	assert_int_equal(archive_fixture_open(f, false, &archive), 0);
	out = open_memstream(&dump, &size);
	assert_non_null(out);
	assert_int_equal(catalog_dump(archive_catalog(archive), out, NULL), 0);
	assert_int_equal(fclose(out), 0);
	archive_free(archive);
	return dump;
}

/* Files. */

static int is_volume(const struct dirent *entry)
{
	return strstr(entry->d_name, ".bfv") != NULL;
}

unsigned archive_fixture_volumes(struct archive_fixture *f,
				 char names_out[FIXTURE_VOLUMES_MAX][64])
{
	struct dirent **entries;
	int count = scandir(archive_fixture_path(f, "volumes"), &entries, is_volume,
			    alphasort);

	assert_in_range(count, 0, FIXTURE_VOLUMES_MAX);
	for (int i = 0; i < count; i++) {
		(void)snprintf(names_out[i], 64, "%.63s", entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	return (unsigned)count;
}

#define PATH_SIZE 192

static char *next_path(void)
{
	static char paths[2][PATH_SIZE];
	static unsigned next;

	return paths[next++ % 2];
}

const char *archive_fixture_path(struct archive_fixture *f, const char *name)
{
	char *path = next_path();

	(void)snprintf(path, PATH_SIZE, "%s/%.120s", f->directory, name);
	return path;
}

const char *archive_fixture_volume(struct archive_fixture *f, unsigned number)
{
	char names[FIXTURE_VOLUMES_MAX][64];
	char *path;

	assert_true(archive_fixture_volumes(f, names) > number);
	path = next_path();
	(void)snprintf(path, PATH_SIZE, "%s/volumes/%.63s", f->directory, names[number]);
	return path;
}

void archive_fixture_copy(const char *from, const char *to)
{
	autoclose int in = open(from, O_RDONLY | O_CLOEXEC);
	autoclose int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	static char buffer[1 << 20];
	ssize_t n;

	assert_true(in >= 0 && out >= 0);
	while ((n = read(in, buffer, sizeof(buffer))) > 0)
		assert_int_equal(write(out, buffer, (size_t)n), n);
	assert_int_equal(n, 0);
}
