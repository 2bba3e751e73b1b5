/* tests/trust/test_crl_index.c - the index says what the list says, or nothing: whatever the list, the disk and the moment. */
#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/rig/crl_list.h"
#include "tests/trust/fixture.h"
#include "trust/crl_internal.h"

#define NOW	1763700000	/* lists here are of this time */
#define KILLED	200

static X509 *ca;
static EVP_PKEY *ca_key;
static uint8_t key_hash[32];

static int
load(void **state)
{
	struct cm_evidence e;
	X509 *leaf = load_x509("alice-p256");

	(void)state;
	ca = load_x509("inter");
	ca_key = load_key("inter");
	assert_int_equal(cm_evidence_name(leaf, ca, &e), CM_OK);
	memcpy(key_hash, e.issuer_key, sizeof(key_hash));
	X509_free(leaf);
	return 0;
}

static int
unload(void **state)
{
	X509_free(ca);
	EVP_PKEY_free(ca_key);
	return remove_scratch(state);
}

static struct crl_list
list_of(size_t entries)
{
	return (struct crl_list){ .ca = ca, .key = ca_key, .entries = entries, .seed = 1, .number = 1,
	    .this_update = NOW, .next_update = NOW + DAY };
}

/* A file without a name that holds these bytes. */
static int
file_of(const void *p, size_t len)
{
	const int fd = cm_crl_temporary(-1);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, p, len), (ssize_t)len);
	return fd;
}

struct imported {
	enum cm_err err;
	struct cm_crl_index *x;		/* NULL: refused */
	char why[256], warning[512];
};

/* Import bytes into folder, which may be NULL, as of now. */
static struct imported
import_bytes(const void *p, size_t len, const char *folder, const char *source)
{
	struct imported r = { 0 };
	struct cm_buf why = { 0 }, warning = { 0 };
	struct cm_crl_store s;
	struct cm_crl_import i = { .list = file_of(p, len), .max = 1 << 28, .issuer = ca, .now = NOW,
	    .origin = { source, "mark", "", NOW, NOW }, .beside = source[0] == '/', .warning = &warning };

	cm_crl_store_open(&s, folder, key_hash, true, &warning);
	r.err = cm_crl_store_import(&s, &i, &r.x, &why);
	snprintf(r.why, sizeof(r.why), "%s", cm_buf_str(&why));
	snprintf(r.warning, sizeof(r.warning), "%s", cm_buf_str(&warning));
	assert_true((r.err == CM_OK) == (r.x != NULL));
	cm_crl_store_close(&s);
	close(i.list);
	cm_buf_free(&why);
	cm_buf_free(&warning);
	return r;
}

static struct imported
import(const struct crl_list *l, const char *folder, const char *source)
{
	struct imported r;
	size_t len;
	uint8_t *der = crl_list_make(l, &len);

	assert_non_null(der);
	r = import_bytes(der, len, folder, source);
	free(der);
	return r;
}

static enum cm_err
find(const struct cm_crl_index *x, const X509_NAME *issuer, const uint8_t *serial, size_t len,
    struct cm_crl_entry *e)
{
	uint8_t content[CRL_SERIAL_MAX + 2] = { 0 };
	const size_t sign = (serial[0] & 0x80) != 0;

	memcpy(content + sign, serial, len);
	return cm_crl_index_find(x, issuer, (struct cm_blob){ content, len + sign }, e);
}

/* ---- The same answers as OpenSSL's */

