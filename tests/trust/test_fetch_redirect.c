/* tests/trust/test_fetch_redirect.c - where a server may send us on to, and which https servers are believed. */
#include <openssl/ssl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/trust/web.h"
#include "trust/fetch.h"

#define LONG	20000	/* ms: never waited for when all goes well */

static const struct web list_server = { .mode = WEB_BYTES, .bytes = (const uint8_t *)"list", .len = 4 };

static void
ask(const struct cm_fetcher_options *o, struct cm_fetch *f)
{
	struct cm_fetcher *fetcher;

	f->fd = -1;
	f->max = 65536;
	f->deadline = cm_deadline_in(LONG);
	assert_int_equal(cm_fetcher_new(o, &fetcher), CM_OK);
	assert_int_equal(cm_fetcher_add(fetcher, f), CM_OK);
	assert_ptr_equal(cm_fetcher_next(fetcher, cm_deadline_in(LONG)), f);
	cm_fetcher_free(&fetcher);
}

static void
expect(const char *name, const struct cm_fetch *f, enum cm_objection objection, const char *part)
{
	if (f->objection != objection)
		print_error("%s: %s: %s\n", name, cm_objection_name(f->objection), cm_buf_str(&f->why));
	assert_int_equal(f->objection, objection);
	if (part != NULL)
		assert_has(cm_buf_str(&f->why), part);
}

/* What a port of this host is at another of its names. */
static void
elsewhere(const struct web *w, const char *host, char url[128])
{
	snprintf(url, 128, "http://%s%s", host, strrchr(w->url, ':'));
}

/* ---- how */

static void
statuses(void **state)
{
	static const struct {
		int status;
		size_t page;
		bool post;
		enum cm_objection objection;
	} rows[] = {
		{ 301, 0, false, CM_OBJECTION_NONE }, { 302, 0, false, CM_OBJECTION_NONE }, { 303, 0, false, CM_OBJECTION_NONE },
		{ 307, 0, false, CM_OBJECTION_NONE }, { 308, 0, false, CM_OBJECTION_NONE },
		{ 302, 100, false, CM_OBJECTION_NONE }, { 302, 100000, false, CM_OBJECTION_NONE },
		{ 304, 0, false, CM_OBJECTION_HTTP_STATUS }, { 305, 0, false, CM_OBJECTION_HTTP_STATUS },
		{ 302, 0, true, CM_OBJECTION_REDIRECTED }, { 307, 0, true, CM_OBJECTION_REDIRECTED },
		{ 308, 0, true, CM_OBJECTION_REDIRECTED },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct web to = list_server;
		struct web from = { .mode = WEB_REDIRECT, .status = rows[i].status, .len = rows[i].page, .location = to.url };
		struct cm_buf out = { 0 };
		struct cm_fetch f = { .url = from.url, .out = &out };

		if (rows[i].post) {
			f.body = cm_blob_str("q");
			f.type = "application/ocsp-request";
		}
		web_start(&from);
		web_start(&to);
		ask(&(struct cm_fetcher_options){ 0 }, &f);
		expect("status", &f, rows[i].objection, NULL);
		assert_string_equal(cm_buf_str(&out), f.objection == CM_OBJECTION_NONE ? "list" : "");
		assert_int_equal(f.redirects, f.objection == CM_OBJECTION_NONE);
		assert_int_equal(f.bytes, f.objection == CM_OBJECTION_NONE ? 4 : 0);	/* pages are none of it */
		assert_int_equal(atomic_load(&to.asked), f.objection == CM_OBJECTION_NONE);
		web_stop(&from);
		web_stop(&to);
		cm_buf_free(&out);
		cm_fetch_clear(&f);
	}
}

