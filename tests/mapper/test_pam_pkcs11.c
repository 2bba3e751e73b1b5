/* tests/mapper/test_pam_pkcs11.c - pam_pkcs11.conf: its form, each mapper as rules, and what has no counterpart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "make_cert.h"
#include "mapper/pam_pkcs11_internal.h"
#include "mapper/template_internal.h"

#define HOST	"pc1.lab.Example.org"

/* What came of a text: a line for each rule, setting and note. */
struct result {
	enum cm_err err;
	struct cm_buf rules, settings, notes;
	char message[1024];
};

static void
add_part(struct cm_buf *b, const char *key, const char *value)
{
	if (value != NULL)
		cm_buf_addf(b, " %s[%s]", key, value);
}

static void
describe(struct result *r, const struct cm_import *i)
{
	for (size_t k = 0; k < i->rule_count; k++) {
		const struct cm_conf_rule *rule = &i->rules[k];

		cm_buf_addf(&r->rules, "%s", rule->name);
		add_part(&r->rules, "match", rule->match);
		add_part(&r->rules, "suffix", rule->upn_suffix);
		add_part(&r->rules, rule->attribute != NULL ? rule->attribute : "filter",
		    rule->attribute != NULL ? rule->value : rule->filter);
		add_part(&r->rules, "map", rule->map_file);
		cm_buf_addf(&r->rules, "%s%s %s\n", rule->ignore_case ? " nocase" : "", rule->local ? " local" : "",
		    strrchr(rule->origin, ':'));
		assert_int_equal(rule->priority, CM_RULE_PRIORITY_LAST);
	}
	for (size_t k = 0; k < i->setting_count; k++)
		for (char **v = i->settings[k].values; *v != NULL; v++)
			cm_buf_addf(&r->settings, "%d %s=%s\n", i->settings[k].line, i->settings[k].key, *v);
	for (size_t k = 0; k < i->note_count; k++)
		cm_buf_addf(&r->notes, "%d %s\n", i->notes[k].line, i->notes[k].text);
}

static struct result
read_text(const char *text)
{
	struct result r = { .err = CM_OK };
	struct cm_import *i = NULL;
	struct cm_trace *t = NULL;

	assert_int_equal(cm_trace_new(&t), CM_OK);
	r.err = cm_pam_pkcs11_read(cm_blob_str(text), "pam_pkcs11.conf", HOST, t, &i);
	assert_true((i != NULL) == (r.err == CM_OK));
	snprintf(r.message, sizeof(r.message), "%s", cm_trace_message(t));
	if (i != NULL)
		describe(&r, i);
	assert_true(r.err == CM_OK || cm_trace_reason(t) == CM_REASON_CONFIG);
	cm_import_free(&i);
	cm_trace_free(&t);
	return r;
}

static void
done(struct result *r)
{
	cm_buf_free(&r->rules);
	cm_buf_free(&r->settings);
	cm_buf_free(&r->notes);
}

static void
expect_has(const char *text, const char *what, const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("%s\n does not hold \"%s\" but:\n%s", what, part, text);
}

