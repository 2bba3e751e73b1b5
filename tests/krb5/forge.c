/* tests/krb5/forge.c - AP-REQs as a KDC that has this host's key would make them possible. */
#include "forge.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ENCTYPE	ENCTYPE_AES256_CTS_HMAC_SHA1_96
#define USAGE_TICKET	2	/* RFC 4120 section 7.5.1 */
#define USAGE_AP_REQ	11

/* Everything here has to work, or the test is none. */
#define MUST(x)	do { if (!(x)) { fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x); abort(); } } while (0)

/* ---- DER */

enum { INTEGER = 0x02, BITS = 0x03, OCTETS = 0x04, SEQUENCE = 0x30, TIME = 0x18, TEXT = 0x1B };
#define CONTEXT(n)	(0xA0 | (n))
#define APPLICATION(n)	(0x60 | (n))

static void
tlv(struct cm_buf *out, unsigned tag, const void *p, size_t len)
{
	const uint8_t head[] = { (uint8_t)tag, 0x82, (uint8_t)(len >> 8), (uint8_t)len };

	MUST(len <= 0xFFFF);
	if (len < 0x80) {
		const uint8_t brief[] = { (uint8_t)tag, (uint8_t)len };

		cm_buf_add(out, brief, sizeof(brief));
	} else if (len < 0x100) {
		const uint8_t medium[] = { (uint8_t)tag, 0x81, (uint8_t)len };

		cm_buf_add(out, medium, sizeof(medium));
	} else {
		cm_buf_add(out, head, sizeof(head));
	}
	cm_buf_add(out, p, len);
}

/* [n] of what is one value already. */
static void
field(struct cm_buf *out, unsigned n, unsigned tag, const void *p, size_t len)
{
	struct cm_buf v = { 0 };

	tlv(&v, tag, p, len);
	tlv(out, CONTEXT(n), v.ptr, v.len);
	cm_buf_free(&v);
}

static void
number(struct cm_buf *out, unsigned n, int64_t value)
{
	uint8_t octets[8];
	size_t len = 1;

	for (size_t i = 0; i < 8; i++)
		octets[7 - i] = (uint8_t)((uint64_t)value >> 8 * i);
	while (len < 8 && (value < -((int64_t)1 << (8 * len - 1)) || value >= (int64_t)1 << (8 * len - 1)))
		len++;
	field(out, n, INTEGER, octets + 8 - len, len);
}

static void
flags(struct cm_buf *out, unsigned n, uint32_t value)
{
	const uint8_t octets[] = { 0, (uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8), (uint8_t)value };

	field(out, n, BITS, octets, sizeof(octets));
}

static void
moment(struct cm_buf *out, unsigned n, time_t t)
{
	struct tm tm;
	char text[32];

	MUST(gmtime_r(&t, &tm) != NULL && strftime(text, sizeof(text), "%Y%m%d%H%M%SZ", &tm) == 15);
	field(out, n, TIME, text, 15);
}

/* Wrap what stands in v, and empty it. */
static void
wrap(struct cm_buf *out, unsigned tag, struct cm_buf *v)
{
	MUST(cm_buf_status(v) == CM_OK);
	tlv(out, tag, v->ptr, v->len);
	cm_buf_free(v);
}

static void
wrap_sequence(struct cm_buf *out, unsigned tag, struct cm_buf *v)
{
	struct cm_buf s = { 0 };

	wrap(&s, SEQUENCE, v);
	wrap(out, tag, &s);
}

static void
principal(struct cm_buf *out, unsigned n, int type, const char *name)
{
	struct cm_buf parts = { 0 }, v = { 0 };

	for (const char *p = name; p != NULL; p = strchr(p, '/') != NULL ? strchr(p, '/') + 1 : NULL)
		tlv(&parts, TEXT, p, strcspn(p, "/@"));
	number(&v, 0, type);
	wrap_sequence(&v, CONTEXT(1), &parts);
	wrap_sequence(out, CONTEXT(n), &v);
}

static void
pair(struct cm_buf *out, unsigned n, int type, struct cm_blob value)
{
	struct cm_buf v = { 0 };

	number(&v, 0, type);
	field(&v, 1, OCTETS, value.ptr, value.len);
	wrap_sequence(out, CONTEXT(n), &v);
}

/* ---- Kerberos */

static krb5_context
context(void)
{
	krb5_context c;

	MUST(krb5_init_context_profile(NULL, 0, &c) == 0);
	return c;
}

static krb5_keyblock
block(const uint8_t key[FORGE_KEY])
{
	return (krb5_keyblock){ .enctype = ENCTYPE, .length = FORGE_KEY, .contents = (krb5_octet *)(uintptr_t)key };
}

