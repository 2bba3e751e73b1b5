/* tests/mapper/test_plist.c - SmartcardLogin.plist as people write it, right and wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <plist/plist.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mapper/import.h"

#define HEAD	"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n" \
	"<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" " \
	"\"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n" \
	"<plist version=\"1.0\">\n"
#define MAPPING(fields, format, attribute) \
	"<key>AttributeMapping</key>\n<dict>\n" \
	"<key>fields</key>\n<array>\n" fields "\n</array>\n" \
	"<key>formatString</key>\n<string>" format "</string>\n" \
	"<key>dsAttributeString</key>\n<string>" attribute "</string>\n</dict>\n"
#define UPN	"<string>NT Principal Name</string>"
#define ALT	"dsAttrTypeStandard:AltSecurityIdentities"
#define PIN_A	"2C9F3D1E00000000000000000000000000000000000000000000000000000001"
#define PIN_B	"aa:bb:cc:dd:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:02"

static const char good[] = HEAD "<dict>\n" MAPPING(UPN, "Kerberos:$1", ALT)
    "<key>TrustedAuthorities</key>\n<array>\n<string>" PIN_A "</string>\n</array>\n</dict>\n</plist>\n";

static enum cm_err
parse(const char *text, size_t len, struct cm_trace **t, struct cm_import **r)
{
	assert_int_equal(cm_trace_new(t), CM_OK);
	cm_trace_begin(*t, "plist");
	return cm_import_plist((struct cm_blob){ (const uint8_t *)text, len }, "f.plist", *t, r);
}

/* Every mistake is named with its line and its remedy. */
static void
mistakes(void **state)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		/* line 4 is <dict>, 5 AttributeMapping, 6 <dict>, 7 fields, 8 <array>, 9 names, 12 formatString */
		{ HEAD "<dict>\n" MAPPING(UPN, "Kerberos:\\$1", ALT) "</dict>\n</plist>\n",
		    "f.plist:12: formatString has \"\\$1\"; write \"$1\" without the backslash" },
		{ HEAD "<dict>\n<key>AttributeMapping</key>\n<dict>\n<key>NotEnforcedGroup</key>\n"
		    "<string>g</string>\n</dict>\n</dict>\n</plist>\n",
		    "f.plist:8: key \"NotEnforcedGroup\" has no place inside AttributeMapping; move it to" },
		{ HEAD "<dict>\n" MAPPING(UPN, "$1", ALT) "</plist>\n",
		    "f.plist:16: the closing tag does not match: <dict> of line 4 is closed by </plist>" },
		{ HEAD "<dict>\n<key>AttributeMapping</key>\n<dict>\n<key>fields</key>\n<array/>\n"
		    "<key>formatString</key>\n<string>$1</string>\n</dict>\n</dict>\n</plist>\n",
		    "f.plist:6: AttributeMapping lacks \"dsAttributeString\"; add it" },
		{ HEAD "<dict>\n<key>AttributeMapping</key>\n<dict>\n<key>formatString</key>\n"
		    "<string>$1</string>\n</dict>\n</dict>\n</plist>\n",
		    "f.plist:6: AttributeMapping lacks \"fields\"; add it" },
		{ HEAD "<dict>\n<key>AttributeMapping</key>\n<dict>\n<key>fields</key>\n<array/>\n"
		    "<key>dsAttributeString</key>\n<string>x</string>\n</dict>\n</dict>\n</plist>\n",
		    "f.plist:6: AttributeMapping lacks \"formatString\"; add it" },
		/* without effect, it would leave everybody's card trusted */
		{ HEAD "<dict>\n<key>TrustedAuthorites</key>\n<false/>\n</dict>\n</plist>\n",
		    "f.plist:6: key \"TrustedAuthorites\" is not known; write \"TrustedAuthorities\"" },
		{ HEAD "<dict>\n<key>TrustedAuthorrities</key>\n<false/>\n</dict>\n</plist>\n",
		    "f.plist:6: key \"TrustedAuthorrities\" is not known; write \"TrustedAuthorities\"" },
		{ HEAD "<dict>\n<key>TrustedAuthoriteis</key>\n<false/>\n</dict>\n</plist>\n",
		    "f.plist:6: key \"TrustedAuthoriteis\" is not known; write \"TrustedAuthorities\"" },
		{ HEAD "<dict>\n<key>chekCertificateTrust</key>\n<false/>\n</dict>\n</plist>\n",
		    "f.plist:6: key \"chekCertificateTrust\" is not known; write \"checkCertificateTrust\"" },
		{ HEAD "<dict>\n<key>UserSelectorPaht</key>\n<false/>\n</dict>\n</plist>\n",
		    "f.plist:6: key \"UserSelectorPaht\" is not known; write \"UserSelectorPath\"" },
		{ HEAD "<dict>\n<key>AttributeMappings</key>\n<false/>\n</dict>\n</plist>\n",
		    "f.plist:6: key \"AttributeMappings\" is not known; write \"AttributeMapping\"" },
		{ HEAD "<dict>\n<key>userPairing</key>\n<false/>\n</dict>\n</plist>\n",
		    "f.plist:6: key \"userPairing\" is in the wrong case; write \"UserPairing\"" },
		{ HEAD "<dict>\n<key>attributeMapping</key>\n<dict/>\n</dict>\n</plist>\n",
		    "f.plist:6: key \"attributeMapping\" is in the wrong case; write \"AttributeMapping\"" },
		{ HEAD "<dict>\n<key>formatString</key>\n<string>$1</string>\n</dict>\n</plist>\n",
		    "f.plist:6: key \"formatString\" has no place at the top level; move it into" },
		{ HEAD "<dict>\n" MAPPING("<string>NTPrincipalName</string>", "$1", ALT) "</dict>\n</plist>\n",
		    "f.plist:9: unknown field \"NTPrincipalName\"; write one of \"Common Name\", " },
		{ HEAD "<dict>\n" MAPPING("<string>issuer</string>", "$1", ALT) "</dict>\n</plist>\n",
		    "f.plist:9: unknown field \"issuer\"" },
		{ HEAD "<dict>\n" MAPPING(UPN, "$1-$2", ALT) "</dict>\n</plist>\n",
		    "f.plist:12: formatString names $2, but fields lists 1; $1 is the first" },
		{ HEAD "<dict>\n" MAPPING(UPN, "$0", ALT) "</dict>\n</plist>\n",
		    "f.plist:12: formatString names $0, but fields lists 1" },
		{ HEAD "<dict>\n" MAPPING(UPN, "$99999999999999999999", ALT) "</dict>\n</plist>\n",
		    "f.plist:12: formatString names $9999999, but fields lists 1" },
		{ HEAD "<dict>\n" MAPPING(UPN, "Kerberos:", ALT) "</dict>\n</plist>\n",
		    "f.plist:12: formatString names no field; write $1" },
		{ HEAD "<dict>\n" MAPPING(UPN, "$1", "email") "</dict>\n</plist>\n",
		    "f.plist:14: dsAttributeString \"email\" has no type; write dsAttrTypeNative:" },
		{ HEAD "<dict>\n" MAPPING(UPN, "$1", "dsAttrTypeStandard:Nickname") "</dict>\n</plist>\n",
		    "f.plist:14: dsAttrTypeStandard:Nickname has no known LDAP attribute" },
		{ HEAD "<dict>\n" MAPPING(UPN, "$1", "dsAttrTypeNative:a)(b=*") "</dict>\n</plist>\n",
		    "f.plist:14: \"a)(b=*\" is no LDAP attribute" },
		{ HEAD "<dict>\n" MAPPING(UPN, "$1", "dsAttrTypeNative:") "</dict>\n</plist>\n",
		    "f.plist:14: \"\" is no LDAP attribute" },
		{ HEAD "<dict>\n" MAPPING("<integer>1</integer>", "$1", ALT) "</dict>\n</plist>\n",
		    "f.plist:9: fields holds something that is no <string>" },
		{ HEAD "<dict>\n<key>AttributeMapping</key>\n<string>x</string>\n</dict>\n</plist>\n",
		    "f.plist:6: AttributeMapping has the wrong type; make it a <dict>" },
		{ HEAD "<dict>\n" MAPPING(UPN, "$1", ALT) MAPPING(UPN, "$1", ALT) "</dict>\n</plist>\n",
		    "f.plist:17: key \"AttributeMapping\" stands here twice; remove one" },
		/* settings */
		{ HEAD "<dict>\n<key>checkCertificateTrust</key>\n<integer>4</integer>\n</dict>\n</plist>\n",
		    "f.plist:6: checkCertificateTrust is 4; write a number from 0 to 3" },
		{ HEAD "<dict>\n<key>checkCertificateTrust</key>\n<integer>-1</integer>\n</dict>\n</plist>\n",
		    "f.plist:6: checkCertificateTrust is -1; write a number from 0 to 3" },
		{ HEAD "<dict>\n<key>checkCertificateTrust</key>\n<string>2</string>\n</dict>\n</plist>\n",
		    "f.plist:6: checkCertificateTrust has the wrong type; make it an <integer>" },
		{ HEAD "<dict>\n<key>checkCertificateTrust</key>\n<integer>2x</integer>\n</dict>\n</plist>\n",
		    "f.plist:6: <integer> holds \"2x\"; write a number" },
		{ HEAD "<dict>\n<key>checkCertificateTrust</key>\n<integer/>\n</dict>\n</plist>\n",
		    "f.plist:6: <integer> holds \"\"; write a number" },
		{ HEAD "<dict>\n<key>checkCertificateTrust</key>\n<integer>99999999999999999999</integer>\n</dict>\n</plist>\n",
		    "f.plist:6: <integer> holds \"99999999999999999999\"" },
		{ HEAD "<dict>\n<key>CheckCertificateTrust</key>\n<integer>2</integer>\n</dict>\n</plist>\n",
		    "f.plist:6: key \"CheckCertificateTrust\" is in the wrong case; write \"checkCertificateTrust\"" },
		{ HEAD "<dict>\n<key>tokenRemovalAction</key>\n<integer>2</integer>\n</dict>\n</plist>\n",
		    "f.plist:6: tokenRemovalAction is 2; write a number from 0 to 1" },
		{ HEAD "<dict>\n<key>UserPairing</key>\n<string>yes</string>\n</dict>\n</plist>\n",
		    "f.plist:6: UserPairing has the wrong type; make it <true/> or <false/>" },
		{ HEAD "<dict>\n<key>oneCardPerUser</key>\n<integer>2</integer>\n</dict>\n</plist>\n",
		    "f.plist:6: oneCardPerUser has the wrong type; make it <true/> or <false/>" },
		{ HEAD "<dict>\n<key>NotEnforcedGroup</key>\n<array/>\n</dict>\n</plist>\n",
		    "f.plist:6: NotEnforcedGroup has the wrong type; make it a <string>" },
		{ HEAD "<dict>\n<key>NotEnforcedGroup</key>\n<string/>\n</dict>\n</plist>\n",
		    "f.plist:6: NotEnforcedGroup is empty; write its value" },
		{ HEAD "<dict>\n<key>UserSelector</key>\n<string>selector</string>\n</dict>\n</plist>\n",
		    "f.plist:6: UserSelector is \"selector\"; write the program's whole path" },
		{ HEAD "<dict>\n<key>UserSelector</key>\n<string>/a</string>\n<key>UserSelectorPath</key>\n"
		    "<string>/b</string>\n</dict>\n</plist>\n",
		    "f.plist:8: UserSelectorPath names another program than the key before it; keep one" },
		{ HEAD "<dict>\n<key>DisabledTokens</key>\n<array>\n<true/></array>\n</dict>\n</plist>\n",
		    "f.plist:7: DisabledTokens holds something that is no <string>" },
		/* TrustedAuthorities */
		{ HEAD "<dict>\n<key>TrustedAuthorities</key>\n<array/>\n</dict>\n</plist>\n",
		    "f.plist:6: TrustedAuthorities lists no CA" },
		{ HEAD "<dict>\n<key>TrustedAuthorities</key>\n<true/>\n</dict>\n</plist>\n",
		    "f.plist:6: TrustedAuthorities lists no CA" },
		{ HEAD "<dict>\n<key>TrustedAuthorities</key>\n<array>\n<data>AAAA</data></array>\n</dict>\n</plist>\n",
		    "f.plist:7: TrustedAuthorities holds something that is no <string>" },
		{ HEAD "<dict>\n<key>TrustedAuthorities</key>\n<string>xyz</string>\n</dict>\n</plist>\n",
		    "f.plist:6: TrustedAuthorities: \"xyz\" is not hex; write the CA's SHA-256" },
		{ HEAD "<dict>\n<key>TrustedAuthorities</key>\n"
		    "<string>0123456789012345678901234567890123456789</string>\n</dict>\n</plist>\n",
		    "has 40 hex digits (SHA-1?); write the CA's SHA-256 fingerprint, 64 digits" },
		{ HEAD "<dict>\n<key>TrustedAuthorities</key>\n<string>" PIN_A ",</string>\n</dict>\n</plist>\n",
		    "f.plist:6: TrustedAuthorities: \"\" has 0 hex digits" },
		{ HEAD "<dict>" MAPPING(UPN, "Kerberos:<?x $1?>", ALT) "</dict></plist>",
		    "formatString names no field" },
		/* the form */
		{ "", "f.plist: is empty; write a property list" },
		{ "not xml", "f.plist:1: not well-formed XML" },
		{ "<html/>", "f.plist:1: not a property list; the outermost element is <plist>" },
		{ "<plist/>", "f.plist:1: <plist> is empty; write a <dict>" },
		{ "<plist>\n</plist>", "f.plist:2: <plist> is empty; write a <dict>" },
		{ "<plist><dict>\n<key>a</key><string>x</strong></dict></plist>",
		    "f.plist:2: the closing tag does not match: <string> of line 2 is closed by </strong>" },
		{ "<plist>text<dict/></plist>", "f.plist:1: text between the elements" },
		{ "<plist><dict>\n<key>a</key><true/><key>b<key/></key></dict></plist>", "f.plist:2: <key> has no place in text" },
		{ "<plist><array/></plist>", "f.plist:1: the outermost value is no <dict>" },
		{ "<plist><dict/>\n<dict/></plist>", "f.plist:2: <dict> has no place in <plist> behind" },
		{ "<plist><dict/></plist>\n<plist/>", "f.plist:2: not well-formed XML" },
		{ "<plist><dict>\n<string>x</string></dict></plist>", "f.plist:2: a <dict> holds pairs" },
		{ "<plist><dict>\n<key>a</key></dict></plist>", "f.plist:2: key \"a\" has no value" },
		{ "<plist><dict>\n<key>a</key><key>b</key></dict></plist>", "f.plist:2: key \"a\" has no value" },
		{ "<plist><dict>\n<key>a</key><banana/></dict></plist>", "f.plist:2: <banana> has no place" },
		{ "<plist><dict>\n<key>a</key><string>x<b/></string></dict></plist>", "f.plist:2: <b> has no place in text" },
		{ "<plist><dict>text</dict></plist>", "f.plist:1: text between the elements" },
		{ "<plist><dict><key>a</key><string>x", "f.plist:1: not well-formed XML" },
		/* entities: neither from a file nor grown from few bytes */
		{ "<!DOCTYPE plist [<!ENTITY e SYSTEM \"file:///etc/hostname\">]>\n<plist><dict>"
		    "<key>a</key><string>&e;</string></dict></plist>", "f.plist:1: an entity of its own has no place here" },
		{ "<!DOCTYPE plist [<!ENTITY e \"$1\">]>\n<plist><dict>\n&e;</dict></plist>", "f.plist:1: an entity of its own has no place here" },
		{ "<!DOCTYPE plist [<!ENTITY % e \"<!ENTITY f 'x'>\"> %e;]>\n<plist version=\"&f;\"><dict/></plist>",
		    "f.plist:1: an entity of its own has no place here" },
		{ HEAD "<dict>\n<key>a</key><string>&e;</string></dict></plist>", "f.plist:5: an entity of its own has no place here" },
		{ "<plist><dict>\n<key>a</key><string>&e;</string></dict></plist>", "f.plist:2: not well-formed XML" },
		{ "<?xml version=\"1.0\" encoding=\"UTF-7\"?><plist><dict/></plist>", "f.plist:1: not well-formed XML" },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct cm_import *r = NULL;
		struct cm_trace *t = NULL;

		assert_int_equal(parse(rows[i].text, strlen(rows[i].text), &t, &r), CM_ERR_CONFIG);
		assert_null(r);
		assert_int_equal(cm_trace_reason(t), CM_REASON_CONFIG);
		if (strstr(cm_trace_message(t), rows[i].want) == NULL)
			fail_msg("row %zu: got \"%s\", wanted \"%s\"", i, cm_trace_message(t), rows[i].want);
		cm_trace_free(&t);
		/* and with nobody listening */
		assert_int_equal(cm_import_plist(cm_blob_str(rows[i].text), "f", NULL, &r), CM_ERR_CONFIG);
	}
}

