/* tests/trust/test_ask.c - trust/ask.c: who is asked, how often, and who is waited for.  Requests are counted, not seconds. */
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/trust/web.h"
#include "trust/inquiry_internal.h"

#define HOUR	3600
#define CARD	"no-aia-cdp"

static const char *const anchor[] = { PKI("inter.crt"), NULL };

/* What is kept, for several logins at once. */
struct memory {
	pthread_mutex_t lock;
	struct cm_evidence evidence[16];
	struct cm_source sources[16];
	size_t evidence_count, source_count;
	struct cm_keeper keeper;
};

static enum cm_err
find(void *arg, struct cm_evidence *e)
{
	struct memory *m = arg;
	enum cm_err err = CM_ERR_ABSENT;

	pthread_mutex_lock(&m->lock);
	for (size_t i = 0; err != CM_OK && i < m->evidence_count; i++)
		if (cm_evidence_is_about(&m->evidence[i], e)) {
			*e = m->evidence[i];
			err = CM_OK;
		}
	pthread_mutex_unlock(&m->lock);
	return err;
}

static enum cm_err
keep(void *arg, const struct cm_evidence *e)
{
	struct memory *m = arg;
	size_t i = 0;

	pthread_mutex_lock(&m->lock);
	while (i < m->evidence_count && !cm_evidence_is_about(&m->evidence[i], e))
		i++;
	assert_true(i < CM_COUNT(m->evidence));
	m->evidence[i] = *e;
	m->evidence_count += i == m->evidence_count;
	pthread_mutex_unlock(&m->lock);
	return CM_OK;
}

static enum cm_err
keep_source(void *arg, const struct cm_source *s, struct cm_blob issuer)
{
	struct memory *m = arg;
	size_t i = 0;

	assert_true(issuer.len > 0);
	pthread_mutex_lock(&m->lock);
	while (i < m->source_count && (m->sources[i].kind != s->kind || strcmp(m->sources[i].url, s->url) != 0 ||
	    memcmp(m->sources[i].issuer_key, s->issuer_key, sizeof(s->issuer_key)) != 0))
		i++;
	assert_true(i < CM_COUNT(m->sources));
	m->sources[i] = *s;
	m->source_count += i == m->source_count;
	pthread_mutex_unlock(&m->lock);
	return CM_OK;
}

/* As it is kept now; all 0: it is not. */
static struct cm_source
source(struct memory *m, const char *url)
{
	struct cm_source s = { 0 };

	pthread_mutex_lock(&m->lock);
	for (size_t i = 0; i < m->source_count; i++)
		if (strcmp(m->sources[i].url, url) == 0)
			s = m->sources[i];
	pthread_mutex_unlock(&m->lock);
	return s;
}

/* One login. */
struct login {
	const char *card;
	struct cm_trust_options o;
	struct cm_known known;
	unsigned ms;
	struct memory *memory;		/* NULL: nothing is kept */
	/* out */
	struct cm_cert *cert;
	struct cm_trust *trust;
	struct cm_verdict *verdict;
	struct cm_inquiry *inquiry;
	struct cm_trace *trace;
	struct cm_evidence evidence[16];
	struct cm_source sources[16];
	enum cm_err err;
	char said[8192];		/* the trace, and the message */
};

static void
begin(struct login *l)
{
	const struct cm_trust_policy policy = { l->o.level, l->o.max_age };

	l->cert = load_cert(l->card != NULL ? l->card : CARD);
	l->o.ocsp_max = l->o.crl_max = 1 << 20;
	l->o.anchors = l->o.anchors != NULL ? l->o.anchors : anchor;
	if (l->known.now == 0)
		l->known.now = time(NULL);
	if (l->memory != NULL) {
		pthread_mutex_lock(&l->memory->lock);
		memcpy(l->evidence, l->memory->evidence, sizeof(l->evidence));
		memcpy(l->sources, l->memory->sources, sizeof(l->sources));
		l->known.count = l->memory->evidence_count;
		l->known.source_count = l->memory->source_count;
		pthread_mutex_unlock(&l->memory->lock);
		l->known.evidence = l->evidence;
		l->known.sources = l->sources;
		l->known.keeper = &l->memory->keeper;
	}
	assert_int_equal(cm_trace_new(&l->trace), CM_OK);
	cm_trace_begin(l->trace, "revocation");
	assert_int_equal(cm_trust_open(&l->o, l->trace, &l->trust), CM_OK);
	assert_int_equal(cm_trust_check_chain(l->trust, l->cert, &l->known, l->trace, &l->verdict), CM_OK);
	assert_int_equal(cm_trust_ask_revocation(l->trust, l->verdict, &l->known, &policy,
	    cm_deadline_in(l->ms != 0 ? l->ms : 10000), &l->inquiry), CM_OK);
}