static void
seal(struct cm_buf *out, unsigned n, const uint8_t key[FORGE_KEY], krb5_keyusage usage, struct cm_blob text)
{
	const krb5_data plain = { .length = (unsigned)text.len, .data = (char *)(uintptr_t)text.ptr };
	krb5_keyblock k = block(key);
	krb5_context c = context();
	krb5_enc_data sealed = { 0 };
	struct cm_buf v = { 0 };
	size_t len = 0;

	MUST(krb5_c_encrypt_length(c, ENCTYPE, text.len, &len) == 0);
	sealed.ciphertext = (krb5_data){ .length = (unsigned)len, .data = calloc(1, len) };
	MUST(sealed.ciphertext.data != NULL && krb5_c_encrypt(c, &k, usage, NULL, &plain, &sealed) == 0);
	number(&v, 0, ENCTYPE);
	if (usage == USAGE_TICKET)
		number(&v, 1, 1);
	field(&v, 2, OCTETS, sealed.ciphertext.data, sealed.ciphertext.length);
	wrap_sequence(out, CONTEXT(n), &v);
	free(sealed.ciphertext.data);
	krb5_free_context(c);
}

void
forge_ticket(const struct forge *f, struct cm_buf *out)
{
	struct cm_buf v = { 0 };

	flags(&v, 0, f->flags);
	pair(&v, 1, ENCTYPE, (struct cm_blob){ f->session_key, FORGE_KEY });
	field(&v, 2, TEXT, f->client_realm, strlen(f->client_realm));
	principal(&v, 3, KRB5_NT_PRINCIPAL, f->client);
	pair(&v, 4, 1, (struct cm_blob){ (const uint8_t *)"", 0 });
	moment(&v, 5, f->authtime);
	moment(&v, 6, f->starttime);
	moment(&v, 7, f->endtime);
	wrap_sequence(out, APPLICATION(3), &v);
}

static void
add_checksum(const struct forge *f, struct cm_buf *out)
{
	const krb5_data data = { .length = 32, .data = (char *)(uintptr_t)f->nonce };
	krb5_keyblock k = block(f->session_key);
	krb5_context c = context();
	krb5_checksum sum = { 0 };

	MUST(krb5_c_make_checksum(c, f->checksum, &k, f->usage, &data, &sum) == 0);
	pair(out, 3, f->checksum, (struct cm_blob){ sum.contents, sum.length });
	krb5_free_checksum_contents(c, &sum);
	krb5_free_context(c);
}

void
forge_authenticator(const struct forge *f, struct cm_buf *out)
{
	struct cm_buf v = { 0 };

	number(&v, 0, 5);
	field(&v, 1, TEXT, f->client_realm, strlen(f->client_realm));
	principal(&v, 2, KRB5_NT_PRINCIPAL, f->maker);
	if (f->checksum != 0)
		add_checksum(f, &v);
	number(&v, 4, 0);
	moment(&v, 5, f->ctime);
	wrap_sequence(out, APPLICATION(2), &v);
}

void
forge_request(const struct forge *f, struct cm_blob ticket, struct cm_blob authenticator, struct cm_buf *out)
{
	struct cm_buf v = { 0 }, t = { 0 }, whole = { 0 };

	number(&t, 0, 5);
	field(&t, 1, TEXT, FORGE_REALM, strlen(FORGE_REALM));
	principal(&t, 2, KRB5_NT_SRV_HST, FORGE_HOST);
	seal(&t, 3, f->host_key, USAGE_TICKET, ticket);
	wrap_sequence(&whole, APPLICATION(1), &t);
	number(&v, 0, 5);
	number(&v, 1, 14);
	flags(&v, 2, 0);
	wrap(&v, CONTEXT(3), &whole);
	seal(&v, 4, f->session_key, USAGE_AP_REQ, authenticator);
	wrap_sequence(out, APPLICATION(14), &v);
}

void
forge_defaults(struct forge *f, const uint8_t *nonce, time_t now)
{
	*f = (struct forge){ .client = "alice", .client_realm = FORGE_REALM, .maker = "alice",
	    .flags = TKT_FLG_PRE_AUTH | TKT_FLG_HW_AUTH, .authtime = now, .starttime = now, .endtime = now + 36000, .ctime = now,
	    .checksum = CKSUMTYPE_HMAC_SHA1_96_AES256, .usage = KRB5_KEYUSAGE_AP_REQ_AUTH_CKSUM, .nonce = nonce };
	memset(f->host_key, 'h', FORGE_KEY);
	memset(f->session_key, 's', FORGE_KEY);
}

void
forge_keytab(const struct forge *f, const char *path)
{
	static const char conf[] = "[libdefaults]\n default_realm = " FORGE_REALM "\n";
	krb5_context c = context();
	krb5_keytab_entry entry = { .vno = 1, .key = block(f->host_key) };
	krb5_keytab kt;
	struct cm_buf name = { 0 };
	FILE *file;

	cm_buf_addf(&name, "FILE:%s", path);
	unlink(path);
	umask(077);
	MUST(krb5_parse_name(c, FORGE_HOST, &entry.principal) == 0 && krb5_kt_resolve(c, cm_buf_str(&name), &kt) == 0 &&
	    krb5_kt_add_entry(c, kt, &entry) == 0);
	krb5_kt_close(c, kt);
	krb5_free_principal(c, entry.principal);
	krb5_free_context(c);
	cm_buf_truncate(&name, 0);
	cm_buf_addf(&name, "%s.conf", path);
	MUST((file = fopen(cm_buf_str(&name), "w")) != NULL && fputs(conf, file) >= 0 && fclose(file) == 0);
	cm_buf_free(&name);
}
