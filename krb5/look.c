/* krb5/look.c - the ticket that a user's own ccache holds: whose, and until when. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "krb5/pkinit_internal.h"
#include "krb5/renew.h"

struct looking {
	const char *ccache;
	struct cm_trace *trace;
	krb5_context context;
	krb5_ccache cc;
	krb5_principal client;
};

static enum cm_err
fail(struct looking *l, krb5_error_code code)
{
	const char *words = krb5_get_error_message(l->context, code);

	if (code != ENOMEM)
		cm_trace_fail(l->trace, CM_REASON_CCACHE, "ccache %s: %s", l->ccache, words);
	krb5_free_error_message(l->context, words);
	return code == ENOMEM ? CM_ERR_NOMEM : CM_ERR_SYSTEM;
}

static enum cm_err
none(struct looking *l)
{
	return cm_trace_fail(l->trace, CM_REASON_NO_TICKET, "ccache %s: there is none", l->ccache);
}

/* What another user wrote is not for this one's libkrb5 to read. */
static enum cm_err
check_file(struct looking *l)
{
	const char *path = strncmp(l->ccache, "FILE:", 5) == 0 ? l->ccache + 5 : l->ccache;
	struct stat st;

	if (path[0] != '/')
		return CM_OK;
	if (lstat(path, &st) != 0)
		return errno == ENOENT ? none(l) : fail(l, errno);
	return S_ISREG(st.st_mode) && st.st_uid == geteuid() ? CM_OK :
	    cm_trace_fail(l->trace, CM_REASON_CCACHE, "ccache %s: it is no file of this user's", l->ccache);
}

/* Of its own realm: the ticket by which others are got. */
static enum cm_err
read_tgt(struct looking *l, struct cm_renewed *out)
{
	const krb5_data *realm = krb5_princ_realm(l->context, l->client);
	krb5_creds wanted = { .client = l->client }, found = { 0 };
	char *name = NULL;
	enum cm_err err = CM_ERR_NOMEM;

	if (krb5_build_principal(l->context, &wanted.server, realm->length, realm->data, KRB5_TGS_NAME, realm->data, (char *)NULL) != 0)
		return err;
	if (krb5_cc_retrieve_cred(l->context, l->cc, 0, &wanted, &found) != 0) {
		err = none(l);
	} else if (krb5_unparse_name(l->context, l->client, &name) == 0) {
		out->expires = CM_KRB5_TIME(found.times.endtime);
		out->renew_till = CM_KRB5_TIME(found.times.renew_till);
		out->principal = strdup(name);
		err = out->principal != NULL ? CM_OK : CM_ERR_NOMEM;
		krb5_free_unparsed_name(l->context, name);
	}
	krb5_free_cred_contents(l->context, &found);
	krb5_free_principal(l->context, wanted.server);
	return err;
}

enum cm_err
cm_ticket_look(const char *ccache, struct cm_trace *t, struct cm_renewed *out)
{
	struct looking l = { .ccache = ccache, .trace = t };
	krb5_error_code code = krb5_init_context(&l.context);
	enum cm_err err;

	*out = (struct cm_renewed){ .renewed = false };
	if (code != 0)
		return cm_krb5_config_error(NULL, code, "krb5.conf", t);
	if ((err = check_file(&l)) != CM_OK)
		goto out;
	if ((code = krb5_cc_resolve(l.context, ccache, &l.cc)) != 0)
		err = fail(&l, code);
	else if ((code = krb5_cc_get_principal(l.context, l.cc, &l.client)) != 0)
		err = code == ENOMEM ? CM_ERR_NOMEM : none(&l);
	else
		err = read_tgt(&l, out);
out:
	krb5_free_principal(l.context, l.client);
	if (l.cc != NULL)
		krb5_cc_close(l.context, l.cc);
	krb5_free_context(l.context);
	return err;
}
