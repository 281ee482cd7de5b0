/* SPDX-License-Identifier: MIT */
#include "base/config_table.h"

#include "base/log.h"

#include <assert.h>
#include <string.h>

#define FIELD(section_, key_)                         \
	.section = #section_, .key = #key_,           \
	.offset = offsetof(struct config, section_) + \
		  offsetof(__typeof__(((struct config *)0)->section_), key_)

#define KIB (1ll << 10)
#define MIB (1ll << 20)
#define GIB (1ll << 30)
#define TIB (1ll << 40)

static const char *const log_levels[] = {
	[LOG_LEVEL_ERROR] = "error",  [LOG_LEVEL_WARN] = "warn",
	[LOG_LEVEL_INFO] = "info",    [LOG_LEVEL_DEBUG] = "debug",
	[LOG_LEVEL_DEBUG + 1] = NULL,
};

static const char *const policies[] = {
	[CONFIG_POLICY_TIERED] = "tiered",
	[CONFIG_POLICY_COMPACT] = "compact",
	[CONFIG_POLICY_COMPACT + 1] = NULL,
};

static const char *const write_backs[] = {
	[CONFIG_WRITE_BACK_IN_PLACE] = "in-place",
	[CONFIG_WRITE_BACK_OFF] = "off",
	[CONFIG_WRITE_BACK_OFF + 1] = NULL,
};

static const char *const protects[] = {
	[CONFIG_PROTECT_MANUAL] = "manual",
	[CONFIG_PROTECT_COMMIT] = "commit",
	[CONFIG_PROTECT_COMMIT + 1] = NULL,
};

