/* tests/trust/fixture.c - the test PKI, and certificates, answers and lists that a test makes for itself. */
#include "tests/trust/fixture.h"

#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* By root who is somebody else for a while as root: the folder may lie where nobody else gets. */
static FILE *
open_pki(const char *name, const char *end)
{
	const uid_t who = geteuid();
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s.%s", CM_PKI_DIR, name, end);
	assert_int_equal(seteuid(getuid()), 0);
	f = fopen(path, "r");
	assert_int_equal(seteuid(who), 0);
	if (f == NULL)
		fail_msg("%s: cannot be read", path);
	return f;
}

X509 *
load_x509(const char *name)
{
	FILE *f = open_pki(name, "crt");
	X509 *x = PEM_read_X509(f, NULL, NULL, NULL);

	fclose(f);
	assert_non_null(x);
	return x;
}

EVP_PKEY *
load_key(const char *name)
{
	FILE *f = open_pki(name, "key");
	EVP_PKEY *k = PEM_read_PrivateKey(f, NULL, NULL, NULL);

	fclose(f);
	assert_non_null(k);
	return k;
}

struct cm_cert *
cert_of(X509 *x)
{
	struct cm_cert *c = NULL;
	uint8_t *der = NULL;
	const int len = i2d_X509(x, &der);

	assert_int_equal(cm_cert_decode((struct cm_blob){ der, (size_t)len }, NULL, &c), CM_OK);
	OPENSSL_free(der);
	return c;
}

struct cm_cert *
load_cert(const char *name)
{
	X509 *x = load_x509(name);
	struct cm_cert *c = cert_of(x);

	X509_free(x);
	return c;
}

EVP_PKEY *
make_key(const char *kind)
{
	EVP_PKEY *k;

	if (strncmp(kind, "rsa", 3) == 0)
		k = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)strtoul(kind + 3, NULL, 10));
	else if (strcmp(kind, "ED25519") == 0)
		k = EVP_PKEY_Q_keygen(NULL, NULL, kind);
	else
		k = EVP_PKEY_Q_keygen(NULL, NULL, "EC", kind);
	assert_non_null(k);
	return k;
}

static void
add_extension(X509 *x, X509 *issuer, const char *name, const char *value)
{
	X509_EXTENSION *e;
	X509V3_CTX ctx;

	if (value == NULL)
		return;
	X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
	e = X509V3_EXT_conf(NULL, &ctx, name, value);
	assert_non_null(e);
	assert_int_equal(X509_add_ext(x, e, -1), 1);
	X509_EXTENSION_free(e);
}

static void
add_named(X509 *x, X509 *issuer, const char *pair)
{
	char name[64];
	const char *eq = pair != NULL ? strchr(pair, '=') : NULL;

	if (eq == NULL)
		return;
	snprintf(name, sizeof(name), "%.*s", (int)(eq - pair), pair);
	add_extension(x, issuer, name, eq + 1);
}

X509 *
make_x509(const struct recipe *r, EVP_PKEY **key)
{
	X509 *issuer = load_x509(r->issuer), *x = X509_new();
	EVP_PKEY *k = make_key(r->key), *ca = load_key(r->signer != NULL ? r->signer : r->issuer);
	X509_NAME *name = X509_NAME_new();

	assert_true(X509_set_version(x, X509_VERSION_3));
	ASN1_INTEGER_set(X509_get_serialNumber(x), 0x7001);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)r->cn, -1, -1, 0);
	X509_set_subject_name(x, name);
	X509_set_issuer_name(x, X509_get_subject_name(issuer));
	X509_gmtime_adj(X509_getm_notBefore(x), r->from);
	X509_gmtime_adj(X509_getm_notAfter(x), r->to);
	X509_set_pubkey(x, k);
	add_extension(x, issuer, "basicConstraints", r->basic != NULL ? r->basic : "critical,CA:FALSE");
	add_extension(x, issuer, "subjectKeyIdentifier", "hash");
	add_extension(x, issuer, "authorityKeyIdentifier", "keyid");
	add_extension(x, issuer, "keyUsage", r->ku);
	add_extension(x, issuer, "extendedKeyUsage", r->eku);
	add_named(x, issuer, r->more);
	assert_true(X509_sign(x, ca, EVP_get_digestbyname(r->md != NULL ? r->md : "SHA256")) > 0);
	X509_NAME_free(name);
	X509_free(issuer);
	EVP_PKEY_free(ca);
	if (key != NULL)
		*key = k;
	else
		EVP_PKEY_free(k);
	return x;
}

