/* tests/trust/test_crl_kept.c - a list that is known and current is neither fetched nor parsed; else it is asked for again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/rig/crl_list.h"
#include "tests/trust/web.h"

/* A host that keeps its lists in folder, and asks one source. */
struct host {
	char folder[512];
	const char *crls[2];
	struct cm_known known;
	bool looks;			/* and keeps nothing */
	const char *also;		/* another folder, which is read */
	const char *anchor;		/* NULL: the test CA's, where it is */
};

static struct host
host_of(const char *name, const char *source)
{
	struct host h = { .crls = { source, NULL }, .known = { .now = time(NULL) } };

	snprintf(h.folder, sizeof(h.folder), "%s", scratch(name));
	return h;
}

static struct outcome
ask(const struct host *h, const char *cert)
{
	const char *const anchors[] = { h->anchor != NULL ? h->anchor : PKI("inter.crt"), NULL };
	const struct cm_trust_options o = { .level = CM_TRUST_HARD, .anchors = anchors, .crls = h->crls,
	    .crl_dir = h->folder, .crl_keep = !h->looks, .crl_also = h->also, .use_crl = true, .ocsp_max = 65536, .crl_max = 1 << 20 };
	struct cm_cert *c = load_cert(cert);
	const struct outcome r = judge(c, &o, &h->known, 3000);

	cm_cert_free(&c);
	return r;
}

/* What is answered from here on; NULL, when the server has stopped: nothing.  Until then a former answer may still be sent. */
static void
serve(struct web *w, const struct crl_recipe *r)
{
	static uint8_t *made[16];
	static size_t count;
	int len;

	if (r == NULL) {
		while (count > 0)
			OPENSSL_free(made[--count]);
		w->bytes = NULL;
		return;
	}
	assert_true(count < CM_COUNT(made));
	w->bytes = made[count++] = make_crl(r, &len);
	w->len = (size_t)len;
}

/* The only file so named below folder. */
static void
only_file(const char *folder, const char *pattern, char path[512])
{
	char command[640];
	FILE *f;

	snprintf(command, sizeof(command), "find '%s' -name '%s'", folder, pattern);
	f = popen(command, "r");
	assert_true(f != NULL && fgets(path, 512, f) != NULL);
	assert_int_equal(pclose(f), 0);
	path[strcspn(path, "\n")] = '\0';
}

static void
fetched_once(void **state)
{
	const struct crl_recipe recipe = { .issuer = "inter", .names = "bob", .reason = KEY_COMPROMISE, .to = DAY };
	struct web w = { .mode = WEB_BYTES };
	struct host h = host_of("once", w.url);
	struct outcome r;

	(void)state;
	serve(&w, &recipe);
	web_start(&w);
	r = ask(&h, "no-aia-cdp");
	assert_int_equal(r.reason, CM_REASON_NONE);
	assert_true(r.signed_time != 0);
	assert_int_equal(atomic_load(&w.asked), 1);
	web_stop(&w);

	r = ask(&h, "no-aia-cdp");
	assert_int_equal(r.reason, CM_REASON_NONE);
	assert_has(r.crl, "number 17: good, of ");
	assert_has(r.crl, ", kept here");
	assert_has(r.crl, w.url);
	assert_int_equal(r.count, 1);
	/* What was kept says nothing of what the time is now. */
	assert_int_equal(r.signed_time, 0);
	r = ask(&h, "bob");
	assert_int_equal(r.reason, CM_REASON_REVOKED);
	assert_has(r.message, "says CRL http://127.0.0.1:");
	serve(&w, NULL);
}

/* When it is asked for again, and what then counts. */
static void
fetched_again(void **state)
{
	static const struct row {
		const char *name;
		long later, floor;	/* of the second question */
		bool stale;
		unsigned asked;
	} rows[] = {
		{ "current", 60, 0, false, 1 }, { "to its end", 3600, 0, false, 1 }, { "expired", 3601, 0, false, 2 },
		{ "the clock was set back", -1200, 0, false, 2 }, { "below the floor", 60, 1200, false, 2 },
		{ "the caller says so", 60, 0, true, 2 },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		/* Half an hour ahead: the clock is set back below, and the certificates may be a minute old. */
		struct crl_recipe recipe = { .issuer = "inter", .reason = NO_ENTRY, .from = -1800, .to = 1800 + 3600 };
		struct web w = { .mode = WEB_BYTES };
		struct host h = host_of(rows[i].name, w.url);
		struct outcome r;

		serve(&w, &recipe);
		web_start(&w);
		h.known.now = time(NULL) + 1800;
		r = ask(&h, "no-aia-cdp");
		assert_int_equal(r.reason, CM_REASON_NONE);
		h.known.floor = rows[i].floor != 0 ? h.known.now + rows[i].floor : 0;
		/* Not by the seconds that the test itself takes. */
		h.known.now = r.evidence[0].next_update - 3600 + rows[i].later;
		h.known.stale_clock = rows[i].stale;
		recipe.to = 2 * DAY;
		serve(&w, &recipe);
		r = ask(&h, "no-aia-cdp");
		if (atomic_load(&w.asked) != rows[i].asked)
			print_error("%s: asked %u times: %s\n", rows[i].name, atomic_load(&w.asked), r.crl);
		assert_int_equal(atomic_load(&w.asked), rows[i].asked);
		assert_int_equal(r.reason, CM_REASON_NONE);
		web_stop(&w);
		/* And the newer one is kept in turn. */
		if (rows[i].asked == 2) {
			h.known = (struct cm_known){ .now = time(NULL) + 7200 };
			assert_int_equal(ask(&h, "no-aia-cdp").reason, CM_REASON_NONE);
		}
		serve(&w, NULL);
	}
}

