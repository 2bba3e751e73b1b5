/*
 * base/conf.c - /etc/cardmap/cardmap.conf: every key a row, every value with its origin.
 *
 * libconfuse knows sections, quotes, lists and lines.  All its options are
 * strings; what a value means is decided here, by the row's type.
 */
#include "base/conf.h"

#include <confuse.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/conf_internal.h"
#include "base/file.h"

#define CONF_MAX	((size_t)1 << 20)

struct row;
struct type {
	const char *name;
	bool list;
	/* Put text into the field; what a value must be, when it is not; NULL: taken. */
	const char *(*set)(void *field, const struct row *r, const char *text);
	void (*show)(const void *field, const struct row *r, struct cm_buf *out);
};

struct row {
	const char *section, *key;
	const struct type *type;
	size_t offset;
	const char *fallback;	/* NULL: not set */
	const char *unit;
	unsigned min, max;
	const char *const *words;	/* of a choice: the value is the index */
	const char *help;
};

static const char *
set_text(void *field, const struct row *r, const char *text)
{
	char **p = field, *copy;

	/* "" takes a default away; where there is none, somebody forgot the value. */
	if (text[0] == '\0' && r->fallback == NULL)
		return "expected a value: or leave it out";
	if ((copy = strdup(text)) == NULL)
		return "out of memory";
	free(*p);
	*p = copy;
	return NULL;
}

static void
show_text(const void *field, const struct row *r, struct cm_buf *out)
{
	const char *const *p = field;

	(void)r;
	if (*p != NULL)
		cm_buf_add_str(out, *p);
}

static size_t
list_length(char *const *list)
{
	size_t n = 0;

	while (list != NULL && list[n] != NULL)
		n++;
	return n;
}

static void
list_free(char ***list)
{
	for (size_t i = 0; i < list_length(*list); i++)
		free((*list)[i]);
	free(*list);
	*list = NULL;
}

static const char *
append_text(void *field, const struct row *r, const char *text)
{
	char ***p = field, **more;
	const size_t n = list_length(*p);

	(void)r;
	if (text[0] == '\0')
		return "expected a value: or leave it out";
	if ((more = realloc(*p, (n + 2) * sizeof(*more))) == NULL)
		return "out of memory";
	*p = more;
	more[n + 1] = NULL;
	return (more[n] = strdup(text)) == NULL ? "out of memory" : NULL;
}

static void
show_list(const void *field, const struct row *r, struct cm_buf *out)
{
	char *const *const *p = field;

	(void)r;
	for (size_t i = 0; i < list_length(*p); i++) {
		cm_buf_add_str(out, i > 0 ? ", " : "");
		cm_buf_add_str(out, (*p)[i]);
	}
}

static const char *
set_number(void *field, const struct row *r, const char *text)
{
	unsigned *p = field;
	unsigned long v;
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return "expected a number";
	v = strtoul(text, &end, 10);
	if (*end != '\0')
		return "expected a number";
	if (v < r->min || v > r->max)
		return "out of range";
	*p = (unsigned)v;
	return NULL;
}

static void
show_number(const void *field, const struct row *r, struct cm_buf *out)
{
	(void)r;
	cm_buf_addf(out, "%u", *(const unsigned *)field);
}

static const char *
set_flag(void *field, const struct row *r, const char *text)
{
	static const char *const words[] = { "no", "yes", "false", "true", "off", "on" };

	(void)r;
	for (size_t i = 0; i < CM_COUNT(words); i++)
		if (strcmp(text, words[i]) == 0) {
			*(bool *)field = i % 2 == 1;
			return NULL;
		}
	return "expected yes or no";
}

static void
show_flag(const void *field, const struct row *r, struct cm_buf *out)
{
	(void)r;
	cm_buf_add_str(out, *(const bool *)field ? "yes" : "no");
}