/* Three times, and no more; over one connection. */
static void
in_circles(void **state)
{
	struct web w = { .mode = WEB_REDIRECT, .location = "/again", .len = 10 };
	struct cm_buf out = { 0 };
	struct cm_fetch f = { .url = w.url, .out = &out };

	(void)state;
	web_start(&w);
	ask(&(struct cm_fetcher_options){ 0 }, &f);
	expect("circle", &f, CM_OBJECTION_REDIRECTED, "more than 3 times");
	assert_int_equal(f.redirects, 3);
	assert_int_equal(f.connections, 1);
	web_stop(&w);
	assert_int_equal(atomic_load(&w.asked), 4);
	assert_int_equal(atomic_load(&w.connections), 1);
	assert_has(w.request, "GET /again HTTP/1.1\r\n");
	cm_buf_free(&out);
	cm_fetch_clear(&f);
}

static void
to_other_things(void **state)
{
	static const char *const rows[] = {
		"file:///etc/passwd", "ftp://127.0.0.1/", "ldap://127.0.0.1/cn=x", "gopher://127.0.0.1:6379/_x",
		"dict://127.0.0.1:11211/stat", "http://user:word@127.0.0.1/", "http://", "",
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct web w = { .mode = WEB_REDIRECT, .location = rows[i] };
		struct cm_buf out = { 0 };
		struct cm_fetch f = { .url = w.url, .out = &out };

		web_start(&w);
		ask(&(struct cm_fetcher_options){ 0 }, &f);
		/* An empty one is no address at all. */
		expect(rows[i], &f, rows[i][0] != '\0' ? CM_OBJECTION_REDIRECTED : CM_OBJECTION_HTTP_STATUS, rows[i]);
		assert_int_equal(f.redirects, 0);
		web_stop(&w);
		assert_int_equal(out.len, 0);
		cm_fetch_clear(&f);
	}
}

/* ---- to whom */

/* A server on this very host, by each name that leads there from another. */
static void
attack_redirected_inwards(void **state)
{
	static const char *const hosts[] = { "127.0.0.2", "localhost", "[::ffff:127.0.0.2]", "0x7f000002", "2130706434", "127.2" };

	(void)state;
	for (size_t i = 0; i < CM_COUNT(hosts); i++) {
		struct web inner = list_server, w = { .mode = WEB_REDIRECT };
		char url[128];
		struct cm_buf out = { 0 };
		struct cm_fetch f = { .url = w.url, .out = &out };

		inner.host = strcmp(hosts[i], "localhost") == 0 ? "127.0.0.1" : "127.0.0.2";
		web_start(&inner);
		elsewhere(&inner, hosts[i], url);
		w.location = url;
		web_start(&w);
		ask(&(struct cm_fetcher_options){ 0 }, &f);
		expect(hosts[i], &f, CM_OBJECTION_REDIRECTED_PRIVATE, "trust.private_redirects");
		assert_int_equal(out.len, 0);
		web_stop(&w);
		web_stop(&inner);
		assert_int_equal(atomic_load(&inner.connections), 0);
		cm_fetch_clear(&f);
	}
}

/* Whom the configuration names, or all when it says so; and the one that was asked in the first place. */
static void
inwards_with_leave(void **state)
{
	enum { NOBODY, FIRST_LIST, SECOND_LIST, ANOTHER, ALL };
	static const struct {
		int leave;
		bool came;
	} rows[] = { { NOBODY, false }, { FIRST_LIST, true }, { SECOND_LIST, true }, { ANOTHER, false }, { ALL, true } };

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		const char *const named[] = { "/a/file.crl", "http://127.0.0.2/other", NULL };
		const char *const another[] = { "http://127.0.0.3/", NULL };
		struct web inner = list_server, w = { .mode = WEB_REDIRECT, .location = inner.url };
		struct cm_fetcher_options o = { .private_redirects = rows[i].leave == ALL };
		struct cm_buf out = { 0 };
		struct cm_fetch f = { .url = w.url, .out = &out };

		if (rows[i].leave == FIRST_LIST || rows[i].leave == SECOND_LIST)
			o.configured[rows[i].leave - FIRST_LIST] = named;
		if (rows[i].leave == ANOTHER)
			o.configured[0] = another;
		inner.host = "127.0.0.2";
		web_start(&inner);
		web_start(&w);
		ask(&o, &f);
		expect("leave", &f, rows[i].came ? CM_OBJECTION_NONE : CM_OBJECTION_REDIRECTED_PRIVATE, NULL);
		assert_string_equal(cm_buf_str(&out), rows[i].came ? "list" : "");
		web_stop(&w);
		web_stop(&inner);
		cm_buf_free(&out);
		cm_fetch_clear(&f);
	}
}