/* What OpenSSL's entries say, one looked at after the other. */
static bool
oracle(X509_CRL *crl, const X509_NAME *issuer, const ASN1_INTEGER *serial, struct cm_crl_entry *out)
{
	STACK_OF(X509_REVOKED) *all = X509_CRL_get_REVOKED(crl);
	const X509_NAME *holds = X509_CRL_get_issuer(crl);
	X509_NAME *named = NULL;
	bool found = false;

	for (int i = 0; i < sk_X509_REVOKED_num(all); i++) {
		const X509_REVOKED *r = sk_X509_REVOKED_value(all, i);
		GENERAL_NAMES *names = X509_REVOKED_get_ext_d2i(r, NID_certificate_issuer, NULL, NULL);
		ASN1_ENUMERATED *reason = X509_REVOKED_get_ext_d2i(r, NID_crl_reason, NULL, NULL);
		struct cm_crl_entry e = { .reason = reason != NULL ? (uint8_t)ASN1_ENUMERATED_get(reason) : 0 };

		if (names != NULL) {
			X509_NAME_free(named);
			holds = named = X509_NAME_dup(sk_GENERAL_NAME_value(names, 0)->d.directoryName);
		}
		assert_true(cm_asn1_time(X509_REVOKED_get0_revocationDate(r), &e.revoked_at));
		if (ASN1_INTEGER_cmp(X509_REVOKED_get0_serialNumber(r), serial) == 0 &&
		    X509_NAME_cmp(holds, issuer) == 0 && (!found || cm_crl_class(e.reason) < cm_crl_class(out->reason) ||
		    (cm_crl_class(e.reason) == cm_crl_class(out->reason) && e.revoked_at < out->revoked_at))) {
			*out = e;
			found = true;
		}
		ASN1_ENUMERATED_free(reason);
		GENERAL_NAMES_free(names);
	}
	X509_NAME_free(named);
	return found;
}

static void
compare(const struct cm_crl_index *x, X509_CRL *crl, const X509_NAME *issuer, const uint8_t *serial, size_t len)
{
	BIGNUM *n = BN_bin2bn(serial, (int)len, NULL);
	ASN1_INTEGER *i = BN_to_ASN1_INTEGER(n, NULL);
	struct cm_crl_entry want = { 0 }, got = { 0 };
	X509_REVOKED *entry = NULL;
	const bool there = oracle(crl, issuer, i, &want);
	const enum cm_err err = find(x, issuer, serial, len, &got);

	assert_int_equal(err, there ? CM_OK : CM_ERR_ABSENT);
	if (there) {
		assert_int_equal(cm_crl_class(got.reason), cm_crl_class(want.reason));
		assert_int_equal(got.revoked_at, want.revoked_at);
	}
	/* It keeps indirect lists by issuer too, but only those it could take for a CA's own. */
	if (x->about.issuers.len == 0)
		assert_int_equal(X509_CRL_get0_by_serial(crl, &entry, i) != 0, there);
	BN_free(n);
	ASN1_INTEGER_free(i);
}

static void
same_answers_as_openssl(void **state)
{
	static const struct row {
		size_t entries;
		unsigned serial_len, flags, issuers;
		long base;
	} rows[] = {
		{ 0, 0, 0, 0, 0 }, { 1, 16, 0, 0, 0 }, { 2, 1, 0, 0, 0 }, { 10, 20, CRL_REASONS, 0, 0 },
		{ 600, 0, CRL_REASONS | CRL_INVALIDITY | CRL_HOLD_CODE | CRL_UNKNOWN | CRL_UTC_MIXED, 0, 0 },
		{ 600, 16, CRL_REASONS | CRL_SORTED, 0, 0 }, { 600, 8, CRL_REASONS | CRL_TWICE, 0, 0 },
		{ 300, 2, CRL_REASONS | CRL_REMOVED, 0, 0 }, { 300, 3, CRL_REASONS | CRL_REMOVED, 0, 41 },
		{ 200, 4, CRL_REASONS, 5, 0 }, { 200, 1, CRL_REASONS | CRL_TWICE, 3, 0 },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct crl_list l = list_of(rows[i].entries);
		const uint8_t *p;
		struct imported r;
		X509_CRL *crl;
		uint8_t *der;
		size_t len;

		l.serial_len = rows[i].serial_len;
		l.flags = rows[i].flags;
		l.issuers = rows[i].issuers;
		l.base = rows[i].base;
		l.number = 42;
		l.seed = (unsigned)i;
		p = der = crl_list_make(&l, &len);
		assert_non_null(crl = d2i_X509_CRL(NULL, &p, (long)len));
		r = import_bytes(der, len, NULL, "http://a/");
		assert_string_equal(r.why, "");
		assert_int_equal(r.x->about.entries, l.entries);
		assert_int_equal(r.x->about.delta, l.base != 0);
		assert_int_equal(r.x->about.indirect, l.issuers != 0);
		for (size_t k = 0; k < l.entries + 20; k++)
			for (unsigned who = 0; who <= l.issuers; who++) {
				X509_NAME *name = who == 0 ? X509_NAME_dup(X509_get_subject_name(ca)) : crl_list_issuer(who);
				uint8_t serial[CRL_SERIAL_MAX];
				const size_t n = crl_list_serial(&l, k, serial);

				compare(r.x, crl, name, serial, n);
				serial[n - 1] ^= 1;
				compare(r.x, crl, name, serial, n);
				X509_NAME_free(name);
			}
		cm_crl_index_close(&r.x);
		X509_CRL_free(crl);
		free(der);
	}
}

