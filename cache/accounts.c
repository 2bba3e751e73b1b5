/*
 * cache/accounts.c - mobile accounts: what a certificate opened when the network was there.
 *
 * The store, version 3 (PRAGMA user_version).  Times are seconds since 1970,
 * UTC; every row ends in the SHA-256 of its other columns (store.c):
 *
 *	account  = cert_sha256 cert          ; of this very certificate, DER
 *	           name principal dn home shell gecos uid gid groups
 *	           rule matched source       ; struct cm_account; matched = [ "!" ] attribute "=" value,
 *	                                     ; "!": one of several that the card opens
 *	           chain                     ; verified then, leaf first
 *	           last_online               ; this host's clock
 *	           boottime boot_id          ; CLOCK_BOOTTIME then, and of which boot
 *	           guid global_pin           ; of the card; x'': it cannot be recognised
 *	           key                       ; service/possession.h; x'': to be learned at the next login online
 *	           links                     ; of each certificate below the anchor, leaf first
 *	           not_after                 ; the least of the chain
 *	                                     ; version 2 had none of these, from guid on
 *	groups   = *( gid(4 bytes, big-endian) name NUL )
 *	chain    = *( length(4 bytes, big-endian) DER )
 *	links    = *( length(4 bytes, big-endian) issuer_key(32 bytes) serial )
 *	evidence = issuer_key serial         ; struct cm_evidence, one for each certificate
 *	           status                    ; 1 good, 2 revoked; + 16 on hold, + 32 said by a complete list
 *	           this_update next_update revoked_at
 *	           learned confirmed         ; version 1 had neither confirmed, nor
 *	           ask_after source signer   ; ask_after, nor signer
 *	source   = kind issuer_key url       ; struct cm_source; kind: 0 OCSP, 1 list, 2 delta list
 *	           seen asked answered
 *	           probe_at failures why
 *	issuer   = issuer_key cert           ; the CA's certificate, DER, that these sources speak for
 *	clock    = 1 floor                   ; newest signed time accepted online
 *	           wall boottime boot_id     ; this host's clocks when it was last online
 *	standing = name carded uid           ; struct cm_standing (standing.c)
 *	           reason text at            ; reason: its name, or ""
 *	           facts facts_at
 *	skip     = name made expires         ; struct cm_skip (skip.c)
 *	           boottime boot_id          ; as of account, when it was made
 *	pairing  = hash spki_sha256 user     ; struct cm_pairing (pairings.c)
 *	           local subject made
 *
 * A store of version 1 or 2 is moved over when it is opened, in one transaction
 * (schema.c); where that cannot be (a full disk), it is read as it is.
 */
#include <openssl/evp.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "cache/mobile.h"
#include "cache/store_wire_internal.h"

#define BUSY_MS		2000	/* how long another process may hold the store */

static bool
is_socket(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISSOCK(st.st_mode);
}

/* A full or read-only disk keeps nobody out: what is known is read as it is. */
static enum cm_err
open_file(struct cm_accounts *s, struct cm_trace *t)
{
	const enum cm_err err = cm_store_open(s, t);

	if (err == CM_OK && s->version < CM_STORE_VERSION && cm_schema_move(s, t) != CM_OK) {
		cm_trace_add(t, "warning", "cannot be brought to this version's form: %s", cm_trace_message(t));
		cm_trace_clear_reason(t);
	}
	return err;
}

enum cm_err
cm_accounts_open(const struct cm_accounts_options *o, struct cm_trace *t,
    struct cm_accounts **out)
{
	struct cm_accounts *s = calloc(1, sizeof(*s));
	enum cm_err err = CM_ERR_NOMEM;

	*out = NULL;
	if (s == NULL || (s->path = strdup(o->path)) == NULL)
		goto out;
	s->offline_max = o->offline_max;
	s->limits = (struct cm_account_limits){ o->first_uid, o->first_gid, o->local_groups, false };
	s->ended = o->ended;
	s->ended_arg = o->ended_arg;
	s->busy_ms = BUSY_MS;
	s->unpaired_ms = o->unpaired_ms;
	if ((err = o->remote || is_socket(s->path) ? cm_remote_new(o, &s->remote) : open_file(s, t)) != CM_OK)
		goto out;
	*out = s;
	s = NULL;
out:
	cm_accounts_close(&s);
	return err;
}