static void
judge_it(struct login *l)
{
	const struct cm_trust_policy policy = { l->o.level, l->o.max_age };
	const struct cm_trace_stage *s;
	size_t len = 0;

	l->err = cm_trust_judge_revocation(l->inquiry, &policy, l->trace);
	assert_int_equal(cm_verdict_passes(l->verdict, l->cert), l->err == CM_OK);
	s = cm_trace_stage(l->trace, 0);
	for (size_t i = 0; i < s->count; i++)
		len += (size_t)snprintf(l->said + len, sizeof(l->said) - len, "%s: %s\n", s->items[i].key, s->items[i].text);
	snprintf(l->said + len, sizeof(l->said) - len, "%s", cm_trace_message(l->trace));
}

static void
end(struct login *l)
{
	cm_inquiry_end(&l->inquiry);
	assert_null(l->inquiry);
	cm_verdict_free(&l->verdict);
	cm_trust_close(&l->trust);
	cm_trace_free(&l->trace);
	cm_cert_free(&l->cert);
}

static void
run(struct login *l)
{
	begin(l);
	judge_it(l);
	end(l);
}

static struct memory *
new_memory(void)
{
	static struct memory m;

	m = (struct memory){ .keeper = { .arg = &m, .find = find, .keep = keep, .keep_source = keep_source } };
	pthread_mutex_init(&m.lock, NULL);
	return &m;
}

static const struct answer good = { .to = HOUR };
static const struct answer bad = { .status = V_OCSP_CERTSTATUS_REVOKED, .reason = OCSP_REVOKED_STATUS_KEYCOMPROMISE,
    .to = HOUR };

/* A list of the card's issuer; to be freed with OPENSSL_free(). */
static void
serve_list(struct web *w, int reason)
{
	const struct crl_recipe recipe = { .issuer = "inter", .names = CARD, .reason = reason, .from = -60, .to = DAY };
	int len;

	w->mode = WEB_BYTES;
	w->bytes = make_crl(&recipe, &len);
	w->len = (size_t)len;
	web_start(w);
}

static void
stop_list(struct web *w)
{
	web_stop(w);
	OPENSSL_free((void *)(uintptr_t)w->bytes);
}

/* ---- */

static void
what_is_kept_is_not_asked_for(void **state)
{
	struct web w = { .mode = WEB_OCSP, .answer = good };
	const char *urls[] = { w.url, NULL };
	struct memory *m = new_memory();
	const struct cm_trust_options o = { .level = CM_TRUST_HARD, .ocsp_urls = urls, .use_ocsp = true };

	(void)state;
	web_start(&w);
	for (int n = 0; n < 3; n++) {
		struct login l = { .o = o, .memory = m };

		begin(&l);
		assert_int_equal(l.inquiry->runs, n == 0);
		judge_it(&l);
		assert_int_equal(l.err, CM_OK);
		assert_has(l.said, "status: good: the certificate of CN=Alice Example");
		assert_has(l.said, ": good until ");
		end(&l);
		assert_int_equal(atomic_load(&w.asked), 1);
	}
	for (int n = 0; n < 2; n++) {
		struct login l = { .o = o, .memory = m };

		l.o.ask_always = true;
		run(&l);
		assert_int_equal(l.err, CM_OK);
		assert_int_equal(atomic_load(&w.asked), 2 + n);
	}
	/* Offline nobody is, whatever is missing. */
	{
		struct login l = { .o = o, .known = { .offline = true } };

		run(&l);
		assert_int_equal(l.err, CM_ERR_REFUSED);
		assert_has(l.said, "offline: nobody is asked");
		assert_int_equal(atomic_load(&w.asked), 2 + 1);
	}
	assert_int_equal(source(m, w.url).failures, 0);
	assert_true(source(m, w.url).answered != 0);
	web_stop(&w);
}

