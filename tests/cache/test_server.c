/* tests/cache/test_server.c - what a process that is not believed may do to the store, and what it may not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cache/store_server.h"
#include "cache/store_wire_internal.h"
#include "store_rig.h"

/* A connection of the liar's own, and what it sends. */
static int
connect_to(const char *path)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	memcpy(at.sun_path, path, strlen(path));
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

struct liar {
	struct rig *r;
	char path[96];
	struct rig_service *service;
};

static void
begin(struct liar *l, void **state)
{
	*l = (struct liar){ .r = *state };
	snprintf(l->path, sizeof(l->path), "%s/socket", l->r->folder);
	l->service = rig_service_start(&l->r->options, l->path);
}

/* The result that stands in the reply; -1: there is none, and the connection has ended. */
static int
say(struct liar *l, const struct cm_buf *request)
{
	const int fd = connect_to(l->path);
	static uint8_t reply[CM_STORE_WIRE_MAX];
	ssize_t n;

	assert_int_equal(cm_buf_status(request), CM_OK);
	assert_int_equal(send(fd, request->ptr, request->len, MSG_NOSIGNAL), request->len);
	n = recv(fd, reply, sizeof(reply), 0);
	close(fd);
	assert_true(n <= 0 || (n >= 9 && reply[0] == request->ptr[0]));
	return n <= 0 ? -1 : reply[1];
}

static void
end(struct liar *l)
{
	rig_service_stop(&l->service);
}

/* Kinds that are none: also those that one day add an account would be. */
static void
attack_unknown_requests(void **state)
{
	struct liar l;

	begin(&l, state);
	rig_keep_alice(l.r, 4000, NOW);
	for (unsigned kind = 0; kind < 256; kind++) {
		struct cm_buf q = { 0 };

		if (kind > CM_STORE_NONE && kind < CM_STORE_REQUEST_COUNT)
			continue;
		cm_buf_add_byte(&q, (uint8_t)kind);
		cm_put_octets(&q, cm_cert_sha256(l.r->cert));
		cm_put_text(&q, "mallory");
		assert_int_equal(say(&l, &q), -1);
		cm_buf_free(&q);
		if (kind == 0)
			kind = 200;	/* a connection each */
	}
	assert_int_equal(rig_service_verdict(l.service), CM_ERR_SYNTAX);
	end(&l);
	rig_expect(l.r, NOW, CM_OK, CM_REASON_NONE, "");
}

/* Writes down what it was asked. */
static enum cm_err
be_selector(void *arg, const struct cm_selection *q, struct cm_trace *t, struct cm_buf *answer)
{
	struct cm_buf *asked = arg;

	cm_buf_add_hex(asked, q->hashes);
	cm_buf_addf(asked, " %s %d;", q->user != NULL ? q->user : "-", cm_deadline_left(q->deadline) > 0);
	if (q->hashes.ptr[0] == 0xAB)
		return cm_trace_fail(t, CM_REASON_SELECTOR, "it does not know");
	cm_buf_addf(answer, "any octets");
	return q->hashes.ptr[0] == 0xCD ? CM_ERR_ABSENT : CM_OK;
}

static void
question(struct cm_buf *b, size_t octets, const char *user, int64_t ms)
{
	uint8_t hashes[65 * 20];

	memset(hashes, 0x11, sizeof(hashes));
	cm_buf_free(b);
	cm_buf_add_byte(b, CM_STORE_SELECT);
	cm_put_octets(b, (struct cm_blob){ hashes, octets });
	cm_put_text(b, user);
	cm_put_number(b, ms);
}

