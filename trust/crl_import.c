/* trust/crl_import.c - a revocation list from a file, for a host that reaches no server. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <unistd.h>

#include "trust/crl_internal.h"

struct filing {
	struct cm_trust *tr;
	const struct cm_trust_import *i;
	struct cm_trace *t;
	struct cm_buf *out;
	STACK_OF(X509) *cas;		/* owned: who is known here, each verified */
	uint8_t key[32];		/* of the issuer */
};

static enum cm_err
add_ca(void *arg, X509 *ca)
{
	struct filing *w = arg;

	if (X509_up_ref(ca) != 1)
		return CM_ERR_NOMEM;
	if (sk_X509_push(w->cas, ca) > 0)
		return CM_OK;
	X509_free(ca);
	return CM_ERR_NOMEM;
}

static bool
is_verified(const struct filing *w, X509 *ca)
{
	for (int i = 0; i < sk_X509_num(w->cas); i++)
		if (sk_X509_value(w->cas, i) == ca)
			return true;
	return false;
}

/* CM_ERR_REFUSED: nobody known here, or who may not sign lists.  *issuer NULL: whose it is cannot be read. */
static enum cm_err
find_issuer(struct filing *w, int fd, const struct cm_known *known, X509 **issuer)
{
	const struct cm_crl_asker a = { .trust = w->tr, .known = known, .now = cm_known_time(known), .more = w->cas };
	bool named;

	*issuer = cm_crl_choose_issuer(&a, fd, w->tr->o.crl_max, &named);
	if (named && (*issuer == NULL || !is_verified(w, *issuer)))
		cm_trace_fail(w->t, CM_REASON_REVOCATION_DATA, "%s: is the list of a CA that is not known here, or does not "
		    "come from trust.anchors", w->i->path);
	else if (*issuer != NULL && !cm_crl_may_sign(*issuer))
		cm_trace_fail(w->t, CM_REASON_REVOCATION_DATA, "%s: its CA may not sign revocation lists (no cRLSign in its "
		    "keyUsage)", w->i->path);
	else
		return CM_OK;
	return CM_ERR_REFUSED;
}

static void
show_progress(void *arg, uint64_t done, uint64_t total)
{
	const struct filing *w = arg;

	w->i->progress(w->i->arg, w->i->path, done, total);
}

/* "5,000" */
static void
add_count(struct cm_buf *out, uint64_t n)
{
	if (n < 1000) {
		cm_buf_addf(out, "%llu", (unsigned long long)n);
		return;
	}
	add_count(out, n / 1000);
	cm_buf_addf(out, ",%03llu", (unsigned long long)(n % 1000));
}

static void
describe(const struct cm_crl_index *x, time_t now, struct cm_buf *out)
{
	const struct cm_crl_about *a = &x->about;
	char when[CM_TIME_SIZE];

	cm_buf_add_str(out, a->delta ? "delta CRL" : "CRL");
	if (a->number.there) {
		cm_buf_add_str(out, " number ");
		cm_crl_number_text(&a->number, out);
	}
	if (a->delta) {
		cm_buf_add_str(out, ", changes of number ");
		cm_crl_number_text(&a->base, out);
	}
	cm_buf_add_str(out, " of ");
	cm_name_der_text(a->issuer, out);
	cm_buf_add_str(out, ", ");
	add_count(out, a->entries);
	cm_buf_add_str(out, a->entries == 1 ? " entry" : " entries");
	if (a->next_update != 0)
		cm_buf_addf(out, ", %s %s", a->next_update < now ? "expired" : "until", cm_clock_text(a->next_update, when));
}

/* Why a list that is right is not put in force. */
static enum cm_err
refuse(struct filing *w, const struct cm_crl_import *m, const struct cm_crl_index *x)
{
	struct cm_buf text;

	cm_buf_init(&text, 0);
	cm_crl_describe(&x->about, &text);
	cm_trace_fail(w->t, CM_REASON_REVOCATION_DATA, "%s: is not taken (%s): %s", w->i->path, cm_buf_str(&text),
	    cm_crl_left_out_text(m->left_out));
	cm_buf_free(&text);
	return CM_ERR_REFUSED;
}

static enum cm_err
import(struct filing *w, int fd, X509 *issuer, const struct cm_known *known)
{
	struct cm_buf why, warning;
	struct cm_crl_import m = { .list = fd, .max = w->tr->o.crl_max, .issuer = issuer, .now = known->now,
	    .origin = { w->i->path, "", "", known->now, 0 }, .warning = &warning,
	    .progress = w->i->progress != NULL ? show_progress : NULL, .progress_arg = w };
	struct cm_crl_index *x = NULL;
	struct cm_crl_store s;
	enum cm_err err;

	cm_buf_init(&why, 0);
	cm_buf_init(&warning, 0);
	cm_crl_store_open(&s, w->tr->o.crl_dir, w->key, w->tr->o.crl_keep, &warning);
	err = cm_crl_store_import(&s, &m, &x, &why);
	cm_crl_store_close(&s);
	if (err == CM_ERR_SYNTAX)
		err = cm_trace_fail(w->t, CM_REASON_REVOCATION_DATA, "%s: %s", w->i->path, cm_buf_str(&why));
	else if (err == CM_ERR_SYSTEM)
		err = cm_trace_fail(w->t, CM_REASON_SYSTEM, "%s: %s", w->i->path, cm_buf_str(&why));
	else if (err == CM_OK && (m.left_out == CM_OBJECTION_NOT_KEPT || warning.len > 0))
		err = cm_trace_fail(w->t, CM_REASON_SYSTEM, "%s: %s", w->i->path, warning.len > 0 ? cm_buf_str(&warning) :
		    "no folder is named in which lists are kept (trust.crl_dir)");
	else if (err == CM_OK && m.left_out != CM_OBJECTION_NONE)
		err = refuse(w, &m, x);
	else if (err == CM_OK)
		describe(x, known->now, w->out);
	cm_crl_index_close(&x);
	cm_buf_free(&why);
	cm_buf_free(&warning);
	return err;
}

enum cm_err
cm_crl_import_file(struct cm_trust *tr, const struct cm_trust_import *i, const struct cm_known *known,
    struct cm_trace *t, struct cm_buf *out)
{
	struct filing w = { .tr = tr, .i = i, .t = t, .out = out, .cas = sk_X509_new_null() };
	const int fd = open(i->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	enum cm_err err = CM_ERR_NOMEM;
	X509 *issuer = NULL;

	if (fd < 0) {
		err = cm_trace_fail(t, CM_REASON_SYSTEM, "%s: cannot be read: %s", i->path, strerror(errno));
		goto out;
	}
	if (w.cas == NULL || (err = cm_ca_each(tr, i, cm_known_time(known), add_ca, &w)) != CM_OK)
		goto out;
	if ((err = find_issuer(&w, fd, known, &issuer)) != CM_OK)
		goto out;
	if (issuer != NULL && !cm_crl_key(issuer, w.key))
		err = CM_ERR_NOMEM;
	else
		err = import(&w, fd, issuer, known);
out:
	if (fd >= 0)
		close(fd);
	sk_X509_pop_free(w.cas, X509_free);
	ERR_clear_error();
	return err;
}
