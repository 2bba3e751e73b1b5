/* service/mapping.c - what a directory is asked about a card: by a selector, by rules, by pairings. */
#include "service/mapping.h"

#include <stdlib.h>
#include <strings.h>

#include "service/enforcement.h"

void
cm_mapping_clear(struct cm_mapping *m)
{
	cm_query_free(&m->query);
	m->local = false;
}

/* Active Directory's users have their name in another attribute. */
enum cm_err
cm_mapping_add_name(struct cm_query **q, const struct cm_named *n)
{
	struct cm_query_term terms[2];
	static const char *const attributes[] = { "uid", "sAMAccountName" };
	const size_t count = n->place == CM_PLACE_LOCAL ? 1 : CM_COUNT(terms);

	for (size_t i = 0; i < count; i++)
		terms[i] = (struct cm_query_term){
			.rule = (char *)(uintptr_t)n->rule, .attribute = (char *)(uintptr_t)attributes[i],
			.value = cm_blob_str(n->name), .strength = CM_STRONG, .pairing = n->pairing,
			.local = n->place == CM_PLACE_LOCAL,
		};
	return cm_query_append(q, terms, count);
}

/* CM_ERR_ABSENT: there is no selector to ask.  Else its word is the last. */
static enum cm_err
ask_selector(struct cm_mapping *m, char **user)
{
	struct cm_selector_key key;
	const struct cm_selector_call call = { .program = m->host->conf->mapper.selector, .operation = CM_SELECTOR_MAP,
		.user = m->user, .keys = &key, .key_count = 1, .remote = m->host->remote ? m->host->accounts : NULL };
	enum cm_err err;

	if (call.program == NULL)
		return CM_ERR_ABSENT;
	cm_key_hash(m->cert, key.sha1);
	if ((err = cm_selector_ask(&call, m->deadline, m->trace, user)) == CM_ERR_ABSENT)
		cm_trace_add(m->trace, "selector", "%s is not there: cardmap's own rules and pairings are used",
		    call.program);
	else if (err == CM_OK)
		cm_trace_add(m->trace, "selector", "%s: %s", call.program, *user != NULL ? *user : "nobody");
	return err;
}

static enum cm_err
take_selected(struct cm_mapping *m, const char *user)
{
	const struct cm_named named = { .rule = CM_SELECTOR_RULE, .name = user, .place = CM_PLACE_DIRECTORY };
	struct cm_selector_key key;
	char text[CM_SELECTOR_KEY_SIZE];

	if (user != NULL)
		return cm_mapping_add_name(&m->query, &named);
	cm_key_hash(m->cert, key.sha1);
	return cm_trace_fail(m->trace, CM_REASON_NOT_SELECTED, "%s names no user for the key %s",
	    m->host->conf->mapper.selector, cm_selector_key_text(&key, text));
}

/* err is what the store was asked with; p is cleared. */
static enum cm_err
take_pairing(struct cm_mapping *m, enum cm_err err, struct cm_pairing *p)
{
	const struct cm_named named = { .rule = CM_PAIRING_RULE, .name = p->user,
		.place = p->local ? CM_PLACE_LOCAL : CM_PLACE_DIRECTORY, .pairing = true };

	if (err == CM_OK) {
		cm_trace_add(m->trace, "pairing", "with %s%s", p->local ? "the local account " : "", p->user);
		m->local = p->local;
		err = cm_mapping_add_name(&m->query, &named);
	}
	cm_pairing_clear(p);
	return err;
}

static enum cm_err
add_pairing(struct cm_mapping *m)
{
	struct cm_pairing p;
	enum cm_err err;

	if (m->host->accounts == NULL)
		return CM_ERR_ABSENT;
	err = cm_pairings_find(m->host->accounts, m->cert, m->trace, &p);
	return take_pairing(m, err, &p);
}

/* A pairing may stand where no rule applies; its absence leaves what the rules said. */
static enum cm_err
ask_rules(struct cm_mapping *m)
{
	const enum cm_err by_rules = (m->every_rule ? cm_rules_explain : cm_rules_map)(m->host->rules,
	    m->cert, m->trace, &m->query);
	enum cm_err err;

	if (by_rules != CM_OK && by_rules != CM_ERR_ABSENT)
		return by_rules;
	if ((err = add_pairing(m)) == CM_ERR_ABSENT)
		return by_rules;
	if (err == CM_OK)
		cm_trace_clear_reason(m->trace);
	return err;
}