/* Keys, a user and a time: there is no program in it, and nothing that is none of those. */
static void
attack_selector(void **state)
{
	char longest[257];
	const struct {
		size_t octets;
		const char *user;
		int64_t ms;
	} none[] = {
		{ 0, "", 100 }, { 19, "", 100 }, { 21, "", 100 }, { 65 * 20, "", 100 }, { 20, longest, 100 }, { 20, "", 0 },
		{ 20, "", -1 }, { 20, "", 60001 }, { 20, "", INT64_MAX },
	};
	struct cm_buf asked = { 0 }, q = { 0 };
	const struct cm_store_selector selector = { .run = be_selector, .arg = &asked };
	struct liar l = { .r = *state };

	memset(longest, 'a', sizeof(longest) - 1);
	longest[256] = '\0';
	snprintf(l.path, sizeof(l.path), "%s/socket", l.r->folder);
	l.service = rig_service_start_selecting(&l.r->options, l.path, &selector);
	for (size_t i = 0; i < CM_COUNT(none); i++) {
		question(&q, none[i].octets, none[i].user, none[i].ms);
		assert_int_equal(say(&l, &q), -1);
	}
	question(&q, 20, "bob", 1000);
	cm_put_text(&q, "/bin/sh");
	assert_int_equal(say(&l, &q), -1);
	assert_int_equal(asked.len, 0);
	question(&q, 20, "bob", 1000);
	assert_int_equal(say(&l, &q), CM_OK);
	assert_string_equal(cm_buf_str(&asked), "1111111111111111111111111111111111111111 bob 1;");
	end(&l);

	/* where none is configured, none is asked */
	begin(&l, state);
	assert_int_equal(say(&l, &q), -1);
	end(&l);
	cm_buf_free(&asked);
	cm_buf_free(&q);
}

/* What it wrote, that it is not there, and why it failed come back as they were. */
static void
selector_answers(void **state)
{
	static const struct {
		uint8_t first;
		enum cm_err err;
		enum cm_reason reason;
	} cases[] = { { 1, CM_OK, CM_REASON_NONE }, { 0xCD, CM_ERR_ABSENT, CM_REASON_NONE }, { 0xAB, CM_ERR_SYSTEM, CM_REASON_SELECTOR } };
	struct cm_buf asked = { 0 };
	const struct cm_store_selector selector = { .run = be_selector, .arg = &asked };
	struct liar l = { .r = *state };
	struct cm_accounts_options o = l.r->options;
	struct cm_accounts *s = NULL;

	snprintf(l.path, sizeof(l.path), "%s/socket", l.r->folder);
	l.service = rig_service_start_selecting(&l.r->options, l.path, &selector);
	o.path = l.path;
	assert_int_equal(cm_accounts_open(&o, NULL, &s), CM_OK);
	for (size_t i = 0; i < CM_COUNT(cases); i++) {
		const uint8_t hash[20] = { cases[i].first };
		const struct cm_selection q = { .hashes = { hash, sizeof(hash) }, .deadline = cm_deadline_in(20000) };
		struct cm_buf answer = { 0 };

		cm_trace_clear_reason(l.r->trace);
		assert_int_equal(cm_accounts_select(s, &q, l.r->trace, &answer), cases[i].err);
		assert_int_equal(cm_trace_reason(l.r->trace), cases[i].reason);
		assert_string_equal(cm_buf_str(&answer), cases[i].err == CM_OK ? "any octets" : "");
		cm_buf_free(&answer);
	}
	cm_trace_clear_reason(l.r->trace);
	assert_int_equal(cm_accounts_select(l.r->store, &(struct cm_selection){ .user = NULL }, l.r->trace, &asked), CM_ERR_STATE);
	cm_accounts_close(&s);
	end(&l);
	cm_buf_free(&asked);
}

/* Every way to cut a request short, and one octet too many. */
static void
attack_malformed_requests(void **state)
{
	struct cm_evidence e = rig_evidence(1, CM_STATUS_GOOD, cm_clock_now() - 10);
	struct cm_buf whole = { 0 };
	struct liar l;

	begin(&l, state);
	e.learned = e.confirmed = cm_clock_now() - 5;
	cm_buf_add_byte(&whole, CM_STORE_KEEP_EVIDENCE);
	cm_put_evidence(&whole, &e);
	for (size_t len = 1; len < whole.len; len += 7) {
		struct cm_buf q = { 0 };

		cm_buf_add(&q, whole.ptr, len);
		assert_int_equal(say(&l, &q), -1);
		cm_buf_free(&q);
	}
	assert_int_equal(say(&l, &whole), CM_OK);
	cm_buf_add_byte(&whole, 0);
	assert_int_equal(say(&l, &whole), -1);
	cm_buf_free(&whole);
	end(&l);
}

