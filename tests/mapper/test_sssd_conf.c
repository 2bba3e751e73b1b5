/* tests/mapper/test_sssd_conf.c - sssd.conf as SSSD reads it: rules unchanged, settings, mistakes with their line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "mapper/import.h"

static enum cm_err
read_conf(const char *text, struct cm_trace **t, struct cm_import **i)
{
	assert_int_equal(cm_trace_new(t), CM_OK);
	cm_trace_begin(*t, "sssd");
	return cm_import_sssd(cm_blob_str(text), "s.conf", *t, i);
}

static void
add_rule(const struct cm_conf_rule *r, struct cm_buf *b)
{
	cm_buf_addf(b, "rule %s [%s]", r->name, r->origin);
	if (r->match != NULL)
		cm_buf_addf(b, " match=%s", r->match);
	cm_buf_addf(b, " filter=%s", r->filter);
	for (char **d = r->domains; d != NULL && *d != NULL; d++)
		cm_buf_addf(b, " domain=%s", *d);
	if (r->priority != CM_RULE_PRIORITY_LAST)
		cm_buf_addf(b, " priority=%u", r->priority);
	cm_buf_addf(b, "%s\n", r->local ? " local" : "");
}

/* Settings, rules and notes, one a line. */
static void
expect(const char *text, const char *want)
{
	struct cm_import *i = NULL;
	struct cm_trace *t = NULL;
	struct cm_buf b;

	if (read_conf(text, &t, &i) != CM_OK)
		fail_msg("%s", cm_trace_message(t));
	cm_buf_init(&b, 0);
	for (size_t k = 0; k < i->setting_count; k++)
		for (char **v = i->settings[k].values; *v != NULL; v++)
			cm_buf_addf(&b, "%s=%s\n", i->settings[k].key, *v);
	for (size_t k = 0; k < i->rule_count; k++)
		add_rule(&i->rules[k], &b);
	for (size_t k = 0; k < i->note_count; k++)
		cm_buf_addf(&b, "note %d %.*s\n", i->notes[k].line, (int)strcspn(i->notes[k].text, ":;,("), i->notes[k].text);
	assert_string_equal(cm_buf_str(&b), want);
	cm_buf_free(&b);
	cm_import_free(&i);
	cm_trace_free(&t);
}

#define MATCH	"match=KRB5:<KU>digitalSignature<EKU>clientAuth"
#define MAP	"filter=LDAP:(userCertificate;binary={cert!bin})"