void
write_bytes(const char *path, const void *p, size_t len)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(p, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

void
write_pem(const char *path, X509 *const *certs, size_t count)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(PEM_write_X509(f, certs[i]), 1);
	assert_int_equal(fclose(f), 0);
}

static char folder[64];

const char *
scratch(const char *name)
{
	static char paths[4][512];
	static unsigned next;
	char *path = paths[next++ % 4];

	if (folder[0] == '\0') {
		snprintf(folder, sizeof(folder), "/tmp/cm-trust.XXXXXX");
		assert_non_null(mkdtemp(folder));
	}
	snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
	return path;
}

int
remove_scratch(void **state)
{
	char command[128];

	(void)state;
	if (folder[0] == '\0')
		return 0;
	snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	folder[0] = '\0';
	return system(command);
}

static bool
tell_kernel(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	return f != NULL && fputs(text, f) >= 0 && fclose(f) == 0;
}

/* user_namespaces(7): who is not root becomes so, or could make no file on a tmpfs of such a namespace. */
static bool
may_mount(void)
{
	char uids[32], gids[32];

	snprintf(uids, sizeof(uids), "0 %u 1", geteuid());
	snprintf(gids, sizeof(gids), "0 %u 1", getegid());
	if (geteuid() == 0)
		return unshare(CLONE_NEWNS) == 0;
	return unshare(CLONE_NEWNS | CLONE_NEWUSER) == 0 && tell_kernel("/proc/self/uid_map", uids) &&
	    tell_kernel("/proc/self/setgroups", "deny") && tell_kernel("/proc/self/gid_map", gids);
}

void
on_a_disk(const char *options, void (*run)(const char *folder, const char *mounted))
{
	char at[512], in[600];
	int status = -1;
	pid_t pid;

	snprintf(at, sizeof(at), "%s", scratch("disk"));
	snprintf(in, sizeof(in), "%s/folder", at);
	assert_int_equal(mkdir(at, 0755), 0);
	if ((pid = fork()) == 0) {
		CHILD_MUST(may_mount());
		CHILD_MUST(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
		CHILD_MUST(mount("none", at, "tmpfs", 0, options) == 0);
		run(in, at);
		_exit(0);
	}
	assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
	assert_int_equal(status, 0);
	assert_int_equal(rmdir(at), 0);
}

static void
set_entry(X509_CRL *crl, const struct crl_recipe *r, ASN1_TIME *when)
{
	X509 *cert = load_x509(r->names);
	X509_REVOKED *entry = X509_REVOKED_new();
	ASN1_ENUMERATED *reason = ASN1_ENUMERATED_new();
	X509_EXTENSION *e;

	X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(cert));
	X509_REVOKED_set_revocationDate(entry, when);
	if (r->reason > 0) {
		ASN1_ENUMERATED_set(reason, r->reason);
		X509_REVOKED_add1_ext_i2d(entry, NID_crl_reason, reason, 0, 0);
	}
	if (r->entry_critical) {
		e = X509V3_EXT_conf(NULL, NULL, "1.2.3.4", "critical,ASN1:NULL");
		assert_non_null(e);
		X509_REVOKED_add_ext(entry, e, -1);
		X509_EXTENSION_free(e);
	}
	assert_int_equal(X509_CRL_add0_revoked(crl, entry), 1);
	ASN1_ENUMERATED_free(reason);
	X509_free(cert);
}