static const char *
set_choice(void *field, const struct row *r, const char *text)
{
	for (unsigned i = 0; r->words[i] != NULL; i++) {
		const char digit[2] = { (char)('0' + i), '\0' };

		if (strcmp(text, r->words[i]) == 0 || strcmp(text, digit) == 0) {
			*(unsigned *)field = i;
			return NULL;
		}
	}
	return "no such choice";
}

static void
show_choice(const void *field, const struct row *r, struct cm_buf *out)
{
	cm_buf_add_str(out, r->words[*(const unsigned *)field]);
}

static const struct type
text_type = { "text", false, set_text, show_text },
path_type = { "path", false, set_text, show_text },
list_type = { "list", true, append_text, show_list },
number_type = { "number", false, set_number, show_number },
flag_type = { "yes or no", false, set_flag, show_flag },
choice_type = { "choice", false, set_choice, show_choice };

static const char *const levels[] = { "off", "chain", "soft", "hard", NULL };
static const char *const tickets[] = { "off", "optional", "required", NULL };
static const char *const bindings[] = { "any", "strong", NULL };
static const char *const severals[] = { "refuse", "hint", NULL };
static const char *const targets[] = { "none", "stderr", "syslog", NULL };

#define ROW(s, k, ty, def, un, lo, hi, wo, he) \
	{ .section = #s, .key = #k, .type = &ty##_type, .offset = offsetof(struct cm_conf, s.k), \
	  .fallback = def, .unit = un, .min = lo, .max = hi, .words = wo, .help = he }
#define TEXT(s, k, ty, def, he)		ROW(s, k, ty, def, "", 0, 0, NULL, he)
#define NUMBER(s, k, def, un, lo, hi, he) ROW(s, k, number, def, un, lo, hi, NULL, he)
#define CHOICE(s, k, def, wo, he)	ROW(s, k, choice, def, "", 0, 0, wo, he)