static void
rules(void **state)
{
	static const struct { const char *text, *want; } rows[] = {
		{ "", "" },
		/* defaults written out; a rule is for the domain of its section */
		{ "[certmap/example.org/a]\n", "rule example.org/a [s.conf:1] " MATCH " " MAP " domain=example.org\n" },
		/* texts unchanged, whatever they are */
		{ "[certmap/d/a]\nmatchrule = <ISSUER>^CN=x\\, y$\nmaprule = LDAPU1:(a={subject_key_id!hex_u})\n"
		  "priority = 0\ndomains = d, e.org ,,f\n", "rule d/a [s.conf:1] match=<ISSUER>^CN=x\\, y$ "
		  "filter=LDAPU1:(a={subject_key_id!hex_u}) domain=d domain=e.org domain=f priority=0\n" },
		{ "[certmap/d/a]\nmaprule = (&(a={subject_principal})(b:1.2:=x))\npriority=4294967295\n",
		  "rule d/a [s.conf:1] " MATCH " filter=LDAP:(&(a={subject_principal})(b:1.2:=x)) domain=d\n" },
		/* an empty value is as none; letter case of names does not matter */
		{ "[CertMap/d/A]\nMatchRule =\nMAPRULE =   \nPriority = 7\n",
		  "rule d/A [s.conf:1] " MATCH " " MAP " domain=d priority=7\n" },
		/* sections of one name are one, of keys of one name the last counts */
		{ "[certmap/d/a]\npriority = 1\n[x]\n[certmap/d/a]\npriority = 2\nmatchrule = x\n",
		  "rule d/a [s.conf:1] match=x " MAP " domain=d priority=2\n" },
		{ "[certmap/d/a]\nmatchrule = x\nmatchrule =\n", "rule d/a [s.conf:1] " MATCH " " MAP " domain=d\n" },
		/* white space and comments; no value goes on in the next line */
		{ "; c\n# c\n// c\n/* c = [\n[certmap/d/no]\n */\n  \n[ certmap/d/a ] \r\n \t priority \t=\t 3 \r\n/* one line */\n",
		  "rule d/a [s.conf:8] " MATCH " " MAP " domain=d priority=3\n" },
		{ "\xef\xbb\xbf[certmap/d/a]\nmatchrule = a # b ; c\n  maprule = (x={cert!bin}) \n",
		  "rule d/a [s.conf:1] match=a # b ; c filter=LDAP:(x={cert!bin}) domain=d\n" },
		/* as libini_config has it, a star and a slash alone end no comment */
		{ "/* c\n*/\n[certmap/d/no]\n */\n[certmap/d/a]\n", "rule d/a [s.conf:5] " MATCH " " MAP " domain=d\n" },
		{ "/**/\n/*/\n[certmap/d/no]\n/* */\n[certmap/d/a]\n", "rule d/a [s.conf:5] " MATCH " " MAP " domain=d\n" },
		/* local accounts are named */
		{ "[domain/l]\nid_provider = files\n[certmap/l/alice]\nmatchrule = x\ndomains = no\n"
		  "[certmap/l/b]\nmaprule = (bob)\n[certmap/l/c]\nmaprule=({subject_rfc822_name.short_name})\n",
		  "rule l/alice [s.conf:3] match=x filter=LDAP:(uid=alice) local\n"
		  "rule l/b [s.conf:6] " MATCH " filter=LDAP:(uid=bob) local\n"
		  "rule l/c [s.conf:8] " MATCH " filter=LDAP:(uid={subject_rfc822_name.short_name}) local\n"
		  "note 0 of several rules with one priority SSSD takes any\n" },
		{ "[domain/p]\nid_provider = proxy\nproxy_lib_name = files\n[certmap/p/alice]\n[certmap/implicit_files/eve]\npriority=1\n",
		  "rule p/alice [s.conf:4] " MATCH " filter=LDAP:(uid=alice) local\n"
		  "rule implicit_files/eve [s.conf:5] " MATCH " filter=LDAP:(uid=eve) priority=1 local\n" },
		/* of no enabled domain */
		{ "[sssd]\ndomains = a, B\n[certmap/b/x]\n[certmap/c/x]\n[certmap/implicit_files/x]\n",
		  "rule b/x [s.conf:3] " MATCH " " MAP " domain=b\n"
		  "note 4 [certmap/c/x]\nnote 5 [certmap/implicit_files/x]\n" },
		{ "[sssd]\ndomains = a\nenable_files_domain = TRUE\n[domain/a]\nenabled = false\n[domain/c]\nenabled = True\n"
		  "id_provider = files\n[certmap/a/x]\n[certmap/c/x]\n[certmap/implicit_files/x]\npriority = 3\n",
		  "rule c/x [s.conf:10] " MATCH " filter=LDAP:(uid=x) local\n"
		  "rule implicit_files/x [s.conf:11] " MATCH " filter=LDAP:(uid=x) priority=3 local\n"
		  "note 9 [certmap/a/x]\n" },
		{ "[certmap/d]\n[certmap/d/a/b]\n[certmap//a]\n", "note 1 [certmap/d]\nnote 2 [certmap/d/a/b]\nnote 3 [certmap//a]\n" },
		/* without rules SSSD looks for the certificate itself */
		{ "[domain/d]\nid_provider = ldap\nldap_user_certificate = cert;binary\n", "directory.domain=d\n"
		  "rule d [s.conf:1] match=KRB5:<EKU>clientAuth filter=LDAP:(cert;binary={cert!bin})\n" },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++)
		expect(rows[i].text, rows[i].want);
}