/* A section's rows stand together: the sample and the dump follow this order. */
const struct config_key config_keys[] = {
	{
		FIELD(archive, directory),
		.type = CONFIG_STRING,
		.fallback = "",
		.help = "The archive's folder, for commands without --archive. A "
			"relative path counts\n"
			"from the folder of this file. Inside an archive this key means "
			"nothing.",
	},
	{
		FIELD(mount, default_mountpoint),
		.type = CONFIG_STRING,
		.fallback = "",
		.help = "Where to mount when the command does not say.",
	},
	{
		FIELD(mount, default_remote),
		.type = CONFIG_STRING,
		.fallback = "",
		.help = "URL of the server to mount from; empty mounts the local "
			"archive.",
	},
	{
		FIELD(cache, max_segments),
		.type = CONFIG_U32,
		.max = CONFIG_CACHE_SEGMENTS_MAX,
		.fallback = "96",
		.help = "Decoded data to keep, in units of 32 MiB. The smaller of this "
			"and max_size wins,\n"
			"and the cache never takes more than [limits] memory leaves.",
	},
	{
		FIELD(cache, max_size),
		.type = CONFIG_SIZE,
		.max = INT64_MAX,
		.fallback = "3GB",
		.help = "The same as a size.",
	},
	{
		FIELD(server, default_port),
		.type = CONFIG_U32,
		.min = 1,
		.max = 65535,
		.fallback = "8080",
		.help = "TCP port of the HTTP server.",
	},
	{
		FIELD(server, hosts),
		.type = CONFIG_PATTERNS,
		.fallback = "",
		.help = "Names that the server answers to, beside addresses, "
			"\"localhost\" and the machine's own\n"
			"name, in small letters: \"archive.example.org\", "
			"\"*.example.org\".",
	},
	{
		FIELD(server, cors_origins),
		.type = CONFIG_ORIGINS,
		.fallback = "",
		.help = "Pages of these origins may read the archive, with a token of "
			"their "
			"own where one is needed:\n"
			"\"https://example.org\", \"http://localhost:3000\".",
	},
	{
		FIELD(server, max_connections),
		.type = CONFIG_U32,
		.min = 1,
		.max = 65535,
		.fallback = "1024",
		.help = "How many connections the server keeps. Each takes 60 KiB of "
			"three eighths of [limits]\n"
			"memory, with TLS 92 KiB of half of it; there are fewer if that "
			"is not enough.",
	},
	{
		FIELD(server, request_timeout),
		.type = CONFIG_U32,
		.min = 1,
		.max = 86400,
		.fallback = "30",
		.help = "Seconds that a client has to send the whole head of a request, "
			"from the end of the\n"
			"one before.",
	},
	{
		FIELD(server, answer_timeout),
		.type = CONFIG_U32,
		.min = 1,
		.max = 86400,
		.fallback = "300",
		.help = "Seconds that the server may take to find an answer, or the next "
			"part of "
			"it.",
	},
	{
		FIELD(server, send_timeout),
		.type = CONFIG_U32,
		.min = 1,
		.max = 86400,
		.fallback = "60",
		.help = "Seconds that a client has to take each 40 KiB of an answer.",
	},
	{
		FIELD(server, session_timeout),
		.type = CONFIG_U32,
		.min = 60,
		.max = 31536000,
		.fallback = "604800",
		.help = "Seconds without a request after which who has logged in must do "
			"so "
			"again.",
	},
	{
		FIELD(server, stop_timeout),
		.type = CONFIG_U32,
		.min = 1,
		.max = 86400,
		.fallback = "30",
		.help = "Seconds that answers under way have to end when the server is "
			"stopped.",
	},
	{
		FIELD(server, request_rate),
		.type = CONFIG_U32,
		.min = 0,
		.max = 1000000,
		.fallback = "0",
		.help = "Requests a second that a machine gets answers to; 0: no limit. "
			"A second's "
			"worth may come at once.",
	},
	{
		FIELD(server, byte_rate),
		.type = CONFIG_SIZE,
		.min = 0,
		.max = INT64_MAX,
		.fallback = "0",
		.help = "Bytes a second of content that a machine is sent; 0: no limit.",
	},
	{
		FIELD(server, failure_rate),
		.type = CONFIG_U32,
		.min = 0,
		.max = 1000000,
		.fallback = "20",
		.help = "Wrong tokens a minute that a machine may try; 0: no limit. "
			"Behind a proxy, "
			"all clients are one\n"
			"machine.",
	},
	{
		FIELD(logging, level),
		.type = CONFIG_CHOICE,
		.choices = log_levels,
		.fallback = "info",
		.help = "How much to say on standard error: \"error\", \"warn\", "
			"\"info\" or \"debug\".",
	},
	{
		FIELD(parity, policy),
		.type = CONFIG_CHOICE,
		.choices = policies,
		.fallback = "tiered",
		.help = "\"tiered\" keeps commits below 10 MB four times over; "
			"\"compact\" codes them like\n"
			"larger ones.",
	},
	{
		FIELD(parity, data),
		.type = CONFIG_U32,
		.min = 1,
		.max = 200,
		.fallback = "30",
		.help = "Data extents of a stripe.",
	},
	{
		FIELD(parity, parity),
		.type = CONFIG_U32,
		.max = 16,
		.fallback = "3",
		.help = "Parity extents of a stripe: how many extents may be lost. 0 is "
			"no protection.",
	},
	{
		FIELD(parity, spread),
		.type = CONFIG_SIZE,
		.max = GIB,
		.multiple = 4096,
		.fallback = "1MiB",
		.help = "Least distance of extents on the medium, a multiple of 4 KiB, "
			"so that one\n"
			"scratch does not hit two. Gaps are holes on image files.",
	},
	{
		FIELD(parity, burst),
		.type = CONFIG_SIZE,
		.max = TIB,
		.fallback = "1GiB",
		.help = "Longest burst, like the loss of a whole stripe, that a large "
			"volume is to survive by\n"
			"parity over stripes that lie so far apart; 0: none.",
	},
	{
		FIELD(parity, burst_from),
		.type = CONFIG_SIZE,
		.min = 1,
		.max = INT64_MAX,
		.fallback = "35GB",
		.help = "A volume gets that parity at the end of the commit after which "
			"so much of it has none.",
	},
	{
		FIELD(parity, burst_data),
		.type = CONFIG_U32,
		.min = 2,
		.max = CONFIG_CODE_DATA_MAX,
		.fallback = "48",
		.help = "How many stripes, at most, share it: it takes one part in so "
			"many.",
	},
	{
		FIELD(compression, level),
		.type = CONFIG_I32,
		.min = -7,
		.max = 22,
		.fallback = "3",
		.help = "zstd level, -7 (fastest) to 22 (smallest).",
	},
	{
		FIELD(compression, frame_size),
		.type = CONFIG_SIZE,
		.min = 16 * KIB,
		.max = 256 * KIB,
		.power_of_two = true,
		.fallback = "256KiB",
		.help = "What is compressed, and so read, at once: a power of two, 16 "
			"KiB to 256 KiB.",
	},
	{
		FIELD(volume, directory),
		.type = CONFIG_STRING,
		.min = 1,
		.fallback = "volumes",
		.help = "Where volume images are, relative to the archive: the first "
			"place.",
	},
	{
		FIELD(volume, more_directories),
		.type = CONFIG_PATHS,
		.fallback = "",
		.help = "Further places with volume images, each on a disk of its own if "
			"the loss of a disk is\n"
			"to be survived. One that is not there is left out.",
	},
	{
		FIELD(volume, copies),
		.type = CONFIG_U32,
		.min = 1,
		.max = CONFIG_COPIES_MAX,
		.fallback = "1",
		.help = "How many volumes everything is written to at the same time, "
			"each in another place.",
	},
	{
		FIELD(volume, min_copies),
		.type = CONFIG_U32,
		.max = CONFIG_COPIES_MAX,
		.fallback = "0",
		.help = "How many copies a commit takes at least; 0 is all of them. "
			"'blockframe health' writes\n"
			"those that are missing.",
	},
	{
		FIELD(volume, max_size),
		.type = CONFIG_SIZE,
		.min = 64 * MIB,
		.max = INT64_MAX,
		.fallback = "1TiB",
		.help = "Size at which the next volume is begun, from 64 MiB, or what a "
			"segment "
			"of 32 MiB takes\n"
			"with its parity, if that is more.",
	},
	{
		FIELD(volume, outer),
		.type = CONFIG_CODE,
		.fallback = "",
		.help = "Outer code over whole volumes, like \"4+2\": commits spread "
			"over 4 volumes, and\n"
			"'blockframe volume protect' adds 2 of parity, so that any 2 may "
			"be lost.",
	},
	{
		FIELD(volume, protect),
		.type = CONFIG_CHOICE,
		.choices = protects,
		.fallback = "manual",
		.help = "When to add that parity: \"manual\", or \"commit\": at the end "
			"of each commit.",
	},
	{
		FIELD(repair, write_back),
		.type = CONFIG_CHOICE,
		.choices = write_backs,
		.fallback = "in-place",
		.help = "Whether damage found while reading is repaired on the medium, "
			"\"in-place\", or\n"
			"\"off\": only in what is read.",
	},
	{
		FIELD(health, check_every),
		.type = CONFIG_U32,
		.min = 1,
		.max = 3650,
		.fallback = "30",
		.help = "Days after which everything stored is to be verified again: "
			"'blockframe status' says\n"
			"what is due, and 'blockframe health --due' does it.",
	},
	{
		FIELD(limits, memory),
		.type = CONFIG_SIZE,
		.min = 64 * MIB,
		.max = 64 * TIB,
		.fallback = "256MiB",
		.help = "Memory for data, from 64 MiB. Less memory means fewer threads "
			"and smaller extents.",
	},
	{
		FIELD(limits, jobs),
		.type = CONFIG_U32,
		.max = 256,
		.fallback = "0",
		.help = "Worker threads; 0 is one for each core.",
	},
	{
		FIELD(commit, exclude),
		.type = CONFIG_PATTERNS,
		.fallback = "",
		.help = "Patterns of what not to commit: \"*.o\" at any depth, "
			"\"/home/me/tmp\" exactly,\n"
			"\"cache/**\" what is in such a folder, \"build/\" folders only.",
	},
	{
		FIELD(commit, one_file_system),
		.type = CONFIG_BOOL,
		.fallback = "false",
		.help = "Whether to stay on the file system of each folder that is "
			"committed.",
	},
	{
		FIELD(tier, state),
		.type = CONFIG_STRING,
		.min = 1,
		.fallback = "/var/lib/blockframe/tier",
		.help = "Where the hot tier keeps its tables of stubs. Nothing else has "
			"what is in them.",
	},
	{
		FIELD(tier, never_recall),
		.type = CONFIG_PATHS,
		.fallback = "",
		.help = "Programs (\"/usr/bin/updatedb\") that get EBUSY instead of a "
			"stub's content: indexers, backups.\n"
			"A script is its interpreter.",
	},
	{
		FIELD(tier, recalls_per_user),
		.type = CONFIG_U32,
		.min = 1,
		.max = 16,
		.fallback = "12",
		.help = "How many stubs come back at the same time for one user, of the "
			"16 for all. More wait.",
	},
};

const size_t config_key_count = sizeof(config_keys) / sizeof(config_keys[0]);

/* Reed-Solomon over GF(2^8) has no more extents; the ranges above keep to it. */
static_assert(200 + 16 <= 255, "data + parity");

const struct config_key *config_key_find(const char *section, const char *key)
{
	for (size_t i = 0; i < config_key_count; i++) {
		const struct config_key *row = &config_keys[i];

		if (strcmp(row->section, section) == 0 && strcmp(row->key, key) == 0)
			return row;
	}
	return NULL;
}

bool config_section_exists(const char *section)
{
	for (size_t i = 0; i < config_key_count; i++) {
		if (strcmp(config_keys[i].section, section) == 0)
			return true;
	}
	return false;
}
