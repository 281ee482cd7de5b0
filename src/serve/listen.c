/* SPDX-License-Identifier: MIT */
#include "serve/listen.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/number.h"
#include "base/text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define BACKLOG 511
#define FIRST_INHERITED 3 /* sd_listen_fds(3) */

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_un local;
	struct sockaddr_storage storage;
};

static int parse_address(const char *text, uint16_t port, union address *address_out,
			 socklen_t *size_out)
{
	union address address = { 0 };

	if (strcmp(text, "localhost") == 0)
		text = "127.0.0.1";
	if (inet_pton(AF_INET, text, &address.v4.sin_addr) == 1) {
		address.v4.sin_family = AF_INET;
		address.v4.sin_port = htons(port);
		*size_out = sizeof(address.v4);
	} else if (inet_pton(AF_INET6, text, &address.v6.sin6_addr) == 1) {
		address.v6.sin6_family = AF_INET6;
		address.v6.sin6_port = htons(port);
		*size_out = sizeof(address.v6);
	} else {
		return -EINVAL;
	}
	*address_out = address;
	return 0;
}

int listen_open(const char *text, uint16_t port, int *fd_out, struct error *err)
{
	autoclose int fd = -1;
	union address address;
	socklen_t size;
	int one = 1;

	if (parse_address(text, port, &address, &size) < 0)
		return error_set(err, -EINVAL, "'%s' is no IP address", text);
	fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return error_set_errno(err, -errno, "socket");
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (address.any.sa_family == AF_INET6) /* each family is asked for by itself */
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (bind(fd, &address.any, size) < 0 || listen(fd, BACKLOG) < 0)
		return error_set_errno(err, -errno, "listening on '%s', port %u", text,
				       port);
	*fd_out = take_fd(&fd);
	return 0;
}

static int check_inherited(int fd, struct error *err)
{
	int accepts = 0;
	socklen_t size = sizeof(accepts);
	int flags = fcntl(fd, F_GETFL);

	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &size) < 0 || !accepts)
		return error_set(err, -EINVAL,
				 "descriptor %d, from the service manager, does not "
				 "listen",
				 fd);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
	    fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return error_set_errno(err, -errno, "descriptor %d", fd);
	return 0;
}

int listen_inherit(int *fds_out, size_t count_max, struct error *err)
{
	const char *pid = getenv("LISTEN_PID");
	const char *count_text = getenv("LISTEN_FDS");
	uint64_t number;
	uint64_t count;
	int r = 0;

	if (!pid || !count_text || number_parse_u64(pid, &number) < 0 ||
	    number != (uint64_t)getpid() || number_parse_u64(count_text, &count) < 0)
		return 0;
	if (count > count_max)
		return error_set(err, -EINVAL, "more than %zu sockets", count_max);
	for (unsigned i = 0; r == 0 && i < count; i++) {
		fds_out[i] = FIRST_INHERITED + (int)i;
		r = check_inherited(fds_out[i], err);
	}
	return r < 0 ? r : (int)count;
}

static int get_address(int fd, union address *address_out)
{
	socklen_t size = sizeof(*address_out);

	*address_out = (union address){ 0 };
	return getsockname(fd, &address_out->any, &size) < 0 ? -errno : 0;
}

bool listen_is_local(int fd)
{
	union address address;

	if (get_address(fd, &address) < 0)
		return false;
	switch (address.any.sa_family) {
	case AF_UNIX:
		return true;
	case AF_INET:
		return ntohl(address.v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	case AF_INET6:
		return IN6_IS_ADDR_LOOPBACK(&address.v6.sin6_addr);
	default:
		return false;
	}
}

int listen_append_name(int fd, struct text *text)
{
	char name[INET6_ADDRSTRLEN] = "";
	union address address;

	if (get_address(fd, &address) < 0)
		return text_append(text, "?");
	if (address.any.sa_family == AF_UNIX)
		return text_appendf(text, "%.*s", (int)sizeof(address.local.sun_path),
				    address.local.sun_path);
	if (address.any.sa_family == AF_INET) {
		(void)inet_ntop(AF_INET, &address.v4.sin_addr, name, sizeof(name));
		return text_appendf(text, "%s:%u", name, ntohs(address.v4.sin_port));
	}
	(void)inet_ntop(AF_INET6, &address.v6.sin6_addr, name, sizeof(name));
	return text_appendf(text, "[%s]:%u", name, ntohs(address.v6.sin6_port));
}