static int
say_evidence(struct liar *l, const struct cm_evidence *e)
{
	struct cm_buf q = { 0 };
	int result;

	cm_buf_add_byte(&q, CM_STORE_KEEP_EVIDENCE);
	cm_put_evidence(&q, e);
	result = say(l, &q);
	cm_buf_free(&q);
	return result;
}

static enum cm_status
kept_status(struct liar *l, const struct cm_evidence *of)
{
	struct cm_evidence e;
	const enum cm_err err = cm_evidence_find(l->r->store, (struct cm_blob){ of->issuer_key, 32 },
	    (struct cm_blob){ of->serial, of->serial_len }, l->r->trace, &e);

	assert_true(err == CM_OK || err == CM_ERR_ABSENT);
	return err == CM_OK ? e.status : CM_STATUS_UNKNOWN;
}

/* Revoked, and on hold: neither becomes good by what this process says, a later list or not. */
static void
attack_forgiveness(void **state)
{
	struct cm_evidence e = rig_evidence(1, CM_STATUS_REVOKED, cm_clock_now() - 1000), good;
	struct liar l;

	begin(&l, state);
	e.learned = e.confirmed = cm_clock_now() - 1000;
	for (unsigned hold = 0; hold < 2; hold++) {
		e.serial[0] = (uint8_t)(0x20 + hold);
		e.on_hold = hold;
		rig_keep_evidence(l.r, &e, 0, cm_clock_now());
		good = e;
		good.status = CM_STATUS_GOOD;
		good.on_hold = false;
		good.by_list = true;
		good.revoked_at = 0;
		good.this_update = good.learned = good.confirmed = cm_clock_now() - 1;
		/* root may: a later list ends a hold */
		assert_int_equal(cm_evidence_ends_hold(&e, &good), hold);
		assert_int_equal(say_evidence(&l, &good), CM_ERR_REFUSED);
		assert_int_equal(kept_status(&l, &e), CM_STATUS_REVOKED);
	}
	/* the other way it may be told at any time */
	good.serial[0] = 0x30;
	assert_int_equal(say_evidence(&l, &good), CM_OK);
	e.serial[0] = 0x30;
	assert_int_equal(say_evidence(&l, &e), CM_OK);
	assert_int_equal(kept_status(&l, &e), CM_STATUS_REVOKED);
	end(&l);
}

/* Dates that nobody can have seen, and text that would write to a terminal. */
static void
attack_fields(void **state)
{
	const struct cm_evidence sound = { .serial = "\x10", .serial_len = 1, .status = CM_STATUS_GOOD,
		.this_update = cm_clock_now() - 10, .learned = cm_clock_now() - 5, .confirmed = cm_clock_now() - 5,
		.source = "OCSP http://ocsp.test/" };
	struct cm_evidence e = sound;
	struct liar l;

	begin(&l, state);
	e.learned = cm_clock_now() + 10000;
	assert_int_equal(say_evidence(&l, &e), -1);
	e = sound;
	e.confirmed = cm_clock_now() + 10000;
	assert_int_equal(say_evidence(&l, &e), -1);
	e = sound;
	e.source[0] = '\033';
	assert_int_equal(say_evidence(&l, &e), -1);
	e = sound;
	e.status = (enum cm_status)7;
	assert_int_equal(say_evidence(&l, &e), -1);
	e = sound;
	e.on_hold = true;	/* good, and on hold */
	assert_int_equal(say_evidence(&l, &e), -1);
	assert_int_equal(kept_status(&l, &sound), CM_STATUS_UNKNOWN);
	assert_int_equal(say_evidence(&l, &sound), CM_OK);
	end(&l);
}