/* The server answers nobody before it has seen all four questions. */
static void
all_certificates_at_once(void **state)
{
	static const char *const root[] = { PKI("root.crt"), NULL }, *const deep[] = { PKI("deep-chain.pem"), NULL };
	struct web w = { .mode = WEB_OCSP, .answer = good, .gather = 4 };
	const char *urls[] = { w.url, NULL };
	struct login l = { .card = "deep", .o = { .level = CM_TRUST_HARD, .anchors = root, .intermediates = deep,
	    .ocsp_urls = urls, .use_ocsp = true } };

	(void)state;
	web_start(&w);
	run(&l);
	assert_int_equal(atomic_load(&w.asked), 4);
	assert_has(l.said, "[unauthorised]");	/* it is no responder of theirs: but it answered */
	assert_null(strstr(l.said, "no_answer"));
	web_stop(&w);
}

/* Silent once: asked; then skipped, probed beside, and alive again. */
static void
silent_sources(void **state)
{
	struct web w = { .mode = WEB_CLOSE, .answer = good };
	const char *urls[] = { w.url, NULL };
	struct memory *m = new_memory();
	const time_t now = time(NULL);
	const struct cm_trust_options o = { .level = CM_TRUST_SOFT, .ocsp_urls = urls, .use_ocsp = true };
	struct login l = { .o = o, .memory = m, .known = { .now = now } };

	(void)state;
	web_start(&w);
	run(&l);
	assert_int_equal(l.err, CM_OK);
	assert_int_equal(atomic_load(&w.asked), 1);
	assert_int_equal(source(m, w.url).failures, 1);
	assert_int_equal(source(m, w.url).probe_at, now + 5);

	l = (struct login){ .o = o, .memory = m, .known = { .now = now + 1 } };
	run(&l);
	assert_has(l.said, "[known_silent]");
	assert_has(l.said, "cardmap revocation refresh");
	assert_int_equal(atomic_load(&w.asked), 1);

	/* Nobody waits long for the probe: it is answered only after the login was judged. */
	w.mode = WEB_OCSP;
	w.gather = 3;
	l = (struct login){ .o = o, .memory = m, .known = { .now = now + 6 }, .ms = 6000 };
	l.o.level = CM_TRUST_HARD;
	begin(&l);
	judge_it(&l);
	assert_int_equal(l.err, CM_ERR_REFUSED);
	assert_has(l.said, "[known_silent]");
	pthread_mutex_lock(&w.lock);
	w.gather = 0;
	pthread_cond_broadcast(&w.gathered);
	pthread_mutex_unlock(&w.lock);
	for (const cm_deadline d = cm_deadline_in(30000); source(m, w.url).probe_at != 0 && !cm_deadline_passed(d);)
		poll(NULL, 0, 5);
	end(&l);
	assert_int_equal(atomic_load(&w.asked), 2);
	assert_int_equal(source(m, w.url).probe_at, 0);
	assert_int_equal(m->evidence_count, 1);		/* what it said is kept */

	/* Alive, it is asked as any. */
	m->evidence_count = 0;
	l = (struct login){ .o = o, .memory = m, .known = { .now = now + 7 } };
	run(&l);
	assert_int_equal(l.err, CM_OK);
	assert_int_equal(atomic_load(&w.asked), 3);
	web_stop(&w);
}

/* 5 s, 10 s, up to 5 min; and for an hour at most. */
static void
probes_become_rare(void **state)
{
	struct web w = { .mode = WEB_STATUS, .status = 500 };
	const char *urls[] = { w.url, NULL };
	struct memory *m = new_memory();
	const int pauses[] = { 5, 10, 20, 40, 80, 160, 300, 300 };
	time_t now = time(NULL);

	(void)state;
	web_start(&w);
	for (size_t i = 0; i < CM_COUNT(pauses); i++) {
		struct login l = { .o = { .level = CM_TRUST_SOFT, .ocsp_urls = urls, .use_ocsp = true }, .memory = m,
		    .known = { .now = now } };

		begin(&l);
		judge_it(&l);
		for (const cm_deadline d = cm_deadline_in(30000); source(m, w.url).failures != i + 1 &&
		    !cm_deadline_passed(d);)
			poll(NULL, 0, 5);
		end(&l);
		assert_int_equal(atomic_load(&w.asked), i + 1);
		assert_int_equal(source(m, w.url).probe_at, now + pauses[i]);
		now = source(m, w.url).probe_at;
	}
	web_stop(&w);
}

