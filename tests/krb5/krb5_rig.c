/* tests/krb5/krb5_rig.c - a card, a KDC and a login between them. */
#include "krb5_rig.h"
#include "tests/rig/rig_pin.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

const char *
rig(const char *name)
{
	const char *value = getenv(name);

	assert_non_null(value);
	return value;
}

const char *
rig_file(char path[RIG_PATH], const char *name)
{
	assert_true(snprintf(path, RIG_PATH, "%s/%s", rig("CM_RIG_PKI"), name) < RIG_PATH);
	return path;
}

static void
open_card(struct login *l, const char *source)
{
	const cm_deadline deadline = cm_deadline_in(10000);
	struct cm_secret *pin = NULL;
	struct cm_buf name = { 0 };
	unsigned tries;

	if (strcmp(source, "reader") == 0)
		cm_buf_add_str(&name, source);
	else
		cm_buf_addf(&name, "file:%s/%s.pem", rig("CM_RIG_PKI"), source);
	assert_int_equal(cm_card_open(cm_buf_str(&name), CM_CARD_LOGIN, deadline, l->trace, &l->card), CM_OK);
	assert_int_equal(cm_card_certificate(l->card, CM_SLOT_AUTHENTICATION, deadline, l->trace, &l->cert), CM_OK);
	assert_int_equal(cm_card_pin_tries(l->card, deadline, l->trace, &tries), CM_OK);
	assert_int_equal(cm_secret_new(cm_blob_str(rig_pin()), &pin), CM_OK);
	assert_int_equal(cm_card_verify_pin(l->card, pin, false, deadline, l->trace, &tries), CM_OK);
	cm_secret_free(&pin);
	cm_buf_free(&name);
}

void
login_begin(struct login *l, const char *source)
{
	*l = (struct login){ .deadline_ms = 10000 };
	assert_int_equal(cm_trace_new(&l->trace), CM_OK);
	cm_trace_begin(l->trace, "ticket");
	open_card(l, source);
	l->account = (struct cm_account){ .name = "alice", .principal = "alice@CARDMAP.TEST",
	    .uid = 10001, .gid = 10000 };
	l->kdcs[0] = rig("CM_RIG_KDC");
	l->anchors[0] = rig_file(l->files[0], "root.crt");
	l->intermediates[0] = rig_file(l->files[1], "inter.crt");
	l->options = (struct cm_pkinit_options){ .kdcs = l->kdcs, .anchors = l->anchors,
	    .intermediates = l->intermediates, .keytab = rig("CM_RIG_KEYTAB") };
}

enum cm_err
login_run(struct login *l)
{
	enum cm_err err = CM_OK;

	if (l->pkinit == NULL)
		err = cm_pkinit_open(&l->options, l->trace, &l->pkinit);
	if (err == CM_OK)
		err = cm_pkinit_get_ticket(l->pkinit, l->card, CM_SLOT_AUTHENTICATION, l->cert,
		    &l->account, cm_deadline_in(l->deadline_ms), l->trace, &l->ticket);
	if (err != CM_OK)
		assert_null(l->ticket);
	return err;
}

void
login_end(struct login *l)
{
	cm_ticket_free(&l->ticket);
	cm_pkinit_close(&l->pkinit);
	cm_card_close(&l->card);
	cm_cert_free(&l->cert);
	cm_trace_free(&l->trace);
}

char *
read_text(const char *path)
{
	FILE *f = fopen(path, "r");
	char *text = calloc(1, 1 << 20);

	assert_non_null(f);
	assert_non_null(text);
	(void)!fread(text, 1, (1 << 20) - 1, f);
	fclose(f);
	return text;
}

void
write_bytes(const char *path, const void *p, size_t len)
{
	const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, p, len), len);
	close(fd);
}