/* More than is sorted at once. */
static void
many_entries(void **state)
{
	struct crl_list l = list_of(600000);
	struct cm_crl_entry e;
	struct imported r;

	(void)state;
	l.serial_len = 12;
	r = import(&l, NULL, "http://a/");
	assert_string_equal(r.why, "");
	assert_int_equal(r.x->about.entries, l.entries);
	for (size_t i = 0; i < l.entries; i += 61) {
		uint8_t serial[CRL_SERIAL_MAX];
		const size_t n = crl_list_serial(&l, i, serial);

		assert_int_equal(find(r.x, X509_get_subject_name(ca), serial, n, &e), CM_OK);
		serial[n - 1] ^= 1;
		assert_int_equal(find(r.x, X509_get_subject_name(ca), serial, n, &e), CM_ERR_ABSENT);
	}
	cm_crl_index_close(&r.x);
}

/* X.690: octets that say less than they could do not make another number. */
static void
serials_asked_for(void **state)
{
	struct crl_list l = list_of(20);
	static const struct {
		uint8_t content[22];
		size_t len;
		enum cm_err err;
	} rows[] = {
		{ { 0xff }, 1, CM_ERR_SYNTAX }, { { 0 }, 0, CM_ERR_SYNTAX }, { { 0, 1 }, 2, CM_ERR_SYNTAX },
		{ { 0, 0x80 }, 2, CM_ERR_ABSENT }, { { 0 }, 1, CM_ERR_ABSENT }, { { 0, 0xff }, 21, CM_ERR_ABSENT },
		{ { 1 }, 22, CM_ERR_SYNTAX },
	};
	struct imported r = import(&l, NULL, "http://a/");

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct cm_crl_entry e;

		assert_int_equal(cm_crl_index_find(r.x, X509_get_subject_name(ca),
		    (struct cm_blob){ rows[i].content, rows[i].len }, &e), rows[i].err);
	}
	cm_crl_index_close(&r.x);
}

/* ---- What is in force */

struct seen {
	unsigned in_force, beside;
	long number;
	bool right;
	const struct crl_list *list;	/* what the one in force must say */
	const ASN1_INTEGER *named;	/* NULL: nobody is looked for */
	bool revoked;			/* it stands in any of them, or in what is gone */
};

/* Every entry of the list is found, and its neighbours are not. */
static bool
says(const struct cm_crl_index *x, const struct crl_list *l)
{
	bool right = x->about.entries == l->entries + l->named_count;

	for (size_t i = 0; right && i < l->entries; i += 1 + l->entries / 100) {
		uint8_t serial[CRL_SERIAL_MAX];
		const size_t n = crl_list_serial(l, i, serial);
		struct cm_crl_entry e;

		right = find(x, X509_get_subject_name(ca), serial, n, &e) == CM_OK;
		serial[n - 1] ^= 1;
		right = right && find(x, X509_get_subject_name(ca), serial, n, &e) == CM_ERR_ABSENT;
	}
	return right;
}

static void
see(struct seen *s, const struct cm_crl_index *x)
{
	if (s->named != NULL) {
		struct cm_crl_entry e;

		s->revoked = s->revoked || find(x, X509_get_subject_name(ca), ASN1_STRING_get0_data(s->named),
		    (size_t)ASN1_STRING_length(s->named), &e) == CM_OK;
	}
	if (x->gone)
		return;
	if (x->beside) {
		s->beside++;
		return;
	}
	s->in_force++;
	s->number = x->about.number.octets[18] << 8 | x->about.number.octets[19];
	s->right = s->list == NULL || says(x, s->list);
}

static struct seen
look(const char *folder, const struct crl_list *l, const ASN1_INTEGER *named)
{
	struct seen s = { .list = l, .named = named };
	struct cm_crl_index *lists = NULL;
	struct cm_crl_store store;

	cm_crl_store_open(&store, folder, key_hash, false, NULL);
	cm_crl_store_load(&store, &lists);
	cm_crl_store_close(&store);
	for (const struct cm_crl_index *x = lists; x != NULL; x = x->next)
		see(&s, x);
	cm_crl_list_close(&lists);
	return s;
}

