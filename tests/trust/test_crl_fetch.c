/* tests/trust/test_crl_fetch.c - lists from a server: confirmed where they did not change, gone on with where they broke off, never forgiven. */
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utime.h>

#include "tests/trust/crl_world.h"
#include "tests/trust/web.h"
#include "trust/fetch.h"

/* A host, a server, and what it serves. */
struct scene {
	struct world w;
	struct web web;
	char *folder;
	uint8_t *made[32];	/* owned; a former answer may still be sent */
	size_t count;
};

static void
begin(struct scene *s, const char *name)
{
	*s = (struct scene){ .web = { .mode = WEB_BYTES, .etag = "\"one\"" } };
	s->folder = strdup(scratch(name));
	world_open(&s->w, s->folder);
	world_cert(&s->w, "crlDistributionPoints=URI:http://a/1.crl\nfreshestCRL=URI:http://a/d.crl", false);
	web_start(&s->web);
}

static void
end(struct scene *s)
{
	web_stop(&s->web);
	while (s->count > 0)
		free(s->made[--s->count]);
	world_close(&s->w);
	free(s->folder);
}

static void
serve(struct scene *s, const struct list *l, const char *etag)
{
	assert_true(s->count < CM_COUNT(s->made));
	s->web.bytes = s->made[s->count++] = world_list(&s->w, l, &s->web.len);
	s->web.etag = etag;
}

/* What the fetch brings and what is said then. */
struct came {
	enum cm_err err;
	enum cm_status status;
	enum cm_objection objection;
	bool not_modified, kept;
	struct cm_evidence e;
	char why[512];
};

static struct came
fetch_at(struct scene *s, const char *url)
{
	struct cm_crl_index *lists = NULL;
	struct cm_question q = world_question(&s->w, &lists);
	struct cm_fetch f = { .deadline = cm_deadline_in(5000) };
	struct cm_crl_coming *c = NULL;
	struct came r = { .status = CM_STATUS_UNKNOWN };

	assert_int_equal(cm_crl_prepare(&q, url, &f, &c), CM_OK);
	web_fetch(&f);
	r.not_modified = f.not_modified;
	r.err = cm_crl_arrived(&q, &c, &f);
	assert_null(c);
	if (r.err == CM_OK)
		r.status = cm_crl_ask_kept(&q);
	r.objection = q.objection;
	r.kept = q.kept;
	r.e = q.answer;
	snprintf(r.why, sizeof(r.why), "%s", cm_buf_str(&q.why));
	cm_fetch_clear(&f);
	cm_crl_list_close(&lists);
	world_answered(&q);
	return r;
}

static struct came
fetch(struct scene *s)
{
	return fetch_at(s, s->web.url);
}

/* What is said without asking anybody. */
static struct came
kept(struct scene *s)
{
	struct cm_question q = world_question(&s->w, NULL);
	struct came r = { .status = cm_crl_ask_kept(&q) };

	r.kept = q.kept;
	r.e = q.answer;
	r.objection = q.objection;
	world_answered(&q);
	return r;
}

/* The only file so named, or NULL; to be freed. */
static char *
only(const struct scene *s, const char *pattern)
{
	char path[600];
	char *found = NULL;
	glob_t g;

	snprintf(path, sizeof(path), "%s/*/%s", s->folder, pattern);
	if (glob(path, 0, NULL, &g) == 0) {
		assert_int_equal(g.gl_pathc, 1);
		found = strdup(g.gl_pathv[0]);
	}
	globfree(&g);
	return found;
}

static bool
is_there(const struct scene *s, const char *pattern)
{
	char *path = only(s, pattern);

	free(path);
	return path != NULL;
}

