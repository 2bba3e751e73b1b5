/* trust/source.c - whom logins and refresh ask: at which addresses. */
#include <openssl/x509v3.h>

#include "base/list.h"
#include "trust/trust_internal.h"

static enum cm_err
add_once(char ***list, struct cm_blob url)
{
	for (char *const *p = *list; p != NULL && *p != NULL; p++)
		if (cm_blob_equal(cm_blob_str(*p), url))
			return CM_OK;
	return url.len > 0 ? cm_list_add(list, url) : CM_OK;
}

enum cm_err
cm_source_add_list(const struct cm_trust_options *o, const char *url, char ***urls)
{
	enum cm_err err = CM_OK;

	for (const char *const *m = o->crl_mirrors; err == CM_OK && m != NULL && *m != NULL; m++) {
		const size_t from = strcspn(*m, " ");
		const char *to = *m + from + strspn(*m + from, " ");
		struct cm_buf at = { 0 };

		if (from == 0 || to[0] == '\0' || strncmp(url, *m, from) != 0)
			continue;
		cm_buf_addf(&at, "%s%s", to, url + from);
		err = cm_buf_status(&at) != CM_OK ? CM_ERR_NOMEM : add_once(urls, cm_buf_blob(&at));
		cm_buf_free(&at);
	}
	return err == CM_OK ? add_once(urls, cm_blob_str(url)) : err;
}

enum cm_err
cm_source_add_responders(const struct cm_trust_options *o, X509 *cert, char ***urls)
{
	const char *const *configured = o->ocsp_urls;
	STACK_OF(OPENSSL_STRING) *aia = NULL;
	enum cm_err err = CM_OK;

	if (configured == NULL || *configured == NULL)
		aia = X509_get1_ocsp(cert);
	for (; err == CM_OK && configured != NULL && *configured != NULL; configured++)
		err = add_once(urls, cm_blob_str(*configured));
	for (int n = 0; err == CM_OK && n < sk_OPENSSL_STRING_num(aia); n++)
		err = add_once(urls, cm_blob_str(sk_OPENSSL_STRING_value(aia, n)));
	X509_email_free(aia);
	return err;
}

enum cm_err
cm_source_fetcher(const struct cm_trust *tr, void (*progress)(void *arg, const struct cm_fetch *f), void *arg,
    struct cm_fetcher **out)
{
	const struct cm_fetcher_options o = {
		.anchors = cm_buf_blob(&tr->anchors_pem), .private_redirects = tr->o.private_redirects,
		.configured = { tr->o.ocsp_urls, tr->o.crls }, .ldap = tr->o.ldap, .progress = progress, .arg = arg,
	};

	return cm_fetcher_new(&o, out);
}
