/* tests/card/card_rig.c - the virtual card of the rig, as the tests of card/ use it. */
#include "card_rig.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define READER	"Virtual PCD 00 00"

static struct {		/* of this test program */
	FILE *control;
	FILE *log;
	struct cm_trace *trace;
	unsigned cards;
	char line[1024];
	char dir[256];
} rig;

static const char *
need(const char *name)
{
	const char *v = getenv(name);

	if (v == NULL)
		fail_msg("%s is not set: run this through tests/rig/rig.py", name);
	return v;
}

int
rig_setup(void **state)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	snprintf(to.sun_path, sizeof(to.sun_path), "%s", need("CM_RIG_CARD_CONTROL"));
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	assert_non_null(rig.control = fdopen(fd, "r+"));
	assert_non_null(rig.log = fopen(need("CM_RIG_CARD_LOG"), "r"));
	return cm_trace_new(&rig.trace) == CM_OK ? 0 : -1;
}

int
rig_teardown(void **state)
{
	(void)state;
	fclose(rig.control);
	fclose(rig.log);
	cm_trace_free(&rig.trace);
	return 0;
}

struct cm_trace *
test_trace(void)
{
	return rig.trace;
}

const char *
card_control(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(rig.control, fmt, ap);
	va_end(ap);
	fputc('\n', rig.control);
	fflush(rig.control);
	assert_non_null(fgets(rig.line, sizeof(rig.line), rig.control));
	if (strncmp(rig.line, "ok", 2) != 0)
		fail_msg("vcard: %s", rig.line);
	return rig.line;
}

static size_t
count_of(const char *line, const char *name)
{
	const char *at = strstr(line, name);

	assert_non_null(at);
	return strtoul(at + strlen(name), NULL, 10);
}

struct vcard_counts
card_counts(void)
{
	const char *line = card_control("stats");

	return (struct vcard_counts){ (unsigned)count_of(line, " commands="),
		(unsigned)count_of(line, " operations="), (unsigned)count_of(line, " resets="),
		count_of(line, " in="), count_of(line, " out=") };
}

static void
link_file(const char *name, const char *type, const char *dir)
{
	char from[512], to[512];

	snprintf(from, sizeof(from), "%s/%s.%s", need("CM_RIG_PKI"), name, type);
	snprintf(to, sizeof(to), "%s/9a.%s", dir, type);
	assert_int_equal(symlink(from, to), 0);
}

static void
write_file(const char *dir, const char *name, const char *text)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_non_null(f = fopen(path, "w"));
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

const char *
card_make(const char *cert, const char *key, const char *conf)
{
	snprintf(rig.dir, sizeof(rig.dir), "%s/test.%d.%u", need("CM_RIG_DIR"), (int)getpid(),
	    rig.cards++);
	assert_int_equal(mkdir(rig.dir, 0700), 0);
	if (cert != NULL)
		link_file(cert, "crt", rig.dir);
	if (key != NULL)
		link_file(key, "key", rig.dir);
	write_file(rig.dir, "pin", PIN);
	write_file(rig.dir, "card.conf", conf);
	return rig.dir;
}

static void
fresh(void)
{
	card_control("clear");
	card_control("tries 3");
	card_control("zero");
	card_log_count(NULL);
	cm_trace_clear_reason(rig.trace);
}

void
card_become(const char *dir)
{
	card_control("become %s", dir);
	fresh();
}

static enum cm_err
see_card(void *arg, const struct cm_reader *r)
{
	*(bool *)arg = *(bool *)arg || (r->card_present && r->atr.len > 0);
	return CM_OK;
}

static void
wait_for_card(bool wanted)
{
	const cm_deadline deadline = cm_deadline_in(10000);
	bool present = !wanted;

	while (present != wanted) {
		assert_false(cm_deadline_passed(deadline));
		present = false;
		assert_int_equal(cm_card_readers(deadline, NULL, see_card, &present), CM_OK);
		poll(NULL, 0, 10);
	}
}

/* What pcscd's own look at the reader found last (rig.py's card_is_in() says why clients are not asked). */
static bool
pcscd_saw_it_go(void)
{
	char path[512], line[512];
	bool gone = true;
	FILE *f;

	snprintf(path, sizeof(path), "%s/pcscd.log", need("CM_RIG_DIR"));
	assert_non_null(f = fopen(path, "r"));
	while (fgets(line, sizeof(line), f) != NULL)
		if (strstr(line, READER) != NULL)
			gone = strstr(line, "Card inserted into ") != NULL ? false :
			    strstr(line, "Card Removed From ") != NULL ? true : gone;
	fclose(f);
	return gone;
}

void
card_insert(const char *dir)
{
	const cm_deadline deadline = cm_deadline_in(10000);

	card_control("clear");
	card_control("remove");
	wait_for_card(false);
	while (!pcscd_saw_it_go()) {
		assert_false(cm_deadline_passed(deadline));
		poll(NULL, 0, 10);
	}
	card_control("insert %s", dir);
	wait_for_card(true);
	fresh();
}

