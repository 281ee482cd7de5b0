/* SPDX-License-Identifier: MIT */
#pragma once
/* The source (archive/source.h) of an archive's own volumes: places from the catalog, bytes
 * from the volume set, another place when one fails. Internally locked: any thread.
 */
#include "archive/source.h"

struct budget;
struct error;
struct volume_set;

/* Bytes of segment tables that are kept: what is asked for, and what will do. */
#define SOURCE_TABLES_MAX (8u << 20)
#define SOURCE_TABLES_LEAST (512u << 10)

/* @volumes and @budget are borrowed. Free with source_free() after every segment that it
 * gave out was released. */
int source_local_new(struct volume_set *volumes, struct budget *budget,
		     struct source **source_out, struct error *err);