/* A new key is one row here and one field in struct cm_conf. */
static const struct row rows[] = {
	TEXT(directory, uri, list, NULL, "servers in the order they are asked: ldap://, ldaps://, or ldif:PATH"),
	TEXT(directory, base, text, NULL, "where the search for accounts starts; required for a server"),
	TEXT(directory, group_base, text, NULL, "where the search for groups starts; without it: base"),
	TEXT(directory, bind_dn, text, NULL, "name for a simple bind; without it: anonymous"),
	TEXT(directory, bind_password_file, path, NULL, "file with its password, mode 0600"),
	TEXT(directory, ca, path, NULL, "PEM file with the CAs that the server's certificate must come from"),
	TEXT(directory, domain, text, NULL, "this host's domain: of UPNs, and for rules limited to domains"),
	TEXT(directory, starttls, flag, "yes", "ask for TLS on ldap://; without it only loopback is allowed"),
	NUMBER(directory, timeout, "2000", "ms", 50, 60000, "for the account and its groups, whatever the server does"),
	TEXT(mapper, plist, path, "/etc/cardmap/SmartcardLogin.plist", "read where it exists: macOS's rules and pins"),
	TEXT(mapper, sssd, path, NULL, "an sssd.conf whose certmap rules hold here too"),
	TEXT(mapper, selector, path, NULL, "a program that names the user of a card (UserSelector)"),
	TEXT(mapper, forms, list, "altSecurityIdentities", "built-in rules that hold where nothing else gives any"),
	CHOICE(mapper, binding, "any", bindings, "any, or strong: values that others could come to have are refused"),
	CHOICE(mapper, several_accounts, "refuse", severals, "refuse, or hint: a card of several accounts opens the one that is named"),
	TEXT(mapper, skip_bad_rules, flag, "no", "go on without rules that do not parse"),
	TEXT(mapper, back_references, flag, "no", "allow them in regular expressions"),
	CHOICE(trust, level, "soft", levels, "off, chain, soft or hard (checkCertificateTrust 0 to 3)"),
	TEXT(trust, anchors, list, NULL, "root certificates: PEM files or folders"),
	TEXT(trust, intermediates, list, NULL, "certificates between card and root: PEM files or folders"),
	TEXT(trust, pins, list, NULL, "SHA-256 fingerprints: only cards issued by one of these CAs"),
	TEXT(trust, ocsp_url, list, NULL, "responders asked instead of the certificate's own"),
	TEXT(trust, crl, list, NULL, "revocation lists beside the certificate's own: http:// URLs or files"),
	TEXT(trust, use_ocsp, flag, "yes", "ask OCSP responders"),
	TEXT(trust, use_crl, flag, "yes", "fetch revocation lists"),
	TEXT(trust, require_nonce, flag, "no", "refuse OCSP answers without this host's nonce"),
	NUMBER(trust, timeout, "3000", "ms", 50, 60000, "for all questions about revocation together"),
	NUMBER(trust, ocsp_max, "65536", "bytes", 1024, 1048576, "an OCSP answer above this is refused"),
	NUMBER(trust, crl_max, "67108864", "bytes", 1024, 268435456, "a revocation list above this is refused"),
	CHOICE(kerberos, ticket, "optional", tickets, "off, optional or required"),
	TEXT(kerberos, config, path, NULL, "krb5.conf; without it the system's"),
	TEXT(kerberos, realm, text, NULL, "realm of the accounts; without it krb5.conf's default_realm"),
	TEXT(kerberos, kdc, list, NULL, "HOST:PORT in the order they are asked; without it krb5.conf's"),
	TEXT(kerberos, anchors, list, NULL, "PEM files for the KDC's certificate; without it krb5.conf's pkinit_anchors"),
	TEXT(kerberos, intermediates, list, NULL, "PEM files between the KDC's certificate and its root"),
	TEXT(kerberos, keytab, path, "/etc/krb5.keytab", "this host's keys; with them the ticket is verified"),
	TEXT(kerberos, host_principal, text, NULL, "the keytab's principal to use; without it the first host/"),
	TEXT(kerberos, ccache, text, "FILE:/tmp/krb5cc_%{uid}", "where the ticket goes; %{uid} and %{name} are replaced"),
	NUMBER(kerberos, timeout, "5000", "ms", 50, 60000, "for the KDC, tickets for user and host together"),
	TEXT(card, source, text, "reader", "reader, reader:NAME, or file:PATH"),
	NUMBER(card, timeout, "5000", "ms", 100, 60000, "for the card, each time it is used"),
	TEXT(accounts, path, path, "/var/lib/cardmap/accounts.db", "what is kept for logins without a network"),
	NUMBER(accounts, offline_days, "30", "days", 0, 3650, "days a kept account opens without an online login; 0: for ever"),
	NUMBER(accounts, first_uid, "1000", "", 1, 2147483647, "no card opens an account with a lower uid"),
	NUMBER(accounts, first_gid, "1000", "", 1, 2147483647, "groups with a lower gid are not taken from the directory"),
	TEXT(accounts, user_pairing, flag, "yes", "cards may be paired with accounts on this computer (UserPairing)"),
	TEXT(accounts, one_card_per_user, flag, "no", "a user may be paired with one card only (oneCardPerUser)"),
	CHOICE(service, log, "syslog", targets, "where decisions are logged: none, stderr or syslog"),
};

static void *
field_of(const struct cm_conf *c, const struct row *r)
{
	return (char *)(uintptr_t)c + r->offset;
}

static const struct row *
find_row(const char *section, const char *key, size_t key_len)
{
	for (size_t i = 0; i < CM_COUNT(rows); i++)
		if (strcmp(rows[i].section, section) == 0 && strlen(rows[i].key) == key_len &&
		    memcmp(rows[i].key, key, key_len) == 0)
			return &rows[i];
	return NULL;
}

static const char *
set_row(struct cm_conf *c, const struct row *r, const char *text, const char *origin)
{
	char **where = &c->origins[r - rows];
	const char *wrong;
	char *copy;

	if ((wrong = r->type->set(field_of(c, r), r, text)) != NULL)
		return wrong;
	if ((copy = strdup(origin)) == NULL)
		return "out of memory";
	free(*where);
	*where = copy;
	return NULL;
}