static void
cancelled_at_its_end(void **state)
{
	struct web w = { .mode = WEB_SILENT };
	const char *urls[] = { w.url, NULL };
	struct login l = { .o = { .level = CM_TRUST_SOFT, .ocsp_urls = urls, .use_ocsp = true }, .ms = 600000 };
	const cm_deadline long_before = cm_deadline_in(60000);

	(void)state;
	web_start(&w);
	begin(&l);
	end(&l);
	assert_false(cm_deadline_passed(long_before));
	web_stop(&w);
}

/* Who ends it without judging calls nobody silent: there was no time. */
static void
ended_before_it_was_judged(void **state)
{
	struct web w = { .mode = WEB_OCSP, .answer = good };
	const char *urls[] = { w.url, NULL };
	struct memory *m = new_memory();
	struct login l = { .o = { .level = CM_TRUST_SOFT, .ocsp_urls = urls, .use_ocsp = true }, .memory = m };

	(void)state;
	web_start(&w);
	begin(&l);
	for (const cm_deadline d = cm_deadline_in(30000); atomic_load(&w.asked) == 0 && !cm_deadline_passed(d);)
		poll(NULL, 0, 1);
	end(&l);
	assert_int_equal(source(m, w.url).failures, 0);
	web_stop(&w);
}

static void
deadline(void **state)
{
	static const enum web_mode modes[] = { WEB_SILENT, WEB_DRIP, WEB_DRIP_HEAD };

	(void)state;
	for (size_t i = 0; i < CM_COUNT(modes); i++) {
		struct web w = { .mode = modes[i] };
		const char *urls[] = { w.url, NULL };
		struct login l = { .o = { .level = CM_TRUST_HARD, .ocsp_urls = urls, .use_ocsp = true }, .ms = 300 };
		const cm_deadline margin = cm_deadline_in(20000);

		web_start(&w);
		run(&l);
		assert_false(cm_deadline_passed(margin));
		assert_int_equal(l.err, CM_ERR_REFUSED);
		assert_has(l.said, "answer");
		assert_int_equal(atomic_load(&w.asked), 1);
		web_stop(&w);
	}
}

/* The other kind: where the first failed, at once; where it is silent, after a sixth; where it answers, never. */
static void
the_other_kind(void **state)
{
	static const struct row {
		enum web_mode ocsp;
		unsigned list_asked;
	} rows[] = { { WEB_OCSP, 0 }, { WEB_CLOSE, 1 }, { WEB_SILENT, 1 } };

	(void)state;
	for (int first = 0; first < 2; first++)
		for (size_t i = 0; i < CM_COUNT(rows); i++) {
			struct web w = { .mode = rows[i].ocsp, .answer = good }, list = { 0 };
			const char *urls[] = { w.url, NULL }, *lists[] = { list.url, NULL };
			struct memory *m = new_memory();
			struct login l = { .o = { .level = CM_TRUST_HARD, .ocsp_urls = urls, .crls = lists, .use_ocsp = true,
			    .use_crl = true }, .memory = m, .ms = rows[i].ocsp == WEB_SILENT ? 3000 : 60000 };

			web_start(&w);
			serve_list(&list, NO_ENTRY);
			/* With lists first nobody asks the responder. */
			l.o.crl_first = first == 1;
			run(&l);
			assert_int_equal(l.err, CM_OK);
			assert_int_equal(atomic_load(&w.asked), first == 0);
			assert_int_equal(atomic_load(&list.asked), first == 1 ? 1 : rows[i].list_asked);
			if (first == 0)
				assert_int_equal(source(m, w.url).failures, rows[i].list_asked);
			web_stop(&w);
			stop_list(&list);
		}
}

static void
addresses_in_turn(void **state)
{
	struct web mirror = { .mode = WEB_STATUS, .status = 404 }, list = { 0 };
	const char *lists[] = { list.url, NULL };
	char rule[160];
	const char *mirrors[] = { rule, NULL };
	struct login l = { .o = { .level = CM_TRUST_HARD, .crls = lists, .crl_mirrors = mirrors, .use_crl = true } };

	(void)state;
	web_start(&mirror);
	serve_list(&list, NO_ENTRY);
	snprintf(rule, sizeof(rule), "%s %s", list.url, mirror.url);
	run(&l);
	assert_int_equal(l.err, CM_OK);
	assert_int_equal(atomic_load(&mirror.asked), 1);
	assert_int_equal(atomic_load(&list.asked), 1);
	web_stop(&mirror);
	stop_list(&list);
}

