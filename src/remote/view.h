/* SPDX-License-Identifier: MIT */
#pragma once
/* A state of an archive elsewhere: a private catalog, the chain of heads that it is filled
 * along, and which commit is shown. While its server is not believed, and when it was
 * retired because another state was accepted, it gives errors.
 *
 * Internally locked: any thread.
 */
#include "base/cleanup.h"

#include <stdbool.h>
#include <stdint.h>

struct error;
struct head;
struct head_chain;
struct http;
struct source;
struct tree_fill;
struct view;

/* Make a new catalog at @path, in place of one that is there, on top of @head, whose JSON is
 * @json. @http is borrowed. The caller frees *view_out. */
int view_make(struct http *http, const char *path, const struct head *head,
	      const char *json, struct view **view_out, struct error *err);
/* With all that are behind it in a list. */
void view_free(struct view *view);
DEFINE_AUTOPTR(view);

struct head_chain *view_chain(struct view *view);

/* A filler for those who open the catalog at @path, which gets pages from @source. */
int view_open(struct view *view, const char *path, struct source *source,
	      struct tree_fill **fill_out, struct error *err);

/* Show commit @sequence, whose head is in the chain, and be believed. Whether it was not. */
bool view_show(struct view *view, uint64_t sequence);

/* From now on give @why. False if that is nothing new. */
bool view_distrust(struct view *view, const struct error *why);

/* It is over; the view is put in front of the list. */
void view_retire(struct view *view, struct view **list);

/* The commit that is shown. -EIO, -ESTALE. */
int view_current(struct view *view, uint64_t *sequence_out, struct error *err);