void
cm_accounts_close(struct cm_accounts **s)
{
	if (*s == NULL)
		return;
	cm_remote_free(&(*s)->remote);
	sqlite3_close((*s)->db);
	free((*s)->path);
	free(*s);
	*s = NULL;
}

/* May the account still be used, this long after its last online login? */
static enum cm_err
check_age(struct cm_accounts *s, const struct cm_account_row *r, time_t now, struct cm_trace *t,
    int64_t *age_s)
{
	const char *name = r->account.name;
	char a[CM_TIME_SIZE], b[CM_TIME_SIZE];
	struct cm_store_clock c;
	enum cm_err err;

	if ((err = cm_clock_load(s, t, &c)) != CM_OK)
		return err;
	if (now < c.floor)
		return cm_trace_fail(t, CM_REASON_CLOCK_BEHIND, "this computer's clock says %s, but an "
		    "answer signed %s was already seen: how long %s has been offline cannot be told",
		    cm_clock_text(now, a), cm_clock_text(c.floor, b), name);
	*age_s = cm_clock_age_since(r->v[CM_ROW_LAST_ONLINE].n, r->v[CM_ROW_BOOTTIME].n, (const char *)r->v[CM_ROW_BOOT_ID].bytes.ptr, now);
	if (*age_s < 0)
		return cm_trace_fail(t, CM_REASON_CLOCK_BEHIND, "this computer's clock says %s, but %s "
		    "logged in with the network at %s", cm_clock_text(now, a), name,
		    cm_clock_text(r->v[CM_ROW_LAST_ONLINE].n, b));
	if (s->offline_max > 0 && *age_s > s->offline_max)
		return cm_trace_fail(t, CM_REASON_KEPT_TOO_OLD, "%s logged in with the network %s ago; "
		    "%s is allowed", name, cm_clock_age(*age_s, a), cm_clock_age(s->offline_max, b));
	return CM_OK;
}

/* What was allowed when it was kept need not be now. */
enum cm_err
cm_accounts_check_row(struct cm_accounts *s, const struct cm_account_row *r, time_t now, struct cm_trace *t,
    int64_t *age_s)
{
	const enum cm_err err = cm_account_check(&r->account, &s->limits, t);

	return err == CM_OK ? check_age(s, r, now, t, age_s) : err;
}

enum cm_err
cm_accounts_not_kept(const struct cm_cert *c, struct cm_trace *t)
{
	return cm_trace_fail(t, CM_REASON_NOT_KEPT, "the certificate of %s has not opened an "
	    "account here with the network", cm_cert_subject_text(c));
}

enum cm_err
cm_accounts_find_der(struct cm_accounts *s, struct cm_blob der, time_t now, struct cm_trace *t,
    struct cm_account **out, int64_t *age_s)
{
	uint8_t sha256[32];
	const struct cm_column key = cm_value_blob((struct cm_blob){ sha256, sizeof(sha256) });
	struct cm_account_row r = { .account = { .group_count = 0 } };
	sqlite3_stmt *q = NULL;
	enum cm_err err = CM_ERR_NOMEM;

	*out = NULL;
	*age_s = 0;
	if (EVP_Digest(der.ptr, der.len, sha256, NULL, EVP_sha256(), NULL) != 1 ||
	    (err = cm_store_prepare(s, "SELECT * FROM account WHERE cert_sha256 = ?1", &key, 1, t, &q)) != CM_OK ||
	    (err = cm_store_step(s, q, t)) != CM_OK || (err = cm_account_row_read(s, q, t, &r)) != CM_OK)
		goto out;
	if (!cm_blob_equal(r.v[CM_ROW_CERT].bytes, der)) {
		err = cm_store_damaged(s, t, "a kept account");
		goto out;
	}
	if ((err = cm_accounts_check_row(s, &r, now, t, age_s)) == CM_OK)
		err = cm_account_copy(&r.account, out);
out:
	cm_account_row_clear(&r);
	sqlite3_finalize(q);
	return err;
}

