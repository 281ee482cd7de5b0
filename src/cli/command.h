/* SPDX-License-Identifier: MIT */
#pragma once
/* A command of the program, and what every command is handed when it runs. Commands run on
 * the main thread, one per process.
 */
#include "cli/exit_code.h"
#include "cli/options.h"

#include "base/config.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>

struct archive;

struct invocation {
	const struct command *command;
	const struct options *options;
	const char *archive_flag; /* --archive, or NULL */
	bool json;
	bool quiet;
	bool verbose;
	struct config config; /* flags, environment, file and defaults combined */
};

struct command {
	const char *name;    /* "commit", or "volume list" */
	const char *summary; /* one line */
	const char *usage;   /* what follows the name; may be empty */
	const char *details; /* paragraphs for --help; NULL: none */
	const struct option_spec *options;
	size_t arguments_min;
	size_t arguments_max;   /* SIZE_MAX: any number */
	bool without_json;      /* its output is content: --json is wrong usage */
	enum exit_code trouble; /* when it can't even begin; 0: CODE_FAILED */
	enum exit_code (*run)(struct invocation *invocation);
};

extern const struct command command_cat, command_catalog_dump, command_catalog_rebuild,
	command_commit, command_diff, command_find, command_health, command_init,
	command_log, command_ls, command_mount, command_restore, command_serve,
	command_show, command_stats, command_status, command_tier_add, command_tier_check,
	command_tier_cover, command_tier_guard, command_tier_list, command_tier_pin,
	command_tier_recall, command_tier_release, command_tier_remove, command_tier_run,
	command_tier_scan, command_tier_status, command_tier_stub, command_tier_unpin,
	command_trust_accept, command_trust_forget, command_trust_list, command_umount,
	command_volume_add, command_volume_create, command_volume_info,
	command_volume_list, command_volume_evacuate, command_volume_protect,
	command_volume_rebuild, command_volume_replace, command_volume_retire,
	command_volume_scan, command_volume_seal, command_volume_verify;

/* One line: "usage: blockframe NAME ...". */
void command_print_usage(const struct command *command, FILE *out);

/* Print one line "blockframe: error: ..." and return the exit code for @r. */
enum exit_code fail(int r, const struct error *err);
/* Print "blockframe: error: ..." and the usage line; CODE_USAGE. */
enum exit_code fail_usage(const struct invocation *invocation, const char *fmt, ...)
	__attribute__((__format__(__printf__, 2, 3)));

/* Set by SIGINT and SIGTERM after interrupt_catch(). */
extern atomic_bool interrupted;
/* From now on the first SIGINT, SIGTERM or SIGHUP sets `interrupted`; a second one kills. */
void interrupt_catch(void);