/* The source says again that it is its list: that counts as new, and nothing is read or written but 12 octets. */
static void
not_modified_is_confirmed(void **state)
{
	struct stat before, after;
	struct scene s;
	struct came r;
	char *path;

	(void)state;
	begin(&s, "confirmed");
	serve(&s, &(struct list){ CA, .number = 1, .from = -3600 }, "\"one\"");
	r = fetch(&s);
	assert_int_equal(r.status, CM_STATUS_GOOD);
	assert_false(r.kept);
	assert_int_equal(r.e.confirmed, s.w.now);
	path = only(&s, "*.crl");
	assert_int_equal(stat(path, &before), 0);

	s.w.known.now += 600;
	r = kept(&s);
	assert_true(r.status == CM_STATUS_GOOD && r.kept && r.e.confirmed == s.w.now);
	r = fetch(&s);
	assert_true(r.not_modified);
	assert_int_equal(r.status, CM_STATUS_GOOD);
	assert_false(r.kept);
	assert_int_equal(r.e.confirmed, s.w.now + 600);
	assert_int_equal(r.e.learned, s.w.now);
	r = kept(&s);
	assert_int_equal(r.e.confirmed, s.w.now + 600);
	assert_int_equal(stat(path, &after), 0);
	assert_true(before.st_ino == after.st_ino && before.st_size == after.st_size);

	/* Another one is taken as it is. */
	serve(&s, &(struct list){ CA, .number = 2, .listed = true, .reason = 1 }, "\"two\"");
	r = fetch(&s);
	assert_false(r.not_modified);
	assert_int_equal(r.status, CM_STATUS_REVOKED);
	free(path);
	end(&s);
}

/*
 * Who was once in the server's place gave an older list the ETag of the present
 * one: no signature is on that.  When the list has ended, the server is not
 * asked whether it changed.
 */
static void
attack_named_as_the_next(void **state)
{
	struct scene s;
	struct came r;

	(void)state;
	begin(&s, "named");
	serve(&s, &(struct list){ CA, .number = 1, .from = -3600, .to = 3600 }, "\"two\"");
	assert_int_equal(fetch(&s).status, CM_STATUS_GOOD);
	serve(&s, &(struct list){ CA, .number = 2, .listed = true, .reason = 1 }, "\"two\"");
	assert_true(fetch(&s).not_modified);
	s.w.known.now += 7200;
	r = fetch(&s);
	assert_false(r.not_modified);
	assert_int_equal(r.status, CM_STATUS_REVOKED);
	end(&s);

	/* A CA that is late sends its list once more, and not each time. */
	begin(&s, "late");
	serve(&s, &(struct list){ CA, .number = 1, .from = -3600, .to = 3600 }, "\"one\"");
	assert_int_equal(fetch(&s).status, CM_STATUS_GOOD);
	for (int n = 0; n < 3; n++) {
		s.w.known.now += 7200;
		r = fetch(&s);
		assert_int_equal(r.not_modified, n > 0);
		assert_int_equal(r.objection, CM_OBJECTION_STALE);
	}
	end(&s);
}

static void
change_octet(const char *path, long from_end)
{
	FILE *f = fopen(path, "r+");
	int c;

	assert_non_null(f);
	assert_int_equal(fseek(f, from_end, SEEK_END), 0);
	c = getc(f);
	assert_int_equal(fseek(f, -1, SEEK_CUR), 0);
	putc(c ^ 4, f);
	assert_int_equal(fclose(f), 0);
}

/* A trailer that is damaged says nothing, and spoils nothing; what is damaged before it is fetched again, whole. */
static void
damage(void **state)
{
	struct scene s;
	struct came r;
	char *path;

	(void)state;
	begin(&s, "damage");
	serve(&s, &(struct list){ CA, .number = 1, .from = -3600, .listed = true, .reason = 6 }, "\"one\"");
	assert_int_equal(fetch(&s).status, CM_STATUS_REVOKED);
	path = only(&s, "*.crl");
	change_octet(path, -6);
	r = kept(&s);
	assert_int_equal(r.status, CM_STATUS_REVOKED);
	assert_int_equal(r.e.confirmed, s.w.now - 3600);
	r = fetch(&s);
	assert_true(r.not_modified);
	assert_int_equal(kept(&s).e.confirmed, s.w.now);
	change_octet(path, -16);
	r = kept(&s);
	assert_true(r.status == CM_STATUS_UNKNOWN && r.objection == CM_OBJECTION_DAMAGED);
	r = fetch(&s);
	assert_false(r.not_modified);
	assert_int_equal(r.status, CM_STATUS_REVOKED);
	assert_int_equal(kept(&s).status, CM_STATUS_REVOKED);
	free(path);
	end(&s);
}

