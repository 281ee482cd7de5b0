/* SPDX-License-Identifier: MIT */
#include "serve/mime.h"

#include <string.h>
#include <strings.h>

static const struct mime unknown = { "application/octet-stream", false };

static const struct {
	const char *extensions; /* each between spaces */
	struct mime mime;
} mimes[] = {
	/* A script is text here: a browser does not run what has that type, whatever page asks
	 * for it. */
	{ " js mjs txt log md rst csv conf cfg ini toml yaml yml c h cc cpp hpp rs go py "
	  "sh pl "
	  "rb "
	  "java ts diff patch tex srt vtt ",
	  { "text/plain; charset=utf-8", false } },
	{ " html htm ", { "text/html; charset=utf-8", true } },
	{ " xhtml ", { "application/xhtml+xml", true } },
	{ " xml xsl ", { "application/xml", true } },
	{ " svg ", { "image/svg+xml", true } },
	{ " css ", { "text/css; charset=utf-8", false } },
	{ " json ", { "application/json", false } },
	{ " pdf ", { "application/pdf", false } },
	{ " jpg jpeg jpe ", { "image/jpeg", false } },
	{ " png ", { "image/png", false } },
	{ " gif ", { "image/gif", false } },
	{ " webp ", { "image/webp", false } },
	{ " avif ", { "image/avif", false } },
	{ " heic ", { "image/heic", false } },
	{ " bmp ", { "image/bmp", false } },
	{ " ico ", { "image/x-icon", false } },
	{ " tif tiff ", { "image/tiff", false } },
	{ " mp3 ", { "audio/mpeg", false } },
	{ " m4a ", { "audio/mp4", false } },
	{ " ogg oga opus ", { "audio/ogg", false } },
	{ " flac ", { "audio/flac", false } },
	{ " wav ", { "audio/wav", false } },
	{ " mp4 m4v ", { "video/mp4", false } },
	{ " webm ", { "video/webm", false } },
	{ " mkv ", { "video/x-matroska", false } },
	{ " mov ", { "video/quicktime", false } },
	{ " avi ", { "video/x-msvideo", false } },
	{ " mpg mpeg ", { "video/mpeg", false } },
	{ " ogv ", { "video/ogg", false } },
	{ " zip ", { "application/zip", false } },
	{ " gz tgz ", { "application/gzip", false } },
	{ " zst ", { "application/zstd", false } },
	{ " xz txz ", { "application/x-xz", false } },
	{ " bz2 tbz2 ", { "application/x-bzip2", false } },
	{ " 7z ", { "application/x-7z-compressed", false } },
	{ " tar ", { "application/x-tar", false } },
	{ " iso img ", { "application/octet-stream", false } },
	{ " epub ", { "application/epub+zip", false } },
	{ " wasm ", { "application/wasm", false } },
	{ " ttf otf ", { "font/sfnt", false } },
	{ " woff ", { "font/woff", false } },
	{ " woff2 ", { "font/woff2", false } },
	{ " docx ",
	  { "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
	    false } },
	{ " xlsx ",
	  { "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
	    false } },
	{ " pptx ",
	  { "application/vnd.openxmlformats-officedocument.presentationml.presentation",
	    false } },
	{ " odt ", { "application/vnd.oasis.opendocument.text", false } },
	{ " ods ", { "application/vnd.oasis.opendocument.spreadsheet", false } },
};

#define EXTENSION_MAX 5u /* characters */

const struct mime *mime_find(const void *name, size_t size)
{
	const char *end = (const char *)name + size;
	const char *dot = memrchr(name, '.', size);
	char word[EXTENSION_MAX + 3]; /* " extension " */
	size_t n;

	if (!dot || (n = (size_t)(end - dot - 1)) < 1 || n > EXTENSION_MAX ||
	    memchr(dot, ' ', n + 1) || memchr(dot, '\0', n + 1))
		return &unknown;
	word[0] = ' ';
	memcpy(word + 1, dot + 1, n);
	word[n + 1] = ' ';
	word[n + 2] = '\0';
	for (size_t i = 0; i < sizeof(mimes) / sizeof(mimes[0]); i++)
		if (strcasestr(mimes[i].extensions, word))
			return &mimes[i].mime;
	return &unknown;
}
