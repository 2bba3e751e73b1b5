/* cache/sources_read.c - sources with the certificates of their CAs read: for processes that may decode. */
#include "cache/accounts_internal.h"

#include <openssl/evp.h>

bool
cm_source_is_of(struct cm_blob issuer, const struct cm_source *s)
{
	struct cm_cert *c = NULL;
	struct cm_blob spki;
	uint8_t key[32];
	bool is = false;

	if (cm_cert_decode(issuer, NULL, &c) == CM_OK) {
		spki = cm_cert_spki(c);
		is = EVP_Digest(spki.ptr, spki.len, key, NULL, EVP_sha256(), NULL) == 1 &&
		    memcmp(key, s->issuer_key, sizeof(key)) == 0;
	}
	cm_cert_free(&c);
	return is;
}

struct reading {
	struct cm_trace *trace;
	cm_seen_visit visit;
	void *arg;
};

/* A process that is not believed may have kept it: it is no more than its own bytes say. */
static enum cm_err
read_one(void *arg, struct cm_blob issuer, const struct cm_source *s)
{
	const struct reading *r = arg;

	return cm_source_is_of(issuer, s) ? r->visit(r->arg, issuer, s) : cm_source_leave_out(r->trace, s);
}

enum cm_err
cm_accounts_each_source(struct cm_accounts *s, struct cm_trace *t, cm_seen_visit visit, void *arg)
{
	struct reading r = { .trace = t, .visit = visit, .arg = arg };

	return cm_accounts_each_source_unread(s, t, read_one, &r);
}