enum cm_err
cm_mapping_make(struct cm_mapping *m)
{
	char *user = NULL;
	enum cm_err err;

	cm_mapping_clear(m);
	if ((err = ask_selector(m, &user)) == CM_OK)
		err = take_selected(m, user);
	else if (err == CM_ERR_ABSENT)
		err = ask_rules(m);
	free(user);
	/* However the account is found: the certificate may say whose it is (CVE-2022-26923). */
	if (err == CM_OK)
		err = cm_query_set_sid(&m->query, m->cert);
	return err;
}

enum cm_err
cm_mapping_find(struct cm_mapping *m, struct cm_account **out)
{
	const struct cm_facts_question question = cm_enforcement_question(m->host, NULL);
	struct cm_facts_search s = { .query = m->query, .user = m->user, .question = m->wants_facts ? &question : NULL,
		.deadline = m->deadline };
	const enum cm_err err = cm_directory_find_facts(m->host->directory, &s, m->trace, out);

	m->said = s.said;
	return err;
}

const struct cm_query_term *
cm_mapping_kept_term(const struct cm_account *kept, const struct cm_query *q)
{
	const struct cm_query_term *found = NULL;
	struct cm_buf made = { 0 };

	for (size_t i = 0; i < q->count && found == NULL; i++) {
		const struct cm_query_term *t = &q->terms[i];

		cm_buf_truncate(&made, 0);
		cm_buf_add_printable(&made, t->value);
		/* What is kept is never an account of this computer: its name is another's. */
		if (!t->local && strcmp(t->rule, kept->rule) == 0 &&
		    strcasecmp(t->attribute != NULL ? t->attribute : "", kept->attribute) == 0 &&
		    cm_buf_status(&made) == CM_OK && strcmp(cm_buf_str(&made), kept->matched) == 0)
			found = t;
	}
	cm_buf_free(&made);
	return found;
}

/* The directory says the same with a network (ldap/candidates.c). */
static enum cm_err
weak_binding(const struct cm_mapping *m, const struct cm_account *a)
{
	const struct cm_query *q = m->query;
	struct cm_buf b = { 0 };
	enum cm_err err;

	for (size_t i = 0; i < q->count && b.len == 0; i++) {
		const struct cm_query_term *t = &q->terms[i];

		/* bytes are nothing to copy */
		if (t->strength != CM_STRONG || t->attribute == NULL || t->pairing || t->local ||
		    strcasecmp(t->attribute, "objectSid") == 0 || strchr(t->attribute, ';') != NULL)
			continue;
		cm_buf_addf(&b, "write %s: ", t->attribute);
		cm_buf_add_printable(&b, t->value);
	}
	if (b.len == 0)
		cm_buf_add_str(&b, "no rule here asks for a strong one: add one, which cardmap explain names");
	err = cm_trace_fail(m->trace, CM_REASON_WEAK_BINDING, "account %s was kept by a weak value only, which "
	    "another's certificate could have: %s (rule %s); %s", a->name, a->matched, a->rule, cm_buf_str(&b));
	cm_buf_free(&b);
	return err;
}

enum cm_err
cm_mapping_check_kept(const struct cm_mapping *m, struct cm_account *kept)
{
	const struct cm_query_term *term = cm_mapping_kept_term(kept, m->query);

	if (term == NULL)
		return cm_trace_fail(m->trace, CM_REASON_NOT_KEPT, "the rules no longer map this card to %s", kept->name);
	kept->weak = term->strength == CM_WEAK;
	return kept->weak && m->host->conf->mapper.binding == CM_BINDING_STRONG ? weak_binding(m, kept) : CM_OK;
}

