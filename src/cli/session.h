/* SPDX-License-Identifier: MIT */
#pragma once
/* Opening the archive that a command line means, with the right exit code when that fails,
 * and closing it with a note about what was repaired. Main thread.
 */
#include "base/cleanup.h"
#include "cli/command.h"

struct archive;

enum session_mode { SESSION_READ, SESSION_WRITE, SESSION_WRITE_WAIT, SESSION_REBUILD };

/* CODE_DONE and the folder of the archive that is meant (borrowed from @invocation), or
 * CODE_NO_ARCHIVE after having said so. */
enum exit_code session_directory(const struct invocation *invocation,
				 const char **directory_out);

/* CODE_DONE and *archive_out, or the exit code after having said why. With --remote, for
 * commands that have it (SESSION_READ), the archive is a server's. */
enum exit_code session_open(const struct invocation *invocation, enum session_mode mode,
			    struct archive **archive_out);

/* When the archive is freed: be done with a server, if there was one. */
void session_end(void);

/* Say that a run was interrupted, and that the next one goes on from there. */
enum exit_code session_interrupted(void);

/* As fail(), for look-ups in the catalog: when that is damaged, say how to get a sound one. */
enum exit_code session_fail_lookup(int r, const struct error *err);

/* As fail(), for reads of content: CODE_LOST if the volumes met data beyond repair. Damage
 * without that is the catalog's, and its way out is told. */
enum exit_code session_fail_read(struct archive *archive, int r, const struct error *err);

/* Say on stderr how many leaves were repaired while reading, if any. */
void session_note_repairs(const struct invocation *invocation, struct archive *archive);

/* The commit that --at means ("12", or the first digits of its hash), VERSION_CURRENT if
 * the option was not given. CODE_DONE, or an exit code after having said why. */
enum exit_code session_commit_at(const struct invocation *invocation,
				 struct archive *archive, uint64_t *at_out);
