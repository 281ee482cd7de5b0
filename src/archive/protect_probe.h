/* SPDX-License-Identifier: MIT */
#pragma once
/* Finds what keeps a group from being made, so that the rest of it can be. One thread at a
 * time. */
#include <stdbool.h>
#include <stdint.h>

struct error;
struct group;
struct outer_plan;
struct protect;

/* Read the members of @group, which the plan gave last, stripe by stripe, and exclude from the
 * plan what can't be read. With @known, only stripes that a run of health has found lost are
 * read. *count_out is how many ranges that were; protect->left_out grows by their bytes. */
int protect_probe(struct protect *protect, struct outer_plan *plan,
		  const struct group *group, bool known, unsigned *count_out,
		  struct error *err);