/* attack: CRL rollback: the server shows an old list, in which the card is not yet revoked. */
static void
attack_rollback_by_the_server(void **state)
{
	struct crl_recipe recipe = { .issuer = "inter", .names = "bob", .reason = KEY_COMPROMISE, .from = -600, .to = -400 };
	struct web w = { .mode = WEB_BYTES };
	struct host h = host_of("rollback", w.url);
	struct outcome r;

	(void)state;
	serve(&w, &recipe);
	web_start(&w);
	r = ask(&h, "no-aia-cdp");
	assert_int_equal(r.reason, CM_REASON_REVOCATION_UNKNOWN);	/* it has just ended, and is in force */
	assert_has(r.crl, "expired ");
	recipe = (struct crl_recipe){ .issuer = "inter", .reason = NO_ENTRY, .from = -3600, .to = DAY };
	serve(&w, &recipe);
	r = ask(&h, "no-aia-cdp");
	assert_int_equal(r.reason, CM_REASON_REVOCATION_UNKNOWN);
	assert_has(r.crl, "a rollback: it is older (number 17, of ");
	r = ask(&h, "bob");
	assert_int_equal(r.reason, CM_REASON_REVOKED);
	/* What an old list says revoked was revoked. */
	recipe = (struct crl_recipe){ .issuer = "inter", .names = "no-aia-cdp", .reason = KEY_COMPROMISE, .from = -3600, .to = DAY };
	serve(&w, &recipe);
	assert_int_equal(ask(&h, "no-aia-cdp").reason, CM_REASON_REVOKED);
	recipe.reason = ON_HOLD;
	serve(&w, &recipe);
	assert_int_equal(ask(&h, "no-aia-cdp").reason, CM_REASON_REVOCATION_UNKNOWN);
	web_stop(&w);
	serve(&w, NULL);
}

/* Who only looks writes nothing, and sees what is kept. */
static void
nothing_is_written(void **state)
{
	struct crl_recipe recipe = { .issuer = "inter", .names = "bob", .reason = KEY_COMPROMISE, .from = -600, .to = -400 };
	struct web w = { .mode = WEB_BYTES };
	struct host h = host_of("looking", w.url);
	struct outcome r;

	(void)state;
	serve(&w, &recipe);
	web_start(&w);
	h.looks = true;
	assert_int_equal(ask(&h, "bob").reason, CM_REASON_REVOKED);
	assert_int_not_equal(access(h.folder, F_OK), 0);
	h.looks = false;
	assert_int_equal(ask(&h, "bob").reason, CM_REASON_REVOKED);
	assert_int_equal(atomic_load(&w.asked), 2);
	h.looks = true;
	recipe = (struct crl_recipe){ .issuer = "inter", .reason = NO_ENTRY, .to = DAY };
	serve(&w, &recipe);
	for (unsigned i = 3; i < 5; i++) {
		assert_int_equal(ask(&h, "no-aia-cdp").reason, CM_REASON_NONE);
		assert_int_equal(atomic_load(&w.asked), i);
	}
	recipe = (struct crl_recipe){ .issuer = "inter", .reason = NO_ENTRY, .from = -3600, .to = DAY };
	serve(&w, &recipe);
	r = ask(&h, "no-aia-cdp");
	assert_has(r.crl, "a rollback: it is older");
	web_stop(&w);
	serve(&w, NULL);
}