void
cm_conf_rule_clear(struct cm_conf_rule *r)
{
	char **const texts[] = {
		&r->name, &r->origin, &r->match, &r->issuer, &r->upn_suffix, &r->attribute,
		&r->value, &r->filter, &r->map_file,
	};

	for (size_t i = 0; i < CM_COUNT(texts); i++)
		free(*texts[i]);
	list_free(&r->domains);
	*r = (struct cm_conf_rule){ .priority = CM_RULE_PRIORITY_LAST };
}

void
cm_conf_free(struct cm_conf **c)
{
	if (*c == NULL)
		return;
	for (size_t i = 0; i < (*c)->rule_count; i++)
		cm_conf_rule_clear(&(*c)->rules[i]);
	free((*c)->rules);
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		void *field = field_of(*c, &rows[i]);

		if (rows[i].type->set == set_text)
			free(*(char **)field);
		else if (rows[i].type->list)
			list_free(field);
		if ((*c)->origins != NULL)
			free((*c)->origins[i]);
	}
	free((*c)->origins);
	free(*c);
	*c = NULL;
}

static enum cm_err
make_defaults(struct cm_conf **out)
{
	struct cm_conf *c = calloc(1, sizeof(*c));

	if (c == NULL || (c->origins = calloc(CM_COUNT(rows), sizeof(*c->origins))) == NULL)
		goto fail;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		if (rows[i].type->list &&
		    (*(char ***)field_of(c, &rows[i]) = calloc(1, sizeof(char *))) == NULL)
			goto fail;
		if (rows[i].fallback != NULL && set_row(c, &rows[i], rows[i].fallback, "default") != NULL)
			goto fail;
	}
	*out = c;
	return CM_OK;
fail:
	cm_conf_free(&c);
	return CM_ERR_NOMEM;
}

/*
 * libconfuse takes a file that ends inside a quote or comment for a whole one.
 * So this stands behind its last line, and must have been seen.
 */
#define END_MARK	"end-of-file"

/* What libconfuse's callbacks need; libconfuse has no pointer of ours, so it is one per thread, for one call. */
struct reading {
	struct cm_conf *conf;
	struct cm_trace *trace;
	const char *path;
	unsigned mistakes;
	unsigned lines[CM_COUNT(rows)];	/* where each key was seen; 0: not yet */
};
static _Thread_local struct reading *reading;

static void
mistake(const char *path, int line, const char *text)
{
	cm_trace_add(reading->trace, "mistake", "%s:%d: %s", path, line, text);
	if (reading->mistakes++ == 0)
		cm_trace_fail(reading->trace, CM_REASON_CONFIG, "%s:%d: %s", path, line, text);
}

static void CM_PRINTF(2, 0)
report(cfg_t *cfg, const char *fmt, va_list ap)
{
	char text[512];

	vsnprintf(text, sizeof(text), fmt, ap);
	if (strstr(text, END_MARK) != NULL)
		snprintf(text, sizeof(text), "the file ends before a section, quote or comment is closed");
	mistake(reading->path, cfg != NULL ? cfg->line : 0, text);
}

static void
describe(const struct row *r, const char *value, const char *wrong, char *text, size_t size)
{
	struct cm_buf b;

	cm_buf_init(&b, 0);
	cm_buf_addf(&b, "%s.%s = %s: %s", r->section, r->key, value, wrong);
	if (r->type == &number_type)
		cm_buf_addf(&b, "; expected %u to %u %s", r->min, r->max, r->unit);
	for (size_t i = 0; r->words != NULL && r->words[i] != NULL; i++)
		cm_buf_addf(&b, "%s%s", i == 0 ? "; expected one of " : ", ", r->words[i]);
	snprintf(text, size, "%s", cm_buf_str(&b));
	cm_buf_free(&b);
}

