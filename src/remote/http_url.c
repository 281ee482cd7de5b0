/* SPDX-License-Identifier: MIT */
#include "remote/http_url.h"

#include "base/cleanup.h"
#include "base/error.h"

#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static char *url_part(CURLU *url, CURLUPart part, unsigned flags)
{
	char *text = NULL;

	return curl_url_get(url, part, &text, flags) == CURLUE_OK ? text : NULL;
}

static bool same_part(CURLU *a, CURLU *b, CURLUPart part)
{
	char *one = url_part(a, part, CURLU_DEFAULT_PORT);
	char *other = url_part(b, part, CURLU_DEFAULT_PORT);
	bool same = one && other && strcmp(one, other) == 0;

	curl_free(one);
	curl_free(other);
	return same;
}

bool http_url_same_origin(const char *a, const char *b)
{
	CURLU *one = curl_url();
	CURLU *other = curl_url();
	bool same = one && other && curl_url_set(one, CURLUPART_URL, a, 0) == CURLUE_OK &&
		    curl_url_set(other, CURLUPART_URL, b, 0) == CURLUE_OK &&
		    same_part(one, other, CURLUPART_SCHEME) &&
		    same_part(one, other, CURLUPART_HOST) &&
		    same_part(one, other, CURLUPART_PORT);

	curl_url_cleanup(one);
	curl_url_cleanup(other);
	return same;
}

static bool has_part(CURLU *url, CURLUPart part)
{
	char *text = url_part(url, part, 0);
	bool has = text != NULL;

	curl_free(text);
	return has;
}

static int normalise(CURLU *url, const char *text, char **url_out, struct error *err)
{
	char *whole;
	size_t size;

	if (curl_url_set(url, CURLUPART_URL, text, 0) != CURLUE_OK ||
	    (strncasecmp(text, "http://", 7) != 0 &&
	     strncasecmp(text, "https://", 8) != 0))
		return error_set(err, -EINVAL,
				 "'%s' is no URL of a server: http://HOST[:PORT][/PATH] "
				 "or https://... is",
				 text);
	if (has_part(url, CURLUPART_USER) || has_part(url, CURLUPART_PASSWORD) ||
	    has_part(url, CURLUPART_QUERY) || has_part(url, CURLUPART_FRAGMENT))
		return error_set(err, -EINVAL,
				 "'%s': a server's URL has no user, '?' or '#' (tokens "
				 "come from a file)",
				 text);
	whole = url_part(url, CURLUPART_URL, CURLU_NO_DEFAULT_PORT);
	*url_out = whole ? strdup(whole) : NULL;
	curl_free(whole);
	if (!*url_out)
		return error_set(err, -ENOMEM, "no memory for a URL");
	for (char *c = strstr(*url_out, "://") + 3; *c && *c != '/'; c++)
		*c = (char)tolower((unsigned char)*c);
	size = strlen(*url_out);
	while (size > 0 && (*url_out)[size - 1] == '/')
		(*url_out)[--size] = '\0';
	return 0;
}

int http_url_parse(const char *text, char **url_out, struct error *err)
{
	CURLU *url = curl_url();
	int r = url ? normalise(url, text, url_out, err)
		    : error_set(err, -ENOMEM, "no memory for a URL");

	curl_url_cleanup(url);
	return r;
}