int
run(char *const argv[], char *out, size_t size)
{
	int ends[2], status = 0;
	size_t len = 0;
	ssize_t n;
	pid_t child;

	assert_int_equal(pipe(ends), 0);
	if ((child = fork()) == 0) {
		dup2(ends[1], STDOUT_FILENO);
		dup2(ends[1], STDERR_FILENO);
		close(ends[0]);
		close(ends[1]);
		execvp(argv[0], argv);
		_exit(127);
	}
	close(ends[1]);
	while ((n = read(ends[0], out + len, size - 1 - len)) > 0)
		len += (size_t)n;
	out[len] = '\0';
	close(ends[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

/* The first KDC's configuration, but for what the second has otherwise; anchors and pool add up. */
static void
write_kdc_conf(const char *path, const char *identity, const char *libdefaults)
{
	const char *pki = rig("CM_RIG_PKI");
	struct cm_buf conf = { 0 };
	char first[RIG_PATH], *text;

	snprintf(first, sizeof(first), "%s/kdc/kdc.conf", rig("CM_RIG_DIR"));
	text = read_text(first);
	for (char *line = text, *next; *line != '\0'; line = next) {
		next = line + strcspn(line, "\n");
		if (*next != '\0')
			*next++ = '\0';
		if (strstr(line, "listen") == NULL && strstr(line, "pkinit_identity") == NULL)
			cm_buf_addf(&conf, "%s\n", line);
	}
	free(text);
	cm_buf_addf(&conf, "[libdefaults]\n%s\n"
	    "[kdcdefaults]\n kdc_listen = " SECOND_KDC "\n kdc_tcp_listen = " SECOND_KDC "\n"
	    "[realms]\n %s = {\n  pkinit_identity = FILE:%s/%s.crt,%s/%s.key\n"
	    "  pkinit_anchors = FILE:%s/stranger-root.crt\n  pkinit_pool = FILE:%s/stranger-inter.crt\n }\n",
	    libdefaults, rig("CM_RIG_REALM"), pki, identity, pki, identity, pki, pki);
	write_bytes(path, conf.ptr, conf.len);
	cm_buf_free(&conf);
}

/* Append what comes from fd until it holds text, or ends. */
static void
await_text(int fd, const char *text, char *out, size_t size)
{
	size_t len = 0;
	ssize_t n = 1;

	for (out[0] = '\0'; n > 0 && (text == NULL || strstr(out, text) == NULL); out[len] = '\0') {
		struct pollfd p = { .fd = fd, .events = POLLIN };

		assert_int_equal(poll(&p, 1, 10000), 1);
		assert_true((n = read(fd, out + len, size - 1 - len)) >= 0);
		len += (size_t)n;
	}
	assert_true(text == NULL || n > 0);
}

void
start_kdc(struct kdc *k, const char *identity, const char *libdefaults)
{
	char path[RIG_PATH], said[16384];
	int ends[2];

	snprintf(path, sizeof(path), "%s/second.conf", rig("CM_RIG_DIR"));
	write_kdc_conf(path, identity, libdefaults);
	assert_int_equal(pipe(ends), 0);
	if ((k->pid = fork()) == 0) {
		dup2(ends[1], STDERR_FILENO);
		close(ends[0]);
		close(ends[1]);
		setenv("KRB5_KDC_PROFILE", path, 1);
		execl("/usr/sbin/krb5kdc", "krb5kdc", "-n", "-r", rig("CM_RIG_REALM"), (char *)NULL);
		_exit(127);
	}
	close(ends[1]);
	k->log = ends[0];
	await_text(k->log, "commencing operation", said, sizeof(said));
}

void
stop_kdc(struct kdc *k, char *out, size_t size)
{
	assert_int_equal(kill(k->pid, SIGTERM), 0);
	await_text(k->log, NULL, out, size);
	assert_int_equal(waitpid(k->pid, NULL, 0), k->pid);
	close(k->log);
}

void
kadmin(const char *query)
{
	char *const argv[] = { "/usr/sbin/kadmin.local", "-q", (char *)query, NULL };
	char profile[RIG_PATH], out[4096];

	snprintf(profile, sizeof(profile), "%s/kdc/kdc.conf", rig("CM_RIG_DIR"));
	setenv("KRB5_KDC_PROFILE", profile, 1);
	if (run(argv, out, sizeof(out)) != 0)
		fail_msg("kadmin.local %s: %s", query, out);
	unsetenv("KRB5_KDC_PROFILE");
}