static void
settings(void **state)
{
	static const struct { const char *text, *want; } rows[] = {
		{ "[sssd]\ndomains = l, d, e\n[domain/e]\nldap_uri = ldap://no\n[domain/l]\nid_provider = files\n"
		  "[domain/d]\nid_provider = ldap\nldap_uri = ldaps://a, ldap://b:390\nldap_backup_uri = _srv_,ldap://c\n"
		  "ldap_search_base = dc=x?sub?(a=b)\nldap_group_search_base = ou=g,dc=x\nldap_default_bind_dn = cn=r\n"
		  "ldap_default_authtok = secret\nldap_tls_cacert = /ca.pem\nldap_id_use_start_tls = false\n"
		  "krb5_realm = X.ORG\nkrb5_server = k1,k2:88\nkrb5_keytab = /k\nmin_id = 500\naccess_provider = simple\n",
		  "directory.domain=d\ndirectory.uri=ldaps://a\ndirectory.uri=ldap://b:390\ndirectory.uri=ldap://c\n"
		  "directory.base=dc=x\ndirectory.group_base=ou=g,dc=x\ndirectory.bind_dn=cn=r\ndirectory.ca=/ca.pem\n"
		  "kerberos.realm=X.ORG\nkerberos.kdc=k1\nkerberos.kdc=k2:88\nkerberos.keytab=/k\naccounts.first_uid=500\n"
		  "rule d [s.conf:7] match=KRB5:<EKU>clientAuth " MAP "\n"
		  "note 10 ldap_backup_uri\nnote 11 ldap_search_base\nnote 14 ldap_default_authtok\n"
		  "note 16 ldap_id_use_start_tls = false\nnote 21 access_provider\nnote 3 [domain/e]\n" },
		/* what is not read may have kept somebody out */
		{ "[pam]\npam_verbosity = 3\npam_trusted_users = root\n[domain/d]\nid_provider = ldap\nsimple_allow_users = a\n"
		  "Max_ID = 9\ncache_credentials = True\nldap_user_name =\n[domain/e]\n[domain/implicit_files]\nid_provider = files\n[certmap/d/a]\n",
		  "directory.domain=d\nrule d/a [s.conf:13] " MATCH " " MAP " domain=d\n"
		  "note 6 simple_allow_users\nnote 7 Max_ID\nnote 10 [domain/e]\nnote 3 pam_trusted_users\n" },
		{ "[domain/d]\nldap_search_base = dc=x\nldap_user_search_base = ou=p,dc=x\nldap_id_use_start_tls = True\n[certmap/d/a]\n",
		  "directory.domain=d\ndirectory.base=ou=p,dc=x\ndirectory.starttls=yes\n"
		  "rule d/a [s.conf:5] " MATCH " " MAP " domain=d\n" },
		/* what the providers of AD and FreeIPA know */
		{ "[domain/x]\nid_provider = ad\nad_domain = ad.x.org\nad_server = dc1.x.org, dc2\n[certmap/x/a]\n",
		  "directory.domain=x\ndirectory.uri=ldap://dc1.x.org\ndirectory.uri=ldap://dc2\nkerberos.kdc=dc1.x.org\n"
		  "kerberos.kdc=dc2\naccounts.idmap=always\ndirectory.base=dc=ad,dc=x,dc=org\nkerberos.realm=AD.X.ORG\n"
		  "rule x/a [s.conf:5] " MATCH " " MAP " domain=x\n"
		  "note 1 without ldap_tls_cacert SSSD takes ldap.conf's TLS_CACERT\nnote 1 SSSD binds with this host's Kerberos key\n" },
		{ "[domain/ipa.org]\nid_provider = ipa\nipa_server = _srv_\n[certmap/ipa.org/a]\n",
		  "directory.domain=ipa.org\ndirectory.ca=/etc/ipa/ca.crt\ndirectory.base=cn=accounts,dc=ipa,dc=org\nkerberos.realm=IPA.ORG\n"
		  "rule ipa.org/a [s.conf:4] " MATCH " " MAP " domain=ipa.org\n"
		  "note 3 ipa_server\nnote 3 ipa_server\nnote 1 SSSD binds with this host's Kerberos key\n"
		  "note 1 SSSD takes the rules that the FreeIPA server holds before those of this file\nnote 1 SSSD asks DNS for the domain's servers\n" },
		{ "[domain/]\nid_provider = ad\n", "" },
		/* ids from SIDs: never where SSSD itself hands out slices in the order it meets domains */
		{ "[domain/d]\nid_provider = ldap\nldap_id_mapping = True\nldap_idmap_range_min = 10000\nldap_idmap_range_max = 2000000000\n"
		  "ldap_idmap_range_size = 1000000\nldap_idmap_default_domain_sid = S-1-5-21-1-2-3\nldap_idmap_helper_table_size = 20\n[certmap/d/a]\n",
		  "directory.domain=d\naccounts.idmap_range_min=10000\naccounts.idmap_range_max=2000000000\naccounts.idmap_range_size=1000000\n"
		  "accounts.idmap_domain_sid=S-1-5-21-1-2-3\naccounts.idmap=always\nrule d/a [s.conf:9] " MATCH " " MAP " domain=d\n" },
		{ "[domain/d]\nid_provider = ldap\nldap_id_mapping = true\nldap_idmap_autorid_compat = true\n[certmap/d/a]\n",
		  "directory.domain=d\nrule d/a [s.conf:5] " MATCH " " MAP " domain=d\nnote 4 ldap_idmap_autorid_compat has no counterpart\n" },
		{ "[domain/d]\nid_provider = ldap\nldap_id_mapping = false\n[certmap/d/a]\n",
		  "directory.domain=d\nrule d/a [s.conf:4] " MATCH " " MAP " domain=d\n" },
		/* trust */
		{ "[pam]\npam_cert_auth = True\np11_child_timeout = 30\n",
		  "card.timeout=30000\ntrust.anchors=/etc/sssd/pki/sssd_auth_ca_db.pem\ntrust.intermediates=/etc/sssd/pki/sssd_auth_ca_db.pem\ntrust.level=hard\nnote 0 trust.level = hard\n" },
		{ "[pam]\npam_cert_auth = false\np11_child_timeout = 600\n", "note 2 pam_cert_auth = false\nnote 3 p11_child_timeout = 600\n" },
		{ "[sssd]\ncertificate_verification = no_ocsp\n[pam]\npam_cert_db_path = /ca\n",
		  "trust.anchors=/ca\ntrust.intermediates=/ca\ntrust.use_ocsp=no\ntrust.level=chain\n" },
		{ "[sssd]\ncertificate_verification = no_ocsp\n[pam]\npam_cert_db_path = /ca\npam_cert_verification = soft_ocsp, "
		  "partial_chain,ocsp_dgst=sha256, ocsp_default_responder=http://o:80/x\n",
		  "trust.anchors=/ca\ntrust.ocsp_hash=sha256\ntrust.ocsp_url=http://o:80/x\ntrust.level=soft\n" },
		{ "[sssd]\ncertificate_verification = no_ocsp,crl_file=/a.pem,crl_file=/b.pem\n[pam]\npam_cert_db_path = /ca\n",
		  "trust.anchors=/ca\ntrust.crl=/a.pem\ntrust.crl=/b.pem\ntrust.intermediates=/ca\ntrust.use_ocsp=no\ntrust.level=hard\nnote 2 trust.level = hard\n" },
		{ "[sssd]\ncertificate_verification = soft_ocsp,soft_crl,crl_file=/a.pem\n[pam]\npam_cert_db_path = /ca\n",
		  "trust.anchors=/ca\ntrust.crl=/a.pem\ntrust.intermediates=/ca\ntrust.level=soft\n" },
		{ "[pam]\npam_cert_db_path = /ca\npam_cert_verification = ocsp_dgst=sha512,soft_ocsp, ocsp_default_responder_signing_cert=x\n",
		  "trust.anchors=/ca\ntrust.ocsp_hash=sha256\ntrust.intermediates=/ca\ntrust.level=soft\nnote 3 ocsp_dgst=sha512\nnote 3 pam_cert_verification\n" },
		{ "[pam]\npam_cert_db_path = /ca\npam_cert_verification = ocsp_dgst=sha1,soft_ocsp,ocsp_dgst=md5\n",
		  "trust.anchors=/ca\ntrust.ocsp_hash=sha1\ntrust.intermediates=/ca\ntrust.level=soft\nnote 3 ocsp_dgst=md5\n" },
		/* nobody's word is taken for nothing */
		{ "[sssd]\ncertificate_verification = no_verification\n[pam]\npam_cert_db_path = /ca\n",
		  "trust.anchors=/ca\ntrust.intermediates=/ca\nnote 2 no_verification\n" },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++)
		expect(rows[i].text, rows[i].want);
}

