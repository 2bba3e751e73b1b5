/*
 * tests/fuzz/fuzz_entering.c - the account phase, whatever a resolver says and whatever happened before.
 *
 * The bytes are steps: a login by card, a card withdrawn, an account forgotten,
 * a mark of root's, and account phases with any answer at all.  What may never
 * be is looked for after each: see check().
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cache/accounts_internal.h"
#include "service/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STEPS_MAX	32
#define USER		"alice"

struct world {
	struct cm_accounts *store;
	struct cm_trace *trace;
	const uint8_t *data;
	size_t left;
	/* what a person would know: */
	bool kept, carded;	/* her card opens it; it did once */
	uid_t uid;
	bool denied;		/* the last that was said of her is no */
	bool mark;
	/* of this step's answer: */
	bool asked;
	enum cm_reason reason;
	uid_t says_uid;
	const char *says_name;
};

static uint8_t
next(struct world *w)
{
	if (w->left == 0)
		return 0;
	w->left--;
	return *w->data++;
}

static void
keep(struct world *w)
{
	struct cm_account a = {
		.name = (char[]){ USER }, .uid = (uid_t)(2000 + next(w) % 3), .gid = 2000, .home = (char[]){ "/home/x" },
		.shell = (char[]){ "/bin/sh" }, .gecos = (char[]){ "X" }, .principal = (char[]){ "" }, .dn = (char[]){ "" },
		.rule = (char[]){ "r" }, .attribute = (char[]){ "a" }, .matched = (char[]){ "m" }, .source = (char[]){ "s" },
	};
	const struct cm_blob der = cm_blob_str("her card");
	const struct cm_remember_apart r = {
		.account = &a, .certificate = der, .chain = &der, .chain_count = 1, .now = cm_clock_now(), .account_online = true,
	};

	if (cm_accounts_remember_apart(w->store, &r, w->trace) != CM_OK)
		abort();
	w->kept = w->carded = true;
	w->uid = a.uid;
	w->denied = false;
}

static void
withdraw(struct world *w)
{
	const struct cm_column name = cm_value_text(USER);
	const struct cm_ending e = { .where = "name = ?1", .v = &name, .count = 1, .reason = CM_REASON_NOT_KEPT };

	/* as cm_accounts_withdraw() does with a certificate, of which there is none here */
	if (cm_standing_end(w->store, &e, w->trace) != CM_OK || cm_store_run(w->store, "DELETE FROM account", NULL, 0, w->trace) != CM_OK)
		abort();
	w->denied = w->denied || w->kept;
	w->kept = false;
}

static void
forget(struct world *w)
{
	(void)!cm_accounts_forget(w->store, USER, NULL);
	w->kept = w->carded = w->denied = false;
}

static void
mark(struct world *w)
{
	struct cm_skip m;

	if (cm_skip_make(w->store, USER, cm_clock_now(), w->trace, &m) != CM_OK)
		abort();
	w->mark = true;
}

/* ---- an account phase */

static enum cm_err
answer(void *arg, const char *user, struct cm_trace *t, struct cm_account **out, struct cm_facts *said)
{
	struct world *w = arg;
	const struct cm_account a = {
		.name = (char *)(uintptr_t)w->says_name, .uid = w->says_uid, .home = (char[]){ "/root" }, .shell = (char[]){ "" },
		.gecos = (char[]){ "" }, .principal = (char[]){ "" }, .dn = (char[]){ "" }, .rule = (char[]){ "" },
		.attribute = (char[]){ "" }, .matched = (char[]){ "" }, .source = (char[]){ "" },
	};

	if (strcmp(user, USER) != 0)
		abort();
	w->asked = true;
	/* whatever it is: where no directory is configured none of it is asked for */
	*said = (struct cm_facts){ .attribute = { .kind = w->says_uid % 2 == 0 ? CM_FACT_VALUE : CM_FACT_NONE, .value = 2 } };
	return w->reason != CM_REASON_NONE ? cm_trace_fail(t, w->reason, "it says so") : cm_account_copy(&a, out);
}

static bool
is_no(enum cm_err err)
{
	return err == CM_ERR_ABSENT || err == CM_ERR_AMBIGUOUS || err == CM_ERR_REFUSED;
}

static void
must(bool so)
{
	if (!so)
		abort();
}

/* What was said, in the world's own words; of silence nothing follows. */
static void
learn(struct world *w)
{
	const enum cm_err err = cm_reason_err(w->reason);
	const bool is_she = w->reason == CM_REASON_NONE && w->says_uid == w->uid && strcmp(w->says_name, USER) == 0;

	if (!w->asked || (w->reason != CM_REASON_NONE && !is_no(err)))
		return;
	w->denied = !is_she;
	if (!is_she && err != CM_ERR_AMBIGUOUS)
		w->kept = false;
}