/* One mapper in a file of its own: its rules, and a part of what is said. */
static void
mappers(void **state)
{
	static const struct {
		const char *use, *block, *rules, *note;
	} rows[] = {
		{ "cn", "", "cn uid[{common_name}] :1\n", "1 use_mappers: logins are looked for as the attribute uid" },
		{ "cn", "mapper cn { ignorecase = true; mapfile = file:///etc/m; }",
		    "cn uid[{common_name}] map[/etc/m] nocase :2\n", "2 mapper cn: pam_pkcs11 takes what the map file does not name" },
		{ "cn", "mapper cn { mapfile = \"none\"; }", "cn uid[{common_name}] :2\n", NULL },
		{ "cn", "mapper cn { mapfile = /etc/m; }", "cn uid[{common_name}] map[/etc/m] :2\n", NULL },
		{ "cn", "mapper cn { mapfile = \"http://h/m\"; }", "", "2 mapper cn: mapfile http://h/m is no file" },
		{ "CN", "mapper cn { module = /usr/lib/pam_pkcs11/cn_mapper.so; }", "CN uid[{common_name}] :2\n", NULL },
		{ "x", "mapper x { module = /usr/lib/pam_pkcs11/uid_mapper.so; }",
		    "x uid[{subject_dn_component.uid}] :2\n", NULL },
		{ "x", "mapper x { module = /opt/own.so; }", "", "2 mapper x: /opt/own.so is no mapper of pam_pkcs11's own" },
		{ "x", "", "", "1 mapper x: x is no mapper of pam_pkcs11's own" },
		{ "uid", "mapper uid { ignorecase = Yes; }", "uid uid[{subject_dn_component.uid}] nocase :2\n", NULL },
		{ "mail", "", "mail uid[{subject_rfc822_name.short_name}] nocase :1\n", NULL },
		{ "mail", "mapper mail { ignorecase = false; }", "mail uid[{subject_rfc822_name.short_name}] :2\n", NULL },
		{ "mail", "mapper mail { mapfile = file:///etc/m; ignoredomain = false; }",
		    "mail uid[{subject_rfc822_name}] map[/etc/m] nocase :2\n", NULL },
		{ "mail", "mapper mail { ignoredomain = false; }",
		    "mail match[<SAN:rfc822Name>@([pP][cC]1\\.[lL][aA][bB]\\.[eE][xX][aA][mM][pP][lL][eE]\\.[oO][rR][gG]"
		    "|[lL][aA][bB]\\.[eE][xX][aA][mM][pP][lL][eE]\\.[oO][rR][gG]|[eE][xX][aA][mM][pP][lL][eE]\\.[oO][rR][gG])$] "
		    "uid[{subject_rfc822_name.short_name}] nocase :2\n", "are those of this computer's name, " HOST },
		{ "ms", "mapper ms { domainname = \"Example.org\"; }",
		    "ms suffix[Example.org] uid[{subject_nt_principal.short_name}] :2\n", "the UPN must end with @Example.org" },
		{ "ms", "mapper ms { domain = \"example.org\"; ignorecase = true; }",
		    "ms suffix[example.org] uid[{subject_nt_principal.short_name}] nocase :2\n", "domain is taken for domainname" },
		{ "ms", "mapper ms { ignoredomain = true; domainnickname = EX; }",
		    "ms uid[{subject_nt_principal.short_name}] :2\n", "domainnickname has no counterpart" },
		{ "ms", "", "", "no UPN can match" },
		{ "krb", "", "krb krbPrincipalName[{subject_pkinit_principal}] :1\n", "the whole principal" },
		{ "krb", "mapper krb { mapfile = file:///etc/m; }", "krb uid[{subject_pkinit_principal}] map[/etc/m] :2\n", NULL },
		{ "pwent", "mapper pwent { ignorecase = true; mapfile = file:///etc/m; }",
		    "pwent uid[{common_name}] nocase local :2\npwent-gecos gecos[{common_name}] nocase local :2\n", NULL },
		{ "subject", "mapper subject { mapfile = file:///etc/m; }",
		    "subject uid[{subject_dn!oneline}] map[/etc/m] :2\n", NULL },
		{ "subject", "", "", "without a mapfile it finds nobody" },
		{ "digest", "mapper digest { mapfile = file:///etc/m; algorithm = SHA256; }",
		    "digest uid[{cert!sha256_uc}] map[/etc/m] nocase :2\n", NULL },
		{ "digest", "mapper digest { mapfile = file:///etc/m; }", "digest uid[{cert!sha1_uc}] map[/etc/m] nocase :2\n", NULL },
		{ "digest", "mapper digest { mapfile = file:///etc/m; algorithm = md2; }",
		    "digest uid[{cert!sha1_uc}] map[/etc/m] nocase :2\n", "algorithm md2: sha1 is taken" },
		{ "digest", "", "", "without a mapfile it finds nobody" },
		{ "serial", "", "serial uid[{serial_number!hex_uc}] :1\n", "no 00 before its first digit" },
		{ "generic", "", "generic uid[{common_name}] :1\n", NULL },
		{ "generic", "mapper generic { cert_item = upn; ignorecase = true; }",
		    "generic uid[{subject_nt_principal}] nocase :2\n", NULL },
		{ "generic", "mapper generic { cert_item = Email; mapfile = file:///etc/m; }",
		    "generic uid[{subject_rfc822_name}] map[/etc/m] :2\n", NULL },
		{ "generic", "mapper generic { cert_item = kpn; }", "generic uid[{subject_pkinit_principal}] :2\n", NULL },
		{ "generic", "mapper generic { cert_item = uid; }", "generic uid[{subject_dn_component.uid}] :2\n", NULL },
		{ "generic", "mapper generic { cert_item = subject; }", "generic uid[{subject_dn!oneline}] :2\n", NULL },
		{ "generic", "mapper generic { cert_item = serial; }", "generic uid[{serial_number!hex_uc}] :2\n", "no 00" },
		{ "generic", "mapper generic { cert_item = colour; }", "generic uid[{common_name}] :2\n", "no cert_item colour" },
		{ "generic", "mapper generic { cert_item = cn; mapfile = file:///etc/m; use_getpwent = true; }",
		    "generic uid[{common_name}] map[/etc/m] local :2\ngeneric-gecos gecos[{common_name}] map[/etc/m] local :2\n", NULL },
		{ "opensc", "", "opensc authorizedCertificate[{cert!bin}] local :1\n", NULL },
		{ "openssh", "", "openssh sshPublicKey[{ssh_public_key}] local :1\n", NULL },
		{ "null", "mapper null { default_match = true; default_user = guest; }", "",
		    "refused: it lets every card in as guest" },
		{ "null", "", "", "lets nobody in" },
		{ "cn, uid, cn", "", "cn uid[{common_name}] :1\nuid uid[{subject_dn_component.uid}] :1\n",
		    "1 use_mappers: pam_pkcs11 takes the first that names a user" },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		char text[1024];
		struct result r;

		snprintf(text, sizeof(text), "pam_pkcs11 { use_mappers = %s;\n%s\n}\n", rows[i].use, rows[i].block);
		r = read_text(text);
		if (r.err != CM_OK || strcmp(cm_buf_str(&r.rules), rows[i].rules) != 0)
			fail_msg("%s\n%s\ngives:\n%s", text, r.message, cm_buf_str(&r.rules));
		if (rows[i].note != NULL)
			expect_has(cm_buf_str(&r.notes), text, rows[i].note);
		if (rows[i].rules[0] != '\0')
			expect_has(cm_buf_str(&r.settings), text, "1 directory.uri=local:\n");
		done(&r);
	}
}