/* What an XML property list means, its binary form means too. */
static void
to_binary(const char *xml, char **bin, uint32_t *len)
{
	plist_t p = NULL;

	plist_from_xml(xml, (uint32_t)strlen(xml), &p);
	assert_non_null(p);
	plist_to_bin(p, bin, len);
	assert_non_null(*bin);
	plist_free(p);
}

/* Settings and rules as cardmap.conf has them, without the lines they came from. */
static void
expect_import(const char *bytes, size_t len, const char *want)
{
	struct cm_import *r = NULL;
	struct cm_trace *t = NULL;
	struct cm_buf b;

	if (parse(bytes, len, &t, &r) != CM_OK)
		fail_msg("%s", cm_trace_message(t));
	cm_buf_init(&b, 0);
	for (size_t i = 0; i < r->setting_count; i++)
		for (char **v = r->settings[i].values; *v != NULL; v++)
			cm_buf_addf(&b, "%s=%s\n", r->settings[i].key, *v);
	for (size_t i = 0; i < r->rule_count; i++)
		cm_buf_addf(&b, "%s: %s = %s\n", r->rules[i].name, r->rules[i].attribute, r->rules[i].value);
	assert_string_equal(cm_buf_str(&b), want);
	cm_buf_free(&b);
	cm_trace_free(&t);
	cm_import_free(&r);
}

