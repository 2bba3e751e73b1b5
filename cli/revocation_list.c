/* cli/revocation_list.c - every piece of evidence that is kept; and an administrator's word against it. */
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/revocation.h"
#include "cli/service.h"

#define LONG_ENDED	(30 * 86400)	/* seconds after its end, when a list may have been given up */

/* Whose certificate it is, where an account is kept for it: made while accounts are visited. */
struct owner {
	const struct cm_evidence *e;	/* borrowed from the memory */
	char *account;			/* owned; NULL: nobody's that is kept */
	bool ca;			/* of a CA above somebody's card */
};
struct owners {
	struct owner *list;		/* one for each piece of evidence */
	size_t count;
};

static bool
is_about(const struct cm_evidence *a, const struct cm_evidence *b)
{
	return a->serial_len == b->serial_len && memcmp(a->serial, b->serial, a->serial_len) == 0 &&
	    memcmp(a->issuer_key, b->issuer_key, sizeof(a->issuer_key)) == 0;
}

static enum cm_err
note_owner(void *arg, const struct cm_kept *k)
{
	struct owners *all = arg;
	struct cm_cert *cert = NULL;
	enum cm_err err;

	if ((err = cm_cert_decode(k->cert_der, NULL, &cert)) != CM_OK)
		return err == CM_ERR_NOMEM ? err : CM_OK;
	for (size_t i = 0; err == CM_OK && i < k->evidence_count; i++) {
		const struct cm_evidence *e = &k->evidence[i];
		const bool leaf = cm_blob_equal((struct cm_blob){ e->serial, e->serial_len }, cm_cert_serial(cert));

		for (size_t n = 0; n < all->count; n++) {
			struct owner *o = &all->list[n];

			if (!is_about(o->e, e) || o->account != NULL)
				continue;
			o->ca = !leaf;
			if (leaf && (o->account = strdup(k->account->name)) == NULL)
				err = CM_ERR_NOMEM;
		}
	}
	cm_cert_free(&cert);
	return err;
}

/* By issuer and serial number, whoever told of them. */
static int
by_certificate(const void *a, const void *b)
{
	const struct cm_evidence *x = ((const struct owner *)a)->e, *y = ((const struct owner *)b)->e;
	const int issuer = memcmp(x->issuer_key, y->issuer_key, sizeof(x->issuer_key));

	return issuer != 0 ? issuer : memcmp(x->serial, y->serial, sizeof(x->serial));
}

static enum cm_err
find_owners(const struct cm_cli_revocation *r, struct owners *out)
{
	out->list = calloc(r->known.count + 1, sizeof(*out->list));
	if (out->list == NULL)
		return CM_ERR_NOMEM;
	out->count = r->known.count;
	for (size_t i = 0; i < out->count; i++)
		out->list[i].e = &r->known.evidence[i];
	qsort(out->list, out->count, sizeof(*out->list), by_certificate);
	return cm_cli_each_account(r, note_owner, out);
}

static void
free_owners(struct owners *o)
{
	for (size_t i = 0; i < o->count; i++)
		free(o->list[i].account);
	free(o->list);
}