/* It is decided at once, though the CA's own responder has not answered. */
static void
revoked_outweighs_good(void **state)
{
	static const char *const root[] = { PKI("root.crt"), NULL }, *const inters[] = { PKI("inter.crt"), NULL };
	struct web silent = { .mode = WEB_SILENT }, a = { 0 }, b = { 0 };
	const char *urls[] = { silent.url, NULL }, *lists[] = { a.url, b.url, NULL };
	struct login l = { .o = { .level = CM_TRUST_SOFT, .anchors = root, .intermediates = inters, .ocsp_urls = urls,
	    .crls = lists, .crl_first = true, .use_ocsp = true, .use_crl = true }, .ms = 600000 };
	const cm_deadline long_before = cm_deadline_in(60000);

	(void)state;
	web_start(&silent);
	serve_list(&a, NO_ENTRY);
	serve_list(&b, KEY_COMPROMISE);
	run(&l);
	assert_int_equal(l.err, CM_ERR_REFUSED);
	assert_has(l.said, "was revoked on ");
	assert_false(cm_deadline_passed(long_before));
	web_stop(&silent);
	stop_list(&a);
	stop_list(&b);
}

/* A connection of which it is seen when its answer has been sent whole. */
struct watched {
	const struct watched *after[2];	/* it is answered when these have been asked; NULL: at once */
	struct web w;
	int fd;
	atomic_bool sending, sent;
};

static void *
watched_open(struct web *w, int fd)
{
	struct watched *c = w->wire_arg;

	c->fd = fd;
	return c;
}

static long
watched_receive(void *arg, void *p, size_t len)
{
	struct watched *c = arg;

	if (atomic_load(&c->sending))
		atomic_store(&c->sent, true);
	return recv(c->fd, p, len, 0);
}

static long
watched_send(void *arg, const void *p, size_t len)
{
	struct watched *c = arg;

	for (size_t i = 0; i < CM_COUNT(c->after) && c->after[i] != NULL; i++)
		while (atomic_load(&c->after[i]->w.asked) == 0)
			poll(NULL, 0, 1);
	atomic_store(&c->sending, true);
	return send(c->fd, p, len, MSG_NOSIGNAL);
}

static void
watched_close(void *arg)
{
	struct watched *c = arg;

	atomic_store(&c->sent, true);
}

static const struct web_wire watched = { watched_open, watched_receive, watched_send, watched_close };

static void
answer_now(struct watched *c)
{
	pthread_mutex_lock(&c->w.lock);
	c->w.gather = 0;
	pthread_cond_broadcast(&c->w.gathered);
	pthread_mutex_unlock(&c->w.lock);
	while (!atomic_load(&c->sent))
		poll(NULL, 0, 1);
}

/* The list that nobody has is told of while those who ask hear nothing: then both others answer. */
static enum cm_err
both_answer_meanwhile(void *arg, const struct cm_source *s, struct cm_blob issuer)
{
	struct watched *both = arg;

	(void)issuer;
	if (s->failures > 0) {
		answer_now(&both[0]);
		answer_now(&both[1]);
	}
	return CM_OK;
}

static enum cm_err
keep_nothing(void *arg, const struct cm_evidence *e)
{
	(void)arg;
	(void)e;
	return CM_OK;
}

static unsigned
port_of(int fd)
{
	struct sockaddr_in at = { 0 };
	socklen_t len = sizeof(at);

	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	return ntohs(at.sin_port);
}