/* libconfuse calls this after each value it has read; the section's title says which row it is. */
static int
validate(cfg_t *cfg, cfg_opt_t *opt)
{
	const struct row *r = find_row(cfg_name(cfg), cfg_opt_name(opt), strlen(cfg_opt_name(opt)));
	const unsigned count = cfg_opt_size(opt);
	const char *value = NULL, *wrong = NULL;
	char origin[PATH_MAX + 16], text[512];

	if (r == NULL || count == 0)
		return 0;
	if (!r->type->list && reading->lines[r - rows] != 0) {
		snprintf(text, sizeof(text), "%s.%s: given before, on line %u: keep one of them",
		    r->section, r->key, reading->lines[r - rows]);
		mistake(reading->path, cfg->line, text);
		return 0;
	}
	reading->lines[r - rows] = (unsigned)cfg->line;
	snprintf(origin, sizeof(origin), "%s:%d", reading->path, cfg->line);
	if (r->type->list)	/* called with all elements so far, and again at the end */
		list_free(field_of(reading->conf, r));
	for (unsigned i = 0; i < count && wrong == NULL; i++) {
		value = cfg_opt_getnstr(opt, i);
		wrong = set_row(reading->conf, r, value, origin);
	}
	if (wrong != NULL) {
		describe(r, value, wrong, text, sizeof(text));
		mistake(reading->path, cfg->line, text);
	}
	return 0;
}

/*
 * The table as libconfuse wants it: one section after the other.  A section's
 * rows stand together, so a new one starts where the name changes.
 */
struct schema {
	cfg_opt_t options[2 * CM_COUNT(rows)];	/* each section's, ended by CFG_END */
	cfg_opt_t sections[CM_COUNT(rows) + 2];
};

static void
build_schema(struct schema *s)
{
	size_t n = 0, count = 0;

	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		const struct row *r = &rows[i];

		if (i == 0 || strcmp(r->section, rows[i - 1].section) != 0) {
			const cfg_opt_t section = CFG_SEC(r->section, &s->options[n], CFGF_NONE);

			s->sections[count++] = section;
		}
		if (r->type->list) {
			const cfg_opt_t option = CFG_STR_LIST(r->key, NULL, CFGF_NONE);
			s->options[n++] = option;
		} else {
			const cfg_opt_t option = CFG_STR(r->key, NULL, CFGF_NONE);
			s->options[n++] = option;
		}
		if (i + 1 == CM_COUNT(rows) || strcmp(r->section, rows[i + 1].section) != 0) {
			const cfg_opt_t end = CFG_END();
			s->options[n++] = end;
		}
	}
	const cfg_opt_t mark = CFG_STR(END_MARK, NULL, CFGF_NONE), end = CFG_END();
	s->sections[count] = mark;
	s->sections[count + 1] = end;
}

static void
register_rows(cfg_t *cfg)
{
	char name[64];

	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		snprintf(name, sizeof(name), "%s|%s", rows[i].section, rows[i].key);
		cfg_set_validate_func(cfg, name, validate);
	}
}

static enum cm_err
parse(const char *path, const char *text, struct cm_conf *c, struct cm_trace *t)
{
	struct reading r = { .conf = c, .trace = t, .path = path };
	struct schema *schema = calloc(1, sizeof(*schema));
	cfg_t *cfg = NULL;
	enum cm_err err = CM_ERR_NOMEM;

	if (schema == NULL)
		goto out;
	build_schema(schema);
	if ((cfg = cfg_init(schema->sections, CFGF_NONE)) == NULL)
		goto out;
	reading = &r;
	cfg_set_error_function(cfg, report);
	register_rows(cfg);
	if ((cfg_parse_buf(cfg, text) != CFG_SUCCESS || cfg_getstr(cfg, END_MARK) == NULL) &&
	    r.mistakes == 0)
		mistake(path, cfg->line, "the file ends before a section, quote or comment is closed");
	reading = NULL;
	err = r.mistakes == 0 ? CM_OK : CM_ERR_CONFIG;
out:
	if (cfg != NULL)
		cfg_free(cfg);
	free(schema);
	return err;
}

