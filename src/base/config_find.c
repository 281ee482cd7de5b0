/* SPDX-License-Identifier: MIT */
/* Which file is in force. The rule is in the header; the reason for its exception: an archive
 * keeps its own policies (parity, volume size), and they must not depend on whether the
 * archive was named by a flag or by the user's own file. So the user's file either is in
 * force as a whole, or only points at the archive whose file is.
 */
#include "base/config_find.h"

#include "base/cleanup.h"
#include "base/text.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/* A set and not empty variable, or NULL. */
static const char *variable(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

/* Join @folder and @name as a new path. */
static int join(const char *folder, const char *name, char **path_out)
{
	autotext struct text path = { 0 };
	int r;

	r = text_appendf(&path, "%s/%s", folder, name);
	if (r < 0)
		return r;
	*path_out = text_take(&path);
	return 0;
}

/* @path if a file is there, else NULL: the caller must be able to look. */
static int if_exists(char **path, struct error *err)
{
	struct stat st;

	if (stat(*path, &st) == 0)
		return 0;
	if (errno != ENOENT && errno != ENOTDIR)
		return error_set_errno(err, -errno, "file '%s'", *path);
	free(take_ptr(*path));
	return 0;
}

static int copy_path(const char *path, char **path_out)
{
	char *copy = strdup(path);

	if (!copy)
		return -ENOMEM;
	*path_out = copy;
	return 0;
}

/* The user's own file, NULL if there is no such place. */
static int user_path(char **path_out)
{
	const char *folder = variable("XDG_CONFIG_HOME");

	/* The specification has relative paths ignored. */
	if (folder && folder[0] == '/')
		return join(folder, "blockframe/config.toml", path_out);
	folder = variable("HOME");
	return folder ? join(folder, ".config/blockframe/config.toml", path_out) : 0;
}

/* The four places in their order. *required_out: the user has named the file, so it must
 * exist; *user_out: it is the user's own and nothing else names an archive. */
static int choose_path(const char *config_flag, const char *archive_flag, char **path_out,
		       bool *user_out, struct error *err)
{
	const char *named = config_flag ? config_flag : variable("BLOCKFRAME_CONFIG");
	const char *archive =
		archive_flag ? archive_flag : variable("BLOCKFRAME_ARCHIVE_DIRECTORY");
	autofree char *path = NULL;
	struct stat st;
	int r = 0;

	*user_out = false;
	if (named) {
		if (stat(named, &st) < 0)
			return error_set_errno(err, -errno, "file '%s'", named);
		return copy_path(named, path_out);
	}
	if (archive) {
		r = join(archive, "config.toml", &path);
		if (r == 0)
			r = if_exists(&path, err);
	}
	if (r == 0 && !path) {
		*user_out = !archive;
		r = user_path(&path);
		if (r == 0 && path)
			r = if_exists(&path, err);
	}
	if (r < 0)
		return r;
	*path_out = take_ptr(path);
	return 0;
}

int config_find(const char *config_flag, const char *archive_flag, char **path_out,
		struct error *err)
{
	char *path = NULL;
	bool user;
	int r;

	r = choose_path(config_flag, archive_flag, &path, &user, err);
	if (r < 0)
		return r;
	*path_out = path;
	return 0;
}

/* A relative [archive] directory of the file @path becomes one from that file's folder. */
static int resolve_directory(struct config *config, const char *path)
{
	const char *slash = strrchr(path, '/');
	autofree char *folder = NULL;
	char *joined = NULL;
	int r;

	if (!*config->archive.directory || config->archive.directory[0] == '/' || !slash)
		return 0;
	folder = strndup(path, (size_t)(slash - path) + (slash == path));
	if (!folder)
		return -ENOMEM;
	r = join(folder, config->archive.directory, &joined);
	if (r < 0)
		return r;
	free(config->archive.directory);
	config->archive.directory = joined;
	return 0;
}

static int set_directory(struct config *config, const char *directory)
{
	char *copy = strdup(directory);

	if (!copy)
		return -ENOMEM;
	free(config->archive.directory);
	config->archive.directory = copy;
	return 0;
}

/* The user's file has named an archive: where that has a file of its own, start over with
 * it. */
static int follow_user_file(struct config *config, struct error *err)
{
	autofree char *directory = strdup(config->archive.directory);
	autoconfig struct config own = { 0 };
	autofree char *path = NULL;
	struct config old = *config;
	int r;

	if (!directory || join(directory, "config.toml", &path) < 0)
		return -ENOMEM;
	r = if_exists(&path, err);
	if (r < 0 || !path)
		return r;

	r = config_defaults(&own);
	if (r == 0)
		r = config_load_file(&own, path, err);
	if (r == 0)
		r = set_directory(&own, directory);
	if (r < 0)
		return r;
	*config = own;
	own = old;
	return 0;
}

static int load_found_file(struct config *config, const char *config_flag,
			   const char *archive_flag, struct error *err)
{
	autofree char *path = NULL;
	bool user;
	int r;

	r = choose_path(config_flag, archive_flag, &path, &user, err);
	if (r < 0 || !path)
		return r;
	r = config_load_file(config, path, err);
	if (r < 0)
		return r;
	r = resolve_directory(config, path);
	if (r < 0)
		return r;
	if (user && *config->archive.directory)
		return follow_user_file(config, err);
	return 0;
}

int config_resolve(struct config *config, const char *config_flag,
		   const char *archive_flag, struct error *err)
{
	autoconfig struct config resolved = { 0 };
	struct config old = *config;
	int r;

	r = config_defaults(&resolved);
	if (r == 0)
		r = load_found_file(&resolved, config_flag, archive_flag, err);
	if (r == 0)
		r = config_apply_environment(&resolved, err);
	if (r == 0 && archive_flag)
		r = set_directory(&resolved, archive_flag);
	if (r == -ENOMEM)
		return error_set(err, r, "no memory for the settings");
	if (r < 0)
		return r;
	*config = resolved;
	resolved = old;
	return 0;
}

int config_resolve_archive(struct config *config, const char *directory,
			   struct error *err)
{
	autotext struct text file = { 0 };

	if (text_appendf(&file, "%s/config.toml", directory) < 0)
		return error_set(err, -ENOMEM, "no memory for the settings");
	return config_resolve(config, text_string(&file), directory, err);
}