unsigned
card_tries(void)
{
	return (unsigned)count_of(card_control("tries"), "ok ");
}

unsigned
card_log_count(const char *text)
{
	char line[1024];
	unsigned n = 0;

	clearerr(rig.log);
	while (fgets(line, sizeof(line), rig.log) != NULL)
		if (text != NULL && strstr(line, text) != NULL)
			n++;
	return n;
}

void
other_connect(struct other *o)
{
	DWORD protocol = 0;

	assert_int_equal(SCardEstablishContext(SCARD_SCOPE_SYSTEM, NULL, NULL, &o->context), 0);
	assert_int_equal(SCardConnect(o->context, READER, SCARD_SHARE_SHARED, SCARD_PROTOCOL_T1,
	    &o->card, &protocol), 0);
	/* SELECT of the PIV application */
	assert_int_equal(other_send(o, "00A4040009A0000003080000100000"), 0x9000);
}

uint16_t
other_send(struct other *o, const char *hex)
{
	uint8_t command[300], answer[300];
	DWORD len = sizeof(answer);
	size_t n = 0;

	for (; hex[2 * n] != '\0'; n++)
		command[n] = (uint8_t)strtoul((char[]){ hex[2 * n], hex[2 * n + 1], '\0' }, NULL, 16);
	assert_int_equal(SCardTransmit(o->card, SCARD_PCI_T1, command, n, NULL, answer, &len), 0);
	assert_true(len >= 2);
	return (uint16_t)(answer[len - 2] << 8 | answer[len - 1]);
}

void
other_disconnect(struct other *o, DWORD disposition)
{
	assert_int_equal(SCardDisconnect(o->card, disposition), 0);
	assert_int_equal(SCardReleaseContext(o->context), 0);
}

struct cm_secret *
secret(const char *text)
{
	struct cm_secret *s = NULL;

	assert_int_equal(cm_secret_new(cm_blob_str(text), &s), CM_OK);
	return s;
}

static enum cm_err
login_with(struct login *l, struct cm_card *card, cm_deadline deadline, struct cm_cert **cert)
{
	struct cm_secret *pin = NULL;
	struct cm_proof *proof = NULL;
	enum cm_err err;

	l->has_guid = cm_card_guid(card).len == sizeof(l->guid);
	if (l->has_guid)
		memcpy(l->guid, cm_card_guid(card).ptr, sizeof(l->guid));
	if ((err = cm_card_pin_tries(card, deadline, rig.trace, &l->tries)) != CM_OK ||
	    (err = cm_card_certificate(card, CM_SLOT_AUTHENTICATION, deadline, rig.trace,
	    cert)) != CM_OK)
		return err;
	pin = secret(l->pin != NULL ? l->pin : PIN);
	if ((err = cm_card_verify_pin(card, pin, l->last_try, deadline, rig.trace,
	    &l->left)) == CM_OK)
		err = cm_card_prove(card, CM_SLOT_AUTHENTICATION, *cert, deadline, rig.trace,
		    &proof);
	l->proven = cm_proof_is_for(proof, *cert);
	cm_proof_free(&proof);
	cm_secret_free(&pin);
	return err;
}

enum cm_err
login(struct login *l)
{
	const cm_deadline deadline = cm_deadline_in(l->deadline_ms != 0 ? l->deadline_ms : 20000);
	struct cm_card *card = NULL;
	struct cm_cert *cert = NULL;
	enum cm_err err;

	l->tries = l->left = CM_TRIES_UNKNOWN;
	cm_trace_clear_reason(rig.trace);
	err = cm_card_open(l->source != NULL ? l->source : "reader", CM_CARD_LOGIN, deadline,
	    rig.trace, &card);
	if (err == CM_OK) {
		err = login_with(l, card, deadline, &cert);
		l->stats = cm_card_stats(card);
	}
	l->reason = cm_trace_reason(rig.trace);
	cm_cert_free(&cert);
	cm_card_close(&card);
	return err;
}

struct cm_cert *
pki_cert(const char *name)
{
	struct cm_cert *cert = NULL;
	char path[512];

	snprintf(path, sizeof(path), "%s/%s.crt", getenv("CM_RIG_PKI"), name);
	assert_int_equal(cm_cert_load(path, NULL, &cert), CM_OK);
	return cert;
}

size_t
object_chunks(const struct cm_cert *cert)
{
	return (4 + 4 + cm_cert_der(cert).len + 3 + 2 + 255) / 256;
}

void
pad_type(const char *digits)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/pad.pin", getenv("CM_RIG_DIR"));
	assert_non_null(f = fopen(path, "w"));
	fputs(digits, f);
	assert_int_equal(fclose(f), 0);
}