static struct seen
in_force(const char *folder, const struct crl_list *l)
{
	return look(folder, l, NULL);
}

static void
hostile_lists_are_refused_by_name(void **state)
{
	static const struct row {
		const char *form, *why;
	} rows[] = {
		{ "truncated", "it ends before its end" }, { "trailing", "something follows its end" },
		{ "negative serial", "serial number is negative" },
		{ "serial of 21 octets", "longer than 20 octets" }, { "serial of no octets", "serial number is not DER" },
		{ "serial with a zero in front", "serial number is not DER" },
		{ "2^31 entries declared", "a length in it reaches beyond" },
		{ "length until the end", "its encoding is not DER" }, { "long form of a short length", "its encoding is not DER" },
		{ "date that is none", "an entry's date is malformed" },
		{ "critical unknown in an entry", "an entry has a critical extension" },
		{ "extension twice in an entry", "the same extension twice" }, { "reason 7", "reasonCode is malformed" },
		{ "issuer in a direct list", "it is no indirect list" },
		{ "critical unknown in the list", "it has a critical extension" }, { "number twice", "the same extension twice" },
		{ "version 1", "version 1" }, { "other outer algorithm", "two signature algorithms differ" },
		{ "signature of another key", "signature is not that of the CA" }, { "a bit changed", "" },
	};
	const struct crl_list good = list_of(50);
	const char *const folder = strdup(scratch("hostile"));
	struct imported r = import(&good, folder, "http://a/");
	size_t forms = 0;

	(void)state;
	assert_string_equal(r.warning, "");
	cm_crl_index_close(&r.x);
	while (crl_list_hostile(forms) != NULL)
		forms++;
	assert_int_equal(forms, CM_COUNT(rows));
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct crl_list l = list_of(60);
		struct seen s;

		l.number = 2;
		l.serial_len = 16;
		l.hostile = rows[i].form;
		r = import(&l, folder, "http://a/");
		if (r.err != CM_ERR_SYNTAX || strstr(r.why, rows[i].why) == NULL)
			print_error("%s: %s\n", rows[i].form, r.why);
		assert_int_equal(r.err, CM_ERR_SYNTAX);
		assert_has(r.why, rows[i].why);
		assert_true(r.why[0] != '\0');
		s = in_force(folder, &good);
		assert_true(s.in_force == 1 && s.number == 1 && s.right);
	}
	free((void *)(uintptr_t)folder);
}

/* The same list without a number, as PEM, and signed with RSASSA-PSS. */
static void
other_forms_of_honest_lists(void **state)
{
	struct crl_list l = list_of(50);
	BIO *bio = BIO_new(BIO_s_mem());
	struct imported r;
	X509 *saved = ca;
	EVP_PKEY *rsa = make_key("rsa2048");
	uint8_t *der;
	char *pem;
	size_t len;
	long pem_len;

	(void)state;
	l.number = 0;
	der = crl_list_make(&l, &len);
	PEM_write_bio(bio, "X509 CRL", "", der, (long)len);
	pem_len = BIO_get_mem_data(bio, &pem);
	for (int cut = 0; cut < 3; cut++) {
		r = import_bytes(pem, (size_t)pem_len - (cut == 1 ? 8 : 0) - (cut == 2 ? 30 : 0), NULL, "http://a/");
		assert_int_equal(r.err, cut == 0 ? CM_OK : CM_ERR_SYNTAX);
		assert_true(cut != 0 || says(r.x, &l));
		cm_crl_index_close(&r.x);
	}
	/* Two in one file: the second would never be read. */
	BIO_write(bio, "\n", 1);
	PEM_write_bio(bio, "X509 CRL", "", der, (long)len);
	pem_len = BIO_get_mem_data(bio, &pem);
	r = import_bytes(pem, (size_t)pem_len, NULL, "http://a/");
	assert_int_equal(r.err, CM_ERR_SYNTAX);
	assert_has(r.why, "something follows its PEM");
	free(der);

	ca = X509_dup(saved);
	X509_set_pubkey(ca, rsa);
	l = list_of(50);
	l.key = rsa;
	for (int pss = 0; pss < 2; pss++) {
		l.pss = pss == 1;
		r = import(&l, NULL, "http://a/");
		assert_string_equal(r.why, "");
		assert_true(says(r.x, &l));
		cm_crl_index_close(&r.x);
		l.hostile = "a bit changed";
		r = import(&l, NULL, "http://a/");
		assert_int_equal(r.err, CM_ERR_SYNTAX);
		l.hostile = NULL;
	}
	X509_free(ca);
	ca = saved;
	EVP_PKEY_free(rsa);
	BIO_free(bio);
}