static void
ldap(void **state)
{
	static const struct {
		const char *block, *rules, *settings, *note, *never;
	} rows[] = {
		{ "mapper ldap { ldaphost = \"127.0.0.1\"; ldapport = 3890; base = \"dc=x\"; scope = 2; ssl = off; }",
		    "ldap filter[(&(&(objectClass=posixAccount)(uid=*))(userCertificate={cert!bin}))] :2\n",
		    "2 directory.starttls=no\n2 directory.uri=ldap://127.0.0.1:3890\n2 directory.base=dc=x\n", NULL, NULL },
		{ "mapper ldap { uri = \"ldap://a  ldap://b:1389\";\n ldaphost = c; ldapport = ;\n ssl = tls;\n binddn = \"cn=pam\";\n"
		    " passwd = \"s3cret\";\n base = \"dc=x\"; attribute = \"userCertificate;binary\"; filter = \"uid=%s\";\n"
		    " tls_cacertfile = /etc/ssl/ca.pem; tls_checkpeer = 0 }",
		    "ldap filter[(&(uid=*)(userCertificate;binary={cert!bin}))] :2\n",
		    "2 directory.uri=ldap://a\n2 directory.uri=ldap://b:1389\n2 directory.uri=ldap://c\n7 directory.base=dc=x\n"
		    "5 directory.bind_dn=cn=pam\n8 directory.ca=/etc/ssl/ca.pem\n",
		    "6 mapper ldap: passwd is not copied", "s3cret" },
		{ "mapper ldap { ldaphost = h; ssl = on; base = \"dc=x\"; attribute_map = \"mail=email\", \"cn=cn&uid=upn\", bad, \"x=y\";\n"
		    " filter = \"(&(a={b}%%c)(uid=%s))\"; scope = 1; uid_attribute = \"name\" }",
		    "ldap filter[(&(&(a={{b}}%c)(uid=*))(mail={subject_rfc822_name}))] :2\n"
		    "ldap (2) filter[(&(&(a={{b}}%c)(uid=*))(&(cn={common_name})(uid={subject_nt_principal})))] :2\n"
		    "ldap (3) filter[(&(&(a={{b}}%c)(uid=*))(userCertificate={cert!bin}))] :2\n",
		    "2 directory.uri=ldaps://h\n2 directory.base=dc=x\n", "attribute_map bad: expected", NULL },
		{ "mapper ldap { ldaphost = h; filter = \"(uid=%d)\"; }", "", "", "% is followed by neither s nor %", NULL },
		{ "mapper ldap { ldaphost = h; base = \"dc=x\"; }",
		    "ldap filter[(&(&(objectClass=posixAccount)(uid=*))(userCertificate={cert!bin}))] :2\n",
		    "2 directory.uri=ldap://h\n2 directory.base=dc=x\n", "ssl = off: pam_pkcs11 asks without encryption", NULL },
		{ "mapper ldap { }", "ldap filter[(&(&(objectClass=posixAccount)(uid=*))(userCertificate={cert!bin}))] :2\n", "",
		    "2 mapper ldap: names no server", NULL },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		char text[1024];
		struct result r;
		const char *settings;

		snprintf(text, sizeof(text), "pam_pkcs11 { use_mappers = ldap;\n%s\n}\n", rows[i].block);
		r = read_text(text);
		if (r.err != CM_OK || strcmp(cm_buf_str(&r.rules), rows[i].rules) != 0)
			fail_msg("%s\n%s\ngives:\n%s", text, r.message, cm_buf_str(&r.rules));
		/* those of trust come first */
		settings = strstr(cm_buf_str(&r.settings), "trust.level=chain\n");
		assert_non_null(settings);
		assert_string_equal(settings + strlen("trust.level=chain\n"), rows[i].settings);
		if (rows[i].note != NULL)
			expect_has(cm_buf_str(&r.notes), text, rows[i].note);
		if (rows[i].never != NULL) {
			assert_null(strstr(cm_buf_str(&r.notes), rows[i].never));
			assert_null(strstr(cm_buf_str(&r.settings), rows[i].never));
		}
		done(&r);
	}
}