/* What broke off goes on where it did, once; with another ETag it begins anew; without a strong one nothing is kept. */
static void
gone_on_with(void **state)
{
	static const struct row {
		const char *name, *etag, *then;
		enum web_range range;
		unsigned days;		/* until then */
		bool part;		/* is kept when it broke off */
		const char *asks;	/* of the second request; NULL: for all of it */
	} rows[] = {
		{ "the rest", "\"one\"", "\"one\"", WEB_RANGE_RIGHT, 0, true, "Range: bytes=" },
		{ "it has changed", "\"one\"", "\"two\"", WEB_RANGE_RIGHT, 0, true, "Range: bytes=" },
		{ "no ranges", "\"one\"", "\"one\"", WEB_RANGE_NONE, 0, true, "Range: bytes=" },
		{ "a weak ETag", "W/\"one\"", "W/\"one\"", WEB_RANGE_RIGHT, 0, false, NULL },
		{ "no ETag", NULL, NULL, WEB_RANGE_RIGHT, 0, false, NULL },
		{ "too long ago", "\"one\"", "\"one\"", WEB_RANGE_RIGHT, 8, true, NULL },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct scene s;
		struct came r;
		char *part;

		begin(&s, rows[i].name);
		serve(&s, &(struct list){ CA, .number = 1 }, rows[i].etag);
		s.web.range = rows[i].range;
		s.web.sent = s.web.len / 2;
		r = fetch(&s);
		assert_int_equal(r.err, CM_ERR_OFFLINE);
		assert_int_equal(r.objection, CM_OBJECTION_BROKEN_ANSWER);
		part = only(&s, "part.????????????????");
		assert_int_equal(part != NULL, rows[i].part);
		assert_false(is_there(&s, "new.*"));
		if (rows[i].days != 0) {
			const time_t then = time(NULL) - rows[i].days * DAY;

			assert_int_equal(utime(part, &(struct utimbuf){ then, then }), 0);
		}
		s.web.sent = 0;
		s.web.etag = rows[i].then;
		r = fetch(&s);
		if (r.status != CM_STATUS_GOOD)
			print_error("%s: %s\n", rows[i].name, r.why);
		assert_int_equal(r.status, CM_STATUS_GOOD);
		if (rows[i].asks != NULL)
			assert_has(s.web.request, rows[i].asks);
		else
			assert_null(strstr(s.web.request, "Range:"));
		assert_false(is_there(&s, "part.*"));
		assert_false(is_there(&s, "new.*"));
		assert_true(is_there(&s, "*.crl"));
		free(part);
		end(&s);
	}
}

/* attack: a part that was changed on disk, or that is of another list: the whole is of no use, and is thrown away. */
static void
attack_changed_part(void **state)
{
	struct scene s;
	struct came r;
	char *part;

	(void)state;
	begin(&s, "changed part");
	serve(&s, &(struct list){ CA, .number = 1 }, "\"one\"");
	s.web.sent = s.web.len - 20;
	assert_int_equal(fetch(&s).err, CM_ERR_OFFLINE);
	part = only(&s, "part.????????????????");
	change_octet(part, -60);
	s.web.sent = 0;
	r = fetch(&s);
	assert_int_equal(r.err, CM_ERR_SYNTAX);
	assert_int_equal(r.status, CM_STATUS_UNKNOWN);
	assert_false(is_there(&s, "part.*"));
	assert_false(is_there(&s, "*.crl"));
	assert_int_equal(fetch(&s).status, CM_STATUS_GOOD);
	free(part);
	end(&s);
}

/* Parts of lists that nobody asks for any more do not stay. */
static void
old_parts_are_swept(void **state)
{
	const time_t then = time(NULL) - 8 * DAY;
	struct scene s;
	char *part;

	(void)state;
	begin(&s, "swept");
	serve(&s, &(struct list){ CA, .number = 1 }, "\"one\"");
	s.web.sent = s.web.len / 2;
	assert_int_equal(fetch(&s).err, CM_ERR_OFFLINE);
	part = only(&s, "part.????????????????");
	assert_int_equal(utime(part, &(struct utimbuf){ then, then }), 0);
	free(part);
	part = only(&s, "part.*.etag");
	assert_int_equal(utime(part, &(struct utimbuf){ then, then }), 0);
	free(part);
	s.web.mode = WEB_STATUS;
	s.web.status = 404;
	assert_int_equal(fetch_at(&s, "http://127.0.0.1:1/other.crl").err, CM_ERR_OFFLINE);
	assert_false(is_there(&s, "part.*"));
	end(&s);
}