/* There and back: the host first asked may be come back to, and only that one. */
static void
back_to_the_first(void **state)
{
	struct web last = list_server, w = { .mode = WEB_REDIRECT, .location = last.url };
	struct cm_buf out = { 0 };
	struct cm_fetch f = { .url = w.url, .out = &out };

	(void)state;
	web_start(&last);
	web_start(&w);
	ask(&(struct cm_fetcher_options){ 0 }, &f);
	expect("back", &f, CM_OBJECTION_NONE, NULL);
	web_stop(&w);
	web_stop(&last);
	cm_buf_free(&out);
	cm_fetch_clear(&f);
}

/* A connection that another question made to such a host is none for who is sent there. */
static void
attack_over_a_connection_that_is_open(void **state)
{
	struct web inner = list_server, w = { .mode = WEB_REDIRECT, .location = inner.url };
	struct cm_buf out[2] = { 0 };
	struct cm_fetch own = { .url = inner.url, .out = &out[0], .fd = -1, .max = 100 },
	    sent = { .url = w.url, .out = &out[1], .fd = -1, .max = 100 };
	struct cm_fetcher *f;

	(void)state;
	inner.host = "127.0.0.2";
	web_start(&inner);
	web_start(&w);
	assert_int_equal(cm_fetcher_new(&(struct cm_fetcher_options){ 0 }, &f), CM_OK);
	own.deadline = sent.deadline = cm_deadline_in(LONG);
	assert_int_equal(cm_fetcher_add(f, &own), CM_OK);
	assert_ptr_equal(cm_fetcher_next(f, cm_deadline_in(LONG)), &own);
	expect("its own", &own, CM_OBJECTION_NONE, NULL);
	assert_int_equal(cm_fetcher_add(f, &sent), CM_OK);
	assert_ptr_equal(cm_fetcher_next(f, cm_deadline_in(LONG)), &sent);
	expect("sent there", &sent, CM_OBJECTION_REDIRECTED_PRIVATE, NULL);
	cm_fetcher_free(&f);
	web_stop(&w);
	web_stop(&inner);
	assert_int_equal(atomic_load(&inner.asked), 1);
	for (size_t i = 0; i < 2; i++)
		cm_buf_free(&out[i]);
	cm_fetch_clear(&own);
	cm_fetch_clear(&sent);
}

/* The name leads to another address when it is looked up again. */
static void
set_host(const char *folder, const char *address)
{
	char path[512];
	FILE *hosts;

	snprintf(path, sizeof(path), "%s/hosts", folder);
	CHILD_MUST((hosts = fopen(path, "w")) != NULL && fprintf(hosts, "%s pki.test\n", address) > 0 && fclose(hosts) == 0);
}