static void
check(struct world *w, const struct cm_entering *e, enum cm_err err, const struct cm_account *a)
{
	const bool was_kept = w->kept, stranger = err == CM_ERR_ABSENT && cm_trace_reason(w->trace) == CM_REASON_NONE;
	const bool enters = err == CM_OK || stranger, could_not = w->reason != CM_REASON_NONE && !is_no(cm_reason_err(w->reason));
	const bool must_have_card = e->conf->enforcement.required && !e->proven && !(e->asker == 0 && e->service != NULL);
	struct cm_kept_row *row = NULL;

	learn(w);
	must((err == CM_OK) == (a != NULL));
	/* who enters is the one that is kept, and never what was answered */
	must(err != CM_OK || (was_kept && w->kept && a->uid == w->uid && strcmp(a->name, USER) == 0 && strcmp(a->home, "/home/x") == 0));
	/* a no holds until it is taken back, and nobody passes by whom nobody could ask but for silence */
	must(!enters || !w->denied || (e->fresh && was_kept) || (e->asker != 0 && e->asker != w->uid));
	must(!enters || !w->asked || !could_not || cm_reason_err(w->reason) == CM_ERR_OFFLINE);
	must(w->asked == false || (w->carded && e->ask != NULL));
	/* without a card nobody passes who must have one, but by the mark, which is gone then */
	must(!(enters && must_have_card) || (w->mark && e->asker == 0 && e->skip->made != 0));
	must(e->skip->made == 0 || (enters && must_have_card));
	if (e->skip->made != 0)
		w->mark = false;
	must((cm_skip_find(w->store, USER, cm_clock_now(), NULL, NULL) == CM_OK) == w->mark);
	must((cm_accounts_find_row(w->store, cm_blob_str("her card"), cm_clock_now(), NULL, &row) == CM_OK) == w->kept);
	cm_kept_row_free(&row);
}

static void
enter(struct world *w)
{
	static const char *const names[] = { USER, "Alice", "bob", "", "root" };
	const uint8_t flags = next(w), more = next(w);
	const struct cm_conf conf = { .accounts = { .first_uid = 1000, .first_gid = 1000 }, .enforcement = { .required = flags & 1 } };
	struct cm_skip skip = { .made = 0 };
	const struct cm_entering e = {
		.conf = &conf, .store = w->store, .user = USER, .service = flags & 2 ? "cron" : NULL,
		.asker = (flags >> 2) % 4 == 3 ? (uid_t)(2000 + more % 4) : 0, .proven = flags & 16, .fresh = (flags & 48) == 48,
		.ask = flags & 64 && (flags >> 2) % 4 != 3 ? answer : NULL, .arg = w, .skip = &skip,
	};
	struct cm_account *a = NULL;
	enum cm_err err;

	w->reason = (enum cm_reason)(more % 2 == 0 ? CM_REASON_NONE : next(w) % CM_REASON_COUNT);
	w->says_uid = (uid_t)(2000 + next(w) % 3);
	w->says_name = names[flags & 128 ? next(w) % CM_COUNT(names) : 0];
	w->asked = false;
	cm_trace_clear_reason(w->trace);
	err = cm_policy_account(&e, w->trace, &a);
	check(w, &e, err, a);
	cm_account_free(&a);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const steps[])(struct world *) = { keep, withdraw, forget, mark, enter, enter, enter, enter };
	static const char *const suffixes[] = { "", "-wal", "-shm" };
	char folder[] = "/dev/shm/cm_fuzz_XXXXXX", path[64], name[80];
	struct cm_accounts_options o = { .path = path, .first_uid = 1000, .first_gid = 1000, .offline_max = 86400 };
	struct world w = { .data = data, .left = size };

	if (mkdtemp(folder) == NULL || cm_trace_new(&w.trace) != CM_OK)
		return 0;
	snprintf(path, sizeof(path), "%s/db", folder);
	if (cm_accounts_open(&o, w.trace, &w.store) != CM_OK)
		abort();
	for (size_t i = 0; i < STEPS_MAX && w.left > 0; i++)
		steps[next(&w) % CM_COUNT(steps)](&w);
	cm_accounts_close(&w.store);
	for (size_t i = 0; i < CM_COUNT(suffixes); i++) {
		snprintf(name, sizeof(name), "%s%s", path, suffixes[i]);
		unlink(name);
	}
	rmdir(folder);
	cm_trace_free(&w.trace);
	return 0;
}
