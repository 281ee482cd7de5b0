/* SPDX-License-Identifier: MIT */
#include "cli/commands.h"

#include "base/log.h"

#include <string.h>

static const struct command *const commands[] = {
	&command_init,
	&command_commit,
	&command_ls,
	&command_find,
	&command_log,
	&command_show,
	&command_cat,
	&command_restore,
	&command_mount,
	&command_umount,
	&command_trust_list,
	&command_trust_accept,
	&command_trust_forget,
	&command_serve,
	&command_diff,
	&command_catalog_rebuild,
	&command_catalog_dump,
	&command_volume_list,
	&command_volume_info,
	&command_volume_create,
	&command_volume_add,
	&command_volume_seal,
	&command_volume_retire,
	&command_volume_scan,
	&command_volume_verify,
	&command_volume_evacuate,
	&command_volume_protect,
	&command_volume_rebuild,
	&command_volume_replace,
	&command_health,
	&command_status,
	&command_stats,
	&command_tier_add,
	&command_tier_remove,
	&command_tier_list,
	&command_tier_run,
	&command_tier_cover,
	&command_tier_guard,
	&command_tier_release,
	&command_tier_stub,
	&command_tier_recall,
	&command_tier_scan,
	&command_tier_pin,
	&command_tier_unpin,
	&command_tier_status,
	&command_tier_check,
};

#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))
#define NAME_SIZE_MAX 32u /* bytes, of what is compared with names */

/* The words of @words that spell @name: 0 if they do not. */
static int match_name(const char *name, char **words, int count)
{
	int used = 0;

	while (used < count) {
		size_t size = strcspn(name, " ");

		if (strlen(words[used]) != size || memcmp(words[used], name, size) != 0)
			return 0;
		used++;
		if (name[size] == '\0')
			return used;
		name += size + 1;
	}
	return 0;
}

const struct command *commands_find(char **words, int count, int *used_out)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		*used_out = match_name(commands[i]->name, words, count);
		if (*used_out > 0)
			return commands[i];
	}
	return NULL;
}

/* Levenshtein's distance of two short words. */
static size_t distance(const char *a, const char *b)
{
	size_t row[NAME_SIZE_MAX + 1];
	size_t columns = strlen(b);

	for (size_t j = 0; j <= columns; j++)
		row[j] = j;
	for (size_t i = 0; a[i]; i++) {
		size_t diagonal = row[0];

		row[0] = i + 1;
		for (size_t j = 0; j < columns; j++) {
			size_t best = diagonal + (a[i] != b[j]);

			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j + 1] + 1 < best)
				best = row[j + 1] + 1;
			diagonal = row[j + 1];
			row[j + 1] = best;
		}
	}
	return row[columns];
}

/* The command whose name is nearest to @word, if that looks like a slip of the finger. */
static const char *nearest(const char *word)
{
	const char *best = NULL;
	size_t least = 3;

	if (strlen(word) > NAME_SIZE_MAX)
		return NULL;
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		size_t edits = distance(commands[i]->name, word);

		if (edits < least && edits < strlen(word)) {
			least = edits;
			best = commands[i]->name;
		}
	}
	return best;
}

/* "volume" alone, or "volume lst": say what there is. */
static bool complain_about_group(char **words, int count)
{
	size_t size = strlen(words[0]);
	char names[512] = "";

	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		const char *name = commands[i]->name;
		size_t used = strlen(names);

		if (memcmp(name, words[0], strnlen(name, size)) != 0 || name[size] != ' ')
			continue;
		(void)snprintf(names + used, sizeof(names) - used, "%s'%s'",
			       used ? ", " : "", name);
	}
	if (!names[0])
		return false;
	log_error("there is no command '%s%s%s'; there are: %s", words[0],
		  count > 1 ? " " : "", count > 1 ? words[1] : "", names);
	return true;
}

void commands_complain(char **words, int count)
{
	const char *meant = nearest(words[0]);

	if (words[0][0] == '-')
		log_error("'%s' stands before the command; options come after it",
			  words[0]);
	else if (complain_about_group(words, count))
		return;
	else if (meant)
		log_error("unknown command '%s'; did you mean '%s'?", words[0], meant);
	else
		log_error("unknown command '%s'; 'blockframe --help' lists them",
			  words[0]);
}

void commands_print_overview(FILE *out)
{
	(void)fputs("usage: blockframe COMMAND [OPTIONS] [ARGUMENTS]\n\n"
		    "An archive that verifies every read and repairs what it can.\n\n",
		    out);
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		(void)fprintf(out, "  %-17s %s\n", commands[i]->name,
			      commands[i]->summary);
	(void)fputs("\n'blockframe COMMAND --help' tells more about one, and so does its "
		    "man page.\n",
		    out);
}

void command_print_help(const struct command *command)
{
	command_print_usage(command, stdout);
	(void)printf("\n%s\n", command->summary);
	if (command->details)
		(void)printf("\n%s\n", command->details);
	(void)printf("\nOptions:\n");
	options_print_help(command->options);
}

void commands_print_words(char **words, int count)
{
	int used = 0;
	const struct command *command = commands_find(words, count, &used);

	if (command) {
		options_print_words(command->options);
		return;
	}
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		(void)printf("%s\t%s\n", commands[i]->name, commands[i]->summary);
}
