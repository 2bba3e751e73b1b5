/* service/forecast.c - the stages of a login, asked for another time and with nobody answering. */
#include "service/forecast.h"

#include <stdlib.h>

#include "service/mapping.h"

/* One login that nobody makes. */
struct forecast {
	const struct cm_host *host;
	const struct cm_cert *cert;
	struct cm_known known;		/* at the time that is asked about */
	struct cm_memory memory;	/* ... and what is kept of this chain */
	struct cm_trace *trace;
	struct cm_verdict *verdict;
	struct cm_account *account;
};

static enum cm_err
check_chain(struct forecast *f)
{
	enum cm_err err;

	if ((err = cm_trust_check_chain(f->host->trust, f->cert, &f->known, f->trace, &f->verdict)) != CM_OK)
		return err;
	f->memory.known = f->known;
	if ((err = cm_accounts_recall_chain(f->host->accounts, f->verdict, f->trace, &f->memory)) == CM_OK)
		f->known = f->memory.known;
	return err;
}

/* A selector's answer cannot be foretold. */
static enum cm_err
check_still_mapped(struct forecast *f)
{
	struct cm_mapping m = { .host = f->host, .cert = f->cert, .trace = f->trace };
	enum cm_err err;

	if (f->host->rules == NULL || f->host->conf->mapper.selector != NULL)
		return CM_OK;
	if ((err = cm_mapping_make(&m)) == CM_OK)
		err = cm_mapping_check_kept(&m, f->account);
	cm_mapping_clear(&m);
	return err;
}

static enum cm_err
find_account(struct forecast *f)
{
	int64_t age;
	enum cm_err err;

	if ((err = cm_accounts_find(f->host->accounts, f->cert, f->known.now, f->trace, &f->account, &age)) != CM_OK)
		return err;
	return check_still_mapped(f);
}

static enum cm_err
check_revocation(struct forecast *f)
{
	const struct cm_trust_policy policy = cm_host_policy_of(f->host, f->account->rule);
	struct cm_inquiry *i = NULL;
	enum cm_err err;

	if ((err = cm_trust_ask_revocation(f->host->trust, f->verdict, &f->known, &policy,
	    cm_deadline_in(f->host->conf->trust.timeout), &i)) == CM_OK)
		err = cm_trust_judge_revocation(i, &policy, f->trace);
	cm_inquiry_end(&i);
	return err;
}

static const struct stage {
	const char *name;	/* as service/login.c calls it */
	enum cm_err (*run)(struct forecast *);
} stages[] = {
	{ "chain", check_chain },
	{ "account", find_account },
	{ "revocation", check_revocation },
};

enum cm_err
cm_forecast_login(const struct cm_host *h, const struct cm_known *known, const struct cm_cert *c,
    time_t at, struct cm_trace *t)
{
	struct forecast f = { .host = h, .cert = c, .known = *known, .trace = t };
	enum cm_err err = CM_OK;

	f.known.now = at;
	f.known.offline = true;
	f.known.keeper = NULL;
	for (size_t i = 0; err == CM_OK && i < CM_COUNT(stages); i++) {
		cm_trace_begin(t, stages[i].name);
		err = stages[i].run(&f);
		cm_trace_end(t, err);
	}
	cm_account_free(&f.account);
	cm_verdict_free(&f.verdict);
	free(f.memory.evidence);
	return err;
}