enum cm_err
cm_accounts_find(struct cm_accounts *s, const struct cm_cert *c, time_t now,
    struct cm_trace *t, struct cm_account **out, int64_t *age_s)
{
	enum cm_err err;

	*out = NULL;
	*age_s = 0;
	if (s->remote != NULL)
		return cm_remote_find(s, c, now, t, out, age_s);
	err = cm_accounts_find_der(s, cm_cert_der(c), now, t, out, age_s);
	return err == CM_ERR_ABSENT ? cm_accounts_not_kept(c, t) : err;
}

static enum cm_err
keep_all(struct cm_accounts *s, const struct cm_store_login *l, struct cm_trace *t)
{
	enum cm_err err;

	if ((err = cm_store_begin(s, t)) != CM_OK)
		return err;
	if (l->account_online && (err = cm_store_exec(s, cm_store_indexes, t)) == CM_OK)
		err = cm_account_row_put(s, l, t);
	if (err == CM_OK && l->account_online)
		err = cm_standing_restore(s, l->account, l->now, t);
	if (err == CM_OK && l->account_online && l->mobile != NULL)
		err = cm_mobile_keep(s, l->mobile, t);
	if (err == CM_OK)
		err = cm_evidence_expire(s, l->now, t);
	if (err == CM_OK)
		err = cm_source_expire(s, l->now, t);
	for (size_t i = 0; err == CM_OK && i < l->evidence_count; i++)
		err = cm_evidence_keep(s, &l->evidence[i], l->now, t);
	if (err == CM_OK)
		err = cm_clock_keep(s, l->signed_time, l->now, l->account_online, t);
	return cm_store_end(s, err, t);
}

static bool
has_bad_news(const struct cm_store_login *l)
{
	bool bad = false;

	for (size_t i = 0; i < l->evidence_count; i++)
		bad = bad || l->evidence[i].status != CM_STATUS_GOOD;
	return bad;
}

/* All of it is on the disk but for the times of this login, which follows the last within a day. */
static bool
is_refresh(struct cm_accounts *s, const struct cm_store_login *l)
{
	return l->account_online && !has_bad_news(l) && cm_account_row_is_kept(s, l) && cm_standing_holds(s, l->account) &&
	    (l->mobile == NULL || cm_mobile_is_kept(s, l->mobile));
}

/*
 * A login that is like the last one does not wait for the disk: whoever is
 * killed now loses nothing, a power cut may take its times back (the clock's
 * floor among them), and answers that said "good", which can be asked again.  SQLite's next sync has them.
 */
enum cm_err
cm_accounts_keep(struct cm_accounts *s, const struct cm_store_login *l, struct cm_trace *t)
{
	enum cm_err err;
	bool refresh;

	if (l->chain_count > CM_CHAIN_MAX || s->remote != NULL)
		return CM_ERR_STATE;
	if (l->account_online &&
	    (err = cm_account_check(l->account, &s->limits, t)) != CM_OK)
		return err;
	refresh = is_refresh(s, l) && cm_store_exec(s, "PRAGMA synchronous = NORMAL", NULL) == CM_OK;
	err = keep_all(s, l, t);
	if (refresh && cm_store_exec(s, "PRAGMA synchronous = FULL", t) != CM_OK)
		err = err == CM_OK ? CM_ERR_SYSTEM : err;
	return err;
}

static enum cm_err
delete(struct cm_accounts *s, const char *where, const struct cm_column *v, size_t count,
    struct cm_trace *t)
{
	struct cm_buf sql = { 0 };
	int changes = 0;
	enum cm_err err;

	cm_buf_addf(&sql, "DELETE FROM account WHERE %s", where);
	if ((err = cm_buf_status(&sql)) == CM_OK)
		err = cm_store_run(s, cm_buf_str(&sql), v, count, t);
	if (err == CM_OK && (changes = sqlite3_changes(s->db)) > 0)
		cm_store_settle(s);
	if (changes > 0 && s->ended != NULL)
		s->ended(s->ended_arg);
	cm_buf_free(&sql);
	return err;
}