#define HEX_A	"2c9f3d1e00000000000000000000000000000000000000000000000000000001"
#define HEX_B	"aabbccdd00000000000000000000000000000000000000000000000000000002"
#define FLAG(key, value)	"<key>" key "</key><" value "/>"
#define TEXT(key, value)	"<key>" key "</key><string>" value "</string>"
#define INTEGER(key, value)	"<key>" key "</key><integer>" value "</integer>"

/* SmartCardServices(7): without AttributeMapping only pairings count. */
#define PAIRINGS	"mapper.forms=tokenidentity\nmapper.forms=pubkeyhash\n"

/* XML and binary mean the same. */
static void
both_forms(void **state)
{
	static const struct {
		const char *xml, *want;
	} rows[] = {
		{ good, "trust.pins=" HEX_A "\nAttributeMapping: altSecurityIdentities = Kerberos:{nt_principal_name}\n" },
		{ HEAD "<dict>" TEXT("TrustedAuthorities", PIN_A "," PIN_B) "</dict></plist>",
		    "trust.pins=" HEX_A "\ntrust.pins=" HEX_B "\n" PAIRINGS },
		{ HEAD "<dict/></plist>", PAIRINGS },
		{ HEAD "<dict><key>Other</key><array><date>2020-01-01T00:00:00Z</date></array>"
		    MAPPING(UPN, "\xc3\xbc &amp; &lt;$1", "dsAttrTypeNative:x-y") "</dict></plist>",
		    "AttributeMapping: x-y = \xc3\xbc & <{nt_principal_name}\n" },
		/* the second example of SmartCardServices(7) */
		{ HEAD "<dict>" MAPPING("<string>Common Name</string><string>RFC 822 Name</string>", "$1-$2",
		    "dsAttrTypeNative:email") "</dict></plist>",
		    "AttributeMapping: email = {common_name}-{rfc822_name}\n" },
		{ HEAD "<dict>" MAPPING("<string>Organization</string><string>OrganizationalUnit:1</string>"
		    "<string>OrganizationalUnit:2</string><string>OrganizationalUnit:3</string>"
		    "<string>Country</string>", "{$5}$$4 $3$2$1$ $", "dsAttrTypeStandard:RecordName") "</dict></plist>",
		    "AttributeMapping uid: uid = {{{country}}}${organizational_unit[3]} {organizational_unit[2]}"
		    "{organizational_unit[1]}{organization}$ $\n"
		    "AttributeMapping sAMAccountName: sAMAccountName = {{{country}}}${organizational_unit[3]} "
		    "{organizational_unit[2]}{organizational_unit[1]}{organization}$ $\n" },
		{ HEAD "<dict>" MAPPING(UPN, "$1", "dsAttrTypeStandard:RealName") "</dict></plist>",
		    "AttributeMapping cn: cn = {nt_principal_name}\n"
		    "AttributeMapping displayName: displayName = {nt_principal_name}\n" },
		/* settings, and those of com.apple.security.smartcard */
		{ HEAD "<dict>" TEXT("UserSelectorPath", "/usr/bin/sel") TEXT("UserSelector", "/usr/bin/sel")
		    INTEGER("checkCertificateTrust", "3") FLAG("UserPairing", "false") FLAG("oneCardPerUser", "true")
		    "</dict></plist>", "mapper.selector=/usr/bin/sel\ntrust.level=hard\n"
		    "accounts.user_pairing=no\naccounts.one_card_per_user=yes\n" PAIRINGS },
		{ HEAD "<dict>" INTEGER("checkCertificateTrust", "0") INTEGER("oneCardPerUser", "1")
		    FLAG("enforceSmartCard", "true") TEXT("NotEnforcedGroup", "g h") INTEGER("allowUnmappedUsers", "1")
		    FLAG("allowSmartCard", "false") INTEGER("tokenRemovalAction", "1") FLAG("Logging", "true")
		    "<key>DisabledTokens</key><array><string>com.apple.CryptoTokenKit.pivtoken</string></array>"
		    "</dict></plist>", "trust.level=off\naccounts.one_card_per_user=yes\nenforcement.required=yes\n"
		    "enforcement.not_enforced_group=g h\nenforcement.allow_unmapped_users=yes\n"
		    "enforcement.allow_cards=no\nenforcement.removal=lock\ncard.log_next=yes\n"
		    "card.disabled=com.apple.CryptoTokenKit.pivtoken\n" PAIRINGS },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		uint32_t len = 0;
		char *bin = NULL;

		expect_import(rows[i].xml, strlen(rows[i].xml), rows[i].want);
		to_binary(rows[i].xml, &bin, &len);
		expect_import(bin, len, rows[i].want);
		free(bin);
	}
}