static void
rebind(const char *mounted, const char *address, const char *const *configured)
{
	struct web inner = list_server, w = { .mode = WEB_REDIRECT, .host = address, .gather = 2 };
	char first[128], second[128], hosts[512];
	struct cm_buf out = { 0 };
	struct cm_fetch f = { .url = first, .out = &out, .fd = -1, .max = 65536, .deadline = cm_deadline_in(LONG) };
	struct cm_fetch *done = NULL;
	struct cm_fetcher *fetcher;

	snprintf(hosts, sizeof(hosts), "%s/hosts", mounted);
	set_host(mounted, w.host);
	CHILD_MUST(mount(hosts, "/etc/hosts", NULL, MS_BIND, NULL) == 0);
	web_start(&inner);
	web_start(&w);
	elsewhere(&w, "pki.test", first);
	elsewhere(&inner, "pki.test", second);
	w.location = second;
	CHILD_MUST(cm_fetcher_new(&(struct cm_fetcher_options){ .configured = { configured } }, &fetcher) == CM_OK);
	CHILD_MUST(cm_fetcher_add(fetcher, &f) == CM_OK);
	while (atomic_load(&w.asked) == 0 && !cm_deadline_passed(f.deadline))
		CHILD_MUST(cm_fetcher_next(fetcher, cm_deadline_in(20)) == NULL);
	set_host(mounted, "127.0.0.1");
	pthread_mutex_lock(&w.lock);
	w.gather = 0;
	pthread_cond_broadcast(&w.gathered);
	pthread_mutex_unlock(&w.lock);
	while (done == NULL && !cm_deadline_passed(f.deadline))
		done = cm_fetcher_next(fetcher, cm_deadline_in(LONG));
	CHILD_MUST(done == &f && f.objection == CM_OBJECTION_REDIRECTED_PRIVATE && out.len == 0);
	CHILD_MUST(atomic_load(&inner.connections) == 0);
	cm_fetcher_free(&fetcher);
	web_stop(&w);
	web_stop(&inner);
	CHILD_MUST(umount("/etc/hosts") == 0);
	cm_fetch_clear(&f);
}

/* A host out in the world, one in this network, and one that the configuration names: none of them is this computer. */
static void
rebind_all(const char *folder, const char *mounted)
{
	static const char *const named[] = { "http://pki.test/list.crl", NULL };

	(void)folder;
	CHILD_MUST(unshare(CLONE_NEWNET) == 0);
	CHILD_MUST(system("ip link set lo up && ip address add 203.0.113.9/32 dev lo && ip address add 10.9.9.9/32 dev lo") == 0);
	rebind(mounted, "203.0.113.9", NULL);
	rebind(mounted, "10.9.9.9", NULL);
	rebind(mounted, "203.0.113.9", named);
	rebind(mounted, "10.9.9.9", named);
}

/* Whoever answers for the name of the host first asked leads nobody inwards by it. */
static void
attack_the_same_name_leads_inwards(void **state)
{
	(void)state;
	on_a_disk("size=1m", rebind_all);
}

/* ---- https */

static void *
tls_open(struct web *w, int fd)
{
	SSL *ssl = SSL_new(w->wire_arg);
	sigset_t pipe;

	/* In the server's threads alone: those of the program must do without. */
	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &pipe, NULL);
	if (ssl != NULL && SSL_set_fd(ssl, fd) == 1 && SSL_accept(ssl) == 1)
		return ssl;
	SSL_free(ssl);
	return NULL;
}

static bool
flush(BIO *from, int fd)
{
	char *p;
	const long n = BIO_get_mem_data(from, &p);
	const bool ok = n <= 0 || send(fd, p, (size_t)n, MSG_NOSIGNAL) == n;

	(void)BIO_reset(from);
	return ok;
}

/*
 * The handshake's last flight (of TLS 1.2: the server's) comes in one piece with
 * the connection's end.  The request that follows is answered by a reset, and
 * what is written then is a SIGPIPE.
 */
static void *
tls_end_at_once(struct web *w, int fd)
{
	SSL *ssl = SSL_new(w->wire_arg);
	BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
	char some[4096];
	ssize_t n;

	SSL_set_max_proto_version(ssl, TLS1_2_VERSION);
	SSL_set_bio(ssl, in, out);
	while (SSL_accept(ssl) != 1 && flush(out, fd) && (n = recv(fd, some, sizeof(some), 0)) > 0)
		BIO_write(in, some, (int)n);
	SSL_shutdown(ssl);
	flush(out, fd);
	shutdown(fd, SHUT_RDWR);
	SSL_free(ssl);
	return NULL;
}

/* The handshake is begun and never ended. */
static void *
tls_silent(struct web *w, int fd)
{
	char c;

	(void)w;
	while (recv(fd, &c, 1, 0) > 0)
		continue;
	return NULL;
}

static long
tls_receive(void *c, void *p, size_t len)
{
	return SSL_read(c, p, (int)len);
}