/* attack: CRL rollback */
static void
attack_rollback(void **state)
{
	static const struct row {
		const char *source;
		long number, age;	/* of the list that comes */
		long in_force;		/* the number then */
		unsigned beside;
	} rows[] = {
		{ "http://a/", 17, 0, 17, 0 }, { "http://a/", 16, 60, 17, 0 }, { "http://a/", 16, -60, 17, 0 },
		{ "http://a/", 18, 60, 17, 0 }, { "http://a/", 0, 60, 17, 0 }, { "http://a/", 17, 0, 17, 0 },
		{ "/lists/a.crl", 17, 0, 17, 1 }, { "/lists/old.crl", 3, 600, 17, 2 }, { "/lists/a.crl", 18, -60, 18, 1 },
		{ "http://a/", 17, 0, 18, 1 }, { "/lists/a.crl", 17, 0, 18, 2 },
		/* dated ahead of the clock: it would shut out what is to come */
		{ "http://a/", 99, -DAY, 18, 2 }, { "/lists/a.crl", 99, -DAY, 18, 2 }, { "http://a/", 19, -120, 19, 2 },
	};
	const char *const folder = strdup(scratch("rollback"));

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct crl_list l = list_of(10);
		struct imported r;
		struct seen seen;

		l.number = rows[i].number;
		l.this_update = NOW - rows[i].age;
		r = import(&l, folder, rows[i].source);
		assert_int_equal(r.err, CM_OK);
		seen = in_force(folder, NULL);
		if (seen.number != rows[i].in_force || seen.beside != rows[i].beside)
			print_error("row %zu: number %ld, %u beside\n", i, seen.number, seen.beside);
		assert_int_equal(seen.in_force, 1);
		assert_int_equal(seen.number, rows[i].in_force);
		assert_int_equal(seen.beside, rows[i].beside);
		cm_crl_index_close(&r.x);
	}
	free((void *)(uintptr_t)folder);
}

/* Each scope has its own. */
static void
scopes_do_not_mix(void **state)
{
	static const char *const points[] = { NULL, "http://a/1.crl", "http://a/2.crl" };
	const char *const folder = strdup(scratch("scopes"));

	(void)state;
	for (size_t i = 0; i < CM_COUNT(points); i++) {
		struct crl_list l = list_of(10);
		struct imported r;

		l.point = points[i];
		l.number = 9 - (long)i;
		r = import(&l, folder, "http://a/");
		assert_string_equal(r.why, "");
		cm_crl_index_close(&r.x);
		assert_int_equal(in_force(folder, NULL).in_force, i + 1);
	}
	free((void *)(uintptr_t)folder);
}

/* ---- Damage */

/* Every answer is the right one, or none. */
static void
never_wrong(const uint8_t *bytes, size_t len, const struct crl_list *l, size_t where)
{
	const int fd = file_of(bytes, len);
	struct cm_crl_index *x = NULL;
	struct cm_buf why = { 0 };

	if (cm_crl_index_open(fd, &x, &why) != CM_OK)
		assert_true(x == NULL && why.len > 0);
	for (size_t i = 0; x != NULL && i < 2 * l->entries; i++) {
		uint8_t serial[CRL_SERIAL_MAX];
		const size_t n = crl_list_serial(l, i / 2, serial);
		struct cm_crl_entry e;
		enum cm_err err;

		serial[n - 1] ^= i % 2;
		err = find(x, X509_get_subject_name(ca), serial, n, &e);
		if (err != CM_ERR_SYNTAX && err != (i % 2 == 0 ? CM_OK : CM_ERR_ABSENT))
			fail_msg("octet %zu changed: a wrong answer", where);
	}
	cm_crl_index_close(&x);
	cm_buf_free(&why);
	close(fd);
}