static void
mistakes(void **state)
{
	static const struct { const char *text, *want; } rows[] = {
		{ "[certmap/d/a]\npriority = first\n", "s.conf:2: [certmap/d/a]: priority is no number from 0 to 4294967295" },
		{ "[certmap/d/a]\npriority = -1\n", "s.conf:2: [certmap/d/a]: priority" },
		{ "[certmap/d/a]\npriority = 4294967296\n", "s.conf:2: [certmap/d/a]: priority" },
		{ "[certmap/d/a]\nmaprule = KRB5:(a={cert!bin})\n", "s.conf:2: [certmap/d/a]: maprule begins with a kind that is not known; write LDAP:" },
		{ "[domain/l]\nid_provider=files\n[certmap/l/a]\nmaprule = alice\n", "s.conf:4: [certmap/l/a]: maprule of local accounts stands in parentheses" },
		{ "[domain/l]\nid_provider=files\n[certmap/l/a]\nmaprule = ()\n", "s.conf:4: [certmap/l/a]: maprule of local" },
		{ "[domain/l]\nid_provider=files\n[certmap/l/a]\nmaprule = (a)(uid=*)\n", "s.conf:4: [certmap/l/a]: no user's name has" },
		{ "[domain/l]\nid_provider=files\n[certmap/l/a]\nmaprule = ({sid}*)\n", "s.conf:4: [certmap/l/a]: no user's name has" },
		{ "[domain/l]\nid_provider=files\n[certmap/l/*]\n", "s.conf:3: [certmap/l/*]: no user's name has" },
		{ "[domain/d]\nmin_id = many\n", "s.conf:2: min_id = many; write a number" },
		{ "[domain/d]\nldap_id_use_start_tls = yes\n", "s.conf:2: ldap_id_use_start_tls = yes; write true or false" },
		/* the form; SSSD does not start on these either */
		{ "[a]\nno pair\n", "s.conf:2: neither section, key nor comment; write KEY = VALUE on one line" },
		{ "[a]\nk = v\n  goes on\n", "s.conf:3: neither section, key nor comment" },
		{ "[a]\n  # not here\n", "s.conf:2: neither section, key nor comment" },
		{ "[a]\n = v\n", "s.conf:2: no key before \"=\"" },
		{ "[a\n", "s.conf:1: a section's name has no \"]\"" },
		{ "[\n", "s.conf:1: a section's name has no \"]\"" },
		{ "[a] # c\n", "s.conf:1: a section's name has no \"]\"" },
		{ "\n[ ]\n", "s.conf:2: a section has no name" },
		{ "/* open\n[a]\n", "s.conf:2: a comment is not closed" },
		{ " [a]\n", "s.conf:1: neither section, key nor comment" },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct cm_import *r = NULL;
		struct cm_trace *t = NULL;

		assert_int_equal(read_conf(rows[i].text, &t, &r), CM_ERR_CONFIG);
		assert_null(r);
		if (strncmp(cm_trace_message(t), rows[i].want, strlen(rows[i].want)) != 0)
			fail_msg("row %zu: got \"%s\", wanted \"%s\"", i, cm_trace_message(t), rows[i].want);
		assert_string_equal(cm_trace_find(t, "mistake"), cm_trace_message(t));
		cm_trace_free(&t);
	}
}

