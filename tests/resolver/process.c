/* tests/resolver/process.c - a real cardmap-resolver with the sockets that cardmapd would give it, and a store that is served. */
#include "process.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../cache/store_rig.h"
#include "counted.h"

static int
listen_at(const char *path, int type)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	const int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0 && strlen(path) < sizeof(at.sun_path));
	memcpy(at.sun_path, path, strlen(path));
	assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(chmod(path, 0666), 0);
	assert_int_equal(listen(fd, SOMAXCONN), 0);
	return fd;
}

/* The configuration of the rig, with these keys as told, and a store here. */
static void
write_config(const struct process *p, const char *keys)
{
	char command[1024];

	snprintf(command, sizeof(command), "%s conf accounts.path=%s %s --out %s >/dev/null && chmod 644 %s", getenv("CM_RIG"),
	    p->database, keys != NULL ? keys : "", p->config, p->config);
	assert_int_equal(system(command), 0);
}

void
process_prepare(struct process *p, const char *keys)
{
	struct cm_accounts_options o = { .first_uid = 1000, .first_gid = 1000 };
	struct cm_accounts *store = NULL;
	char private[96];
	int pair[2];

	*p = (struct process){ .folder = "/run/rig/res-XXXXXX" };
	assert_non_null(mkdtemp(p->folder));
	assert_int_equal(chmod(p->folder, 0711), 0);
	snprintf(private, sizeof(private), "%s/private", p->folder);
	assert_int_equal(mkdir(private, 0711), 0);
	snprintf(p->control, sizeof(p->control), "%s/private/resolver", p->folder);
	snprintf(p->store, sizeof(p->store), "%s/private/store", p->folder);
	snprintf(p->whois, sizeof(p->whois), "%s/io.cardmap.Resolver", p->folder);
	snprintf(p->database, sizeof(p->database), "%s/accounts.db", p->folder);
	snprintf(p->config, sizeof(p->config), "%s/cardmap.conf", p->folder);
	write_config(p, keys);
	o.path = p->database;
	assert_int_equal(cm_accounts_open(&o, NULL, &store), CM_OK);
	cm_accounts_close(&store);
	p->service = rig_service_start(&o, p->store);
	assert_int_equal(chmod(p->store, 0666), 0);
	p->listeners[0] = listen_at(p->control, SOCK_SEQPACKET);
	p->listeners[1] = listen_at(p->whois, SOCK_STREAM);
	assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
	p->lifeline = pair[1];
	p->lifeline_end = pair[0];
}

static _Noreturn void
become(const struct process *p)
{
	const int fds[] = { p->listeners[0], p->listeners[1], p->lifeline_end };
	int high[CM_COUNT(fds)];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (size_t i = 0; i < CM_COUNT(fds); i++)
		high[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 200);
	for (size_t i = 0; i < CM_COUNT(fds); i++)
		if (dup2(high[i], 3 + (int)i) < 0)
			_exit(126);
	/* by way of another number, as dup2(2) from a descriptor to itself leaves it to be closed */
	if (p->counter > 0 && dup2(fcntl(p->counter, F_DUPFD_CLOEXEC, 200), COUNTED_FD) < 0)
		_exit(126);
	if (p->uid != 0 && (setresgid(p->uid, p->uid, p->uid) != 0 || setresuid(p->uid, p->uid, p->uid) != 0))
		_exit(125);
	execl(CM_RESOLVER, "cardmap-resolver", "--config", p->config, "--run-dir", p->folder, (char *)NULL);
	_exit(127);
}

void
process_start(struct process *p)
{
	p->pid = fork();
	assert_true(p->pid >= 0);
	if (p->pid == 0)
		become(p);
}

int
process_wait(struct process *p)
{
	int status = 0;

	assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
	p->pid = 0;
	return status;
}

void
process_end(struct process *p)
{
	char command[128];

	close(p->lifeline);
	if (p->pid > 0)
		assert_int_equal(process_wait(p), 0);
	close(p->lifeline_end);
	close(p->listeners[0]);
	close(p->listeners[1]);
	rig_service_stop(&p->service);
	snprintf(command, sizeof(command), "rm -rf %s", p->folder);
	assert_int_equal(system(command), 0);
}

void
process_stop_store(struct process *p)
{
	rig_service_stop(&p->service);
}

/* ---- cards */

struct cm_channel *
process_card(const struct process *p)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct cm_channel *c = NULL;

	memcpy(at.sun_path, p->control, strlen(p->control));
	assert_int_equal(connect(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(cm_channel_new(fd, &c), CM_OK);
	return c;
}

struct cm_blob
process_certificate(const char *name)
{
	uint8_t *der = malloc(16384);
	char path[256];
	size_t n;
	FILE *in;

	snprintf(path, sizeof(path), "%s/%s.der", getenv("CM_RIG_PKI"), name);
	in = fopen(path, "r");
	assert_true(in != NULL && der != NULL);
	n = fread(der, 1, 16384, in);
	fclose(in);
	return (struct cm_blob){ der, n };
}

enum cm_err
process_chain(struct cm_channel *c, const char *certificate, struct cm_message *answer)
{
	struct cm_message q = { .kind = CM_MESSAGE_CHAIN, .deadline = 20000, .certificate = process_certificate(certificate) };
	const enum cm_err err = cm_channel_ask(c, &q, NULL, 0, CM_MESSAGE_CHAINED, cm_deadline_in(30000), answer);

	cm_message_clear(&q);
	return err;
}

enum cm_err
process_ask(struct cm_channel *c, enum cm_message_kind kind, enum cm_message_kind answer_kind, struct cm_message *answer)
{
	const struct cm_message q = { .kind = kind, .deadline = 2000 };

	return cm_channel_ask(c, &q, NULL, 0, answer_kind, cm_deadline_in(30000), answer);
}

/* ---- Whois */

struct cm_wire *
process_wire(const struct process *p)
{
	static const struct cm_wire_limits limits = { .message_max = (size_t)4 << 20 };
	struct cm_wire *w = NULL;

	assert_int_equal(cm_wire_connect(p->whois, &limits, cm_deadline_in(30000), &w), CM_OK);
	return w;
}

enum cm_err
process_whois(struct cm_wire *w, const char *method, const char *certificate, const char *user,
    struct cm_varlink_reply *out)
{
	struct cm_varlink_question q = { .method = method, .parameters = json_object(), .deadline = cm_deadline_in(30000) };
	enum cm_err err;

	if (certificate != NULL) {
		struct cm_blob der = process_certificate(certificate);
		struct cm_buf b = { 0 };

		cm_buf_add_base64(&b, der);
		json_object_set_new(q.parameters, "certificate", json_string(cm_buf_str(&b)));
		cm_buf_free(&b);
		cm_blob_free(&der);
	}
	if (user != NULL)
		json_object_set_new(q.parameters, "user", json_string(user));
	err = cm_varlink_ask(w, &q, out);
	json_decref(q.parameters);
	return err;
}

void
rig_do(const char *action, const char *name)
{
	char command[512];

	snprintf(command, sizeof(command), "%s %s %s >/dev/null", getenv("CM_RIG"), action, name);
	assert_int_equal(system(command), 0);
}
