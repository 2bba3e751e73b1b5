/* client/answer.c - what a login asks a person for, handed over: a choice, or a PIN through a pipe. */
#include <errno.h>
#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "client/client_internal.h"

#define ANSWER_MS	10000

/* ---- pipes */

static bool
is_pin(const char *pin, size_t len)
{
	return len > 0 && len <= CARDMAP_PIN_MAX && memchr(pin, '\0', len) == NULL && memchr(pin, '\n', len) == NULL;
}

/*
 * A pipe that holds the PIN already, and its reading end.  The reader is here
 * while it is written, so that nothing raises SIGPIPE; no more than PIPE_BUF
 * octets go in whole or not at all, and at once (pipe(7)).  nul: who reads it wants one at its end.
 */
static int
fill_pipe(const char *pin, size_t len, bool nul, int *out)
{
	char end = '\0';
	const struct iovec parts[] = { { (char *)(uintptr_t)pin, len }, { &end, 1 } };
	int ends[2], result = 0;
	ssize_t n;

	*out = -1;
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
		return -errno;
	while ((n = writev(ends[1], parts, nul ? 2 : 1)) < 0 && errno == EINTR)
		;
	if (n != (ssize_t)(len + nul))
		result = n < 0 ? -errno : -EIO;
	close(ends[1]);
	if (result == 0)
		*out = ends[0];
	else
		close(ends[0]);
	return result;
}

/* ---- the call */

static int
judge(const struct cm_varlink_reply *reply, enum cm_err err)
{
	if (err != CM_ERR_REFUSED)
		return err == CM_ERR_USAGE ? -EPROTO : cm_client_errno(err);
	if (strcmp(reply->error, CM_CLIENT_INTERFACE ".NotAllowed") == 0)
		return -EACCES;
	/* NotAsked, NoSuchLogin: what became of it, the connection of Begin tells. */
	return -EAGAIN;
}

/* parameters is given, but for the handle. */
static int
answer(struct cardmap_login *l, json_t *parameters, const int *fds, size_t count)
{
	const struct cm_varlink_question q = {
		.method = CM_CLIENT_INTERFACE ".Answer", .parameters = parameters,
		.descriptors = fds, .descriptor_count = count, .deadline = cm_deadline_in(ANSWER_MS),
	};
	struct cm_varlink_reply reply = { 0 };
	struct cm_wire *wire = NULL;
	int result = -ENOMEM;

	/* The connection of Begin streams states; varlink has one call at a time on each. */
	if (parameters != NULL && json_object_set_new(parameters, "handle", json_string(l->handle)) == 0 &&
	    (result = cm_client_connect(l->path, l->owner, q.deadline, &wire)) == 0)
		result = judge(&reply, cm_varlink_ask(wire, &q, &reply));
	cm_varlink_reply_free(&reply);
	cm_wire_free(&wire);
	json_decref(parameters);
	return result;
}

/* 0: it asks for this now. */
static int
may_answer(const struct cardmap_login *l, enum cardmap_state state)
{
	return !l->over && l->any && l->now.state == state ? 0 : -EINVAL;
}

int
cardmap_choose(struct cardmap_login *l, const char *id)
{
	const int result = may_answer(l, CARDMAP_CHOOSE);

	return result != 0 ? result : answer(l, json_pack("{s:s}", "choice", id), NULL, 0);
}

static int
may_spend(const struct cardmap_login *l, bool may_spend_last)
{
	const int result = may_answer(l, CARDMAP_PIN);

	return result == 0 && l->now.last_try && !may_spend_last ? -EPERM : result;
}

int
cardmap_pin(struct cardmap_login *l, const char *pin, size_t len, bool may_spend_last)
{
	int fd, result = may_spend(l, may_spend_last);

	if (result == 0 && !is_pin(pin, len))
		result = -EINVAL;
	if (result != 0 || (result = fill_pipe(pin, len, false, &fd)) != 0)
		return result;
	result = answer(l, json_pack("{s:b}", "last_try", may_spend_last), &fd, 1);
	close(fd);
	return result;
}

int
cardmap_pin_at_reader(struct cardmap_login *l, bool may_spend_last)
{
	int result = may_spend(l, may_spend_last);

	if (result == 0 && !l->now.pad)
		result = -EINVAL;
	return result != 0 ? result : answer(l, json_pack("{s:b}", "last_try", may_spend_last), NULL, 0);
}

struct given {
	const char *text;
	size_t len;
	bool nul;
};

/* Two, each through a pipe of its own; the first may be left out. */
static int
answer_two(struct cardmap_login *l, struct given first, struct given second, bool may_spend_last)
{
	int fds[2] = { -1, -1 }, result = may_spend(l, may_spend_last);
	size_t n = 0;

	if (result == 0 && ((first.text != NULL && !is_pin(first.text, first.len)) || !is_pin(second.text, second.len)))
		result = -EINVAL;
	if (result == 0 && first.text != NULL)
		result = fill_pipe(first.text, first.len, first.nul, &fds[n++]);
	if (result == 0 && (result = fill_pipe(second.text, second.len, second.nul, &fds[n++])) == 0)
		result = answer(l, json_pack("{s:b}", "last_try", may_spend_last), fds, n);
	for (size_t i = 0; i < CM_COUNT(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	return result;
}

int
cardmap_change_pin(struct cardmap_login *l, const char *old_pin, size_t old_len, const char *new_pin, size_t new_len,
    bool may_spend_last)
{
	const struct given now = { old_pin, old_len, false }, next = { new_pin, new_len, false };

	return old_pin == NULL ? -EINVAL : answer_two(l, now, next, may_spend_last);
}

int
cardmap_pair(struct cardmap_login *l, const char *pin, size_t pin_len, const char *password, size_t password_len,
    bool may_spend_last)
{
	const struct given first = { pin, pin_len, false }, second = { password, password_len, true };

	return password == NULL || (pin == NULL && !cardmap_has_pad(l)) ? -EINVAL : answer_two(l, first, second, may_spend_last);
}