/* Messages about a rule name its own lines. */
static void
lines(void **state)
{
	struct cm_import *r = NULL;
	struct cm_trace *t = NULL;

	(void)state;
	assert_int_equal(parse(good, sizeof(good) - 1, &t, &r), CM_OK);
	assert_string_equal(r->path, "f.plist");
	assert_string_equal(r->rules[0].origin, "f.plist:6");
	assert_int_equal(r->rules[0].lines[CM_RULE_KEY_VALUE], 12);
	assert_int_equal(r->rules[0].lines[CM_RULE_KEY_ATTRIBUTE], 14);
	assert_int_equal(cm_import_find(r, "trust.pins")->line, 18);
	cm_import_free(&r);
	cm_trace_free(&t);
}

static void
binary_mistakes(void **state)
{
	static const char xml[] = HEAD "<dict>" MAPPING(UPN, "\\$1", ALT) "</dict></plist>";
	struct cm_import *r = NULL;
	struct cm_trace *t = NULL;
	char *bin = NULL;
	uint32_t len = 0;

	(void)state;
	to_binary(xml, &bin, &len);
	assert_int_equal(parse(bin, len, &t, &r), CM_ERR_CONFIG);
	assert_string_equal(cm_trace_message(t),
	    "f.plist: formatString has \"\\$1\"; write \"$1\" without the backslash");
	cm_trace_free(&t);
	for (uint32_t n = 0; n < len; n++) {	/* cut anywhere */
		assert_int_equal(parse(bin, n, &t, &r), CM_ERR_CONFIG);
		cm_trace_free(&t);
	}
	free(bin);
}