static void
tell(const struct cm_cli_revocation *r, const struct owner *o, const char *issuer, json_t *list)
{
	const struct cm_evidence *e = o->e;
	const char *status = e->status == CM_STATUS_REVOKED && e->on_hold ? "on hold" : cm_cli_status(e->status);
	const time_t said = e->confirmed != 0 ? e->confirmed : e->this_update;
	char since[CM_TIME_SIZE], until[CM_TIME_SIZE], age[CM_TIME_SIZE];
	json_t *one = cm_cli_evidence(e, r->known.now);
	struct cm_buf serial = { 0 };

	cm_buf_add_hex(&serial, (struct cm_blob){ e->serial, e->serial_len });
	json_object_set_new(one, "issuer", issuer != NULL ? json_string(issuer) : json_null());
	json_object_set_new(one, "account", o->account != NULL ? json_string(o->account) : json_null());
	json_array_append_new(list, one);
	cm_cli_line(r->cli, status, "%s%s%s, of %s", cm_buf_str(&serial), o->account != NULL ? " of " :
	    o->ca ? " (a CA)" : "", o->account != NULL ? o->account : "", issuer != NULL ? issuer : "a CA that is not known here any more");
	cm_cli_line(r->cli, "  since", "%s", e->revoked_at == CM_NEVER_ISSUED ? "ever: its CA never issued it" : cm_clock_text(e->revoked_at != 0 ? e->revoked_at : e->this_update, since));
	cm_cli_line(r->cli, "  until", "%s", e->status == CM_STATUS_REVOKED ? e->on_hold ? "a later list ends the hold" :
	    "cardmap revocation forget" : cm_cli_end(e->next_update, until));
	cm_cli_line(r->cli, "  says", "%s%s%s", e->source, e->signer[0] != '\0' ? ", signed by " : "", e->signer);
	cm_cli_line(r->cli, "  age", "%s", said > r->known.now ? "dated ahead of this computer's clock" :
	    cm_clock_age(r->known.now - said, age));
	cm_buf_free(&serial);
}

enum cm_err
cm_cli_revocation_list(struct cm_cli_revocation *r)
{
	struct cm_cli *c = r->cli;
	json_t *list = json_array();
	struct cm_cli_issuers issuers = { 0 };
	struct owners owners = { 0 };
	size_t shown = 0;
	enum cm_err err;

	json_object_set_new(c->answer, "evidence", list);
	if ((err = cm_cli_issuers_read(r, &issuers)) != CM_OK || (err = find_owners(r, &owners)) != CM_OK)
		goto out;
	for (size_t i = 0; i < owners.count; i++) {
		const char *issuer = cm_cli_issuer_of(&issuers, owners.list[i].e->issuer_key);

		if ((c->revoked && owners.list[i].e->status != CM_STATUS_REVOKED) || !cm_cli_issuer_is(issuer, c->args[1]))
			continue;
		tell(r, &owners.list[i], issuer, list);
		shown++;
	}
	if (shown == 0)
		cm_cli_line(c, "evidence", "none is kept%s", c->revoked ? " that says revoked" : "");
out:
	free_owners(&owners);
	cm_cli_issuers_free(&issuers);
	return err;
}

/* ---- forget */

/* What is to be forgotten. */
struct wanted {
	uint8_t serial[32];	/* content octets, leading zeros left out */
	size_t serial_len;
	const char *issuer;	/* in its subject; NULL: any */
	char *named;		/* the issuer that the file names; owned, or NULL */
};

static struct cm_blob
without_zeros(struct cm_blob b)
{
	while (b.len > 1 && b.ptr[0] == 0) {
		b.ptr++;
		b.len--;
	}
	return b;
}

static void
take_serial(struct wanted *w, struct cm_blob serial)
{
	serial = without_zeros(serial);
	w->serial_len = serial.len < sizeof(w->serial) ? serial.len : sizeof(w->serial);
	memcpy(w->serial, serial.ptr, w->serial_len);
}

/* A serial number as list prints it and others do (with colons, 0x before it); else the file of the certificate. */
static enum cm_err
read_wanted(struct cm_cli *c, struct wanted *w)
{
	const char *text = c->args[1] + (strncmp(c->args[1], "0x", 2) == 0 ? 2 : 0);
	uint8_t octets[sizeof(w->serial)];
	const size_t digits = cm_hex_parse(cm_blob_str(text), octets, sizeof(octets));
	struct cm_cert *cert = NULL;
	enum cm_err err;

	w->issuer = c->issuer;
	if (digits != SIZE_MAX && digits >= 2 && digits % 2 == 0 && digits / 2 <= sizeof(octets)) {
		take_serial(w, (struct cm_blob){ octets, digits / 2 });
		return CM_OK;
	}
	if (access(c->args[1], F_OK) != 0)
		return cm_trace_fail(c->trace, CM_REASON_USAGE, "%s: neither a serial number in hex digits, two for each "
		    "octet, nor the file of a certificate", c->args[1]);
	if ((err = cm_cert_load(c->args[1], c->trace, &cert)) != CM_OK)
		return err;
	take_serial(w, cm_cert_serial(cert));
	if ((w->named = strdup(cm_cert_issuer_text(cert))) == NULL)
		err = CM_ERR_NOMEM;
	cm_cert_free(&cert);
	return err;
}