/* Of two answers that are there, the first of which is good, the other is heard. */
static void
both_are_heard(void **state)
{
	struct watched both[2] = { { .sent = false }, { .sent = false } }, none = { .after = { &both[0], &both[1] } };
	const char *lists[] = { both[0].w.url, both[1].w.url, none.w.url, NULL };
	const struct cm_keeper keeper = { .arg = both, .keep = keep_nothing, .keep_source = both_answer_meanwhile };
	struct memory *m = new_memory();
	struct login l = { .o = { .level = CM_TRUST_SOFT, .crls = lists, .crl_first = true, .use_crl = true }, .memory = m,
	    .ms = 60000 };

	(void)state;
	m->keeper = keeper;
	none.w.mode = WEB_STATUS;
	none.w.status = 404;
	for (int i = 0; i < 3; i++) {
		struct watched *c = i < 2 ? &both[i] : &none;

		c->w.wire = &watched;
		c->w.wire_arg = c;
		c->w.gather = i < 2 ? 2 : 0;
		if (i < 2)
			serve_list(&c->w, i == 0 ? NO_ENTRY : KEY_COMPROMISE);
		else
			web_start(&c->w);
		/* A wire of one's own is taken for TLS. */
		snprintf(c->w.url, sizeof(c->w.url), "http://127.0.0.1:%u/", port_of(c->w.fd));
	}
	run(&l);
	assert_int_equal(l.err, CM_ERR_REFUSED);
	assert_has(l.said, "was revoked on ");
	for (int i = 0; i < 2; i++)
		stop_list(&both[i].w);
	web_stop(&none.w);
}

/* Whoever comes first asks; the others wait for that answer. */
static void *
one_of_several(void *arg)
{
	run(arg);
	return NULL;
}

static void
several_logins_ask_once(void **state)
{
	(void)state;
	for (int kind = 0; kind < 2; kind++) {
		struct web w = { .mode = WEB_OCSP, .answer = good };
		const char *urls[] = { w.url, NULL };
		static struct login logins[5];
		pthread_t threads[CM_COUNT(logins)];
		char folder[512];
		struct memory *m = new_memory();

		snprintf(folder, sizeof(folder), "%s", scratch(kind == 0 ? "ocsp" : "list"));
		if (kind == 0)
			web_start(&w);
		else
			serve_list(&w, NO_ENTRY);
		for (size_t i = 0; i < CM_COUNT(logins); i++) {
			logins[i] = (struct login){ .o = { .level = CM_TRUST_HARD, .ocsp_urls = urls, .crls = urls,
			    .use_ocsp = kind == 0, .use_crl = kind == 1, .crl_dir = folder, .crl_keep = true }, .memory = m,
			    .ms = 60000 };
			assert_int_equal(pthread_create(&threads[i], NULL, one_of_several, &logins[i]), 0);
		}
		for (size_t i = 0; i < CM_COUNT(logins); i++) {
			assert_int_equal(pthread_join(threads[i], NULL), 0);
			assert_int_equal(logins[i].err, CM_OK);
		}
		assert_int_equal(atomic_load(&w.asked), 1);
		if (kind == 0)
			web_stop(&w);
		else
			stop_list(&w);
	}
}

/* Cache-Control: how long nobody needs to be asked; the answer holds on where nobody answers then. */
static void
asked_again_when_the_responder_says(void **state)
{
	static const struct row {
		const char *head;
		int later;
		unsigned asked;
	} rows[] = {
		{ "Cache-Control: max-age=600\r\n", 300, 1 }, { "Cache-Control: max-age=600\r\n", 700, 2 },
		{ "Cache-Control: no-store\r\n", 1, 2 }, { "Cache-Control: max-age=999999\r\n", HOUR - 60, 1 }, { "", HOUR - 60, 1 },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct web w = { .mode = WEB_OCSP, .answer = good, .head = rows[i].head };
		const char *urls[] = { w.url, NULL };
		struct memory *m = new_memory();
		const time_t now = time(NULL);
		const struct cm_trust_options o = { .level = CM_TRUST_HARD, .ocsp_urls = urls, .use_ocsp = true };
		struct login first = { .o = o, .memory = m, .known = { .now = now } };
		struct login second = { .o = o, .memory = m, .known = { .now = now + rows[i].later } };

		web_start(&w);
		run(&first);
		assert_int_equal(first.err, CM_OK);
		w.mode = WEB_CLOSE;
		run(&second);
		assert_int_equal(second.err, CM_OK);
		assert_int_equal(atomic_load(&w.asked), rows[i].asked);
		web_stop(&w);
	}
}