/* What is no certificate is kept as bytes, parsed by nobody here, and counts for nobody who reads it. */
static enum cm_err
count(void *arg, struct cm_blob issuer, const struct cm_source *s)
{
	(void)issuer;
	(void)s;
	++*(unsigned *)arg;
	return CM_OK;
}

static void
attack_issuer_that_is_none(void **state)
{
	const struct cm_blob junk = cm_blob_str("this is no certificate");
	struct cm_buf q = { 0 };
	struct cm_source s;
	unsigned seen = 0;
	struct liar l;

	begin(&l, state);
	s = rig_source(l.r, CM_SOURCE_OCSP, "http://ocsp.test/");
	s.seen = s.asked = s.answered = cm_clock_now();
	cm_buf_add_byte(&q, CM_STORE_KEEP_SOURCE);
	cm_put_source(&q, &s);
	cm_put_octets(&q, junk);
	assert_int_equal(say(&l, &q), CM_OK);
	assert_int_equal(cm_accounts_each_source(l.r->store, l.r->trace, count, &seen), CM_OK);
	assert_int_equal(seen, 0);
	/* cardmapd, which reads none, tells of it as it is */
	assert_int_equal(cm_accounts_each_source_unread(l.r->store, l.r->trace, count, &seen), CM_OK);
	assert_int_equal(seen, 1);
	assert_false(cm_source_is_of(junk, &s));
	cm_buf_free(&q);
	end(&l);
}

/* What only root's own process may, a remote store does not even ask. */
static enum cm_err
visit_kept(void *arg, const struct cm_kept *k)
{
	(void)arg;
	(void)k;
	return CM_OK;
}

static enum cm_err
visit_pairing(void *arg, const struct cm_pairing *p)
{
	(void)arg;
	(void)p;
	return CM_OK;
}

static void
remote_store_cannot(void **state)
{
	struct cm_accounts_options o;
	struct cm_accounts *remote = NULL;
	struct cm_store_login login;
	struct cm_pairing p;
	struct cm_account a;
	struct liar l;

	begin(&l, state);
	o = l.r->options;
	o.path = l.path;
	a = rig_account(4000);
	login = rig_login(l.r, &a, NOW);
	assert_int_equal(cm_accounts_open(&o, l.r->trace, &remote), CM_OK);
	assert_int_equal(cm_pairing_make(l.r->cert, "alice", true, NOW, &p), CM_OK);
	assert_int_equal(cm_accounts_keep(remote, &login, l.r->trace), CM_ERR_STATE);
	assert_int_equal(cm_pairings_add(remote, &p, false, l.r->trace), CM_ERR_STATE);
	assert_int_equal(cm_pairings_remove(remote, "alice", NULL, l.r->trace), CM_ERR_STATE);
	assert_int_equal(cm_pairings_list(remote, NULL, l.r->trace, visit_pairing, NULL), CM_ERR_STATE);
	assert_int_equal(cm_accounts_list(remote, l.r->trace, visit_kept, NULL), CM_ERR_STATE);
	assert_int_equal(cm_accounts_forget(remote, "alice", l.r->trace), CM_ERR_STATE);
	assert_int_equal(cm_accounts_forget_evidence(remote, p.spki_sha256, cm_blob_str("1"), l.r->trace), CM_ERR_STATE);
	assert_int_equal(cm_accounts_each_source(remote, l.r->trace, count, NULL), CM_ERR_STATE);
	assert_int_equal(cm_accounts_each_evidence(remote, l.r->trace, NULL, NULL), CM_ERR_STATE);
	cm_pairing_clear(&p);
	cm_accounts_close(&remote);
	end(&l);
}