/* Whose certificates are believed, and how much is asked about them. */
static void
policy(void **state)
{
	static const struct {
		const char *module, *settings, *note;
	} rows[] = {
		{ "ca_dir = /c; cert_policy = ca,signature;", "3 trust.anchors=/c\n3 trust.intermediates=/c\n3 trust.level=chain\n", NULL },
		{ "cert_policy = ca, signature;", "3 trust.anchors=/etc/pam_pkcs11/cacerts\n3 trust.intermediates=/etc/pam_pkcs11/cacerts\n3 trust.level=chain\n", NULL },
		{ "ca_dir = /c; cert_policy = none;", "3 trust.anchors=/c\n3 trust.intermediates=/c\n3 trust.level=chain\n", "3 cert_policy without ca: pam_pkcs11 believes every" },
		{ "ca_dir = /c; cert_policy = ca, crl_auto, none;", "3 trust.anchors=/c\n3 trust.intermediates=/c\n3 trust.level=chain\n", "without ca" },
		{ "ca_dir = /c; cert_policy = ca;", "3 trust.anchors=/c\n3 trust.intermediates=/c\n3 trust.level=chain\n", "without signature: pam_pkcs11 lets a copied" },
		{ "ca_dir = /c; crl_dir = /l; cert_policy = ca, crl_auto, signature;",
		    "3 trust.anchors=/c\n3 trust.intermediates=/c\n3 trust.level=hard\n3 trust.use_ocsp=no\n3 trust.use_crl=yes\n3 trust.crl=/l\n", NULL },
		{ "ca_dir = /c; crl_dir = /l; cert_policy = ca, crl_offline, signature;",
		    "3 trust.anchors=/c\n3 trust.intermediates=/c\n3 trust.level=hard\n3 trust.use_ocsp=no\n3 trust.use_crl=yes\n3 trust.crl=/l\n", "crl_offline: the lists" },
		{ "ca_dir = /c; crl_dir = /l; cert_policy = ca, crl_online, signature;",
		    "3 trust.anchors=/c\n3 trust.intermediates=/c\n3 trust.level=hard\n3 trust.use_ocsp=no\n3 trust.use_crl=yes\n", NULL },
		{ "ca_dir = /c; cert_policy = ca, ocsp_on, signature;",
		    "3 trust.anchors=/c\n3 trust.intermediates=/c\n3 trust.level=hard\n3 trust.use_ocsp=yes\n3 trust.use_crl=no\n", "3 trust.level = hard: as in pam_pkcs11" },
		{ "ca_dir = /c; cert_policy = ca, crl, signature;", "3 trust.anchors=/c\n3 trust.intermediates=/c\n3 trust.level=chain\n", "crl is no word of pam_pkcs11's" },
		{ "ca_dir = /c; cert_policy = ca, signature; nss_dir = /n; slot_num = 0; module = /m.so; colour = red;",
		    "3 trust.anchors=/c\n3 trust.intermediates=/c\n3 trust.level=chain\n", "3 nss_dir is an NSS database" },
		{ "ca_dir = /c; cert_policy = ca, signature; slot_description = \"ACS\";",
		    "3 trust.anchors=/c\n3 trust.intermediates=/c\n3 trust.level=chain\n", "3 slot_description has no counterpart: name a reader" },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		char text[1024];
		struct result r;

		snprintf(text, sizeof(text), "pam_pkcs11 {\n use_mappers = null; use_pkcs11_module = Card;\n pkcs11_module card { %s }\n"
		    " pkcs11_module other { ca_dir = /never; }\n}\n", rows[i].module);
		r = read_text(text);
		assert_int_equal(r.err, CM_OK);
		assert_string_equal(cm_buf_str(&r.settings), rows[i].settings);
		if (rows[i].note != NULL)
			expect_has(cm_buf_str(&r.notes), text, rows[i].note);
		done(&r);
	}
}

