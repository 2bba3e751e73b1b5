/* krb5/probe.c - does a KDC answer at all? */
#include "krb5/pkinit_internal.h"

/* One request, made by libkrb5; its answer is not read. */
struct probe {
	krb5_init_creds_context as;
	bool asked;
};

static krb5_error_code
ask_once(krb5_context context, void *state, krb5_data *in, krb5_data *out, krb5_data *realm, unsigned *flags)
{
	struct probe *p = state;

	if (p->asked)
		return 0;
	p->asked = true;
	return krb5_init_creds_step(context, p->as, in, out, realm, flags);
}

static krb5_error_code
run(struct cm_exchange *x, krb5_principal *client)
{
	struct probe p = { 0 };
	krb5_error_code code;

	/* RFC 6112 section 4.1: a name that is nobody's, so that no count of failures is anybody's. */
	code = krb5_build_principal(x->context, client, (unsigned)strlen(x->pkinit->realm), x->pkinit->realm,
	    KRB5_WELLKNOWN_NAMESTR, KRB5_ANONYMOUS_PRINCSTR, (char *)NULL);
	if (code == 0)
		code = krb5_init_creds_init(x->context, *client, NULL, NULL, 0, NULL, &p.as);
	if (code == 0)
		code = cm_exchange_run(x, ask_once, &p, NULL);
	if (p.as != NULL)
		krb5_init_creds_free(x->context, p.as);
	return code;
}

enum cm_err
cm_pkinit_probe(struct cm_pkinit *p, cm_deadline deadline, struct cm_trace *t)
{
	struct cm_route route = { 0 };
	struct cm_exchange x = { .pkinit = p, .route = &route, .deadline = deadline, .trace = t };
	krb5_principal client = NULL;
	enum cm_err err = CM_ERR_NOMEM;

	if (krb5_copy_context(p->context, &x.context) == 0 && (err = cm_exchange_begin(&x)) == CM_OK) {
		if (run(&x, &client) != 0)
			err = CM_ERR_NOMEM;
		else if ((err = x.err) == CM_OK && x.kdc_error == 0 && (x.reply.len == 0 || x.reply.ptr[0] != CM_AS_REP))
			err = cm_trace_fail(t, CM_REASON_KDC_OFFLINE, "KDC %s: its answer is not Kerberos", cm_exchange_kdc(&x));
	}
	if (x.context != NULL) {
		krb5_free_principal(x.context, client);
		krb5_free_context(x.context);
	}
	cm_exchange_free(&x);
	cm_route_free(&route);
	return err;
}