/* More than one datagram holds; asked again only when it has changed; whoever borrowed the former has it still. */
static void
much_is_recalled_once(void **state)
{
	enum { MANY = 3000 };
	struct cm_memory *first = NULL, *second = NULL, *third = NULL;
	struct cm_accounts_options o;
	struct cm_accounts *remote = NULL;
	struct cm_store_login login;
	struct cm_evidence *all;
	struct liar l;

	begin(&l, state);
	all = test_calloc(MANY, sizeof(*all));
	for (unsigned i = 0; i < MANY; i++) {
		all[i] = rig_evidence(1, CM_STATUS_REVOKED, NOW);
		all[i].serial[0] = (uint8_t)(0x10 + i / 256);
		all[i].serial[1] = (uint8_t)i;
	}
	login = (struct cm_store_login){ .evidence = all, .evidence_count = MANY, .now = NOW };
	rig_keep(l.r, &login);
	o = l.r->options;
	o.path = l.path;
	assert_int_equal(cm_accounts_open(&o, l.r->trace, &remote), CM_OK);
	assert_int_equal(cm_accounts_recall(remote, NOW, l.r->trace, &first), CM_OK);
	assert_int_equal(first->known.count, MANY);
	assert_int_equal(cm_accounts_recall(remote, NOW, l.r->trace, &second), CM_OK);
	assert_ptr_equal(second->known.evidence, first->known.evidence);
	all[0].serial[0] = 0x7f;
	login.evidence_count = 1;
	rig_keep(l.r, &login);
	assert_int_equal(cm_accounts_recall(remote, NOW, l.r->trace, &third), CM_OK);
	assert_int_equal(third->known.count, MANY + 1);
	assert_int_equal(first->known.count, MANY);
	assert_int_equal(first->known.evidence[MANY - 1].serial_len, 2);
	cm_memory_free(&first);
	cm_memory_free(&second);
	cm_memory_free(&third);
	cm_accounts_close(&remote);
	test_free(all);
	end(&l);
}

/* As a login uses its keeper; each answer the one that a keeper of the file gives. */
static void
learned_and_found(void **state)
{
	struct cm_memory *m = NULL;
	struct cm_accounts_options o;
	struct cm_accounts *remote = NULL;
	struct cm_evidence e = rig_evidence(1, CM_STATUS_GOOD, cm_clock_now() - 10), found;
	struct cm_source s;
	struct liar l;

	begin(&l, state);
	o = l.r->options;
	o.path = l.path;
	e.confirmed = e.learned;
	snprintf(e.signer, sizeof(e.signer), "CN=Responder");
	s = rig_source(l.r, CM_SOURCE_CRL, "http://crl.test/");
	s.seen = s.asked = cm_clock_now();
	found = e;
	assert_int_equal(cm_accounts_open(&o, l.r->trace, &remote), CM_OK);
	assert_int_equal(cm_accounts_recall(remote, NOW, l.r->trace, &m), CM_OK);
	assert_int_equal(m->keeper.find(m->keeper.arg, &found), CM_ERR_ABSENT);
	assert_int_equal(m->keeper.keep(m->keeper.arg, &e), CM_OK);
	found = (struct cm_evidence){ .serial_len = e.serial_len };
	memcpy(found.issuer_key, e.issuer_key, sizeof(found.issuer_key));
	memcpy(found.serial, e.serial, sizeof(found.serial));
	assert_int_equal(m->keeper.find(m->keeper.arg, &found), CM_OK);
	assert_memory_equal(&found, &e, sizeof(e));
	assert_int_equal(m->keeper.keep_source(m->keeper.arg, &s, cm_cert_der(l.r->other)), CM_OK);
	cm_memory_free(&m);
	assert_int_equal(cm_accounts_recall(remote, NOW, l.r->trace, &m), CM_OK);
	assert_int_equal(m->known.count, 0);
	assert_int_equal(cm_accounts_recall_about(remote, &e, 1, l.r->trace, m), CM_OK);
	assert_int_equal(m->known.count, 1);
	assert_memory_equal(&m->known.evidence[0], &e, sizeof(e));
	assert_int_equal(m->known.source_count, 1);
	assert_memory_equal(&m->known.sources[0], &s, sizeof(s));
	/* revoked is there for good, and said so where it is refused */
	e.status = CM_STATUS_REVOKED;
	assert_int_equal(m->keeper.keep(m->keeper.arg, &e), CM_OK);
	e.status = CM_STATUS_GOOD;
	assert_int_equal(m->keeper.keep(m->keeper.arg, &e), CM_ERR_REFUSED);
	assert_non_null(strstr(m->keeper.why(m->keeper.arg), "only root"));
	cm_memory_free(&m);
	cm_accounts_close(&remote);
	end(&l);
}

