/* SPDX-License-Identifier: MIT */
#include "mount/options.h"

#include "base/error.h"
#include "base/number.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Words without values. Those of fstab that only matter on a file system that can be written,
 * or to mount(8) and systemd, mean nothing here. "rw" is not among them: who asks for that
 * would find out by their first write. (mount(8) always says it; mount_helper.c.) */
static const char *const for_fuse[] = {
	"allow_other", "allow_root", "suid",   "nosuid",  "dev",
	"nodev",       "exec",       "noexec", "noatime", "nodiratime",
};
static const char *const for_others[] = {
	"ro",       "defaults",      "auto",       "noauto",
	"user",     "nouser",        "users",      "nousers",
	"owner",    "noowner",       "group",      "nogroup",
	"_netdev",  "nofail",        "async",      "sync",
	"dirsync",  "atime",         "diratime",   "relatime",
	"lazytime", "norelatime",    "nolazytime", "strictatime",
	"mand",     "nostrictatime", "nomand",     "iversion",
	"silent",   "loud",          "noiversion", "default_permissions",
};

/* Words whose value is kept as it is. */
static const struct {
	const char *name;
	size_t offset; /* of the char * in struct mount_options */
} strings[] = {
	{ "at", offsetof(struct mount_options, at) },
	{ "cache", offsetof(struct mount_options, cache) },
	{ "jobs", offsetof(struct mount_options, jobs) },
	{ "log", offsetof(struct mount_options, log) },
	{ "token-file", offsetof(struct mount_options, token_file) },
	{ "cacert", offsetof(struct mount_options, ca_file) },
	{ "pin", offsetof(struct mount_options, pin) },
	{ "cache-dir", offsetof(struct mount_options, cache_directory) },
	{ "cache-size", offsetof(struct mount_options, cache_size) },
	{ "timeout", offsetof(struct mount_options, timeout) },
};

static char **string_of(struct mount_options *options, size_t nth)
{
	return (char **)(void *)((char *)options + strings[nth].offset);
}

static bool is_listed(const char *word, const char *const *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(word, list[i]) == 0)
			return true;
	return false;
}

/* Words that are marked as somebody else's, with a value or without. */
static bool is_comment(const char *word)
{
	return strncasecmp(word, "x-", 2) == 0 || strcmp(word, "comment") == 0;
}

static int take_string(const char *value, char **to, struct error *err)
{
	char *copy = strdup(value);

	if (!copy)
		return error_set(err, -ENOMEM, "out of memory");
	free(*to);
	*to = copy;
	return 0;
}

static int take_id(const char *name, const char *value, uint32_t *to, bool *has,
		   struct error *err)
{
	uint64_t id;

	if (number_parse_u64(value, &id) < 0 || id >= UINT32_MAX)
		return error_set(err, -EINVAL,
				 "-o %s=%s: not a number of a user or group", name,
				 value);
	*to = (uint32_t)id;
	*has = true;
	return 0;
}

static int take_umask(const char *value, struct mount_masks *masks, struct error *err)
{
	char *end;
	unsigned long mask = strtoul(value, &end, 8);

	if (!*value || *end || strspn(value, "01234567") != strlen(value) || mask > 0777)
		return error_set(err, -EINVAL, "-o umask=%s: not an octal number to 777",
				 value);
	masks->umask = (mode_t)mask;
	masks->has_umask = true;
	return 0;
}

static int take_value(const char *name, const char *value, struct mount_options *options,
		      struct error *err)
{
	struct mount_masks *masks = &options->masks;

	for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++)
		if (strcmp(name, strings[i].name) == 0)
			return take_string(value, string_of(options, i), err);
	if (strcmp(name, "uid") == 0)
		return take_id(name, value, &masks->uid, &masks->has_uid, err);
	if (strcmp(name, "gid") == 0)
		return take_id(name, value, &masks->gid, &masks->has_gid, err);
	if (strcmp(name, "umask") == 0)
		return take_umask(value, masks, err);
	if (is_comment(name) || strcmp(name, "user") == 0) /* mount(8) says which one */
		return 0;
	return error_set(err, -EINVAL, "unknown mount option '%s'", name);
}

static int take_word(char *word, struct mount_options *options, struct error *err)
{
	char *equals = strchr(word, '=');

	if (equals) {
		*equals = '\0';
		return take_value(word, equals + 1, options, err);
	}
	if (!*word || is_comment(word) ||
	    is_listed(word, for_others, sizeof(for_others) / sizeof(char *)))
		return 0;
	if (strcmp(word, "tofu") == 0 || strcmp(word, "plain-token") == 0) {
		*(word[0] == 't' ? &options->tofu : &options->plain_token) = true;
		return 0;
	}
	if (strcmp(word, "rw") == 0)
		return error_set(err, -EINVAL,
				 "-o rw: an archive is mounted read-only, and changed by "
				 "'blockframe commit'");
	if (!is_listed(word, for_fuse, sizeof(for_fuse) / sizeof(char *)))
		return error_set(err, -EINVAL, "unknown mount option '%s'", word);
	if ((options->fuse.size > 0 && text_append_char(&options->fuse, ',') < 0) ||
	    text_append(&options->fuse, word) < 0)
		return error_set(err, -ENOMEM, "out of memory");
	return 0;
}

/* Cut the first word off *text, without the backslashes. */
static char *next_word(char **text)
{
	char *word = *text;
	char *to = word;
	char *from = word;

	while (*from && *from != ',') {
		if (*from == '\\' && from[1])
			from++;
		*to++ = *from++;
	}
	*text = *from ? from + 1 : NULL;
	*to = '\0';
	return word;
}

int mount_options_parse(const char *text, struct mount_options *options,
			struct error *err)
{
	autofree char *copy = strdup(text);
	char *rest = copy;
	int r = 0;

	if (!copy)
		return error_set(err, -ENOMEM, "out of memory");
	while (r == 0 && rest)
		r = take_word(next_word(&rest), options, err);
	return r;
}

void mount_options_done(struct mount_options *options)
{
	for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++)
		free(*string_of(options, i));
	text_done(&options->fuse);
	*options = (struct mount_options){ 0 };
}
