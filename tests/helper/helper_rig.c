/* tests/helper/helper_rig.c - cardmap-card as a process, and this test in cardmapd's place. */
#include "helper_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define ANSWER_MS	30000
#define VARIABLES	16

static const char *
conf_path(void)
{
	const char *path = getenv("CM_RIG_CONF");

	assert_non_null(path);
	return path;
}

/* As cardmapd does it: descriptor 3, nothing else, and next to no environment. */
static void
become_helper(int fd, const char *program, uid_t uid, char *const *environment)
{
	char *const arguments[] = { "cardmap-card", "--config", (char *)(uintptr_t)conf_path(), NULL };

	if (dup2(fd, 3) < 0 || syscall(SYS_close_range, 4, ~0U, 0) != 0)
		_exit(126);
	if (uid != geteuid() && (setgroups(0, NULL) != 0 || setresgid(uid, uid, uid) != 0 || setresuid(uid, uid, uid) != 0))
		_exit(125);
	execve(program, arguments, environment);
	_exit(127);
}

static void
start(struct helper *h, const char *program, uid_t uid, const char *const *environment)
{
	static const char *const kept[] = { "ASAN_OPTIONS", "LSAN_OPTIONS", "UBSAN_OPTIONS", "KRB5_CONFIG", "SSSD_KRB5_LOCATOR_DISABLE" };
	char texts[CM_COUNT(kept)][512];
	char *variables[VARIABLES] = { "PATH=/usr/bin:/bin" };
	size_t n = 1;
	int pair[2];

	for (size_t i = 0; i < CM_COUNT(kept); i++)
		if (getenv(kept[i]) != NULL) {
			snprintf(texts[i], sizeof(texts[i]), "%s=%s", kept[i], getenv(kept[i]));
			variables[n++] = texts[i];
		}
	for (; environment != NULL && *environment != NULL && n < VARIABLES - 1; environment++)
		variables[n++] = (char *)(uintptr_t)*environment;
	*h = (struct helper){ 0 };
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	h->pid = fork();
	assert_true(h->pid >= 0);
	if (h->pid == 0)
		become_helper(pair[1], program, uid, variables);
	close(pair[1]);
	assert_int_equal(cm_channel_new(pair[0], &h->channel), CM_OK);
}

void
helper_start(struct helper *h, const char *const *environment)
{
	start(h, CM_CARD_PROGRAM, geteuid(), environment);
}

void
helper_start_as(struct helper *h, uid_t uid)
{
	char command[1024], copy[512];

	snprintf(copy, sizeof(copy), "%s/tmp/cardmap-card", getenv("CM_RIG_DIR"));
	snprintf(command, sizeof(command), "install -m 755 %s %s", CM_CARD_PROGRAM, copy);
	assert_int_equal(system(command), 0);
	start(h, copy, uid, NULL);
}

static int
pipe_with(const char *pin)
{
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(write(ends[1], pin, strlen(pin)), strlen(pin));
	close(ends[1]);
	return ends[0];
}

void
helper_send(struct helper *h, const struct cm_message *m, const char *pin, const char *next)
{
	int fds[2];
	size_t n = 0;

	if (pin != NULL)
		fds[n++] = pipe_with(pin);
	if (next != NULL)
		fds[n++] = pipe_with(next);
	assert_int_equal(cm_channel_send(h->channel, m, fds, n, cm_deadline_in(ANSWER_MS)), CM_OK);
	while (n > 0)
		close(fds[--n]);
}

static void
serve_recognise(struct helper *h)
{
	const struct cm_message m = { .kind = CM_MESSAGE_RECOGNISED, .global_pin = h->known_global,
		.certificate = h->known != NULL ? cm_cert_der(h->known) : (struct cm_blob){ NULL, 0 } };

	assert_int_equal(h->answer.guid.len, 16);
	h->recognised++;
	assert_int_equal(cm_channel_send(h->channel, &m, NULL, 0, cm_deadline_in(ANSWER_MS)), CM_OK);
}

/* CM_ERR_OFFLINE with the kind NONE: it is gone. */
static enum cm_err
receive(struct helper *h)
{
	enum cm_err err;

	cm_message_clear(&h->answer);
	h->answer = (struct cm_message){ 0 };
	err = cm_channel_receive(h->channel, cm_deadline_in(ANSWER_MS), &h->answer, NULL, 0);
	if (err != CM_OK && !cm_channel_is_gone(h->channel))
		fail_msg("the helper does not answer: %s", cm_err_name(err));
	return err;
}

enum cm_err
helper_ask(struct helper *h, const struct cm_message *m, const char *pin, enum cm_message_kind kind)
{
	enum cm_err err;

	helper_send(h, m, pin, NULL);
	while ((err = receive(h)) == CM_OK && h->answer.kind == CM_MESSAGE_RECOGNISE)
		serve_recognise(h);
	if (err != CM_OK)
		return err;
	assert_string_equal(cm_message_kind_name(h->answer.kind), cm_message_kind_name(kind));
	cm_trace_clear_reason(test_trace());
	return cm_message_reported(&h->answer, test_trace());
}

enum cm_err
helper_open(struct helper *h)
{
	struct cm_message m = { .kind = CM_MESSAGE_OPEN, .reader = READER, .insertion = 1, .deadline = 20000 };

	return helper_ask(h, &m, NULL, CM_MESSAGE_OPENED);
}

enum cm_err
helper_verify(struct helper *h, const char *pin)
{
	const struct cm_message m = { .kind = CM_MESSAGE_VERIFY, .deadline = 20000 };

	return helper_ask(h, &m, pin, CM_MESSAGE_VERIFIED);
}

enum cm_err
helper_sign(struct helper *h, const uint8_t nonce[32])
{
	const struct cm_message m = { .kind = CM_MESSAGE_SIGN, .nonce = { nonce, 32 }, .deadline = 20000 };

	return helper_ask(h, &m, NULL, CM_MESSAGE_SIGNED);
}

enum cm_reason
helper_reason(const struct helper *h)
{
	return (enum cm_reason)h->answer.reason;
}

int
helper_wait(struct helper *h, unsigned ms)
{
	const int fd = (int)syscall(SYS_pidfd_open, h->pid, 0);
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int status = 0;

	assert_true(fd >= 0);
	if (poll(&p, 1, (int)ms) != 1)
		fail_msg("cardmap-card has not ended after %u ms", ms);
	close(fd);
	assert_int_equal(waitpid(h->pid, &status, 0), h->pid);
	cm_channel_free(&h->channel);
	cm_message_clear(&h->answer);
	cm_cert_free(&h->known);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void
helper_end(struct helper *h)
{
	cm_channel_free(&h->channel);
	assert_int_equal(helper_wait(h, 10000), 0);
}

void
rig_command(const char *words)
{
	char command[512];

	snprintf(command, sizeof(command), "%s %s", getenv("CM_RIG"), words);
	assert_int_equal(system(command), 0);
}