/* The disk is full in the middle of the download, and the list is judged all the same, in memory. */
static void
fetch_what_does_not_fit(const char *folder, const char *mounted)
{
	static uint8_t der[400000];
	struct crl_list l = { .ca = load_x509("inter"), .key = load_key("inter"), .entries = 9000, .serial_len = 16, .seed = 1,
	    .number = 17, .this_update = time(NULL) - 60, .next_update = time(NULL) + DAY };
	struct web w = { .mode = WEB_BYTES, .bytes = der };
	struct host h = { .crls = { w.url, NULL }, .known = { .now = time(NULL) } };
	uint8_t *made = crl_list_make(&l, &w.len);
	struct outcome r;

	(void)mounted;
	CHILD_MUST(made != NULL && w.len > 256 << 10 && w.len <= sizeof(der));
	memcpy(der, made, w.len);
	snprintf(h.folder, sizeof(h.folder), "%s", folder);
	web_start(&w);
	r = ask(&h, "no-aia-cdp");
	if (r.reason != CM_REASON_NONE)
		fprintf(stderr, "%s\n", r.crl);
	CHILD_MUST(r.reason == CM_REASON_NONE && access(folder, F_OK) == 0);
	web_stop(&w);
}

static void
fetched_onto_a_full_disk(void **state)
{
	(void)state;
	on_a_disk("size=128k", fetch_what_does_not_fit);
}

/* An index that was damaged answers nothing; the list is fetched again, and is whole then. */
static void
damaged_index(void **state)
{
	const struct crl_recipe recipe = { .issuer = "inter", .names = "bob", .reason = KEY_COMPROMISE, .to = DAY };
	static const long places[] = { 3, 40, -14, -32 };	/* from the end, when negative: its last 12 octets are no entry's */
	struct web w = { .mode = WEB_BYTES };
	struct host h = host_of("damaged", w.url);

	(void)state;
	serve(&w, &recipe);
	web_start(&w);
	assert_int_equal(ask(&h, "bob").reason, CM_REASON_REVOKED);
	for (size_t i = 0; i < CM_COUNT(places); i++) {
		char path[512];
		FILE *f;
		int c;

		only_file(h.folder, "*.crl", path);
		f = fopen(path, "r+");
		assert_non_null(f);
		assert_int_equal(fseek(f, places[i], places[i] < 0 ? SEEK_END : SEEK_SET), 0);
		c = getc(f);
		assert_int_equal(fseek(f, -1, SEEK_CUR), 0);
		putc(c ^ 4, f);
		assert_int_equal(fclose(f), 0);
		assert_int_equal(ask(&h, "bob").reason, CM_REASON_REVOKED);
		assert_int_equal(atomic_load(&w.asked), 2 + i);
		assert_int_equal(ask(&h, "bob").reason, CM_REASON_REVOKED);
		assert_int_equal(atomic_load(&w.asked), 2 + i);
	}
	web_stop(&w);
	serve(&w, NULL);
}

/* A file is indexed when it is first seen, and when it is another one. */
static void
files(void **state)
{
	struct crl_recipe recipe = { .issuer = "inter", .reason = NO_ENTRY, .from = -60, .to = DAY };
	char path[512], index[512];
	struct host h;
	struct stat before, after;
	struct outcome r;
	uint8_t *der;
	int len;

	(void)state;
	snprintf(path, sizeof(path), "%s", scratch("kept.crl"));
	h = host_of("files", path);
	der = make_crl(&recipe, &len);
	write_bytes(path, der, (size_t)len);
	OPENSSL_free(der);
	assert_int_equal(ask(&h, "bob").reason, CM_REASON_NONE);
	only_file(h.folder, "*.crl", index);
	assert_int_equal(stat(index, &before), 0);
	r = ask(&h, "bob");
	assert_int_equal(r.reason, CM_REASON_NONE);
	assert_has(r.crl, "kept.crl number 17: good");
	assert_int_equal(stat(index, &after), 0);
	assert_true(before.st_ino == after.st_ino && before.st_ctim.tv_nsec == after.st_ctim.tv_nsec);

	/* The same name, other content. */
	recipe = (struct crl_recipe){ .issuer = "inter", .names = "bob", .reason = KEY_COMPROMISE, .to = DAY };
	der = make_crl(&recipe, &len);
	assert_int_equal(unlink(path), 0);
	write_bytes(path, der, (size_t)len);
	OPENSSL_free(der);
	assert_int_equal(ask(&h, "bob").reason, CM_REASON_REVOKED);
	/* Gone: that is said; what its list said is known until it ends. */
	assert_int_equal(unlink(path), 0);
	r = ask(&h, "no-aia-cdp");
	assert_int_equal(r.reason, CM_REASON_NONE);
	assert_has(r.crl, "there is no such file");
	assert_has(r.crl, "kept here");
	assert_int_equal(ask(&h, "bob").reason, CM_REASON_REVOKED);
}