/* Ingredients of one list: a string each, joined by commas, with colons, spaces and either case. */
static void
authorities(void **state)
{
	static const char xml[] = HEAD "<dict><key>TrustedAuthorities</key><array>"
	    "<string>" PIN_A "</string><string>" PIN_B ", 2c 9f 3d 1e" /* 28 more bytes */
	    "0000000000000000000000000000000000000000000000000000 0003\n</string></array></dict></plist>";

	(void)state;
	expect_import(xml, sizeof(xml) - 1, "trust.pins=" HEX_A "\ntrust.pins=" HEX_B "\n"
	    "trust.pins=2c9f3d1e00000000000000000000000000000000000000000000000000000003\n" PAIRINGS);
}

/* What has no effect here, or none yet, is said with its line. */
static void
notes(void **state)
{
	static const char xml[] = HEAD "<dict>\n" TEXT("Something", "/x") "\n" TEXT("NotEnforcedGroup", "g") "\n"
	    FLAG("Logging", "false") "\n</dict></plist>";
	static const struct { int line; const char *text; } want[] = {
		{ 5, "key \"Something\" is not known and has no effect" },
		{ 6, "NotEnforcedGroup means something only with enforceSmartCard and allowUnmappedUsers = 1" },
	};
	struct cm_import *r = NULL;
	struct cm_trace *t = NULL;

	(void)state;
	assert_int_equal(parse(xml, strlen(xml), &t, &r), CM_OK);
	assert_int_equal(r->note_count, CM_COUNT(want));
	for (size_t i = 0; i < CM_COUNT(want); i++) {
		assert_int_equal(r->notes[i].line, want[i].line);
		assert_string_equal(r->notes[i].text, want[i].text);
	}
	cm_import_free(&r);
	cm_trace_free(&t);
}