/* What else stands in such a file is said, and what has no effect is not. */
static void
other_settings(void **state)
{
	struct result r = read_text("pam_pkcs11 {\n card_only = true;\n wait_for_card = true;\n nullok = true;\n debug = true;\n"
	    " screen_savers = xscreensaver, gnome;\n use_first_pass = false;\n colour = red;\n use_mappers = null;\n}\n");

	(void)state;
	expect_has(cm_buf_str(&r.notes), "notes", "2 card_only is said in the PAM stack");
	expect_has(cm_buf_str(&r.notes), "notes", "3 wait_for_card has no counterpart");
	expect_has(cm_buf_str(&r.notes), "notes", "4 nullok has no counterpart: no PIN is ever left out");
	expect_has(cm_buf_str(&r.notes), "notes", "6 screen_savers has no counterpart");
	expect_has(cm_buf_str(&r.notes), "notes", "8 colour is no setting of pam_pkcs11's");
	expect_has(cm_buf_str(&r.notes), "notes", "1 there is no block pkcs11_module default");
	assert_null(strstr(cm_buf_str(&r.notes), "debug"));
	assert_null(strstr(cm_buf_str(&r.notes), "use_first_pass"));
	done(&r);
}

/* The form: what pam_pkcs11 reads is read so; what it passes over is said; what it refuses is refused. */
static void
form(void **state)
{
	static const struct {
		const char *text, *rules, *says;	/* rules NULL: refused, and says is the message */
	} rows[] = {
		{ "PAM_PKCS11 { Use_Mappers = cn }", "cn uid[{common_name}] :1\n", "" },
		{ "pam_pkcs11 {\n use_mappers = cn\n debug = true }", "cn uid[{common_name}] :2\n", "" },
		{ "# one\n#two\npam_pkcs11 { # three\n use_mappers = cn; # four }\n}", "cn uid[{common_name}] :4\n", "" },
		{ "pam_pkcs11 { use_mappers = \"cn\" , uid; }", "cn uid[{common_name}] :1\nuid uid[{subject_dn_component.uid}] :1\n", "" },
		{ "pam_pkcs11 { use_mappers = cn; mapper cn { mapfile = \"/a\\b#c\" } }", "cn uid[{common_name}] map[/a\\b#c] :1\n", "" },
		{ "pam_pkcs11 { use_mappers = cn; mapper cn { mapfile = /a#b } }", "cn uid[{common_name}] map[/a#b] :1\n", "" },
		{ "pam_pkcs11 { use_mappers = cn;\n use_mappers = uid; }", "cn uid[{common_name}] :1\nuid uid[{subject_dn_component.uid}] :1\n",
		    "2 use_mappers: given before, on line 1" },
		{ "pam_pkcs11 { use_mappers = cn; mapper cn { mapfile = /a; } mapper cn { mapfile = /b; } }",
		    "cn uid[{common_name}] map[/a] :1\n", "" },
		{ "pam_pkcs11 {\n debug=true;\n use_mappers = cn; }", "cn uid[{common_name}] :3\n", "2 \"debug=true\" is no setting" },
		{ "pam_pkcs11 { use_mappers = cn;\n description = Open SC; }", "cn uid[{common_name}] :1\n", "2 \"SC\" is no setting" },
		{ "pam_pkcs11 { use_mappers = cn; ; ; }", "cn uid[{common_name}] :1\n", "" },
		{ "pam_pkcs11 { use_mappers = cn; }\nother { a = b; }", "cn uid[{common_name}] :1\n", "" },
		{ "pam_pkcs11 {\n use_mappers = cn;\n", NULL, ":3: the file ends before the block \"pam_pkcs11\" of line 1 is closed" },
		{ "pam_pkcs11 { use_mappers = \"cn;\n}", NULL, ":1: a quote is not closed on its line" },
		{ "pam_pkcs11 { use_mappers = cn; }\n}", NULL, ":2: \"}\" without a \"{\"" },
		{ "pam_pkcs11{\n use_mappers = cn;\n}", NULL, ":2: \"=\" is not expected here: two words" },
		{ "pam_pkcs11 {\n debug=true\n use_mappers = cn;\n}", NULL, ":3: \"=\" is not expected here: two words" },
		{ "pam_pkcs11 {\n mapper cn x {\n}\n}", NULL, ":2: \"x\" is not expected here" },
		{ "pam_pkcs11 {\n = cn;\n}", NULL, ":2: \"=\" is not expected here" },
		{ "pam_pkcs11 {\n , cn;\n}", NULL, ":2: \",\" is not expected here" },
		{ "{ }", NULL, ":1: \"{\" is not expected here" },
		{ "pam_pkcs11 {\n mapper cn }", NULL, ":2: \"}\" is not expected here" },
		{ "pam_pkcs11 { }", NULL, ":1: use_mappers is missing" },
		{ "other { }", NULL, "there is no block pam_pkcs11" },
		{ "", NULL, "there is no block pam_pkcs11" },
		{ "a { a { a { a { a { a { a { a { a { a { a { a { a { a { a { a { a {", NULL, ":1: blocks are more than 16 deep" },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct result r = read_text(rows[i].text);

		if ((r.err == CM_OK) != (rows[i].rules != NULL) ||
		    (r.err == CM_OK && strcmp(cm_buf_str(&r.rules), rows[i].rules) != 0))
			fail_msg("%s\ngives: %s\n%s", rows[i].text, r.message, cm_buf_str(&r.rules));
		if (r.err == CM_OK)
			expect_has(cm_buf_str(&r.notes), rows[i].text, rows[i].says);
		else
			expect_has(r.message, rows[i].text, rows[i].says);
		done(&r);
	}
}