/* Whois may believe for a moment that nothing is paired here; who was not allowed to asks each time. */
static void
no_pairing_is_believed_for_a_moment(void **state)
{
	struct cm_accounts_options o;
	struct cm_accounts *asks = NULL, *believes = NULL;
	struct cm_pairing p, found;
	struct liar l;

	begin(&l, state);
	o = l.r->options;
	o.path = l.path;
	assert_int_equal(cm_accounts_open(&o, l.r->trace, &asks), CM_OK);
	o.unpaired_ms = 600000;
	assert_int_equal(cm_accounts_open(&o, l.r->trace, &believes), CM_OK);
	assert_int_equal(cm_pairings_find(believes, l.r->cert, l.r->trace, &found), CM_ERR_ABSENT);
	assert_int_equal(cm_pairing_make(l.r->cert, "alice", true, NOW, &p), CM_OK);
	assert_int_equal(cm_pairings_add(l.r->store, &p, false, l.r->trace), CM_OK);
	assert_int_equal(cm_pairings_find(believes, l.r->cert, l.r->trace, &found), CM_ERR_ABSENT);
	assert_int_equal(cm_pairings_find(asks, l.r->cert, l.r->trace, &found), CM_OK);
	cm_pairing_clear(&found);
	cm_accounts_close(&believes);
	/* once there is one each card is asked about */
	assert_int_equal(cm_accounts_open(&o, l.r->trace, &believes), CM_OK);
	assert_int_equal(cm_pairings_find(believes, l.r->other, l.r->trace, &found), CM_ERR_ABSENT);
	assert_int_equal(cm_pairings_find(believes, l.r->cert, l.r->trace, &found), CM_OK);
	assert_string_equal(found.user, "alice");
	cm_pairing_clear(&found);
	cm_pairing_clear(&p);
	cm_accounts_close(&believes);
	cm_accounts_close(&asks);
	end(&l);
}

/* The other process ends and another takes its place: what was known is asked again, and nobody notices. */
static void
served_by_another(void **state)
{
	struct cm_memory *m = NULL;
	struct cm_accounts_options o;
	struct cm_accounts *remote = NULL;
	struct liar l;

	begin(&l, state);
	o = l.r->options;
	o.path = l.path;
	assert_int_equal(cm_accounts_open(&o, l.r->trace, &remote), CM_OK);
	assert_int_equal(cm_accounts_recall(remote, NOW, l.r->trace, &m), CM_OK);
	assert_int_equal(m->known.count, 0);
	cm_memory_free(&m);
	end(&l);
	cm_trace_clear_reason(l.r->trace);
	assert_int_equal(cm_accounts_recall(remote, NOW, l.r->trace, &m), CM_ERR_SYSTEM);
	assert_int_equal(cm_trace_reason(l.r->trace), CM_REASON_STORE);
	{
		const struct cm_evidence e = rig_evidence(1, CM_STATUS_REVOKED, NOW);

		rig_keep_evidence(l.r, &e, 0, NOW);
	}
	l.service = rig_service_start(&l.r->options, l.path);
	assert_int_equal(cm_accounts_recall(remote, NOW, l.r->trace, &m), CM_OK);
	assert_int_equal(m->known.count, 1);
	cm_memory_free(&m);
	cm_accounts_close(&remote);
	end(&l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, rig_open, rig_close)
		T(attack_selector),
		T(selector_answers),
		T(attack_unknown_requests),
		T(attack_malformed_requests),
		T(attack_forgiveness),
		T(attack_fields),
		T(attack_issuer_that_is_none),
		T(remote_store_cannot),
		T(much_is_recalled_once),
		T(learned_and_found),
		T(no_pairing_is_believed_for_a_moment),
		T(served_by_another),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