static void
put32(struct cm_buf *b, size_t v)
{
	for (int shift = 24; shift >= 0; shift -= 8)
		cm_buf_add_byte(b, (uint8_t)(v >> shift));
}

static void
add_trailer(struct cm_buf *b, size_t objects, size_t table)
{
	cm_buf_add(b, (uint8_t[]){ 0, 0, 0, 0, 0, 0, 1, 1 }, 8);
	put32(b, 0), put32(b, objects), put32(b, 0), put32(b, 0), put32(b, 0), put32(b, table);
}

#define OBJECT(bytes)	{ (const uint8_t *)(bytes), sizeof(bytes) - 1 }

/* { "SomethingNew": a text written by hand }: exact, or refused, never cut. */
static void
binary_texts(void **state)
{
	static const struct {
		struct cm_blob object;
		bool good;
	} rows[] = {
		{ OBJECT("\x53" "abc"), true },
		{ OBJECT("\x50"), true },
		{ OBJECT("\x5f\x10\x10" "0123456789abcdef"), true },	/* length as an object */
		{ OBJECT("\x62\x00\xfc\x20\xac"), true },		/* UTF-16 */
		{ OBJECT("\x62\xd8\x3d\xde\x00"), true },		/* a pair */
		{ OBJECT("\x53" "a\0c"), false },
		{ OBJECT("\x53" "a\xff" "c"), false },		/* ASCII is ASCII */
		{ OBJECT("\x62\0a\0\0"), false },
		{ OBJECT("\x61\xd8\x3d"), false },			/* half a pair */
		{ OBJECT("\x61\xde\x00"), false },
		{ OBJECT("\x62\xd8\x3d\0a"), false },
		{ OBJECT("\x59" "abc"), false },			/* longer than the file */
		{ OBJECT("\x5f\x13\xff\xff\xff\xff\xff\xff\xff\xff"), false },
		{ OBJECT("\x5f\x14"), false },
		{ OBJECT("\x6f\x13\x80\0\0\0\0\0\0\1"), false },	/* times two is 2 */
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct cm_import *r = NULL;
		struct cm_trace *t = NULL;
		struct cm_buf b;
		size_t table;
		enum cm_err err;

		cm_buf_init(&b, 0);
		cm_buf_add_str(&b, "bplist00\xd1\x01\x02\x5cSomethingNew");
		cm_buf_add_blob(&b, rows[i].object);
		table = b.len;
		cm_buf_add(&b, (uint8_t[]){ 8, 11, 24 }, 3);
		add_trailer(&b, 3, table);
		err = parse((const char *)b.ptr, b.len, &t, &r);
		if (err != (rows[i].good ? CM_OK : CM_ERR_CONFIG))
			fail_msg("row %zu: %s", i, cm_trace_message(t));
		cm_import_free(&r);
		cm_trace_free(&t);
		cm_buf_free(&b);
	}
}