/* Each key of a rule knows its line: what is compiled later names it. */
static void
places(void **state)
{
	struct cm_import *i = NULL;
	struct cm_trace *t = NULL;
	struct cm_buf b;

	(void)state;
	assert_int_equal(read_conf("\n[certmap/d/a]\nmaprule = (a={b})\n\nmatchrule = <X>\n", &t, &i), CM_OK);
	cm_buf_init(&b, 0);
	cm_conf_rule_place(&i->rules[0], CM_RULE_KEY_MATCH, &b);
	cm_buf_add_byte(&b, ' ');
	cm_conf_rule_place(&i->rules[0], CM_RULE_KEY_FILTER, &b);
	cm_buf_add_byte(&b, ' ');
	cm_conf_rule_place(&i->rules[0], CM_RULE_KEY_DOMAINS, &b);
	assert_string_equal(cm_buf_str(&b), "s.conf:5 s.conf:3 s.conf:2");
	cm_buf_free(&b);
	cm_import_free(&i);
	cm_trace_free(&t);
}

/* A password in the file is in no message, no trace and no note. */
static void
secrets_stay(void **state)
{
	struct cm_import *i = NULL;
	struct cm_trace *t = NULL;
	struct cm_buf b;

	(void)state;
	assert_int_equal(read_conf("[domain/d]\nldap_default_authtok = hunter2\n", &t, &i), CM_OK);
	cm_buf_init(&b, 0);
	assert_int_equal(cm_import_write(i, &b), CM_OK);
	assert_null(strstr(cm_buf_str(&b), "hunter2"));
	assert_non_null(strstr(cm_buf_str(&b), "# s.conf:2: ldap_default_authtok: write the password into a file"));
	cm_buf_free(&b);
	cm_import_free(&i);
	cm_trace_free(&t);
}