static void
a_nul_byte(void **state)
{
	static const char text[] = "pam_pkcs11 { use_mappers = cn\0; }";
	struct cm_import *i = NULL;

	(void)state;
	assert_int_equal(cm_pam_pkcs11_read((struct cm_blob){ (const uint8_t *)text, sizeof(text) - 1 }, "f", "", NULL, &i),
	    CM_ERR_CONFIG);
	assert_null(i);
}

/* A computer whose name says no domain can check none. */
static void
hosts_without_a_domain(void **state)
{
	static const char *const hosts[] = { "", "pc1", "pc1.", ".org", "p c.example.org", "a.b(.*)" };
	static const char text[] = "pam_pkcs11 { use_mappers = mail; mapper mail { ignoredomain = false; } }";

	(void)state;
	for (size_t k = 0; k < CM_COUNT(hosts); k++) {
		struct cm_import *i = NULL;

		assert_int_equal(cm_pam_pkcs11_read(cm_blob_str(text), "f", hosts[k], NULL, &i), CM_OK);
		assert_int_equal(i->rule_count, 0);
		cm_import_free(&i);
	}
}

/* Every template that a mapper can give is one of ours, and the file that is written says the same again. */
static void
what_is_written_can_be_read(void **state)
{
	static const char text[] = "pam_pkcs11 {\n use_mappers = cn, uid, mail, ms, krb, pwent, subject, digest, serial, generic,\n"
	    "  ldap, opensc, openssh;\n mapper ms { domainname = x.org; }\n mapper subject { mapfile = \"/it's a \\ map\"; }\n"
	    " mapper digest { mapfile = /m; algorithm = ripemd160; }\n mapper mail { ignoredomain = false; }\n"
	    " mapper ldap { ldaphost = h; base = \"dc=x\"; attribute_map = \"a=cn&b=subject&c=kpn&d=email&e=upn&f=uid&g=cert&h=serial\"; }\n}\n";
	char path[] = "/tmp/cardmap-pam-XXXXXX";
	struct cm_import *i = NULL;
	struct cm_conf *c = NULL;
	struct cm_buf written;
	const int fd = mkstemp(path);

	(void)state;
	cm_buf_init(&written, 0);
	assert_true(fd >= 0);
	assert_int_equal(cm_pam_pkcs11_read(cm_blob_str(text), "pam_pkcs11.conf", HOST, NULL, &i), CM_OK);
	assert_int_equal(i->rule_count, 15);
	assert_int_equal(cm_import_write(i, &written), CM_OK);
	assert_int_equal(write(fd, written.ptr, written.len), (ssize_t)written.len);
	close(fd);
	assert_int_equal(cm_conf_load(path, NULL, &c), CM_OK);
	unlink(path);
	assert_int_equal(c->rule_count, i->rule_count);
	for (size_t k = 0; k < c->rule_count; k++) {
		const char *template = c->rules[k].filter != NULL ? c->rules[k].filter : c->rules[k].value;
		struct cm_template tp = { 0 };
		struct cm_syntax why = { 0 };

		assert_string_equal(template, i->rules[k].filter != NULL ? i->rules[k].filter : i->rules[k].value);
		if (c->rules[k].map_file != NULL)
			assert_string_equal(c->rules[k].map_file, i->rules[k].map_file);
		if (cm_template_parse(template, CM_DIALECT_OWN, c->rules[k].filter != NULL, &tp, &why) != CM_OK)
			fail_msg("%s: %s", template, why.what);
		cm_template_clear(&tp);
	}
	assert_string_equal(c->trust.anchors[0], "/etc/pam_pkcs11/cacerts");
	cm_buf_free(&written);
	cm_conf_free(&c);
	cm_import_free(&i);
}

