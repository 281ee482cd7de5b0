/* SPDX-License-Identifier: MIT */
#include "cli/print.h"

#include "base/error.h"
#include "base/json_build.h"
#include "base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

static int append_component(struct text *key, const char *start, size_t size,
			    struct error *err)
{
	if ((size == 1 && start[0] == '.') || (size == 2 && memcmp(start, "..", 2) == 0))
		return error_set(err, -EINVAL,
				 "'.' and '..' are not used in paths inside an archive");
	if ((key->size > 0 && text_append_char(key, '\0') < 0) ||
	    text_append_bytes(key, start, size) < 0)
		return error_set(err, -ENOMEM, "out of memory");
	return 0;
}

int path_argument_key(const char *path, struct bytes *key_out, struct error *err)
{
	autotext struct text key = { 0 };
	int r;

	while (*path) {
		size_t size = strcspn(path, "/");

		if (size > 0) {
			r = append_component(&key, path, size, err);
			if (r < 0)
				return r;
		}
		path += size;
		path += *path == '/';
	}
	key_out->size = key.size;
	key_out->data = key.size ? (uint8_t *)text_take(&key) : NULL;
	return 0;
}

void print_name(const void *data, size_t size)
{
	autotext struct text text = { 0 };

	if (!isatty(STDOUT_FILENO) || text_append_quoted(&text, data, size) < 0)
		(void)fwrite(data, 1, size, stdout);
	else
		(void)fwrite(text.data, 1, text.size, stdout);
}

static char type_letter(enum entry_type type)
{
	static const char letters[] = "?-dlpscb";

	return letters[type];
}

static void print_mode(const struct manifest *manifest)
{
	static const char bits[] = "rwxrwxrwx";
	char mode[11] = { type_letter(manifest->type) };

	for (int i = 0; i < 9; i++)
		mode[i + 1] = manifest->mode & (0400u >> i) ? bits[i] : '-';
	if (manifest->mode & S_ISUID)
		mode[3] = mode[3] == 'x' ? 's' : 'S';
	if (manifest->mode & S_ISGID)
		mode[6] = mode[6] == 'x' ? 's' : 'S';
	if (manifest->mode & S_ISVTX)
		mode[9] = mode[9] == 'x' ? 't' : 'T';
	(void)printf("%s ", mode);
}

static void print_owner(const struct bytes *name, uint32_t id)
{
	if (name->size > 0)
		(void)printf("%-8.*s ", (int)name->size, (const char *)name->data);
	else
		(void)printf("%-8" PRIu32 " ", id);
}

void append_time(struct text *text, const struct entry_time *time)
{
	time_t seconds = (time_t)time->seconds;
	char out[64];
	struct tm tm;

	if (!localtime_r(&seconds, &tm) ||
	    strftime(out, sizeof(out), "%Y-%m-%d %H:%M:%S", &tm) == 0)
		(void)snprintf(out, sizeof(out), "@%" PRId64, time->seconds);
	(void)text_append(text, out);
}

void print_long(const struct manifest *manifest)
{
	autotext struct text when = { 0 };

	append_time(&when, &manifest->mtime);
	print_mode(manifest);
	print_owner(&manifest->user, manifest->uid);
	print_owner(&manifest->group, manifest->gid);
	if (manifest->type == ENTRY_CHAR || manifest->type == ENTRY_BLOCK)
		(void)printf("%7u,%4u", major(manifest->device), minor(manifest->device));
	else
		(void)printf("%12" PRIu64, manifest->size);
	(void)printf(" %s v%-3" PRIu32 " ", text_string(&when), manifest->version);
}

void print_json(const struct json *json)
{
	autofree char *text = NULL;
	int r;

	r = isatty(STDOUT_FILENO) ? json_print_formatted(json, &text)
				  : json_print(json, &text);
	if (r == 0)
		(void)printf("%s\n", text);
}
