/* SPDX-License-Identifier: MIT */
#pragma once
/* The settings: every section and key of config.toml as a typed structure.
 *
 * A flag beats the environment, which beats the file, which beats the default; which file
 * is in force is told in base/config_find.h. Environment variables are
 * BLOCKFRAME_<SECTION>_<KEY>.
 *
 * All keys are rows of one table (config_table.h), which is what reads, checks, dumps and
 * documents them. Threads: immutable after loading.
 */
#include "base/config_tier.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONFIG_FILE_MAX (1u << 20)           /* bytes */
#define CONFIG_SEGMENT_SIZE (32u << 20)      /* bytes; the unit of [cache] max_segments */
#define CONFIG_COPIES_MAX 8u                 /* the most of [volume] copies */
#define CONFIG_CACHE_SEGMENTS_MAX (1u << 20) /* the most that may be */

struct text;

enum config_policy { CONFIG_POLICY_TIERED, CONFIG_POLICY_COMPACT };
enum config_write_back { CONFIG_WRITE_BACK_IN_PLACE, CONFIG_WRITE_BACK_OFF };

enum config_protect { CONFIG_PROTECT_MANUAL, CONFIG_PROTECT_COMMIT };

/* "4+2"; data is 0 if there is none. */
struct config_code {
	uint32_t data;   /* k */
	uint32_t parity; /* p */
};

#define CONFIG_CODE_DATA_MAX 64u
#define CONFIG_CODE_PARITY_MAX 16u
#define CONFIG_CODE_TEXT_MAX 24 /* bytes of its text, NUL included */

/* Strings are owned, never NULL after config_defaults(). Sizes are bytes. */
struct config {
	char *file; /* path of the file in force, NULL if none */
	struct {
		char *directory;
	} archive;
	struct {
		char *default_mountpoint;
		char *default_remote;
	} mount;
	struct {
		uint32_t max_segments;
		uint64_t max_size;
	} cache;
	struct {
		uint32_t default_port;
		struct config_strings hosts; /* base/glob.h patterns */
		struct config_strings cors_origins;
		uint32_t max_connections;
		uint32_t request_timeout; /* seconds, as the next four */
		uint32_t answer_timeout;
		uint32_t send_timeout;
		uint32_t session_timeout;
		uint32_t stop_timeout;
		uint32_t request_rate; /* a second; 0: no limit, as the next two */
		uint64_t byte_rate;    /* a second */
		uint32_t failure_rate; /* a minute */
	} server;
	struct {
		uint32_t level; /* enum log_level */
	} logging;
	struct {
		uint32_t policy; /* enum config_policy */
		uint32_t data;   /* extents */
		uint32_t parity; /* extents */
		uint64_t spread;
		uint64_t burst;      /* in one volume, to be survived; 0: none */
		uint64_t burst_from; /* bytes of a volume without that parity */
		uint32_t burst_data; /* members of a group within a volume */
	} parity;
	struct {
		int32_t level;
		uint64_t frame_size;
	} compression;
	struct {
		char *directory; /* the first place; relative to the archive */
		struct config_strings more_directories; /* further places, likewise */
		uint64_t max_size;
		uint32_t copies; /* of everything, each in a place of its own; from 1 */
		uint32_t min_copies; /* that make a commit; 0: all of them */
		struct config_code outer;
		uint32_t protect; /* enum config_protect */
	} volume;
	struct {
		uint32_t write_back; /* enum config_write_back */
	} repair;
	struct {
		uint32_t check_every; /* days */
	} health;
	struct {
		uint64_t memory;
		uint32_t jobs; /* 0: number of cores; see config_jobs() */
	} limits;
	struct {
		struct config_strings exclude; /* base/glob.h patterns */
		bool one_file_system;
	} commit;
	struct {
		char *state;
		struct config_strings never_recall; /* programs */
		uint32_t recalls_per_user;
	} tier;
	struct config_tiers tiers; /* the tables [[tier.folder]] */
};

/* All defaults. -ENOMEM. The caller calls config_done() whatever happened. */
int config_defaults(struct config *config);
void config_done(struct config *config);

/* Owning local: autoconfig struct config c = { 0 }; */
#define autoconfig __attribute__((__cleanup__(config_done)))

/* Read the file or the bytes over @config. Errors name file, line, section and key; then
 * @config is unchanged. -EINVAL, -ENOENT, -EFBIG, -ENOMEM, or what reading gave. */
int config_load_file(struct config *config, const char *path, struct error *err);
int config_parse(struct config *config, const char *file_name, const void *data,
		 size_t size, struct error *err);

/* Read the BLOCKFRAME_<SECTION>_<KEY> variables over @config; lists are colon-separated. */
int config_apply_environment(struct config *config, struct error *err);

/* Append all settings as a config.toml that gives the same ones. -ENOMEM. */
int config_dump(const struct config *config, struct text *text);

/* Append the commented sample: every key with its help and default. -ENOMEM. The file
 * config.toml at the top of the sources is this. */
int config_sample(struct text *text);

/* Bytes for the cache: the smaller of max_segments times 32 MiB and max_size. */
uint64_t config_cache_bytes(const struct config *config);

/* Copies that a commit takes at least: [volume] min_copies, with 0 resolved. */
unsigned config_min_copies(const struct config *config);

/* Write "4+2", or nothing if there is no code; returns @text. */
const char *config_code_format(const struct config_code *code,
			       char text[CONFIG_CODE_TEXT_MAX]);

/* Worker threads: [limits] jobs, with 0 resolved. */
unsigned config_jobs(const struct config *config);