static void
set_crl_extension(X509_CRL *crl, const char *pair)
{
	/* The last section is what issuingDistributionPoint=@point names. */
	static const char sections[] = "[point]\nfullname=URI:http://127.0.0.1:8080/inter.crl\n"
	    "[other]\nfullname=URI:http://127.0.0.1:8080/elsewhere.crl\n"
	    "[ca]\nonlyCA=TRUE\n[user]\nonlyuser=TRUE\n[indirect]\nindirectCRL=TRUE\n"
	    "[reasons]\nonlysomereasons=keyCompromise\n[attribute]\nonlyAA=TRUE\n";
	BIO *bio = BIO_new_mem_buf(sections, -1);
	CONF *conf = NCONF_new(NULL);
	X509_EXTENSION *e;
	X509V3_CTX ctx;
	char name[64];
	long line;

	assert_int_equal(NCONF_load_bio(conf, bio, &line), 1);
	X509V3_set_ctx(&ctx, NULL, NULL, NULL, crl, 0);
	X509V3_set_nconf(&ctx, conf);
	snprintf(name, sizeof(name), "%.*s", (int)(strchr(pair, '=') - pair), pair);
	e = X509V3_EXT_nconf(conf, &ctx, name, strchr(pair, '=') + 1);
	assert_non_null(e);
	assert_int_equal(X509_CRL_add_ext(crl, e, -1), 1);
	X509_EXTENSION_free(e);
	NCONF_free(conf);
	BIO_free(bio);
}

uint8_t *
make_crl(const struct crl_recipe *r, int *len)
{
	X509_CRL *crl = X509_CRL_new();
	X509 *issuer = r->ca != NULL ? X509_dup(r->ca) : load_x509(r->issuer);
	EVP_PKEY *key = r->ca != NULL ? EVP_PKEY_dup(r->ca_key) :
	    load_key(r->signer != NULL ? r->signer : r->issuer);
	ASN1_TIME *from = X509_gmtime_adj(NULL, r->from), *to = X509_gmtime_adj(NULL, r->to);
	ASN1_INTEGER *number = ASN1_INTEGER_new();
	uint8_t *der = NULL;

	X509_CRL_set_version(crl, X509_CRL_VERSION_2);
	X509_CRL_set_issuer_name(crl, X509_get_subject_name(issuer));
	X509_CRL_set1_lastUpdate(crl, from);
	if (r->to != 0)
		X509_CRL_set1_nextUpdate(crl, to);
	ASN1_INTEGER_set(number, 17);
	X509_CRL_add1_ext_i2d(crl, NID_crl_number, number, 0, 0);
	if (r->reason != NO_ENTRY)
		set_entry(crl, r, from);
	if (r->extension != NULL)
		set_crl_extension(crl, r->extension);
	X509_CRL_sort(crl);
	assert_true(X509_CRL_sign(crl, key, EVP_get_digestbyname(r->md != NULL ? r->md : "SHA256")) > 0);
	*len = i2d_X509_CRL(crl, &der);
	assert_true(*len > 0);
	ASN1_INTEGER_free(number);
	ASN1_TIME_free(from);
	ASN1_TIME_free(to);
	EVP_PKEY_free(key);
	X509_free(issuer);
	X509_CRL_free(crl);
	return der;
}

/* One certificate's name, as the request or the recipe of the answer has it. */
static OCSP_CERTID *
certid_for(const struct answer *a, OCSP_ONEREQ *asked, unsigned more)
{
	ASN1_OBJECT *md = NULL;
	ASN1_INTEGER *serial = NULL, *other = ASN1_INTEGER_new();
	X509 *issuer = load_x509(a->other_issuer ? "root" : "inter");
	OCSP_CERTID *id = OCSP_CERTID_dup(OCSP_onereq_get0_id(asked));
	const EVP_MD *hash;

	OCSP_id_get0_info(NULL, &md, NULL, &serial, id);
	hash = a->sha256 ? EVP_sha256() : a->sha1 ? EVP_sha1() : EVP_get_digestbyobj(md);
	ASN1_INTEGER_set(other, 0x7a0000 + more);
	if (a->other_serial || more > 0)
		serial = other;
	if (a->other_serial || a->other_issuer || a->sha1 || a->sha256 || more > 0) {
		OCSP_CERTID *made = OCSP_cert_id_new(hash, X509_get_subject_name(issuer),
		    X509_get0_pubkey_bitstr(issuer), serial);

		OCSP_CERTID_free(id);
		id = made;
	}
	ASN1_INTEGER_free(other);
	X509_free(issuer);
	return id;
}

