/* client/values.c - what a login's last state told, one value each. */
#include "client/client_internal.h"

const char *
cardmap_name(const struct cardmap_login *l)
{
	return l->now.name;
}

const char *
cardmap_user(const struct cardmap_login *l)
{
	return l->now.user;
}

const char *
cardmap_reader(const struct cardmap_login *l)
{
	return l->now.reader;
}

bool
cardmap_is_online(const struct cardmap_login *l)
{
	return l->now.online;
}

int
cardmap_tries(const struct cardmap_login *l)
{
	return l->now.tries;
}

bool
cardmap_is_last_try(const struct cardmap_login *l)
{
	return l->now.last_try;
}

bool
cardmap_has_pad(const struct cardmap_login *l)
{
	return l->now.pad;
}

const char *
cardmap_reason(const struct cardmap_login *l)
{
	return l->now.reason;
}

const char *
cardmap_text(const struct cardmap_login *l)
{
	return l->now.text;
}

const char *
cardmap_remedy(const struct cardmap_login *l)
{
	return l->now.remedy;
}

bool
cardmap_may_use_password(const struct cardmap_login *l)
{
	return l->now.may_use_password;
}

const char *
cardmap_choice(const struct cardmap_login *l, unsigned i, const char **id)
{
	const bool there = i < l->now.choice_count;

	if (id != NULL)
		*id = there ? l->now.choices[i].id : NULL;
	return there ? l->now.choices[i].text : NULL;
}

const char *
cardmap_grant_user(const struct cardmap_login *l)
{
	return l->now.grant.user;
}

uid_t
cardmap_grant_uid(const struct cardmap_login *l)
{
	return l->now.grant.uid;
}

gid_t
cardmap_grant_gid(const struct cardmap_login *l)
{
	return l->now.grant.gid;
}

const char *
cardmap_grant_home(const struct cardmap_login *l)
{
	return l->now.grant.home;
}

const char *
cardmap_grant_shell(const struct cardmap_login *l)
{
	return l->now.grant.shell;
}

const char *
cardmap_grant_ccache(const struct cardmap_login *l)
{
	return l->now.grant.ccache;
}

const char *
cardmap_grant_ccache_later(const struct cardmap_login *l)
{
	return l->now.grant.ccache_later;
}

long long
cardmap_grant_kept_age(const struct cardmap_login *l)
{
	return l->now.grant.kept_age;
}

const char *
cardmap_grant_warning(const struct cardmap_login *l, unsigned i)
{
	return i < l->now.grant.warning_count ? l->now.grant.warnings[i] : NULL;
}
