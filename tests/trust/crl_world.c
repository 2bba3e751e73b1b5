/* tests/trust/crl_world.c - a CA, who else signs lists, a certificate with any distribution points, and lists about it. */
#include "tests/trust/crl_world.h"

#include <stdlib.h>
#include <string.h>

static void
add_extensions(X509 *x, X509 *issuer, const char *text)
{
	BIO *bio = BIO_new_mem_buf(text, -1);
	CONF *conf = NCONF_new(NULL);
	X509V3_CTX ctx;
	long line;

	assert_int_equal(NCONF_load_bio(conf, bio, &line), 1);
	X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
	X509V3_set_nconf(&ctx, conf);
	assert_int_equal(X509V3_EXT_add_nconf(conf, &ctx, "x", x), 1);
	NCONF_free(conf);
	BIO_free(bio);
}

static X509 *
make(const char *cn, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key, const char *extensions)
{
	static long serial = 4096;
	X509 *x = X509_new();
	X509_NAME *name = X509_get_subject_name(x);

	X509_set_version(x, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(x), ++serial);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const uint8_t *)cn, -1, -1, 0);
	X509_set_issuer_name(x, issuer != NULL ? X509_get_subject_name(issuer) : name);
	X509_gmtime_adj(X509_getm_notBefore(x), -30 * DAY);
	X509_gmtime_adj(X509_getm_notAfter(x), 30 * DAY);
	X509_set_pubkey(x, key);
	add_extensions(x, issuer != NULL ? issuer : x, extensions);
	assert_true(X509_sign(x, issuer_key != NULL ? issuer_key : key, EVP_sha256()) > 0);
	return x;
}

#define CA_TEXT		"[x]\nbasicConstraints=critical,CA:TRUE\nsubjectKeyIdentifier=hash\nkeyUsage=critical,keyCertSign"

static void
make_signers(struct world *w)
{
	static const struct {
		const char *cn, *text;
	} signers[] = {
		[CA] = { "Issuing", CA_TEXT ",cRLSign\n" }, [CA_NEW] = { "Issuing", CA_TEXT ",cRLSign\n" },
		[OTHER] = { "Lists", CA_TEXT ",cRLSign\n" }, [STRANGER] = { "Lists", CA_TEXT ",cRLSign\n" },
		[NO_SIGN] = { "No Lists", CA_TEXT "\n" }, [ELSEWHERE] = { "Elsewhere", CA_TEXT ",cRLSign\n" },
	};

	for (int i = CA; i < SIGNERS; i++) {
		X509 *const by = i == STRANGER ? NULL : i == ELSEWHERE ? w->away : w->root;

		w->keys[i] = make_key("P-256");
		w->certs[i] = make(signers[i].cn, w->keys[i], by, i == STRANGER ? NULL : i == ELSEWHERE ? w->away_key :
		    w->root_key, signers[i].text);
	}
}

void
world_open(struct world *w, const char *crl_dir)
{
	static const char *anchors[2], *intermediates[2];
	struct cm_trust_options o = { .level = CM_TRUST_HARD, .anchors = anchors, .intermediates = intermediates,
	    .use_crl = true, .crl_max = 1 << 24, .crl_dir = crl_dir, .crl_keep = crl_dir != NULL };
	struct cm_trace *t = NULL;

	*w = (struct world){ .now = time(NULL) };
	w->known.now = w->now;
	w->root_key = make_key("P-256");
	w->away_key = make_key("P-256");
	w->root = make("Root", w->root_key, NULL, NULL, CA_TEXT ",cRLSign\n");
	w->away = make("Away", w->away_key, NULL, NULL, CA_TEXT ",cRLSign\n");
	make_signers(w);
	anchors[0] = strdup(scratch("world-anchors.pem"));
	intermediates[0] = strdup(scratch("world-intermediates.pem"));
	write_pem(anchors[0], (X509 *[]){ w->root, w->away }, 2);
	write_pem(intermediates[0], w->certs + CA, SIGNERS - CA);
	assert_int_equal(cm_trace_new(&t), CM_OK);
	assert_int_equal(cm_trust_open(&o, t, &w->trust), CM_OK);
	cm_trace_free(&t);
	free((void *)(uintptr_t)anchors[0]);
	free((void *)(uintptr_t)intermediates[0]);
}

void
world_close(struct world *w)
{
	cm_trust_close(&w->trust);
	X509_free(w->root);
	X509_free(w->away);
	EVP_PKEY_free(w->root_key);
	EVP_PKEY_free(w->away_key);
	X509_free(w->cert);
	sk_X509_free(w->chain);
	for (int i = CA; i < SIGNERS; i++) {
		X509_free(w->certs[i]);
		EVP_PKEY_free(w->keys[i]);
	}
}

void
world_cert(struct world *w, const char *extensions, bool is_ca)
{
	EVP_PKEY *key = make_key("P-256");
	char text[4096];

	snprintf(text, sizeof(text), "[x]\nbasicConstraints=critical,CA:%s\n%s\n", is_ca ? "TRUE" : "FALSE", extensions);
	X509_free(w->cert);
	w->cert = make("Alice", key, w->certs[CA], w->keys[CA], text);
	sk_X509_free(w->chain);
	w->chain = sk_X509_new_null();
	sk_X509_push(w->chain, w->cert);
	sk_X509_push(w->chain, w->certs[CA]);
	sk_X509_push(w->chain, w->root);
	EVP_PKEY_free(key);
}

uint8_t *
world_list(const struct world *w, const struct list *l, size_t *len)
{
	const struct crl_named named = { .cert = w->cert, .reason = l->reason };
	const struct crl_list made = { .ca = w->certs[l->by], .key = w->keys[l->by], .number = l->number, .base = l->base,
	    .this_update = w->now + (l->from != 0 ? l->from : -60), .next_update = l->undated ? 0 : w->now + (l->to != 0 ? l->to : DAY),
	    .point = l->point, .relative = l->relative, .scope = l->scope, .reasons = l->reasons, .freshest = l->freshest,
	    .key_id = true, .named = &named, .named_count = l->listed };
	uint8_t *der = crl_list_make(&made, len);

	assert_non_null(der);
	return der;
}

struct cm_question
world_question(struct world *w, struct cm_crl_index **lists)
{
	struct cm_question q = { .trust = w->trust, .known = &w->known, .cert = w->cert, .issuer = w->certs[CA],
	    .chain = w->chain, .now = cm_known_time(&w->known), .note = "", .lists = lists, .deadline = cm_deadline_in(3000) };

	cm_buf_init(&q.why, 0);
	assert_int_equal(cm_evidence_name(w->cert, w->certs[CA], &q.answer), CM_OK);
	q.answer.learned = w->known.now;
	return q;
}

void
world_answered(struct cm_question *q)
{
	cm_buf_free(&q->why);
}