static enum cm_err
read_text(const char *path, struct cm_trace *t, struct cm_buf *out)
{
	const char *name = path != NULL ? path : CM_CONF_PATH;
	enum cm_err err = cm_file_read(name, CONF_MAX, CM_FILE_TRUSTED, t, out);

	if (err == CM_ERR_ABSENT && path == NULL)
		return CM_OK;
	if (err == CM_ERR_ABSENT)
		return cm_trace_fail(t, CM_REASON_CONFIG, "%s: no such file", path);
	if (err == CM_OK && memchr(cm_buf_str(out), '\0', out->len) != NULL)
		return cm_trace_fail(t, CM_REASON_CONFIG, "%s: holds a NUL byte: it is not text", name);
	return err;
}

enum cm_err
cm_conf_load(const char *path, struct cm_trace *t, struct cm_conf **out)
{
	struct cm_conf *c = NULL;
	struct cm_buf text;
	enum cm_err err;

	*out = NULL;
	cm_buf_init(&text, CONF_MAX + 64);	/* and the mark behind it */
	if ((err = read_text(path, t, &text)) != CM_OK)
		goto out;
	if ((err = make_defaults(&c)) != CM_OK)
		goto out;
	cm_buf_add_str(&text, "\n" END_MARK " = \"\"\n");
	if ((err = cm_buf_status(&text)) != CM_OK)
		goto out;
	cm_conf_blank_comments((char *)text.ptr);
	if ((err = parse(path != NULL ? path : CM_CONF_PATH, cm_buf_str(&text), c, t)) != CM_OK)
		goto out;
	*out = c;
	c = NULL;
out:
	cm_conf_free(&c);
	cm_buf_free(&text);
	return err;
}

static const struct row *
find_assigned(const char *assignment, const char **value)
{
	const char *dot = strchr(assignment, '.'), *equals = strchr(assignment, '=');
	char section[32];

	if (dot == NULL || equals == NULL || equals < dot || (size_t)(dot - assignment) >= sizeof(section))
		return NULL;
	memcpy(section, assignment, (size_t)(dot - assignment));
	section[dot - assignment] = '\0';
	*value = equals + 1;
	return find_row(section, dot + 1, (size_t)(equals - dot - 1));
}

enum cm_err
cm_conf_set(struct cm_conf *c, const char *assignment, const char *origin, struct cm_trace *t)
{
	const char *value = NULL, *wrong;
	const struct row *r = find_assigned(assignment, &value);
	char text[512];

	if (r == NULL)
		return cm_trace_fail(t, CM_REASON_USAGE,
		    "%s: no such key; cardmap config show lists them", assignment);
	if (r->type->list)
		list_free(field_of(c, r));
	if ((wrong = set_row(c, r, value, origin)) == NULL)
		return CM_OK;
	describe(r, value, wrong, text, sizeof(text));
	return cm_trace_fail(t, CM_REASON_USAGE, "%s", text);
}

void
cm_conf_each(const struct cm_conf *c, cm_conf_visit visit, void *arg)
{
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		const struct row *r = &rows[i];
		const struct cm_conf_item *item;
		struct cm_buf value;
		char key[64];

		cm_buf_init(&value, 0);
		r->type->show(field_of(c, r), r, &value);
		snprintf(key, sizeof(key), "%s.%s", r->section, r->key);
		item = &(const struct cm_conf_item){
			.key = key, .value = cm_buf_str(&value),
			.origin = c->origins[i] != NULL ? c->origins[i] : "default",
			.type = r->type->name, .unit = r->unit,
			.fallback = r->fallback != NULL ? r->fallback : "",
			.help = r->help, .min = r->min, .max = r->max,
		};
		visit(arg, item);
		cm_buf_free(&value);
	}
}