/* Forty arrays, each twice in the one before: 2^40 of them, were they copied. */
static void
attack_binary_bomb(void **state)
{
	enum { N = 40 };
	struct cm_import *r = NULL;
	struct cm_trace *t = NULL;
	struct cm_buf b;
	size_t table;

	(void)state;
	cm_buf_init(&b, 0);
	cm_buf_add_str(&b, "bplist00");
	for (uint8_t i = 0; i < N; i++)
		cm_buf_add(&b, (uint8_t[]){ 0xA2, i + 1, i + 1 }, 3);
	cm_buf_add(&b, "\x51" "a", 2);
	table = b.len;
	for (size_t i = 0; i <= N; i++)
		cm_buf_add_byte(&b, (uint8_t)(8 + 3 * i));
	add_trailer(&b, N + 1, table);
	assert_int_equal(parse((const char *)b.ptr, b.len, &t, &r), CM_ERR_CONFIG);
	assert_non_null(strstr(cm_trace_message(t), "nested too deep"));
	cm_trace_free(&t);
	cm_buf_free(&b);
}

/* An array of 200 references to one text of 200,000 bytes: 40 MB, copied. */
static void
attack_binary_text_bomb(void **state)
{
	enum { N = 200, LEN = 200000 };
	struct cm_import *r = NULL;
	struct cm_trace *t = NULL;
	struct cm_buf b;

	(void)state;
	cm_buf_init(&b, 0);
	cm_buf_add_str(&b, "bplist00");
	cm_buf_add(&b, (uint8_t[]){ 0xAF, 0x10, N }, 3);
	for (size_t i = 0; i < N; i++)
		cm_buf_add_byte(&b, 1);
	cm_buf_add(&b, (uint8_t[]){ 0x5F, 0x12 }, 2);
	put32(&b, LEN);
	for (size_t i = 0; i < LEN; i++)
		cm_buf_add_byte(&b, 'a');
	cm_buf_add(&b, (uint8_t[]){ 8, 8 + 3 + N }, 2);
	add_trailer(&b, 2, b.len - 2);
	assert_int_equal(parse((const char *)b.ptr, b.len, &t, &r), CM_ERR_CONFIG);
	assert_non_null(strstr(cm_trace_message(t), "bytes of text"));
	cm_trace_free(&t);
	cm_buf_free(&b);
}