/* attack: revoked, and the next list says no more of it; only forgetting it ends that, and a hold ends by itself. */
static void
attack_replaced_without_the_entry(void **state)
{
	static const struct row {
		const char *name;
		struct list before, after;
		bool stays;
	} rows[] = {
		{ "revoked", { CA, .number = 1, .from = -3600, .listed = true, .reason = 1 }, { CA, .number = 2 }, true },
		{ "without a reason", { CA, .number = 1, .from = -3600, .listed = true, .reason = -1 }, { CA, .number = 2 }, true },
		{ "on hold", { CA, .number = 1, .from = -3600, .listed = true, .reason = 6 }, { CA, .number = 2 }, false },
		{ "revoked, then on hold", { CA, .number = 1, .from = -3600, .listed = true, .reason = 1 },
		    { CA, .number = 2, .listed = true, .reason = 6 }, true },
		{ "indirect", { CA, .number = 1, .from = -3600, .listed = true, .reason = 1, .scope = CRL_INDIRECT },
		    { CA, .number = 2, .scope = CRL_INDIRECT }, true },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct cm_blob serial;
		struct scene s;
		struct came r;

		begin(&s, rows[i].name);
		serve(&s, &rows[i].before, "\"one\"");
		assert_int_equal(fetch(&s).status, CM_STATUS_REVOKED);
		serve(&s, &rows[i].after, "\"two\"");
		r = fetch(&s);
		assert_int_equal(r.status, rows[i].stays ? CM_STATUS_REVOKED : CM_STATUS_GOOD);
		/* However many lists follow. */
		for (long n = 3; n < 6; n++) {
			struct list next = rows[i].after;

			next.number = n;
			next.listed = false;
			serve(&s, &next, "\"more\"");
			s.web.etag = n == 3 ? "\"3\"" : n == 4 ? "\"4\"" : "\"5\"";
			r = fetch(&s);
			assert_int_equal(r.status, rows[i].stays ? CM_STATUS_REVOKED : CM_STATUS_GOOD);
		}
		if (rows[i].stays) {
			assert_has(r.e.source, "a former CRL ");
			assert_false(r.e.on_hold);
		}
		serial = (struct cm_blob){ r.e.serial, r.e.serial_len };
		assert_int_equal(cm_crl_forget(s.folder, r.e.issuer_key, X509_get_issuer_name(s.w.cert), serial), rows[i].stays ? CM_OK : CM_ERR_ABSENT);
		assert_int_equal(kept(&s).status, CM_STATUS_GOOD);
		assert_int_equal(cm_crl_forget(s.folder, r.e.issuer_key, X509_get_issuer_name(s.w.cert), serial), CM_ERR_ABSENT);
		end(&s);
	}
}

/* What is forgotten of one stays of others. */
static void
forget_one_of_two(void **state)
{
	struct cm_evidence bob;
	struct scene s;
	X509 *first;

	(void)state;
	begin(&s, "two");
	serve(&s, &(struct list){ CA, .number = 1, .from = -3600, .listed = true, .reason = 1 }, "\"1\"");
	assert_int_equal(fetch(&s).status, CM_STATUS_REVOKED);
	assert_int_equal(cm_evidence_name(s.w.cert, s.w.certs[CA], &bob), CM_OK);
	first = X509_dup(s.w.cert);
	world_cert(&s.w, "", false);
	serve(&s, &(struct list){ CA, .number = 2, .from = -1800, .listed = true, .reason = 1 }, "\"2\"");
	assert_int_equal(fetch(&s).status, CM_STATUS_REVOKED);
	serve(&s, &(struct list){ CA, .number = 3 }, "\"3\"");
	assert_int_equal(fetch(&s).status, CM_STATUS_REVOKED);
	assert_int_equal(cm_crl_forget(s.folder, bob.issuer_key, NULL, (struct cm_blob){ bob.serial, bob.serial_len }), CM_OK);
	assert_int_equal(kept(&s).status, CM_STATUS_REVOKED);
	X509_free(s.w.cert);
	s.w.cert = first;
	assert_int_equal(kept(&s).status, CM_STATUS_GOOD);
	end(&s);
}

/* Whoever plans gets the addresses: of the certificate, and of the base that is here. */
struct places {
	char text[512];
};

