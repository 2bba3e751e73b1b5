/* cardmapd/pairing.c - users who pair cards with their own accounts: who may, and of which card he is told. */
#include "cardmapd/pairing.h"

#include <stdlib.h>
#include <unistd.h>

#include "service/grant_apart.h"
#include "service/local.h"
#include "service/mark.h"
#include "service/policy.h"
#include "service/seat.h"

static bool
has_uid(const struct passwd *entry, const char *uid)
{
	return entry->pw_uid == (uid_t)strtoul(uid, NULL, 10);
}

/* As the directory "local:" tells of one, but for what cm_grant_check_account() fills in. */
static enum cm_err
take_entry(const struct passwd *entry, struct cm_account **out)
{
	char empty[] = "";
	const struct cm_account a = {
		.name = entry->pw_name, .principal = empty, .dn = empty, .home = entry->pw_dir, .shell = entry->pw_shell,
		.gecos = entry->pw_gecos, .uid = entry->pw_uid, .gid = entry->pw_gid, .rule = empty, .local = true,
		.attribute = empty, .matched = empty, .source = empty,
	};

	return cm_account_copy(&a, out);
}

static enum cm_err
find_account(const struct cm_daemon *d, uid_t uid, struct cm_trace *t, struct cm_account **out)
{
	char texts[CM_LOCAL_TEXTS], number[16];
	struct passwd entry;
	enum cm_err err;

	snprintf(number, sizeof(number), "%u", (unsigned)uid);
	if (!cm_local_find_user(number, has_uid, &entry, texts))
		return cm_trace_fail(t, CM_REASON_PAIRING_FOR_ROOT, "uid %u is none of this computer's own users", (unsigned)uid);
	if ((err = take_entry(&entry, out)) == CM_OK)
		err = cm_grant_check_account(d->conf, NULL, *out, t);
	return err;
}

enum cm_err
cm_pairing_judge(const struct cm_daemon *d, uid_t uid, struct cm_trace *t, struct cm_account **out)
{
	enum cm_err err;

	*out = NULL;
	if ((err = cm_policy_allow_cards(d->conf, t)) != CM_OK)
		return err;
	if (!d->conf->accounts.user_pairing)
		return cm_trace_fail(t, CM_REASON_PAIRING_OFF, "accounts.user_pairing = no: no card is paired");
	if (uid == 0)
		return cm_trace_fail(t, CM_REASON_PAIRING_FOR_ROOT, "no card opens root, and root says whose card it is to be");
	if (!cm_mark_is_on(d->conf, CM_MARK_PAIRING_UI))
		return cm_trace_fail(t, CM_REASON_PAIRING_FOR_ROOT, "users pair no cards here: it is not switched on");
	if (d->conf->mapper.selector != NULL)
		return cm_trace_fail(t, CM_REASON_PAIRING_FOR_ROOT, "pairings are kept by the program that mapper.selector names");
	if ((err = find_account(d, uid, t, out)) != CM_OK)
		cm_account_free(out);
	return err;
}

static bool
sits_here(const struct cm_client *c, struct cm_trace *t)
{
	const struct cm_seat_request r = { .uid = c->peer.uid };
	const int pidfd = cm_wire_peer_pidfd(c->wire);
	struct cm_seat seat;
	const bool sits = cm_seat_look(c->peer.pid, pidfd, t, &seat) == CM_OK && cm_seat_judge(c->daemon->conf, &seat, &r, t) == CM_OK;

	if (pidfd >= 0)
		close(pidfd);
	return sits;
}

bool
cm_pairing_is_offered(const struct cm_client *c)
{
	struct cm_account *account = NULL;
	struct cm_trace *t = NULL;
	bool offered = false;

	if (c->peer.uid != 0 && cm_trace_new(&t) == CM_OK)
		offered = cm_pairing_judge(c->daemon, c->peer.uid, t, &account) == CM_OK && sits_here(c, t);
	cm_account_free(&account);
	cm_trace_free(&t);
	return offered;
}
