/* tests/trust/test_crl_import.c - lists from files, for hosts that reach no server; and what is kept, told from headers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/trust/crl_world.h"

struct said {
	enum cm_err err;
	enum cm_reason reason;
	char text[1024];	/* of what came of it, or why nothing did */
	unsigned steps;		/* of progress */
	uint64_t done, total;
};

static void
progress(void *arg, const char *path, uint64_t done, uint64_t total)
{
	struct said *s = arg;

	assert_non_null(path);
	assert_true(done >= s->done && done <= total);
	s->steps++;
	s->done = done;
	s->total = total;
}

static struct said
import_file(struct world *w, const char *path, const struct cm_blob *issuers, size_t count)
{
	struct said s = { 0 };
	const struct cm_trust_import i = { .path = path, .issuers = issuers, .issuer_count = count, .progress = progress,
	    .arg = &s };
	struct cm_trace *t = NULL;
	struct cm_buf out;

	cm_buf_init(&out, 0);
	assert_int_equal(cm_trace_new(&t), CM_OK);
	s.err = cm_trust_import(w->trust, &i, &w->known, t, &out);
	s.reason = s.err == CM_OK ? CM_REASON_NONE : cm_trace_reason(t);
	snprintf(s.text, sizeof(s.text), "%s", s.err == CM_OK ? cm_buf_str(&out) : cm_trace_message(t));
	cm_trace_free(&t);
	cm_buf_free(&out);
	return s;
}

static struct said
import_list(struct world *w, const struct list *l)
{
	const char *path = scratch("import.crl");
	size_t len;
	uint8_t *der = world_list(w, l, &len);

	write_bytes(path, der, len);
	free(der);
	return import_file(w, path, NULL, 0);
}

static enum cm_status
kept(struct world *w, struct cm_evidence *e)
{
	struct cm_question q = world_question(w, NULL);
	const enum cm_status status = cm_crl_ask_kept(&q);

	*e = q.answer;
	world_answered(&q);
	return status;
}

static void
lists(void **state)
{
	static const struct {
		const char *name;
		struct list l;
		enum cm_err err;
		const char *part;
		enum cm_status then;
	} rows[] = {
		{ "the first", { CA, .number = 17, .from = -7200 }, CM_OK, "CRL number 17 of CN=Issuing, 0 entries, until ", CM_STATUS_GOOD },
		{ "again", { CA, .number = 17, .from = -7200 }, CM_OK, "number 17", CM_STATUS_GOOD },
		{ "older", { CA, .number = 16, .from = -9000 }, CM_ERR_REFUSED, "older than the list of the same CA", CM_STATUS_GOOD },
		{ "dated ahead", { CA, .number = 99, .from = DAY, .to = 2 * DAY }, CM_ERR_REFUSED, "ahead of this computer's clock", CM_STATUS_GOOD },
		{ "by its next key", { CA_NEW, .number = 3 }, CM_OK, "CRL number 3 of CN=Issuing", CM_STATUS_GOOD },
		{ "a look-alike's", { STRANGER, .number = 3 }, CM_ERR_REFUSED, "does not come from trust.anchors", CM_STATUS_GOOD },
		{ "of who may not", { NO_SIGN, .number = 3 }, CM_ERR_REFUSED, "cRLSign", CM_STATUS_GOOD },
		{ "changes", { CA, .number = 18, .base = 17, .from = -3600, .listed = true, .reason = 6 }, CM_OK,
		    "delta CRL number 18, changes of number 17 of CN=Issuing, 1 entry", CM_STATUS_REVOKED },
		{ "changes that do not fit", { CA, .number = 25, .base = 24, .from = -3000 }, CM_ERR_REFUSED, "cannot be applied", CM_STATUS_REVOKED },
		{ "newer", { CA, .number = 20, .from = -60 }, CM_OK, "number 20", CM_STATUS_GOOD },
		{ "expired", { ELSEWHERE, .number = 20, .from = -2 * DAY, .to = -DAY }, CM_OK, "expired ", CM_STATUS_GOOD },
	};
	char *folder = strdup(scratch("imported"));
	struct cm_evidence e;
	struct world w;

	(void)state;
	world_open(&w, folder);
	world_cert(&w, "", false);
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		const struct said s = import_list(&w, &rows[i].l);

		if (s.err != rows[i].err || strstr(s.text, rows[i].part) == NULL)
			print_error("%s: %s\n", rows[i].name, s.text);
		assert_int_equal(s.err, rows[i].err);
		assert_int_equal(s.reason, s.err == CM_OK ? CM_REASON_NONE : CM_REASON_REVOCATION_DATA);
		assert_has(s.text, rows[i].part);
		if (kept(&w, &e) != rows[i].then)
			print_error("%s: then %d\n", rows[i].name, (int)kept(&w, &e));
		assert_int_equal(kept(&w, &e), rows[i].then);
		/* A file says nothing of when its source last said so. */
		assert_true(e.status == CM_STATUS_REVOKED || e.confirmed == e.this_update);
	}
	world_close(&w);
	free(folder);
}

