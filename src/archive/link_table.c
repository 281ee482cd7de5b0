/* SPDX-License-Identifier: MIT */
/* A hash table with chains that doubles when it is full. Names of an inode that lie outside
 * of what is committed never come, so such entries stay to the end: a source that is a part
 * of a farm of hard links costs about 200 bytes an inode.
 */
#include "archive/link_table.h"

#include "archive/attributes.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

enum {
	BUCKETS_MIN = 256,
};

struct link_table {
	struct link **buckets;
	size_t bucket_count; /* a power of two */
	size_t count;
};

int link_table_new(struct link_table **table_out)
{
	struct link_table *table = calloc(1, sizeof(*table));

	if (table)
		table->buckets = calloc(BUCKETS_MIN, sizeof(struct link *));
	if (!table || !table->buckets) {
		free(table);
		return -ENOMEM;
	}
	table->bucket_count = BUCKETS_MIN;
	*table_out = table;
	return 0;
}

void link_unref(struct link *link)
{
	if (!link)
		return;
	assert(link->users > 0);
	if (--link->users > 0)
		return;
	free(link->key.data);
	free(link);
}

void link_table_free(struct link_table *table)
{
	if (!table)
		return;
	for (size_t i = 0; i < table->bucket_count; i++)
		while (table->buckets[i]) {
			struct link *link = table->buckets[i];

			table->buckets[i] = link->next;
			link_unref(link);
		}
	free(table->buckets);
	free(table);
}

static struct link **bucket(const struct link_table *table, uint64_t device,
			    uint64_t inode)
{
	uint64_t mixed = (inode ^ device << 48) * UINT64_C(0x9e3779b97f4a7c15);

	return &table->buckets[mixed >> 32 & (table->bucket_count - 1)];
}

/* More buckets when they are full; without memory for them, longer chains. */
static void grow(struct link_table *table)
{
	struct link_table larger = { .bucket_count = table->bucket_count * 2 };

	if (table->count < table->bucket_count)
		return;
	larger.buckets = calloc(larger.bucket_count, sizeof(struct link *));
	if (!larger.buckets)
		return;
	for (size_t i = 0; i < table->bucket_count; i++)
		while (table->buckets[i]) {
			struct link *link = table->buckets[i];
			struct link **to = bucket(&larger, link->device, link->inode);

			table->buckets[i] = link->next;
			link->next = *to;
			*to = link;
		}
	free(table->buckets);
	table->buckets = larger.buckets;
	table->bucket_count = larger.bucket_count;
}

static int insert(struct link_table *table, const struct stat *stat, const uint8_t *key,
		  size_t key_size, struct link **link_out)
{
	struct link *link = calloc(1, sizeof(*link));
	struct link **to;

	if (!link || bytes_copy(&link->key, key, key_size) < 0) {
		free(link);
		return -ENOMEM;
	}
	link->device = stat->st_dev;
	link->inode = stat->st_ino;
	link->names_left = stat->st_nlink - 1;
	link->users = 1;
	grow(table);
	to = bucket(table, link->device, link->inode);
	link->next = *to;
	*to = link;
	table->count++;
	*link_out = link;
	return 0;
}

int link_table_meet(struct link_table *table, const struct stat *stat, const uint8_t *key,
		    size_t key_size, struct link **link_out, struct link **first_out)
{
	struct link **at = bucket(table, stat->st_dev, stat->st_ino);
	struct link *link;
	int r;

	assert(stat->st_nlink > 1);
	*link_out = NULL;
	while (*at && ((*at)->device != stat->st_dev || (*at)->inode != stat->st_ino))
		at = &(*at)->next;
	link = *at;
	if (!link) {
		r = insert(table, stat, key, key_size, &link);
		if (r < 0 || !first_out)
			return r;
		link->users++;
		*first_out = link;
		return 0;
	}

	*link_out = link;
	if (--link->names_left == 0) {
		*at = link->next; /* the table's use becomes the caller's */
		table->count--;
		return 0;
	}
	link->users++;
	return 0;
}