static void
every_octet_changed(void **state)
{
	static const uint8_t changes[] = { 0x01, 0x80, 0xff };
	struct crl_list l = list_of(25);
	struct imported r;
	uint8_t *copy;
	size_t size;

	(void)state;
	l.serial_len = 9;
	r = import(&l, NULL, "http://a/");
	size = r.x->size;
	copy = malloc(2 * size);
	memcpy(copy, r.x->map, size);
	memcpy(copy + size, r.x->map, size);
	never_wrong(copy, size, &l, 0);
	assert_true(says(r.x, &l));
	for (size_t i = 0; i < size; i++) {
		for (size_t k = 0; k < CM_COUNT(changes); k++) {
			copy[i] ^= changes[k];
			never_wrong(copy, size, &l, i);
			copy[i] ^= changes[k];
		}
		never_wrong(copy, i, &l, i);
		never_wrong(copy, size + i, &l, i);
	}
	/* One entry in another's place, checksum and all. */
	for (size_t i = 0; i + 1 < l.entries; i++) {
		const size_t len = (size - r.x->header_size) / l.entries, at = r.x->header_size + i * len;

		memcpy(copy + at, copy + at + len, len);
		never_wrong(copy, size, &l, at);
		memcpy(copy + at, copy + size + at, len);
	}
	cm_crl_index_close(&r.x);
	free(copy);
}

/* ---- The disk */

/* The list that does not fit is asked all the same, and the one before stays in force. */
static void
import_what_does_not_fit(const char *folder, const struct crl_list *old, const char *said)
{
	struct crl_list l = list_of(20000);
	struct imported r;
	struct seen s;

	l.number = 2;
	l.serial_len = 16;
	r = import(&l, folder, "http://a/");
	CHILD_MUST(r.err == CM_OK && says(r.x, &l));
	CHILD_MUST(strstr(r.warning, said) != NULL && strstr(r.warning, said) == strrchr(r.warning, said[0]));
	s = in_force(folder, old);
	CHILD_MUST(s.in_force == 1 && s.number == 1 && s.right);
}

static void
fill_disk(const char *folder, const char *mounted)
{
	const struct crl_list good = list_of(100);
	struct imported r = import(&good, folder, "http://a/");
	struct crl_list l = list_of(100);
	struct seen s;

	(void)mounted;
	CHILD_MUST(r.err == CM_OK && r.warning[0] == '\0');
	import_what_does_not_fit(folder, &good, "No space left on device");
	/* Nothing was left behind that takes the room of what fits. */
	l.number = 3;
	r = import(&l, folder, "http://a/");
	CHILD_MUST(r.err == CM_OK && r.warning[0] == '\0');
	s = in_force(folder, &l);
	CHILD_MUST(s.in_force == 1 && s.number == 3 && s.right);
}

/* The new list fits, and what it no longer lists does not: then nothing is forgiven for want of room. */
static void
fill_disk_with_what_is_gone(const char *folder, const char *mounted)
{
	struct crl_list good = list_of(5000), l = list_of(1);
	struct imported r;
	struct seen s;

	(void)mounted;
	good.serial_len = 16;
	r = import(&good, folder, "http://a/");
	CHILD_MUST(r.err == CM_OK && r.warning[0] == '\0');
	cm_crl_index_close(&r.x);
	l.number = 2;
	l.seed = 7;
	r = import(&l, folder, "http://a/");
	CHILD_MUST(r.err == CM_OK && says(r.x, &l));
	CHILD_MUST(strstr(r.warning, "No space left on device") != NULL);
	CHILD_MUST(strstr(strstr(r.warning, "is not kept") + 1, "is not kept") == NULL);
	s = in_force(folder, &good);
	CHILD_MUST(s.in_force == 1 && s.number == 1 && s.right);
}

static void
make_read_only(const char *folder, const char *mounted)
{
	const struct crl_list good = list_of(100);
	struct imported r = import(&good, folder, "http://a/");

	CHILD_MUST(r.err == CM_OK && r.warning[0] == '\0');
	cm_crl_index_close(&r.x);	/* it is open for writing yet */
	CHILD_MUST(mount(NULL, mounted, NULL, MS_REMOUNT | MS_RDONLY, NULL) == 0);
	import_what_does_not_fit(folder, &good, "Read-only file system");
}

static void
disk_full_and_read_only(void **state)
{
	(void)state;
	on_a_disk("size=256k", fill_disk);
	on_a_disk("size=192k", fill_disk_with_what_is_gone);
	on_a_disk("size=4m", make_read_only);
}