static bool
note(void *arg, const struct cm_crl_point *p)
{
	struct places *w = arg;

	for (size_t i = 0; i < p->count; i++) {
		const size_t len = strlen(w->text);

		snprintf(w->text + len, sizeof(w->text) - len, "%s%s(%x%s) ", p->delta ? "delta " : "", p->urls[i], p->reasons,
		    p->other_issuer ? ", other" : "");
	}
	return true;
}

static void
addresses(void **state)
{
	static const struct {
		const char *cert, *freshest, *text;
	} rows[] = {
		{ "crlDistributionPoints=URI:http://a/1.crl,URI:ldap:///cn=a?certificateRevocationList", NULL,
		    "http://a/1.crl(1fe) ldap:///cn=a?certificateRevocationList(1fe) " },
		{ "crlDistributionPoints=p\nfreshestCRL=URI:http://a/d.crl\n[p]\nfullname=URI:http://a/1.crl,URI:http://b/1.crl\n"
		    "reasons=keyCompromise", "http://a/e.crl",
		    "http://a/1.crl(2) http://b/1.crl(2) delta http://a/d.crl(1fe) delta http://a/e.crl(1fe) " },
		{ "crlDistributionPoints=p\n[p]\nfullname=URI:http://a/1.crl\nCRLissuer=dirName:n\n[n]\nCN=Lists", NULL,
		    "http://a/1.crl(1fe, other) " },
		{ "crlDistributionPoints=p\n[p]\nrelativename=n\n[n]\nCN=part", NULL, "" },
		{ "keyUsage=digitalSignature", NULL, "" },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct places w = { "" };
		struct cm_question q;
		struct scene s;

		begin(&s, "addresses");
		world_cert(&s.w, rows[i].cert, false);
		serve(&s, &(struct list){ CA, .number = (long)i + 1, .freshest = rows[i].freshest }, NULL);
		assert_int_equal(fetch(&s).status, CM_STATUS_GOOD);
		q = world_question(&s.w, NULL);
		assert_true(cm_crl_addresses(&q, note, &w));
		assert_string_equal(w.text, rows[i].text);
		world_answered(&q);
		end(&s);
	}
}

/* Where changes are to be had, and none are here, there is something to ask for. */
static void
changes_are_asked_for(void **state)
{
	struct scene s;
	struct came r;

	(void)state;
	begin(&s, "changes");
	serve(&s, &(struct list){ CA, .number = 5, .from = -3600, .freshest = "http://a/d.crl" }, "\"5\"");
	r = fetch(&s);
	assert_int_equal(r.status, CM_STATUS_GOOD);
	assert_true(r.e.ask_after != 0 && r.e.ask_after <= s.w.now);
	assert_int_equal(r.e.next_update, s.w.now + DAY);
	serve(&s, &(struct list){ CA, .number = 6, .base = 5, .to = 3600 }, "\"6\"");
	s.web.modified = NULL;
	r = fetch(&s);
	assert_int_equal(r.status, CM_STATUS_GOOD);
	assert_int_equal(r.e.ask_after, 0);
	assert_int_equal(r.e.next_update, s.w.now + 3600);
	assert_has(r.e.source, "with changes");
	assert_true(is_there(&s, "*.crl") && is_there(&s, "*.delta"));
	end(&s);
}

/* Nobody may say "not modified" who was not asked that. */
static void
unasked_304(void **state)
{
	struct scene s;
	struct came r;

	(void)state;
	begin(&s, "unasked");
	s.web.mode = WEB_STATUS;
	s.web.status = 304;
	r = fetch(&s);
	assert_true(r.err != CM_OK && r.status == CM_STATUS_UNKNOWN && r.objection != CM_OBJECTION_NONE);
	end(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(not_modified_is_confirmed),
		cmocka_unit_test(attack_named_as_the_next),
		cmocka_unit_test(damage),
		cmocka_unit_test(gone_on_with),
		cmocka_unit_test(attack_changed_part),
		cmocka_unit_test(old_parts_are_swept),
		cmocka_unit_test(attack_replaced_without_the_entry),
		cmocka_unit_test(forget_one_of_two),
		cmocka_unit_test(addresses),
		cmocka_unit_test(changes_are_asked_for),
		cmocka_unit_test(unasked_304),
	};

	return cmocka_run_group_tests(tests, NULL, remove_scratch);
}