static void
add_nonce(const struct answer *a, OCSP_REQUEST *request, OCSP_BASICRESP *basic)
{
	if (a->nonce == NONCE_KEPT)
		assert_true(OCSP_copy_nonce(basic, request) > 0);
	if (a->nonce == NONCE_OTHER)
		assert_int_equal(OCSP_basic_add1_nonce(basic, NULL, 32), 1);
}

static X509_EXTENSION *
extension_of(const char *pair)
{
	char name[64];
	X509_EXTENSION *e;

	snprintf(name, sizeof(name), "%.*s", (int)(strchr(pair, '=') - pair), pair);
	e = X509V3_EXT_conf(NULL, NULL, name, strchr(pair, '=') + 1);
	assert_non_null(e);
	return e;
}

static void
add_single(const struct answer *a, OCSP_BASICRESP *basic, OCSP_CERTID *id, bool revoked)
{
	ASN1_TIME *from = X509_gmtime_adj(NULL, a->from), *to = X509_gmtime_adj(NULL, a->to),
	    *when = a->never_issued ? ASN1_TIME_set(NULL, 0) : X509_gmtime_adj(NULL, a->revoked != 0 ? a->revoked : a->from);
	OCSP_SINGLERESP *s = OCSP_basic_add1_status(basic, id, revoked ? V_OCSP_CERTSTATUS_REVOKED : a->status, a->reason,
	    when, from, a->to != 0 ? to : NULL);

	assert_non_null(s);
	if (a->single != NULL) {
		X509_EXTENSION *e = extension_of(a->single);

		assert_int_equal(OCSP_SINGLERESP_add_ext(s, e, -1), 1);
		X509_EXTENSION_free(e);
	}
	OCSP_CERTID_free(id);
	ASN1_TIME_free(when);
	ASN1_TIME_free(from);
	ASN1_TIME_free(to);
}

static void
fill_answer(const struct answer *a, OCSP_REQUEST *request, OCSP_BASICRESP *basic)
{
	OCSP_ONEREQ *first = OCSP_request_onereq_get0(request, 0);

	for (unsigned i = 1; i <= a->others; i++)
		add_single(a, basic, certid_for(a, first, i), false);
	for (int i = 0; i < OCSP_request_onereq_count(request); i++)
		add_single(a, basic, certid_for(a, OCSP_request_onereq_get0(request, i), 0), false);
	if (a->twice || a->but_revoked)
		add_single(a, basic, certid_for(a, first, 0), a->but_revoked);
	add_nonce(a, request, basic);
	if (a->extension != NULL) {
		X509_EXTENSION *e = extension_of(a->extension);

		assert_int_equal(OCSP_BASICRESP_add_ext(basic, e, -1), 1);
		X509_EXTENSION_free(e);
	}
	assert_non_null(X509_gmtime_adj((ASN1_TIME *)(uintptr_t)OCSP_resp_get0_produced_at(basic), a->produced));
}

static void
sign_answer(const struct answer *a, OCSP_BASICRESP *basic)
{
	const char *name = a->signer != NULL ? a->signer : "ocsp";
	X509 *signer = a->made != NULL ? X509_dup(a->made) : load_x509(name);
	EVP_PKEY *key = a->made != NULL ? EVP_PKEY_dup(a->made_key) : load_key(name);

	assert_int_equal(OCSP_basic_sign(basic, signer, key, a->md_sha1 ? EVP_sha1() : EVP_sha256(), NULL,
	    OCSP_NOTIME | (a->no_certificate ? OCSP_NOCERTS : 0)), 1);
	if (a->spoiled) {
		const ASN1_OCTET_STRING *s = OCSP_resp_get0_signature(basic);

		((uint8_t *)(uintptr_t)ASN1_STRING_get0_data(s))[ASN1_STRING_length(s) - 1] ^= 1;
	}
	EVP_PKEY_free(key);
	X509_free(signer);
}