/* Revoked is kept whoever says it, and whatever becomes of the login. */
static void
revoked_is_kept(void **state)
{
	struct web w = { .mode = WEB_OCSP, .answer = bad };
	const char *urls[] = { w.url, NULL };

	(void)state;
	web_start(&w);
	for (int file = 0; file < 2; file++) {
		const struct crl_recipe recipe = { .issuer = "inter", .names = CARD, .reason = KEY_COMPROMISE, .to = DAY };
		const char *const lists[] = { scratch("revoked.crl"), NULL };
		struct memory *m = new_memory();
		struct login l = { .o = { .level = CM_TRUST_SOFT, .ocsp_urls = urls, .crls = lists, .use_ocsp = file == 0,
		    .use_crl = file == 1 }, .memory = m };
		int len;
		uint8_t *der = make_crl(&recipe, &len);

		write_bytes(lists[0], der, (size_t)len);
		OPENSSL_free(der);
		run(&l);
		assert_int_equal(l.err, CM_ERR_REFUSED);
		assert_int_equal(m->evidence_count, 1);
		assert_int_equal(m->evidence[0].status, CM_STATUS_REVOKED);
	}
	assert_int_equal(atomic_load(&w.asked), 1);
	web_stop(&w);
}

/* An inquiry is judged by no stricter a policy than it was made with. */
static void
policies(void **state)
{
	static const struct cm_trust_policy stricter[] = { { CM_TRUST_HARD, 0 }, { CM_TRUST_SOFT, 60 } };
	static const struct cm_trust_policy others[] = { { CM_TRUST_SOFT, 0 }, { CM_TRUST_SOFT, 3600 }, { CM_TRUST_CHAIN, 0 } };
	struct login l = { .o = { .level = CM_TRUST_SOFT, .use_ocsp = true } };

	(void)state;
	begin(&l);
	for (size_t i = 0; i < CM_COUNT(stricter); i++)
		assert_int_equal(cm_trust_judge_revocation(l.inquiry, &stricter[i], l.trace), CM_ERR_STATE);
	assert_false(cm_verdict_passes(l.verdict, l.cert));
	end(&l);

	l = (struct login){ .o = { .level = CM_TRUST_HARD, .max_age = 60, .use_ocsp = true } };
	begin(&l);
	for (size_t i = 0; i < CM_COUNT(others); i++) {
		const bool passes = i != 1;

		assert_int_equal(cm_trust_judge_revocation(l.inquiry, &others[i], l.trace), passes ? CM_OK : CM_ERR_REFUSED);
		assert_int_equal(cm_verdict_passes(l.verdict, l.cert), passes);
	}
	end(&l);
}

/* Of this size there is no memory. */
static _Atomic size_t no_room_for;
void *__real_realloc(void *p, size_t size);
void *__wrap_realloc(void *p, size_t size);

void *
__wrap_realloc(void *p, size_t size)
{
	return size > 0 && size == atomic_load(&no_room_for) ? NULL : __real_realloc(p, size);
}

/* An answer that there is no memory for may be the one that says "revoked": soft does not pass it by. */
static void
an_answer_is_lost(void **state)
{
	struct web w = { .mode = WEB_OCSP, .answer = bad };
	const char *urls[] = { w.url, NULL };
	struct login l = { .o = { .level = CM_TRUST_SOFT, .ocsp_urls = urls, .use_ocsp = true, .leaf_only = true } };

	(void)state;
	web_start(&w);
	for (int n = 0; n < 2; n++) {
		atomic_store(&no_room_for, n == 0 ? sizeof(struct cm_heard) : 0);
		run(&l);
		assert_int_equal(l.err, n == 0 ? CM_ERR_NOMEM : CM_ERR_REFUSED);
		end(&l);
	}
	web_stop(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_kept_is_not_asked_for),
		cmocka_unit_test(all_certificates_at_once),
		cmocka_unit_test(silent_sources),
		cmocka_unit_test(probes_become_rare),
		cmocka_unit_test(cancelled_at_its_end),
		cmocka_unit_test(ended_before_it_was_judged),
		cmocka_unit_test(deadline),
		cmocka_unit_test(the_other_kind),
		cmocka_unit_test(addresses_in_turn),
		cmocka_unit_test(revoked_outweighs_good),
		cmocka_unit_test(both_are_heard),
		cmocka_unit_test(several_logins_ask_once),
		cmocka_unit_test(asked_again_when_the_responder_says),
		cmocka_unit_test(revoked_is_kept),
		cmocka_unit_test(policies),
		cmocka_unit_test(an_answer_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, remove_scratch);
}
