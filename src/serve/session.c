/* SPDX-License-Identifier: MIT */
#include "serve/session.h"

#include "base/hex.h"
#include "base/random.h"

#include <string.h>

void sessions_init(struct sessions *sessions, uint64_t timeout)
{
	*sessions = (struct sessions){ .timeout = timeout };
	mutex_init(&sessions->mutex);
}

void sessions_done(struct sessions *sessions)
{
	mutex_done(&sessions->mutex);
}

/* Somebody else may have looked at the clock after us and taken the lock before us, so @now may
 * be a little before the last use. */
static bool is_alive(const struct sessions *sessions, const struct session *session,
		     uint64_t now)
{
	return session->used > 0 &&
	       (now <= session->used || now - session->used < sessions->timeout);
}

/* Where a new session of @token goes: in the place of its oldest one if it has too many, else
 * of one that is over, else of the oldest of all. */
static struct session *choose_locked(struct sessions *sessions, const struct hash *token,
				     uint64_t now) requires_mutex(sessions->mutex)
{
	struct session *oldest = &sessions->all[0];
	struct session *oldest_own = NULL;
	unsigned own = 0;

	for (unsigned i = 0; i < SESSIONS_MAX; i++) {
		struct session *session = &sessions->all[i];

		if (!is_alive(sessions, session, now))
			session->used = 0;
		if (session->used < oldest->used)
			oldest = session;
		if (session->used == 0 || !hash_equal(&session->token, token))
			continue;
		own++;
		if (!oldest_own || session->used < oldest_own->used)
			oldest_own = session;
	}
	return own >= SESSIONS_PER_TOKEN ? oldest_own : oldest;
}

int sessions_begin(struct sessions *sessions, const struct hash *token, uint64_t now,
		   char name_out[SESSION_NAME_SIZE], struct error *err)
{
	uint8_t random[(SESSION_NAME_SIZE - 1) / 2];
	struct session *session;
	int r;

	r = random_bytes(random, sizeof(random), err);
	if (r < 0)
		return r;
	hex_encode(random, sizeof(random), name_out);
	mutex_scope(&sessions->mutex);
	session = choose_locked(sessions, token, now);
	session->token = *token;
	session->used = now;
	hash_bytes(name_out, strlen(name_out), &session->name);
	return 0;
}

static struct session *find_locked(struct sessions *sessions, const char *name)
	requires_mutex(sessions->mutex)
{
	struct hash hash;

	hash_bytes(name, strlen(name), &hash);
	for (unsigned i = 0; i < SESSIONS_MAX; i++)
		if (sessions->all[i].used > 0 &&
		    hash_equal(&sessions->all[i].name, &hash))
			return &sessions->all[i];
	return NULL;
}

bool sessions_find(struct sessions *sessions, const char *name, uint64_t now,
		   struct hash *token_out)
{
	mutex_scope(&sessions->mutex);
	struct session *session = find_locked(sessions, name);

	if (!session || !is_alive(sessions, session, now))
		return false;
	if (now > session->used)
		session->used = now;
	*token_out = session->token;
	return true;
}

void sessions_end(struct sessions *sessions, const char *name)
{
	mutex_scope(&sessions->mutex);
	struct session *session = find_locked(sessions, name);

	if (session)
		session->used = 0;
}