/* Two lists of one CA in a folder, one of them old: both are read once, and "revoked" of either is heard. */
static void
old_list_beside_the_new(void **state)
{
	const struct crl_recipe fresh = { .issuer = "inter", .reason = NO_ENTRY, .from = -60, .to = DAY };
	const struct crl_recipe old = { .issuer = "inter", .names = "bob", .reason = KEY_COMPROMISE, .from = -DAY, .to = -60 };
	const struct crl_recipe *const lists[] = { &fresh, &old };
	struct host h;
	char path[512], found[512];

	(void)state;
	snprintf(path, sizeof(path), "%s", scratch("two"));
	assert_int_equal(mkdir(path, 0755), 0);
	h = host_of("beside", path);
	for (size_t i = 0; i < CM_COUNT(lists); i++) {
		char file[32];
		int len;
		uint8_t *der = make_crl(lists[i], &len);

		snprintf(file, sizeof(file), "two/%c.crl", (char)('a' + i));
		write_bytes(scratch(file), der, (size_t)len);
		OPENSSL_free(der);
	}
	for (int i = 0; i < 3; i++) {
		struct outcome r = ask(&h, "no-aia-cdp");

		assert_int_equal(r.reason, CM_REASON_NONE);
		assert_has(r.crl, "a.crl number 17: good");
		r = ask(&h, "bob");
		assert_int_equal(r.reason, CM_REASON_REVOKED);
		assert_has(r.crl, "b.crl number 17: revoked");
		only_file(h.folder, "*.crl", found);
		only_file(h.folder, "*.file", found);
	}
}

static void
let_in(const char *path, mode_t mode)
{
	assert_int_equal(chmod(path, mode), 0);
}

static mode_t
mode_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_mode & 07777;
}

/* A copy where everybody reads it. */
static void
put_anchor(const char *path)
{
	X509 *x = load_x509("inter");

	write_pem(path, &x, 1);
	let_in(path, 0644);
	X509_free(x);
}

/* What root fetched is heard by who is not root, and nothing is fetched for it; a list of root's that only root may read is none. */
static void
lists_of_root_are_read(void **state)
{
	const struct crl_recipe recipe = { .issuer = "inter", .names = "bob", .reason = KEY_COMPROMISE, .to = DAY };
	struct web w = { .mode = WEB_BYTES };
	struct host root = host_of("of-root", w.url), own = host_of("own", w.url);
	char found[512], known[512], *slash;
	const mode_t before = umask(077);

	(void)state;
	if (geteuid() != 0)
		skip();
	serve(&w, &recipe);
	web_start(&w);
	assert_int_equal(ask(&root, "bob").reason, CM_REASON_REVOKED);
	assert_int_equal(atomic_load(&w.asked), 1);
	only_file(root.folder, "*.crl", found);
	assert_int_equal(mode_of(found), 0644);
	*(slash = strrchr(found, '/')) = '\0';
	assert_int_equal(mode_of(found), 0755);
	assert_int_equal(mode_of(root.folder), 0755);
	*slash = '/';
	let_in(scratch("."), 0711);
	snprintf(known, sizeof(known), "%s", scratch("inter.crt"));
	put_anchor(known);
	own.anchor = known;
	assert_int_equal(mkdir(own.folder, 0700), 0);
	assert_int_equal(chown(own.folder, 65534, 65534), 0);

	own.also = root.folder;
	own.looks = true;
	assert_int_equal(seteuid(65534), 0);
	assert_int_equal(ask(&own, "bob").reason, CM_REASON_REVOKED);
	assert_int_equal(ask(&own, "no-aia-cdp").reason, CM_REASON_NONE);
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(atomic_load(&w.asked), 1);

	/* as a former version left them: not seen, so they are fetched; and seen again once root has fetched anew */
	let_in(found, 0600);
	*slash = '\0';
	let_in(found, 0700);
	assert_int_equal(seteuid(65534), 0);
	assert_int_equal(ask(&own, "bob").reason, CM_REASON_REVOKED);
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(atomic_load(&w.asked), 2);
	root.known.now += 2 * DAY;
	(void)ask(&root, "no-aia-cdp");
	assert_int_equal(atomic_load(&w.asked), 3);
	assert_int_equal(mode_of(found), 0755);
	*slash = '/';
	assert_int_equal(mode_of(found), 0644);
	assert_int_equal(seteuid(65534), 0);
	assert_int_equal(ask(&own, "bob").reason, CM_REASON_REVOKED);
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(atomic_load(&w.asked), 3);
	web_stop(&w);
	serve(&w, NULL);

	/* nobody else's: where others could write, nothing counts */
	let_in(root.folder, 0777);
	own.crls[0] = NULL;
	assert_int_not_equal(ask(&own, "bob").reason, CM_REASON_REVOKED);
	umask(before);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fetched_once),
		cmocka_unit_test(fetched_again),
		cmocka_unit_test(attack_rollback_by_the_server),
		cmocka_unit_test(nothing_is_written),
		cmocka_unit_test(fetched_onto_a_full_disk),
		cmocka_unit_test(damaged_index),
		cmocka_unit_test(files),
		cmocka_unit_test(old_list_beside_the_new),
		cmocka_unit_test(lists_of_root_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, remove_scratch);
}