static long
tls_send(void *c, const void *p, size_t len)
{
	return SSL_write(c, p, (int)len);
}

static void
tls_close(void *c)
{
	SSL_shutdown(c);
	SSL_free(c);
}

static void
https(void **state)
{
	static const struct web_wire good = { tls_open, tls_receive, tls_send, tls_close },
	    ends = { tls_end_at_once, tls_receive, tls_send, tls_close },
	    silent = { tls_silent, tls_receive, tls_send, tls_close };
	static const struct row {
		const char *name, *cert, *key, *anchor;
		const struct web_wire *wire;
		unsigned ms;
		enum cm_objection objection;
		const char *part;
	} rows[] = {
		{ "good", PKI("server-chain.pem"), PKI("server.key"), PKI("root.crt"), &good, LONG, CM_OBJECTION_NONE, "" },
		{ "a stranger's", PKI("stranger.crt"), PKI("stranger.key"), PKI("root.crt"), &good, LONG, CM_OBJECTION_TLS,
		    "unable to get" },
		{ "of another name", PKI("bob.pem"), PKI("bob.key"), PKI("root.crt"), &good, LONG, CM_OBJECTION_TLS, "127.0.0.1" },
		{ "no anchors: not the web's", PKI("server-chain.pem"), PKI("server.key"), NULL, &good, LONG, CM_OBJECTION_TLS, "" },
		{ "handshake without end", PKI("server-chain.pem"), PKI("server.key"), PKI("root.crt"), &silent, 300,
		    CM_OBJECTION_NO_CONNECTION, "TLS handshake" },
		{ "the end at once", PKI("server-chain.pem"), PKI("server.key"), PKI("root.crt"), &ends, LONG, CM_OBJECTION_BROKEN_ANSWER, "without an answer" },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
		struct web w = list_server;
		struct cm_buf out = { 0 }, anchors = { 0 };
		struct cm_fetch one = { .url = w.url, .out = &out, .fd = -1, .max = 65536 };
		struct cm_fetcher *f;
		char pem[8192];
		FILE *file = rows[i].anchor != NULL ? fopen(rows[i].anchor, "re") : NULL;

		if (file != NULL) {
			cm_buf_add(&anchors, pem, fread(pem, 1, sizeof(pem), file));
			fclose(file);
		}
		assert_int_equal(SSL_CTX_use_certificate_chain_file(ctx, rows[i].cert), 1);
		assert_int_equal(SSL_CTX_use_PrivateKey_file(ctx, rows[i].key, SSL_FILETYPE_PEM), 1);
		w.wire = rows[i].wire;
		w.wire_arg = ctx;
		web_start(&w);
		one.deadline = cm_deadline_in(rows[i].ms);
		assert_int_equal(cm_fetcher_new(&(struct cm_fetcher_options){ .anchors = cm_buf_blob(&anchors) }, &f), CM_OK);
		assert_int_equal(cm_fetcher_add(f, &one), CM_OK);
		assert_ptr_equal(cm_fetcher_next(f, cm_deadline_in(LONG)), &one);
		cm_fetcher_free(&f);
		expect(rows[i].name, &one, rows[i].objection, rows[i].part);
		assert_string_equal(cm_buf_str(&out), rows[i].objection == CM_OBJECTION_NONE ? "list" : "");
		web_stop(&w);
		SSL_CTX_free(ctx);
		cm_buf_free(&out);
		cm_buf_free(&anchors);
		cm_fetch_clear(&one);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(statuses),
		cmocka_unit_test(in_circles),
		cmocka_unit_test(to_other_things),
		cmocka_unit_test(attack_redirected_inwards),
		cmocka_unit_test(inwards_with_leave),
		cmocka_unit_test(back_to_the_first),
		cmocka_unit_test(attack_over_a_connection_that_is_open),
		cmocka_unit_test(attack_the_same_name_leads_inwards),
		cmocka_unit_test(https),
	};

	return cmocka_run_group_tests(tests, NULL, remove_scratch);
}