static void
attack_xml_size_and_depth(void **state)
{
	struct cm_import *r = NULL;
	struct cm_trace *t = NULL;
	struct cm_buf b;

	(void)state;
	cm_buf_init(&b, 0);
	cm_buf_add_str(&b, "<plist><dict><key>a</key>");
	for (int i = 0; i < 100; i++)
		cm_buf_add_str(&b, "<array>");
	assert_int_equal(parse(cm_buf_str(&b), b.len, &t, &r), CM_ERR_CONFIG);
	assert_non_null(strstr(cm_trace_message(t), "nested too deep"));
	cm_trace_free(&t);
	cm_buf_truncate(&b, 0);
	cm_buf_add_str(&b, "<plist><array>");
	for (int i = 0; i < 5000; i++)
		cm_buf_add_str(&b, "<true/>");
	assert_int_equal(parse(cm_buf_str(&b), b.len, &t, &r), CM_ERR_CONFIG);
	assert_non_null(strstr(cm_trace_message(t), "more than 4096 values"));
	cm_trace_free(&t);
	while (b.len <= 1 << 20)
		cm_buf_add_str(&b, "<!-- padding -->");
	assert_int_equal(parse(cm_buf_str(&b), b.len, &t, &r), CM_ERR_CONFIG);
	assert_non_null(strstr(cm_trace_message(t), "larger than 1048576 bytes"));
	cm_trace_free(&t);
	cm_buf_free(&b);
}

/* By path: only a file that nobody else can write. */
static void
attack_file_others_can_write(void **state)
{
	char path[] = "/tmp/cm_plist_XXXXXX";
	struct cm_import *r = NULL;
	struct cm_trace *t = NULL;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, good, sizeof(good) - 1), sizeof(good) - 1);
	assert_int_equal(cm_trace_new(&t), CM_OK);
	assert_int_equal(fchmod(fd, 0644), 0);
	assert_int_equal(cm_import_load(path, cm_import_plist, t, &r), CM_OK);
	cm_import_free(&r);
	assert_int_equal(fchmod(fd, 0664), 0);
	assert_int_equal(cm_import_load(path, cm_import_plist, t, &r), CM_ERR_CONFIG);
	assert_non_null(strstr(cm_trace_message(t), "others may write it"));
	assert_null(r);
	close(fd);
	unlink(path);
	cm_trace_clear_reason(t);
	assert_int_equal(cm_import_load(path, cm_import_plist, t, &r), CM_ERR_ABSENT);
	assert_int_equal(cm_trace_reason(t), CM_REASON_NONE);
	cm_trace_free(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mistakes),
		cmocka_unit_test(both_forms),
		cmocka_unit_test(binary_mistakes),
		cmocka_unit_test(authorities),
		cmocka_unit_test(lines),
		cmocka_unit_test(notes),
		cmocka_unit_test(binary_texts),
		cmocka_unit_test(attack_binary_bomb),
		cmocka_unit_test(attack_binary_text_bomb),
		cmocka_unit_test(attack_xml_size_and_depth),
		cmocka_unit_test(attack_file_others_can_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