/* A folder that others may write holds nothing that counts. */
static void
folder_of_others(void **state)
{
	const struct crl_list l = list_of(10);
	const char *const folder = strdup(scratch("others"));
	struct imported r;

	(void)state;
	r = import(&l, folder, "http://a/");
	cm_crl_index_close(&r.x);
	assert_int_equal(in_force(folder, &l).in_force, 1);
	assert_int_equal(chmod(folder, 0777), 0);
	assert_int_equal(in_force(folder, &l).in_force, 0);
	r = import(&l, folder, "http://a/");
	assert_int_equal(r.err, CM_OK);
	assert_has(r.warning, "nobody else may write it");
	cm_crl_index_close(&r.x);
	free((void *)(uintptr_t)folder);
}

/* ---- kill -9 */

static size_t
count_files(const char *folder, const char *pattern)
{
	char command[512];
	FILE *f;
	unsigned long n = 0;
	char line[32] = "";

	snprintf(command, sizeof(command), "find '%s' -name '%s' | wc -l", folder, pattern);
	f = popen(command, "r");
	if (f != NULL && fgets(line, sizeof(line), f) != NULL)
		n = strtoul(line, NULL, 10);
	assert_int_equal(pclose(f), 0);
	return n;
}

/* The next list: one entry more, and every other one names who was revoked for good. */
static struct crl_list
next_of(const struct crl_list *l, const struct crl_named *named)
{
	struct crl_list next = *l;

	next.number++;
	next.entries++;
	next.named = named;
	next.named_count = l->named_count == 0;
	return next;
}

static void
import_in_child(const struct crl_list *l, const char *folder, int64_t us)
{
	size_t len;
	uint8_t *der = crl_list_make(l, &len);
	struct imported r;
	int status;
	pid_t pid;

	/* In the child nothing but the import takes time. */
	if ((pid = fork()) == 0) {
		r = import_bytes(der, len, folder, "http://a/");
		_exit(r.err);
	}
	nanosleep(&(const struct timespec){ us / 1000000, us % 1000000 * 1000 }, NULL);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	free(der);
}

static void
killed_at_any_moment(void **state)
{
	const char *const folder = strdup(scratch("killed"));
	X509 *const alice = load_x509("alice-p256");
	const struct crl_named named = { .cert = alice, .reason = 1 };
	struct crl_list l = list_of(4000), before;
	unsigned replaced = 0;
	int64_t begin, took;
	struct imported r;
	struct seen s;

	(void)state;
	l.serial_len = 16;
	before = next_of(&l, &named);
	begin = cm_clock_us();
	r = import(&before, folder, "http://a/");
	took = cm_clock_us() - begin;
	cm_crl_index_close(&r.x);
	for (int i = 0; i < KILLED; i++) {
		uint32_t random = 0;

		assert_int_equal(RAND_bytes((uint8_t *)&random, sizeof(random)), 1);
		l = next_of(&before, &named);
		import_in_child(&l, folder, random % (took + took / 2));
		s = look(folder, NULL, X509_get0_serialNumber(alice));
		assert_int_equal(s.in_force, 1);
		assert_true(s.number == before.number || s.number == l.number);
		assert_true(s.revoked);
		/* How long it takes is another matter on a computer that is busy meanwhile. */
		took = s.number == l.number ? took - took / 16 : took + took / 16;
		if (s.number == l.number) {
			before = l;
			replaced++;
		}
		assert_true(in_force(folder, &before).right);
	}
	/* Both have happened, or the moments were none. */
	assert_in_range(replaced, 1, KILLED - 1);
	l = next_of(&before, &named);
	r = import(&l, folder, "http://a/");
	assert_string_equal(r.warning, "");
	cm_crl_index_close(&r.x);
	assert_int_equal(count_files(folder, "new.*"), 0);
	X509_free(alice);
	free((void *)(uintptr_t)folder);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_answers_as_openssl),
		cmocka_unit_test(many_entries),
		cmocka_unit_test(serials_asked_for),
		cmocka_unit_test(hostile_lists_are_refused_by_name),
		cmocka_unit_test(other_forms_of_honest_lists),
		cmocka_unit_test(attack_rollback),
		cmocka_unit_test(scopes_do_not_mix),
		cmocka_unit_test(every_octet_changed),
		cmocka_unit_test(disk_full_and_read_only),
		cmocka_unit_test(folder_of_others),
		cmocka_unit_test(killed_at_any_moment),
	};

	return cmocka_run_group_tests(tests, load, unload);
}
