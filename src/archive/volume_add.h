/* SPDX-License-Identifier: MIT */
#pragma once
/* Attaching a folder on whatever disk to an archive: from then on it is a place, named in
 * config.toml, in which volumes are looked for and begun. The archive is open for writing; it
 * takes the volumes in when it is opened with the new configuration. One thread at a time.
 */
#include <stdbool.h>

struct archive;
struct error;

struct volume_add_report {
	char *place;   /* absolute path of the folder; owned */
	bool is_place; /* it was a place already, and nothing was changed */
	bool same_disk; /* another place is on the same file system: they are lost together */
};

/* @path is the folder, or a volume file in it; @config_file the file that the settings come
 * from, or NULL. Durable on return. Nothing is changed if a
 * file there is a volume of another archive (-EINVAL), a second file of an attached volume
 * (-EEXIST), or one in an older state or with another history than the catalog knows (-ESTALE); if
 * the settings do not come from the archive's own config.toml (-EINVAL); or what reading
 * gave. The text says what to do. */
int volume_add(struct archive *archive, const char *path, const char *config_file,
	       struct volume_add_report *report_out, struct error *err);
void volume_add_report_done(struct volume_add_report *report);
