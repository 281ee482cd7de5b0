/* SPDX-License-Identifier: MIT */
#pragma once
/* The content of a stub in the archive. Any thread. */
#include "base/cleanup.h"

#include <stdint.h>

struct error;
struct hash;
struct open_file;
struct recall_place;
struct tier;

#define OBJECT_CHUNK (1u << 20) /* bytes read and written at once */

/* Told after every chunk; -errno stops. */
struct object_watch {
	int (*chunk)(void *context);
	void *context;
};

/* A file with this content, whatever its name and however old. -ENOENT: the archive has
 * none. The caller frees *file_out before the tier. */
int object_open(struct tier *tier, const struct hash *hash, uint64_t size,
		struct open_file **file_out, struct error *err);

/* -EIO: some of it is in fewer places than [volume] min_copies asks for. */
int object_check_copies(struct tier *tier, const struct hash *hash, uint64_t size,
			struct error *err);

/* Where it begins; unchanged if the catalog does not tell (a file of very many segments has
 * the list of them in the archive, too). */
void object_locate(struct tier *tier, const struct hash *hash, uint64_t size,
		   struct recall_place *place);

/* Fill @buffer at @offset with exactly @size bytes. -EBADMSG: lost; -ENOMEDIUM: on a volume
 * that is not attached. */
int object_read(struct open_file *file, uint64_t offset, uint8_t *buffer, size_t size,
		struct error *err);

/* Read all of it, and compare with @hash. -EBADMSG. */
int object_verify(struct open_file *file, const struct hash *hash,
		  const struct object_watch *watch, struct error *err);

/* The hash of the file @fd of @size bytes. -ESTALE: it is shorter. */
int object_hash_file(int fd, uint64_t size, const struct object_watch *watch,
		     struct hash *hash_out, struct error *err);