static uint8_t *
encode(const struct answer *a, OCSP_BASICRESP *basic, int *len)
{
	OCSP_RESPONSE *response = OCSP_response_create(a->response_status,
	    a->response_status == 0 ? basic : NULL);
	uint8_t *der = OPENSSL_zalloc((size_t)i2d_OCSP_RESPONSE(response, NULL) + 2), *p = der;

	*len = i2d_OCSP_RESPONSE(response, &p);
	assert_true(*len > 0);
	if (a->ber) {	/* the indefinite form: X.690 8.1.3.6 */
		assert_int_equal(der[1], 0x82);
		memmove(der + 2, der + 4, (size_t)*len - 4);
		der[1] = 0x80;
		memset(der + *len - 2, 0, 2);
	}
	*len += a->trailing;
	OCSP_RESPONSE_free(response);
	return der;
}

uint8_t *
make_answer(const struct answer *a, const uint8_t *request_der, size_t request_len, int *len)
{
	const uint8_t *p = request_der;
	OCSP_REQUEST *request = d2i_OCSP_REQUEST(NULL, &p, (long)request_len);
	OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
	uint8_t *der;

	assert_non_null(request);
	fill_answer(a, request, basic);
	sign_answer(a, basic);
	der = encode(a, basic, len);
	OCSP_BASICRESP_free(basic);
	OCSP_REQUEST_free(request);
	return der;
}

void
assert_has(const char *text, const char *part)
{
	if (text == NULL || strstr(text, part) == NULL)
		fail_msg("\"%s\" does not hold \"%s\"", text != NULL ? text : "(none)", part);
}

/* All that was said under this key, the last first: of several sources that are asked at once none comes last for sure. */
static void
keep_text(char *to, size_t size, const struct cm_trace *t, const char *key)
{
	size_t len = 0;

	to[0] = '\0';
	for (size_t i = cm_trace_count(t); i > 0; i--) {
		const struct cm_trace_stage *s = cm_trace_stage(t, i - 1);

		for (size_t k = s->count; k > 0; k--)
			if (strcmp(s->items[k - 1].key, key) == 0 && len < size)
				len += (size_t)snprintf(to + len, size - len, "%s%s", len > 0 ? "\n" : "", s->items[k - 1].text);
	}
}

struct outcome
judge(struct cm_cert *c, const struct cm_trust_options *o, const struct cm_known *known, unsigned ms)
{
	struct outcome r = { 0 };
	struct cm_verdict *v = NULL;
	struct cm_trust *tr = NULL;
	struct cm_trace *t = NULL;
	const struct cm_evidence *e;
	int64_t begin;

	assert_int_equal(cm_trace_new(&t), CM_OK);
	cm_trace_begin(t, "revocation");
	assert_int_equal(cm_trust_open(o, t, &tr), CM_OK);
	if (cm_trust_check_chain(tr, c, known, t, &v) != CM_OK)
		fail_msg("the chain: %s", cm_trace_message(t));
	begin = cm_clock_us();
	r.err = cm_trust_check_revocation(tr, v, known, cm_deadline_in(ms), t);
	r.ms = (cm_clock_us() - begin) / 1000;
	r.reason = cm_trace_reason(t);
	r.status = cm_verdict_status(v);
	r.signed_time = cm_verdict_signed_time(v);
	r.passes = cm_verdict_passes(v, c);
	assert_true(r.passes == (r.err == CM_OK));
	e = cm_verdict_evidence(v, &r.count);
	assert_true(r.count <= CM_COUNT(r.evidence));
	for (size_t i = 0; i < r.count; i++)
		r.evidence[i] = e[i];
	snprintf(r.message, sizeof(r.message), "%s", cm_trace_message(t));
	keep_text(r.ocsp, sizeof(r.ocsp), t, "ocsp");
	keep_text(r.crl, sizeof(r.crl), t, "crl");
	keep_text(r.kept, sizeof(r.kept), t, "evidence");
	cm_trace_free(&t);
	cm_verdict_free(&v);
	cm_trust_close(&tr);
	return r;
}
