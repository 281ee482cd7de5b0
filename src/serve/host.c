/* SPDX-License-Identifier: MIT */
/* An address is nobody's name, so no page of somebody else's can come from it: those are
 * always fine. Names are fine if they are ours. */
#include "base/cleanup.h"
#include "base/glob.h"
#include "serve/server.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

/* The host without its port and brackets. NULL: no memory. */
static char *host_of(const char *text)
{
	size_t size;

	if (*text == '[') {
		text++;
		size = strcspn(text, "]");
	} else {
		size = strcspn(text, ":");
	}
	if (size > 0 && text[size - 1] == '.') /* as good as without */
		size--;
	return strndup(text, size);
}

static bool is_address(const char *host)
{
	uint8_t address[16];

	return inet_pton(AF_INET, host, address) == 1 ||
	       inet_pton(AF_INET6, host, address) == 1;
}

static bool is_our_name(const char *host)
{
	char name[256] = "";

	if (strcasecmp(host, "localhost") == 0)
		return true;
	return gethostname(name, sizeof(name) - 1) == 0 && name[0] &&
	       strcasecmp(host, name) == 0;
}

bool server_knows_host(const struct config *config, const char *text)
{
	autofree char *host = host_of(text);

	if (!host || !*host)
		return false;
	for (char *c = host; *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c - 'A' + 'a');
	return is_address(host) || is_our_name(host) ||
	       glob_match_any(config->server.hosts.items, config->server.hosts.count,
			      host, false);
}
