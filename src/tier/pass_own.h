/* SPDX-License-Identifier: MIT */
#pragma once
/* What the files of a pass share; for them only. One thread at a time. */
#include "base/text.h"
#include "tier/pace.h"
#include "tier/pass.h"

struct archive;
struct candidate_table;

struct pass {
	const struct pass_options *options;
	struct pass_result *result;
	struct candidate_table *table; /* owned, like all below */
	struct archive *archive;       /* for reading, while files are chosen */
	int root_fd;                   /* the tier's folder */
	struct pace pace;
	struct text path; /* of the file at hand: pass_name() */
	struct text into; /* the same in the archive */
};

/* Put the candidate's paths into pass->path and pass->into. */
int pass_name(struct pass *pass, const struct candidate *candidate, struct error *err);
/* pass->path without the tier's folder. */
const char *pass_rest(const struct pass *pass);

void pass_count(struct pass *pass, enum policy_skip skip,
		const struct candidate *candidate);
void pass_complain(struct pass *pass, const char *text);
int pass_check(const struct pass *pass, struct error *err);

/* Choose: states become CANDIDATE_COMMIT and CANDIDATE_STUB. */
int pass_choose(struct pass *pass, struct error *err);

/* Commit what is CANDIDATE_COMMIT: it becomes CANDIDATE_STUB. */
int pass_commit(struct pass *pass, struct error *err);