/* A disk that is full keeps no mark of it; the row goes all the same. */
static enum cm_err
mark_and_delete(struct cm_accounts *s, const char *where, const struct cm_column *v, size_t count, struct cm_trace *t)
{
	const struct cm_ending e = { .where = where, .v = v, .count = count, .reason = CM_REASON_NOT_KEPT };

	if (cm_standing_end(s, &e, NULL) != CM_OK)
		cm_trace_add(t, "warning", "that what was kept was withdrawn could not be noted");
	return delete(s, where, v, count, t);
}

enum cm_err
cm_accounts_withdraw_sha256(struct cm_accounts *s, struct cm_blob sha256, const char *name, int64_t uid,
    struct cm_trace *t)
{
	const struct cm_column v[] = { cm_value_blob(sha256), cm_value_text(name), cm_value_int(uid) };

	if (name == NULL)
		return mark_and_delete(s, "cert_sha256 = ?1", v, 1, t);
	if (uid < 0)
		return mark_and_delete(s, "cert_sha256 = ?1 AND name = ?2", v, 2, t);
	return mark_and_delete(s, "cert_sha256 = ?1 AND (name <> ?2 OR uid <> ?3)", v, 3, t);
}

static enum cm_err
withdraw(struct cm_accounts *s, const struct cm_cert *c, const char *name, int64_t uid, struct cm_trace *t)
{
	return s->remote != NULL ? cm_remote_withdraw(s, c, name, uid, t) :
	    cm_accounts_withdraw_sha256(s, cm_cert_sha256(c), name, uid, t);
}

enum cm_err
cm_accounts_withdraw(struct cm_accounts *s, const struct cm_cert *c, struct cm_trace *t)
{
	return withdraw(s, c, NULL, -1, t);
}

enum cm_err
cm_accounts_withdraw_user(struct cm_accounts *s, const struct cm_cert *c, const char *user,
    struct cm_trace *t)
{
	return withdraw(s, c, user, -1, t);
}

enum cm_err
cm_accounts_withdraw_others(struct cm_accounts *s, const struct cm_cert *c,
    const struct cm_account *a, struct cm_trace *t)
{
	return withdraw(s, c, a->name, a->uid, t);
}

enum cm_err
cm_accounts_forget(struct cm_accounts *s, const char *name, struct cm_trace *t)
{
	const struct cm_column key = cm_value_text(name);
	bool any;
	enum cm_err err;

	if (s->remote != NULL)
		return CM_ERR_STATE;
	if ((err = cm_standing_forget(s, name, t, &any)) != CM_OK ||
	    ((err = cm_mobile_forget(s, name, t)) != CM_OK && err != CM_ERR_ABSENT))
		return err;
	any = any || err == CM_OK;
	err = delete(s, "name = ?1", &key, 1, t);
	if (err != CM_OK || sqlite3_changes(s->db) > 0 || any)
		return err;
	cm_trace_fail(t, CM_REASON_NOT_KEPT, "no account %s is kept", name);
	return CM_ERR_ABSENT;
}

/* What is known of the row's chain. */
struct kept_links {
	struct cm_blob rows[CM_CHAIN_MAX];
	size_t count;
};

static enum cm_err
read_evidence(struct cm_accounts *s, const struct kept_links *l, struct cm_trace *t, struct cm_kept *k,
    struct cm_evidence *out)
{
	enum cm_err err;

	for (size_t i = 0; i < l->count; i++) {
		err = cm_accounts_find_evidence(s, l->rows[i], t, &out[k->evidence_count]);
		if (err != CM_OK && err != CM_ERR_ABSENT)
			return err;
		k->evidence_count += err == CM_OK;
	}
	return CM_OK;
}