static enum cm_err
ask_this_computer(const struct cm_mapping *m, struct cm_account **out)
{
	struct cm_query *q = NULL;
	enum cm_err err = CM_OK;

	for (size_t i = 0; err == CM_OK && i < m->query->count; i++)
		if (m->query->terms[i].local && m->query->terms[i].pairing)
			err = cm_query_append(&q, &m->query->terms[i], 1);
	if (err == CM_OK && m->cert != NULL)
		err = cm_query_set_sid(&q, m->cert);
	if (err == CM_OK)
		err = cm_directory_find(m->host->directory, q, m->user, m->deadline, m->trace, out);
	cm_query_free(&q);
	return err;
}

/* That this computer has no such account is no word about the directory, which is still silent. */
enum cm_err
cm_mapping_find_local(const struct cm_mapping *m, struct cm_account **out)
{
	const enum cm_reason reason = cm_trace_reason(m->trace);
	char *why;
	enum cm_err err;

	*out = NULL;
	if (!m->local)
		return CM_ERR_OFFLINE;
	if ((why = strdup(cm_trace_message(m->trace))) == NULL)
		return CM_ERR_NOMEM;
	if ((err = ask_this_computer(m, out)) == CM_ERR_ABSENT) {
		cm_trace_fail(m->trace, reason, "%s", why);
		err = CM_ERR_OFFLINE;
	} else if (err == CM_OK) {
		cm_trace_clear_reason(m->trace);
	}
	free(why);
	return err;
}

/* Values of altSecurityIdentities that hold a key's hash and nothing else of its card. */
static const struct {
	const char *rule, *before;
	bool pairing;
} key_values[] = {
	{ "sha1-pukey", "X509:<SHA1-PUKEY>", false },	/* [MS-PKCA] 3.1.5.2.1.3 */
	{ "tokenidentity", ";tokenidentity;", true },	/* sc_auth(8) */
	{ "pubkeyhash", ";pubkeyhash;", true },
};

/* A rule of one's own that is for every card, and asks for what this form does. */
static bool
is_form(const struct cm_conf_rule *r, const struct cm_form *f)
{
	return r->attribute != NULL && strcasecmp(r->attribute, f->attribute) == 0 && r->value != NULL &&
	    strcmp(r->value, f->value) == 0 && r->match == NULL && r->issuer == NULL && r->upn_suffix == NULL &&
	    r->domains == NULL && r->map_file == NULL && !r->local;
}

/* A login asks for it: what no rule in force asks for opens nothing, and so it names nobody here. */
static bool
is_in_force(const struct cm_conf *c, const char *name)
{
	size_t count;
	const struct cm_form *forms = cm_forms(&count);
	bool found = false;

	for (char **f = c->mapper.forms; c->rule_count == 0 && *f != NULL; f++)
		found = found || strcmp(*f, CM_FORMS_ALT) == 0 || strcmp(*f, name) == 0;
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; strcmp(forms[i].name, name) == 0 && k < c->rule_count; k++)
			found = found || is_form(&c->rules[k], &forms[i]);
	return found;
}

enum cm_err
cm_mapping_make_of_key(struct cm_mapping *m, const struct cm_selector_key *key)
{
	char text[CM_SELECTOR_KEY_SIZE];
	struct cm_pairing p;
	enum cm_err err = CM_OK;

	cm_mapping_clear(m);
	cm_selector_key_text(key, text);
	for (size_t i = 0; err == CM_OK && i < CM_COUNT(key_values); i++) {
		struct cm_buf value = { 0 };

		if (!is_in_force(m->host->conf, key_values[i].rule))
			continue;
		cm_buf_addf(&value, "%s%s", key_values[i].before, text);
		if ((err = cm_buf_status(&value)) == CM_OK) {
			const struct cm_query_term term = {
				.rule = (char *)(uintptr_t)key_values[i].rule,
				.attribute = (char *)(uintptr_t)"altSecurityIdentities", .value = cm_buf_blob(&value),
				.strength = CM_STRONG, .pairing = key_values[i].pairing,
			};

			err = cm_query_append(&m->query, &term, 1);
		}
		cm_buf_free(&value);
	}
	if (err == CM_OK && m->host->accounts != NULL) {
		err = cm_pairings_find_hash(m->host->accounts, key->sha1, m->trace, &p);
		if ((err = take_pairing(m, err, &p)) == CM_ERR_ABSENT)
			err = CM_OK;
	}
	return err == CM_OK && m->query == NULL ? CM_ERR_ABSENT : err;
}
