/* SPDX-License-Identifier: MIT */
/* A file for each URL, named by the URL's hash: one line of JSON. */
#include "remote/trust.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_MAX 16384u /* bytes */
#define NAME_SIZE (HASH_HEX_SIZE + 5)
#define SECOND INT64_C(1000000000)

void trust_done(struct trust *trust)
{
	free(trust->url);
	*trust = (struct trust){ 0 };
}

static int folder_path(char **path_out, struct error *err)
{
	const char *state = getenv("XDG_STATE_HOME");
	const char *home = getenv("HOME");
	int n;

	if (state && state[0] == '/')
		n = asprintf(path_out, "%s/blockframe/trust", state);
	else if (home && home[0] == '/')
		n = asprintf(path_out, "%s/.local/state/blockframe/trust", home);
	else
		return error_set(err, -ENOENT,
				 "no place to remember servers: set XDG_STATE_HOME or "
				 "HOME");
	return n < 0 ? error_set(err, -ENOMEM, "no memory for a path") : 0;
}

/* The folder; made if @make. */
static int open_folder(bool make, int *fd_out, struct error *err)
{
	autofree char *path = NULL;
	int r;

	r = folder_path(&path, err);
	if (r < 0) {
		path = NULL; /* undefined after a failure */
		return r;
	}
	if (make)
		r = mkdir_parents(AT_FDCWD, path, 0700, err);
	if (r < 0)
		return r;
	*fd_out = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *fd_out < 0 ? error_set_errno(err, -errno, "'%s'", path) : 0;
}

static void file_name(const char *url, char name[NAME_SIZE])
{
	char hex[HASH_HEX_SIZE];
	struct hash hash;

	hash_bytes(url, strlen(url), &hash);
	hash_to_hex(&hash, hex);
	(void)snprintf(name, NAME_SIZE, "%s.json", hex);
}

static int get_members(const struct json *json, struct trust *trust, struct error *err)
{
	const char *url;
	uint32_t version;
	int r;

	r = json_get_u32(json, "version", &version, err);
	if (r == 0 && version != 1)
		r = error_set(err, -EPROTONOSUPPORT, "made by a newer version");
	if (r == 0)
		r = json_get_string(json, "url", &url, err);
	if (r == 0)
		r = json_get_hex(json, "archive", trust->archive.bytes, HASH_SIZE, err);
	if (r == 0)
		r = json_get_u64(json, "sequence", &trust->sequence, err);
	if (r == 0)
		r = json_get_hex(json, "head", trust->head.bytes, HASH_SIZE, err);
	if (r == 0 && json_has(json, "pin"))
		r = json_get_hex(json, "pin", trust->pin.bytes, HASH_SIZE, err);
	if (r == 0)
		r = json_get_i64(json, "seen", &trust->seen, err);
	if (r < 0)
		return r;
	trust->url = strdup(url);
	return trust->url ? 0 : error_set(err, -ENOMEM, "no memory for a URL");
}

int trust_decode(const void *data, size_t size, struct trust *trust_out,
		 struct error *err)
{
	struct trust trust = { 0 };
	struct json *json = NULL;
	int r;

	r = json_parse(data, size, FILE_MAX, &json, err);
	if (r == 0)
		r = get_members(json, &trust, err);
	json_free(json);
	if (r == 0)
		*trust_out = trust;
	return r;
}

static int load_file(int folder_fd, const char *name, struct trust *trust_out,
		     struct error *err)
{
	autofree uint8_t *data = NULL;
	size_t size;
	int r;

	r = file_read_all(folder_fd, name, FILE_MAX, &data, &size, err);
	return r < 0 ? r : trust_decode(data, size, trust_out, err);
}

int trust_load(const char *url, struct trust *trust_out, struct error *err)
{
	autoclose int fd = -1;
	char name[NAME_SIZE];
	int r;

	r = open_folder(false, &fd, err);
	if (r < 0)
		return r;
	file_name(url, name);
	r = load_file(fd, name, trust_out, err);
	if (r == 0 && strcmp(trust_out->url, url) != 0) {
		trust_done(trust_out);
		r = error_set(err, -EBADMSG, "it is about another URL");
	}
	return r < 0 && r != -ENOENT
		       ? error_prefix(err, r, "what is remembered of '%s'", url)
		       : r;
}

int trust_store(struct trust *trust, struct error *err)
{
	autotext struct text text = { 0 };
	struct json_writer json;
	autoclose int fd = -1;
	char name[NAME_SIZE];
	int r;

	trust->seen = clock_realtime_ns() / SECOND;
	json_writer_init(&json, &text);
	json_write_object(&json, NULL);
	json_write_u32(&json, "version", 1);
	json_write_string(&json, "url", trust->url);
	json_write_hex(&json, "archive", trust->archive.bytes, HASH_SIZE);
	json_write_u64(&json, "sequence", trust->sequence);
	json_write_hex(&json, "head", trust->head.bytes, HASH_SIZE);
	if (!hash_is_zero(&trust->pin))
		json_write_hex(&json, "pin", trust->pin.bytes, HASH_SIZE);
	json_write_i64(&json, "seen", trust->seen);
	json_write_end(&json);
	r = json_writer_finish(&json);
	if (r == 0)
		r = text_append_char(&text, '\n');
	if (r < 0)
		return error_set(err, r, "what to remember of '%s'", trust->url);
	r = open_folder(true, &fd, err);
	if (r < 0)
		return r;
	file_name(trust->url, name);
	return file_replace(fd, name, text.data, text.size, 0600, err);
}

int trust_forget(const char *url, struct error *err)
{
	autoclose int fd = -1;
	char name[NAME_SIZE];
	int r;

	r = open_folder(false, &fd, err);
	if (r < 0)
		return r;
	file_name(url, name);
	if (unlinkat(fd, name, 0) < 0)
		return error_set_errno(err, -errno, "what is remembered of '%s'", url);
	return folder_sync(fd, err);
}

static int visit_file(int folder_fd, const char *name,
		      int (*visit)(void *context, const struct trust *trust),
		      void *context, struct error *err)
{
	autotrust trust = { 0 };
	int r;

	if (strlen(name) != NAME_SIZE - 1)
		return 0; /* none of ours */
	r = load_file(folder_fd, name, &trust, err);
	if (r < 0)
		return error_prefix(err, r, "'%s'", name);
	return visit(context, &trust);
}

int trust_visit(int (*visit)(void *context, const struct trust *trust), void *context,
		struct error *err)
{
	struct dirent *file;
	int fd = -1;
	DIR *dir;
	int r;

	r = open_folder(false, &fd, err);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	dir = fdopendir(fd);
	if (!dir) {
		r = -errno;
		(void)close(fd);
		return error_set_errno(err, r, "what is remembered of servers");
	}
	while (r == 0 && (file = readdir(dir)))
		r = visit_file(fd, file->d_name, visit, context, err);
	(void)closedir(dir);
	return r;
}