static void
other_files(void **state)
{
	char *folder = strdup(scratch("others"));
	uint8_t *der = NULL, *list;
	struct cm_blob issuers[1];
	struct world w;
	struct said s;
	size_t len;

	(void)state;
	world_open(&w, folder);
	world_cert(&w, "", false);
	s = import_file(&w, "/nonexistent", NULL, 0);
	assert_true(s.err == CM_ERR_SYSTEM && s.reason == CM_REASON_SYSTEM);
	list = world_list(&w, &(struct list){ CA, .number = 1 }, &len);
	write_bytes(scratch("cut.crl"), list, len - 1);
	s = import_file(&w, scratch("cut.crl"), NULL, 0);
	assert_true(s.err == CM_ERR_SYNTAX && s.reason == CM_REASON_REVOCATION_DATA);
	assert_has(s.text, "it ends before its end");
	free(list);

	/* Whose CA is known by what was kept of cards alone. */
	issuers[0].len = (size_t)i2d_X509(w.certs[CA], &der);
	issuers[0].ptr = der;
	for (int i = sk_X509_num(w.trust->intermediates); i-- > 0;)
		if (X509_cmp(sk_X509_value(w.trust->intermediates, i), w.certs[CA]) == 0)
			X509_free(sk_X509_delete(w.trust->intermediates, i));
	s = import_list(&w, &(struct list){ CA, .number = 1 });
	assert_int_equal(s.err, CM_ERR_SYNTAX);
	assert_has(s.text, "its signature is not that of the CA");
	list = world_list(&w, &(struct list){ CA, .number = 1 }, &len);
	write_bytes(scratch("known.crl"), list, len);
	free(list);
	s = import_file(&w, scratch("known.crl"), issuers, 1);
	assert_string_equal(s.err == CM_OK ? "" : s.text, "");
	OPENSSL_free(der);
	world_close(&w);
	free(folder);

	/* Nothing can be kept. */
	world_open(&w, NULL);
	world_cert(&w, "", false);
	s = import_list(&w, &(struct list){ CA, .number = 1 });
	assert_true(s.err == CM_ERR_SYSTEM && s.reason == CM_REASON_SYSTEM);
	assert_has(s.text, "trust.crl_dir");
	world_close(&w);
}

static void
progress_is_told(void **state)
{
	char *folder = strdup(scratch("progress"));
	struct world w;
	struct said s;
	struct crl_list l;
	uint8_t *der;
	size_t len;

	(void)state;
	world_open(&w, folder);
	l = (struct crl_list){ .ca = w.certs[CA], .key = w.keys[CA], .entries = 30000, .serial_len = 16, .number = 1,
	    .this_update = w.now - 60, .next_update = w.now + DAY };
	der = crl_list_make(&l, &len);
	write_bytes(scratch("large.crl"), der, len);
	free(der);
	s = import_file(&w, scratch("large.crl"), NULL, 0);
	assert_int_equal(s.err, CM_OK);
	assert_has(s.text, "30,000 entries");
	assert_int_equal(s.total, len);
	assert_int_equal(s.done, len);
	assert_true(s.steps >= 3);
	world_close(&w);
	free(folder);
}

/* ---- What is kept. */

struct shown {
	unsigned count, deltas, indirect, damaged;
	char text[2048];
};

static enum cm_err
show(void *arg, const struct cm_kept_list *l)
{
	struct shown *s = arg;
	const size_t len = strlen(s->text);

	s->count++;
	s->deltas += l->delta;
	s->indirect += l->indirect;
	s->damaged += l->damage != NULL;
	snprintf(s->text + len, sizeof(s->text) - len, "[%s number %s, %llu, %s]", l->issuer, l->number,
	    (unsigned long long)l->entries, l->damage != NULL ? l->damage : "whole");
	assert_true(l->damage != NULL || (l->list_size > 0 && l->index_size > 0 && l->source[0] != '\0' && l->learned != 0));
	return CM_OK;
}

static void
damage_one(const char *folder)
{
	char command[600];

	snprintf(command, sizeof(command), "f=$(find '%s' -name '*.delta') && printf X | dd of=\"$f\" bs=1 seek=30 conv=notrunc 2>/dev/null",
	    folder);
	assert_int_equal(system(command), 0);
}

static void
headers_are_shown(void **state)
{
	char *folder = strdup(scratch("shown"));
	struct shown s = { 0 };
	struct world w;

	(void)state;
	world_open(&w, folder);
	world_cert(&w, "", false);
	assert_int_equal(cm_trust_each_kept_list(w.trust, show, &s), CM_OK);
	assert_int_equal(s.count, 0);
	assert_int_equal(import_list(&w, &(struct list){ CA, .number = 1, .from = -3600, .listed = true, .reason = 1 }).err, CM_OK);
	assert_int_equal(import_list(&w, &(struct list){ CA, .number = 2, .from = -1800 }).err, CM_OK);
	assert_int_equal(import_list(&w, &(struct list){ CA, .number = 3, .base = 2 }).err, CM_OK);
	assert_int_equal(import_list(&w, &(struct list){ OTHER, .number = 9, .scope = CRL_INDIRECT }).err, CM_OK);
	assert_int_equal(cm_trust_each_kept_list(w.trust, show, &s), CM_OK);
	/* What is gone from them is no list. */
	assert_int_equal(s.count, 3);
	assert_true(s.deltas == 1 && s.indirect == 1 && s.damaged == 0);
	assert_has(s.text, "[CN=Issuing number 2, 0, whole]");
	assert_has(s.text, "[CN=Lists number 9, 0, whole]");
	damage_one(folder);
	s = (struct shown){ 0 };
	assert_int_equal(cm_trust_each_kept_list(w.trust, show, &s), CM_OK);
	assert_true(s.count == 3 && s.damaged == 1);
	assert_has(s.text, "its header is damaged");
	world_close(&w);
	free(folder);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists),
		cmocka_unit_test(other_files),
		cmocka_unit_test(progress_is_told),
		cmocka_unit_test(headers_are_shown),
	};

	return cmocka_run_group_tests(tests, NULL, remove_scratch);
}
