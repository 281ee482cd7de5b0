/* SPDX-License-Identifier: MIT */
#pragma once
/* Opening the archive that a command line means, with the right exit code when that fails,
 * and closing it with a note about what was repaired. Main thread.
 */
#include "base/cleanup.h"
#include "cli/command.h"

struct archive;

enum session_mode { SESSION_READ, SESSION_WRITE, SESSION_WRITE_WAIT, SESSION_REBUILD };

/* CODE_DONE and *archive_out, or the exit code after having said why. */
enum exit_code session_open(const struct invocation *invocation, enum session_mode mode,
			    struct archive **archive_out);

/* Say on stderr how many leaves were repaired while reading, if any. */
void session_note_repairs(const struct invocation *invocation, struct archive *archive);

/* The commit that --at means ("12", or the first digits of its hash), VERSION_CURRENT if
 * the option was not given. CODE_DONE, or an exit code after having said why. */
enum exit_code session_commit_at(const struct invocation *invocation,
				 struct archive *archive, uint64_t *at_out);