/* What is asked about a card, a line for each value; "" when nothing is. */
static void
ask_about(const struct cert_spec *spec, const char *text, struct cm_buf *out)
{
	const struct cm_rules_options o = { .back_references = true };
	struct cm_cert *c = make_cert(spec);
	struct cm_import *i = NULL;
	struct cm_rules *rules = NULL;
	struct cm_query *q = NULL;
	struct cm_trace *t = NULL;

	assert_int_equal(cm_trace_new(&t), CM_OK);
	if (cm_pam_pkcs11_read(cm_blob_str(text), "pam_pkcs11.conf", HOST, t, &i) != CM_OK ||
	    cm_rules_new(&o, &rules) != CM_OK || cm_rules_add(rules, i->rules, i->rule_count, t) != CM_OK)
		fail_msg("%s\n%s", text, cm_trace_message(t));
	if (cm_rules_map(rules, c, NULL, &q) == CM_OK)
		for (size_t k = 0; k < q->count; k++) {
			cm_buf_addf(out, "%s ", q->terms[k].attribute != NULL ? q->terms[k].attribute : "filter");
			cm_buf_add_printable(out, q->terms[k].value);
			cm_buf_addf(out, "%s%s\n", q->terms[k].local ? " local" : "",
			    q->terms[k].strength == CM_STRONG ? " strong" : "");
		}
	cm_query_free(&q);
	cm_rules_free(&rules);
	cm_import_free(&i);
	cm_trace_free(&t);
	cm_cert_free(&c);
}

#define B(s)	{ (const uint8_t *)(s), sizeof(s) - 1 }

