/* client/secret.c - the user's secret, from a pipe straight into its caller's memory. */
#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "client/client_internal.h"

#define SECRET_MS	2000	/* it is in the pipe before the grant is told */

/* base64 (RFC 4648 section 4) and nothing else: it becomes a text of PAM's. */
static bool
is_text(const char *text, size_t len)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";

	for (size_t i = 0; i < len; i++)
		if (text[i] == '\0' || strchr(digits, text[i]) == NULL)
			return false;
	return true;
}

/* To its end: whoever has the other end of the pipe is not waited for. */
static int
read_all(int fd, char *out, size_t max)
{
	const cm_deadline deadline = cm_deadline_in(SECRET_MS);
	struct pollfd p = { .fd = fd, .events = POLLIN };
	size_t len = 0;

	for (;;) {
		const int ready = poll(&p, 1, cm_deadline_left(deadline));
		ssize_t n;

		if (ready == 0)
			return -ETIMEDOUT;
		if (ready < 0 && errno == EINTR)
			continue;
		n = ready < 0 ? -1 : read(fd, out + len, max + 1 - len);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return is_text(out, len) ? (int)len : -EPROTO;
		if ((len += (size_t)n) > max)
			return -EPROTO;
	}
}

int
cardmap_secret(struct cardmap_login *l, char *out, size_t size)
{
	int result = 0;

	if (size < CARDMAP_SECRET_MAX + 1)
		return -EINVAL;
	out[0] = '\0';
	if (l->secret < 0)
		return 0;
	result = read_all(l->secret, out, CARDMAP_SECRET_MAX);
	close(l->secret);
	l->secret = -1;
	if (result < 0)
		explicit_bzero(out, size);
	else
		out[result] = '\0';
	return result;
}