static enum cm_err
visit_row(struct cm_accounts *s, sqlite3_stmt *q, struct cm_trace *t, cm_kept_visit visit,
    void *arg)
{
	struct cm_evidence evidence[CM_CHAIN_MAX];
	struct cm_kept k = { .evidence = evidence };
	struct cm_account_row r;
	struct cm_blob chain[CM_CHAIN_MAX];
	struct kept_links links;
	enum cm_err err;
	size_t certs;

	if ((err = cm_account_row_read(s, q, t, &r)) != CM_OK)
		goto out;
	if (!cm_account_row_chain(r.v[CM_ROW_CHAIN].bytes, chain, &certs) ||
	    !cm_account_row_links(r.v[CM_ROW_LINKS].bytes, links.rows, &links.count)) {
		err = cm_store_damaged(s, t, "a kept account");
		goto out;
	}
	if ((err = read_evidence(s, &links, t, &k, evidence)) != CM_OK)
		goto out;
	k.account = &r.account;
	k.cert_der = r.v[CM_ROW_CERT].bytes;
	k.last_online = r.v[CM_ROW_LAST_ONLINE].n;
	k.offline_until = s->offline_max > 0 ? k.last_online + s->offline_max : 0;
	err = visit(arg, &k);
out:
	cm_account_row_clear(&r);
	return err;
}

static enum cm_err
list(struct cm_accounts *s, const char *sql, const struct cm_column *key, struct cm_trace *t, cm_kept_visit visit, void *arg)
{
	sqlite3_stmt *q = NULL;
	enum cm_err err;

	if (s->remote != NULL)
		return CM_ERR_STATE;
	if ((err = cm_store_prepare(s, sql, key, key != NULL, t, &q)) != CM_OK)
		goto out;
	while ((err = cm_store_step(s, q, t)) == CM_OK)
		if ((err = visit_row(s, q, t, visit, arg)) != CM_OK)
			break;
	/* A visitor's own ABSENT ends the list like its end. */
	if (err == CM_ERR_ABSENT)
		err = CM_OK;
out:
	sqlite3_finalize(q);
	return err;
}

enum cm_err
cm_accounts_list(struct cm_accounts *s, struct cm_trace *t, cm_kept_visit visit, void *arg)
{
	return list(s, "SELECT * FROM account ORDER BY name, last_online", NULL, t, visit, arg);
}

enum cm_err
cm_accounts_list_of(struct cm_accounts *s, const char *name, struct cm_trace *t, cm_kept_visit visit, void *arg)
{
	const struct cm_column key = cm_value_text(name);

	return list(s, "SELECT * FROM account WHERE name = ?1 ORDER BY last_online", &key, t, visit, arg);
}

static enum cm_err
count_accounts(struct cm_accounts *s, struct cm_trace *t, size_t *count)
{
	sqlite3_stmt *q = NULL;
	enum cm_err err;

	if ((err = cm_store_prepare(s, "SELECT count(*) FROM account", NULL, 0, t, &q)) == CM_OK &&
	    (err = cm_store_step(s, q, t)) == CM_OK)
		*count = (size_t)sqlite3_column_int64(q, 0);
	sqlite3_finalize(q);
	return err;
}

/* Only those rows are sorted whole. */
enum cm_err
cm_accounts_list_latest(struct cm_accounts *s, size_t most, struct cm_trace *t, cm_kept_visit visit, void *arg, size_t *more)
{
	const struct cm_column limit = cm_value_int((int64_t)most);
	size_t all = 0;
	enum cm_err err = s->remote != NULL ? CM_ERR_STATE : count_accounts(s, t, &all);

	*more = all > most ? all - most : 0;
	return err != CM_OK ? err : list(s, "SELECT * FROM account WHERE cert_sha256 IN (SELECT cert_sha256 FROM account"
	    " ORDER BY last_online DESC LIMIT ?1) ORDER BY last_online DESC, name", &limit, t, visit, arg);
}

enum cm_err
cm_accounts_select(const struct cm_accounts *s, const struct cm_selection *q, struct cm_trace *t, struct cm_buf *answer)
{
	return s->remote != NULL ? cm_remote_select(s, q, t, answer) : CM_ERR_STATE;
}
