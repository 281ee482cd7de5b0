/* SPDX-License-Identifier: MIT */
#include "support/commit_fixture.h"

#include "archive/archive.h"
#include "archive/reader.h"
#include "base/file.h"
#include "catalog/history.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static void open_archive(struct commit_fixture *f)
{
	int r = archive_fixture_open(&f->base, true, &f->archive);

	if (r < 0)
		print_error("%s\n", f->base.err.text);
	assert_int_equal(r, 0);
}

static void take_problem(void *context, enum commit_problem problem, const char *path,
			 const struct error *err)
{
	struct commit_fixture *f = context;

	(void)err;
	if (f->problem_count == FIXTURE_PROBLEMS_MAX)
		return;
	f->problems[f->problem_count].problem = problem;
	(void)snprintf(f->problems[f->problem_count].path, sizeof(f->problems[0].path),
		       "%s", strlen(path) > 200 ? path + strlen(path) - 200 : path);
	f->problem_count++;
}

static void take_progress(void *context, const struct commit_progress *progress)
{
	struct commit_fixture *f = context;

	(void)progress;
	if (f->on_progress)
		f->on_progress(f);
}

void commit_fixture_init(struct commit_fixture *f)
{
	*f = (struct commit_fixture){ 0 };
	archive_fixture_init(&f->base);
	f->base.config.volume.max_size = UINT64_C(1) << 40;
	assert_int_equal(archive_fixture_create(&f->base), 0);
	open_archive(f);
	(void)snprintf(f->source, sizeof(f->source), "%s/src", f->base.parent);
	assert_int_equal(mkdir(f->source, 0755), 0);
	f->fd = open(f->source, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(f->fd >= 0);
	commit_options_init(&f->options, f->archive);
	f->options.callbacks = (struct commit_callbacks){ .problem = take_problem,
							  .progress = take_progress,
							  .context = f };
}

void commit_fixture_done(struct commit_fixture *f)
{
	archive_free(f->archive);
	(void)close(f->fd);
	archive_fixture_done(&f->base);
}

void commit_fixture_reopen(struct commit_fixture *f)
{
	archive_free(f->archive);
	f->archive = NULL;
	open_archive(f);
}

int commit_fixture_run(struct commit_fixture *f)
{
	const struct commit_source source = { .path = f->source, .destination = "src" };

	if (!f->options.sources) {
		f->options.sources = &source;
		f->options.source_count = 1;
	}
	f->problem_count = 0;
	f->err = (struct error){ 0 };
	int r = commit_run(f->archive, &f->options, &f->summary, &f->err);

	f->options.sources = NULL;
	f->options.source_count = 0;
	return r;
}

void commit_fixture_commit(struct commit_fixture *f)
{
	int r = commit_fixture_run(f);

	if (r < 0)
		print_error("%s\n", f->err.text);
	assert_int_equal(r, 0);
	for (unsigned i = 0; i < f->problem_count; i++)
		print_error("%s: %s\n", f->problems[i].path,
			    commit_problem_name(f->problems[i].problem));
	assert_int_equal(f->summary.problems, 0);
	assert_true(f->summary.made);
}

void source_file(struct commit_fixture *f, const char *name, const void *data,
		 size_t size)
{
	int fd = openat(f->fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write_full(fd, data, size), 0);
	assert_int_equal(close(fd), 0);
}

void source_text(struct commit_fixture *f, const char *name, const char *text)
{
	source_file(f, name, text, strlen(text));
}

void source_folder(struct commit_fixture *f, const char *name)
{
	assert_int_equal(mkdirat(f->fd, name, 0755), 0);
}

void fill_noise(void *data, size_t size, uint32_t seed)
{
	uint8_t *bytes = data;
	uint64_t state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;

	for (size_t i = 0; i < size; i++) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		bytes[i] = (uint8_t)(state >> 32);
	}
}

void source_noise(struct commit_fixture *f, const char *name, size_t size, uint32_t seed)
{
	autofree uint8_t *data = malloc(size + 1);

	assert_non_null(data);
	fill_noise(data, size, seed);
	source_file(f, name, data, size);
}

bool commit_fixture_find(struct commit_fixture *f, const char *path,
			 struct manifest *manifest_out)
{
	struct version_row row = { 0 };
	struct bytes key;
	int r;

	assert_int_equal(key_from_path(path, &key, &f->err), 0);
	r = catalog_get_version(archive_catalog(f->archive), key.data, key.size,
				VERSION_CURRENT, &row, &f->err);
	free(key.data);
	if (r == CATALOG_END)
		return false;
	assert_int_equal(r, 0);
	assert_int_equal(manifest_decode(row.line, row.line_size, manifest_out, &f->err),
			 0);
	version_row_done(&row);
	return true;
}

uint32_t commit_fixture_version(struct commit_fixture *f, const char *path)
{
	struct manifest manifest;
	uint32_t version;

	if (!commit_fixture_find(f, path, &manifest))
		return 0;
	version = manifest.version;
	manifest_done(&manifest);
	return version;
}

static void read_back(struct commit_fixture *f, const struct manifest *manifest,
		      uint8_t *data)
{
	autoptr(reader) reader = NULL;
	autoptr(content) content = NULL;
	int r;

	assert_int_equal(reader_new(archive_source(f->archive), NULL, &reader, &f->err),
			 0);
	assert_int_equal(content_open(manifest, &content, &f->err), 0);
	r = content_read(content, reader, 0, data, manifest->size, &f->err);
	if (r < 0)
		print_error("%s\n", f->err.text);
	assert_int_equal(r, 0);
}

void assert_content(struct commit_fixture *f, const char *path, const void *data,
		    size_t size)
{
	struct manifest manifest;
	struct hash hash;
	autofree uint8_t *got = malloc(size + 1);

	assert_non_null(got);
	if (!commit_fixture_find(f, path, &manifest))
		fail_msg("no %s", path);
	assert_int_equal(manifest.type, ENTRY_FILE);
	assert_int_equal(manifest.size, size);
	hash_bytes(data, size, &hash);
	assert_true(hash_equal(&hash, &manifest.hash));
	if (size > 0) {
		read_back(f, &manifest, got);
		assert_memory_equal(got, data, size);
	}
	manifest_done(&manifest);
}

void assert_as_source(struct commit_fixture *f, const char *path, const char *name)
{
	autofree uint8_t *data = NULL;
	size_t size;

	assert_int_equal(file_read_all(f->fd, name, 1u << 30, &data, &size, &f->err), 0);
	assert_content(f, path, data, size);
}

bool has_problem(const struct commit_fixture *f, enum commit_problem problem,
		 const char *end)
{
	for (unsigned i = 0; i < f->problem_count; i++) {
		const char *path = f->problems[i].path;

		if (f->problems[i].problem == problem && strlen(path) >= strlen(end) &&
		    strcmp(path + strlen(path) - strlen(end), end) == 0)
			return true;
	}
	return false;
}