/* From the file to what a directory is asked about a card: the login that pam_pkcs11 gives it. */
static void
cards_and_their_logins(void **state)
{
	static const struct part alice[] = { P("C", "DE"), P("O", "Example, Inc."), P("CN", "Alice Example"), P("UID", "alice"), { 0 } };
	static const struct cert_spec spec = { .subject = alice, .serial = "00c0ffee", .upn = B("alice@Example.org"),
	    .mail = B("Alice@example.org") };
	static const struct {
		const char *use, *block, *asked;
	} rows[] = {
		{ "cn", "", "uid Alice Example\n" },
		{ "cn", "mapper cn { ignorecase = true; }", "uid alice example\n" },
		{ "cn", "mapper cn { mapfile = file://MAP; }", "uid by-cn\n" },
		{ "uid", "", "uid alice\n" },
		{ "mail", "", "uid alice\n" },
		{ "mail", "mapper mail { ignorecase = false; }", "uid Alice\n" },
		{ "mail", "mapper mail { mapfile = file://MAP; }", "uid by-mail\n" },
		{ "mail", "mapper mail { ignoredomain = false; }", "uid alice\n" },
		{ "ms", "mapper ms { domainname = example.org; }", "uid alice\n" },
		{ "ms", "mapper ms { domainname = example.net; }", "" },
		{ "pwent", "", "uid Alice Example local\ngecos Alice Example local\n" },
		{ "subject", "mapper subject { mapfile = file://MAP; }", "uid by-subject\n" },
		{ "serial", "", "uid C0:FF:EE\n" },
		{ "generic", "mapper generic { cert_item = upn; mapfile = file://MAP; }", "uid by-pattern\n" },
		{ "ldap", "mapper ldap { ldaphost = h; base = \"dc=x\"; attribute_map = \"mail=email&cn=cn\"; attribute = x; filter = \"(c={y})\" }",
		    NULL },
		{ "cn, uid", "mapper cn { mapfile = file://EMPTY; }", "uid alice\n" },
	};
	char map[] = "/tmp/cardmap-map-XXXXXX", empty[] = "/tmp/cardmap-map-XXXXXX";
	static const char lines[] = "# logins\nAlice Example -> by-cn\nalice@example.org -> by-mail\n"
	    "/C=DE/O=Example, Inc./CN=Alice Example/UID=alice -> by-subject\n^alice@.*$ -> by-pattern\n";
	const int fd = mkstemp(map), other = mkstemp(empty);

	(void)state;
	assert_true(fd >= 0 && other >= 0);
	assert_int_equal(write(fd, lines, sizeof(lines) - 1), (ssize_t)sizeof(lines) - 1);
	for (size_t k = 0; k < CM_COUNT(rows); k++) {
		const char *at = strstr(rows[k].block, "MAP"), *none = strstr(rows[k].block, "EMPTY");
		const char *hole = at != NULL ? at : none;
		char text[1024];
		struct cm_buf out;

		cm_buf_init(&out, 0);
		snprintf(text, sizeof(text), "pam_pkcs11 { use_mappers = %s;\n%.*s%s%s\n}\n", rows[k].use,
		    (int)(hole != NULL ? hole - rows[k].block : (ptrdiff_t)strlen(rows[k].block)), rows[k].block,
		    at != NULL ? map : none != NULL ? empty : "", at != NULL ? at + 3 : none != NULL ? none + 5 : "");
		ask_about(&spec, text, &out);
		if (rows[k].asked != NULL && strcmp(cm_buf_str(&out), rows[k].asked) != 0)
			fail_msg("%s\nasks:\n%s", text, cm_buf_str(&out));
		if (rows[k].asked == NULL) {
			expect_has(cm_buf_str(&out), text, "filter (&(c={y})(&(mail=Alice@example.org)(cn=Alice Example)))\n");
			expect_has(cm_buf_str(&out), text, "filter (&(c={y})(x=\\30");
			expect_has(cm_buf_str(&out), text, " strong\n");
		}
		cm_buf_free(&out);
	}
	unlink(map);
	unlink(empty);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mappers),
		cmocka_unit_test(ldap),
		cmocka_unit_test(policy),
		cmocka_unit_test(other_settings),
		cmocka_unit_test(form),
		cmocka_unit_test(a_nul_byte),
		cmocka_unit_test(hosts_without_a_domain),
		cmocka_unit_test(what_is_written_can_be_read),
		cmocka_unit_test(cards_and_their_logins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