static bool
is_wanted(const struct wanted *w, struct cm_blob serial, const char *issuer)
{
	return cm_blob_equal(without_zeros(serial), (struct cm_blob){ w->serial, w->serial_len }) &&
	    cm_cli_issuer_is(issuer, w->issuer) && (w->named == NULL || (issuer != NULL && strcmp(issuer, w->named) == 0));
}

/* Who is at the terminal: the kernel keeps what a login once set, whoever he became since (loginuid of proc(5)). */
static void
name_caller(struct cm_buf *out)
{
	unsigned long id = (unsigned long)(uid_t)-1;
	const struct passwd *p;
	FILE *f = fopen("/proc/self/loginuid", "re");
	char text[32] = "";

	if (f != NULL) {
		if (fgets(text, sizeof(text), f) != NULL)
			id = strtoul(text, NULL, 10);
		fclose(f);
	}
	cm_buf_addf(out, "uid %u", (unsigned)getuid());
	if (text[0] == '\0' || id == (unsigned long)(uid_t)-1)
		return;
	p = getpwuid((uid_t)id);
	cm_buf_addf(out, ", logged in as %s (uid %lu)", p != NULL ? p->pw_name : "?", id);
}

static struct cm_evidence
about(const uint8_t key[32], struct cm_blob serial)
{
	struct cm_evidence e = { .serial_len = serial.len };

	memcpy(e.issuer_key, key, sizeof(e.issuer_key));
	memcpy(e.serial, serial.ptr, serial.len);
	return e;
}

/* In the folder of the service's logins; that it does not answer was said when something was to be forgotten there. */
static bool
is_told(const struct cm_cli_revocation *r, const uint8_t key[32], struct cm_blob serial, struct cm_evidence *e, struct cm_buf *file)
{
	const struct cm_evidence of = about(key, serial);
	bool carried;

	return cm_cli_told_listed(r->cli, r->resolver, &of, &carried, e, file) == CM_OK && e->source[0] != '\0';
}

static bool
has_carried(const struct cm_cli_revocation *r, const uint8_t key[32], struct cm_blob serial)
{
	const struct cm_evidence of = about(key, serial);
	struct cm_buf file = { 0 };
	struct cm_evidence e;
	bool carried = cm_trust_has_carried(r->host->trust, key, serial);

	if (!carried && r->resolver != NULL && cm_cli_told_listed(r->cli, r->resolver, &of, &carried, &e, &file) != CM_OK)
		carried = false;
	cm_buf_free(&file);
	return carried;
}

/* A list that names it still speaks; one that ended long ago may never have a successor. */
static bool
find_listed(const struct cm_cli_revocation *r, const uint8_t key[32], struct cm_blob serial, struct cm_buf *source, struct cm_buf *text)
{
	struct cm_evidence e = { 0 };
	char end[CM_TIME_SIZE];
	struct cm_buf file;
	bool found;

	cm_buf_init(&file, 0);
	found = cm_trust_find_listed(r->host->trust, key, serial, &e, &file) == CM_OK;
	if (!found && r->resolver != NULL)
		found = is_told(r, key, serial, &e, &file);
	if (found) {
		cm_buf_add_str(source, e.source);
		cm_buf_addf(text, "%s still names it: it stays refused until the CA publishes a list without it", e.source);
		if (e.next_update != 0 && r->known.now - e.next_update > LONG_ENDED)
			cm_buf_addf(text, " (that one ended %s: if the CA has given it up for good, remove %s, which forgets all "
			    "that it says, and forget this certificate again)", cm_clock_text(e.next_update, end), cm_buf_str(&file));
	}
	cm_buf_free(&file);
	return found;
}