static void
attack_size(void **state)
{
	struct cm_import *i = NULL;
	struct cm_trace *t = NULL;
	struct cm_buf b;

	(void)state;
	cm_buf_init(&b, 0);
	for (int k = 0; k < 5000; k++)
		cm_buf_addf(&b, "[s%d]\n", k);
	assert_int_equal(read_conf(cm_buf_str(&b), &t, &i), CM_ERR_CONFIG);
	assert_non_null(strstr(cm_trace_message(t), "s.conf:4097: more than 4096 sections"));
	cm_trace_free(&t);
	cm_buf_truncate(&b, 0);
	for (int k = 0; k < 9000; k++)
		cm_buf_addf(&b, "k%d=\n", k);
	assert_int_equal(read_conf(cm_buf_str(&b), &t, &i), CM_ERR_CONFIG);
	assert_non_null(strstr(cm_trace_message(t), "more than 8192 keys"));
	cm_trace_free(&t);
	cm_buf_truncate(&b, 0);
	while (b.len <= 1 << 20)
		cm_buf_add_str(&b, "# padding\n");
	assert_int_equal(read_conf(cm_buf_str(&b), &t, &i), CM_ERR_CONFIG);
	assert_non_null(strstr(cm_trace_message(t), "larger than 1048576 bytes"));
	cm_trace_free(&t);
	assert_int_equal(cm_import_sssd((struct cm_blob){ (const uint8_t *)"[a]\0", 4 }, "s.conf", NULL, &i), CM_ERR_CONFIG);
	cm_buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules),
		cmocka_unit_test(settings),
		cmocka_unit_test(mistakes),
		cmocka_unit_test(places),
		cmocka_unit_test(secrets_stay),
		cmocka_unit_test(attack_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
