/* cli/revocation.c - is this certificate trusted and not revoked, and who says so. */
#include "cli/cli.h"

static enum cm_err
check(struct cm_cli *c, const struct cm_host *host, const struct cm_cert *cert)
{
	const struct cm_known known = { .now = cm_clock_now() };
	struct cm_verdict *v = NULL;
	enum cm_err err;

	cm_trace_begin(c->trace, "chain");
	err = cm_trust_check_chain(host->trust, cert, &known, c->trace, &v);
	cm_trace_end(c->trace, err);
	if (err != CM_OK)
		return err;
	cm_trace_begin(c->trace, "revocation");
	err = cm_trust_check_revocation(host->trust, v, &known,
	    cm_deadline_in(c->conf->trust.timeout), c->trace);
	cm_trace_end(c->trace, err);
	cm_cli_set(c->answer, "status", cm_cli_status(cm_verdict_status(v)));
	cm_cli_line(c, "status", "%s", cm_cli_status(cm_verdict_status(v)));
	cm_verdict_free(&v);
	return err;
}

int
cm_cli_revocation(struct cm_cli *c)
{
	struct cm_host *host = NULL;
	struct cm_cert *cert = NULL;
	enum cm_err err;

	if (strcmp(c->args[0], "check") != 0)
		return cm_cli_finish(c, cm_trace_fail(c->trace, CM_REASON_USAGE,
		    "usage: cardmap revocation check FILE"));
	if ((err = cm_cert_load(c->args[1], c->trace, &cert)) != CM_OK)
		goto out;
	cm_cli_line(c, "certificate", "%s", c->args[1]);
	cm_cli_certificate(c, c->answer, cert);
	if ((err = cm_host_open(c->conf, CM_NEED_RULES | CM_NEED_TRUST, c->trace, &host)) == CM_OK)
		err = check(c, host, cert);
	cm_cli_trace(c);
out:
	cm_cert_free(&cert);
	cm_host_close(&host);
	return cm_cli_finish(c, err);
}