static void
tell_forgotten(const struct cm_cli_revocation *r, const struct cm_evidence *e, const char *issuer)
{
	struct cm_cli *c = r->cli;
	struct cm_buf serial = { 0 }, text = { 0 }, who = { 0 }, source = { 0 }, listed = { 0 };

	cm_buf_add_hex(&serial, (struct cm_blob){ e->serial, e->serial_len });
	if (e->status != CM_STATUS_UNKNOWN)
		cm_evidence_text(e, &text);
	else
		cm_buf_add_str(&text, "carried over from a list that no longer names it");
	name_caller(&who);
	cm_log_event((enum cm_log_target)c->conf->service.log, "forget", CM_OK, CM_REASON_NONE,
	    "serial %s of %s: %s; by %s", cm_buf_str(&serial), issuer, cm_buf_str(&text), cm_buf_str(&who));
	cm_cli_set(c->answer, "serial", cm_buf_str(&serial));
	cm_cli_set(c->answer, "issuer", issuer);
	cm_cli_set(c->answer, "forgotten", cm_buf_str(&text));
	cm_cli_set(c->answer, "by", cm_buf_str(&who));
	cm_cli_line(c, "forgotten", "%s of %s", cm_buf_str(&serial), issuer);
	cm_cli_line(c, "  was", "%s", cm_buf_str(&text));
	json_object_set_new(c->answer, "still_listed", json_null());
	if (find_listed(r, e->issuer_key, (struct cm_blob){ e->serial, e->serial_len }, &source, &listed)) {
		cm_cli_set(c->answer, "still_listed", cm_buf_str(&source));
		cm_cli_line(c, "  but", "%s", cm_buf_str(&listed));
	}
	cm_buf_free(&source);
	cm_buf_free(&listed);
	cm_buf_free(&serial);
	cm_buf_free(&text);
	cm_buf_free(&who);
}

static enum cm_err
forget_one(struct cm_cli_revocation *r, const struct cm_evidence *e, const char *issuer)
{
	const struct cm_blob serial = { e->serial, e->serial_len };
	enum cm_err err = cm_accounts_forget_evidence(r->host->accounts, e->issuer_key, serial, r->cli->trace);
	enum cm_err lists = cm_trust_forget_listed(r->host->trust, e->issuer_key, serial, r->cli->trace), others = CM_ERR_ABSENT;

	if (r->resolver != NULL)
		others = cm_cli_told_unlist(r->cli, r->resolver, e);
	lists = lists == CM_ERR_ABSENT || (lists == CM_OK && others != CM_ERR_ABSENT) ? others : lists;
	if (err == CM_ERR_ABSENT)
		err = lists;
	else if (err == CM_OK && lists != CM_ERR_ABSENT)
		err = lists;
	if (err == CM_OK)
		tell_forgotten(r, e, issuer != NULL ? issuer : "a CA that is not known here any more");
	return err;
}

static enum cm_err
several(const struct cm_cli *c, const struct cm_buf *names)
{
	cm_trace_fail(c->trace, CM_REASON_USAGE, "%s: certificates of several CAs have this serial number (%s): name one with --issuer",
	    c->args[1], cm_buf_str(names));
	return CM_ERR_USAGE;
}

/* Nothing is to be forgotten, and lists may name it all the same; keys of one name have lists in common. */
static enum cm_err
say_nothing_kept(const struct cm_cli_revocation *r, const struct wanted *w, const struct cm_cli_issuers *issuers)
{
	const struct cm_blob serial = { w->serial, w->serial_len };
	struct cm_buf all = { 0 };
	enum cm_err err;

	for (size_t i = 0; i < issuers->count; i++) {
		const struct cm_cli_issuer *one = &issuers->list[i];
		struct cm_buf source = { 0 }, text = { 0 };

		if (is_wanted(w, serial, one->subject) && find_listed(r, one->key, serial, &source, &text) &&
		    strstr(cm_buf_str(&all), cm_buf_str(&text)) == NULL)
			cm_buf_addf(&all, "; %s %s", all.len > 0 ? "and" : "but", cm_buf_str(&text));
		cm_buf_free(&source);
		cm_buf_free(&text);
	}
	err = cm_trace_fail(r->cli->trace, CM_REASON_NO_EVIDENCE, "%s: nothing is kept of such a certificate%s%s%s",
	    r->cli->args[1], w->issuer != NULL ? " of " : "", w->issuer != NULL ? w->issuer : "", cm_buf_str(&all));
	cm_buf_free(&all);
	return err;
}

/* Of no kept evidence: what lists carried over may be left. */
static enum cm_err
forget_carried(struct cm_cli_revocation *r, const struct wanted *w, const struct cm_cli_issuers *issuers)
{
	const struct cm_blob serial = { w->serial, w->serial_len };
	struct cm_evidence e = { .serial_len = w->serial_len };
	const struct cm_cli_issuer *found = NULL;
	struct cm_buf names = { 0 };
	unsigned count = 0;
	enum cm_err err;

	memcpy(e.serial, w->serial, w->serial_len);
	for (size_t i = 0; i < issuers->count; i++) {
		const struct cm_cli_issuer *one = &issuers->list[i];

		if (!is_wanted(w, serial, one->subject) || !has_carried(r, one->key, serial))
			continue;
		found = one;
		cm_buf_addf(&names, "%s%s", count++ > 0 ? "; " : "", one->subject);
	}
	if (count > 1) {
		err = several(r->cli, &names);
	} else if (found != NULL) {
		memcpy(e.issuer_key, found->key, sizeof(e.issuer_key));
		err = forget_one(r, &e, found->subject);
	} else {
		err = say_nothing_kept(r, w, issuers);
	}
	cm_buf_free(&names);
	return err;
}

static enum cm_err
forget(struct cm_cli_revocation *r, const struct wanted *w, const struct cm_cli_issuers *issuers)
{
	const struct cm_evidence *found = NULL;
	struct cm_buf names = { 0 };
	unsigned count = 0;
	enum cm_err err;

	for (size_t i = 0; i < r->known.count; i++) {
		const struct cm_evidence *e = &r->known.evidence[i];
		const char *issuer = cm_cli_issuer_of(issuers, e->issuer_key);

		if (!is_wanted(w, (struct cm_blob){ e->serial, e->serial_len }, issuer) || (found != NULL && is_about(found, e)))
			continue;
		found = e;
		cm_buf_addf(&names, "%s%s", count++ > 0 ? "; " : "", issuer != NULL ? issuer : "?");
	}
	if (count > 1)
		err = several(r->cli, &names);
	else
		err = found == NULL ? forget_carried(r, w, issuers) :
		    forget_one(r, found, cm_cli_issuer_of(issuers, found->issuer_key));
	cm_buf_free(&names);
	return err;
}

enum cm_err
cm_cli_revocation_forget(struct cm_cli_revocation *r)
{
	struct cm_cli_issuers issuers = { 0 };
	struct wanted w = { .serial_len = 0 };
	enum cm_err err;

	cm_trace_begin(r->cli->trace, "forget");
	if ((err = cm_cli_service_open(r->cli, CM_CLI_RESOLVER, &r->resolver)) == CM_OK && (err = read_wanted(r->cli, &w)) == CM_OK && (err = cm_cli_issuers_read(r, &issuers)) == CM_OK)
		err = r->host->accounts != NULL ? forget(r, &w, &issuers) : say_nothing_kept(r, &w, &issuers);
	cm_trace_end(r->cli->trace, err);
	free(w.named);
	cm_cli_issuers_free(&issuers);
	cm_wire_free(&r->resolver);
	return err;
}
