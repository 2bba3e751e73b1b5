/* tests/rig/piv_content.c - what a virtual PIV card holds, read from a folder. */
#include "piv_content.h"

#include <ctype.h>
#include <errno.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "piv_objects.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

enum { FILE_MAX = 1 << 20 };

static const uint8_t slots[] = { 0x9a, 0x9c, 0x9d, 0x9e,
	0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8b,
	0x8c, 0x8d, 0x8e, 0x8f, 0x90, 0x91, 0x92, 0x93, 0x94, 0x95 };

/* What is needed only while loading. */
struct loader {
	struct piv_content *content;
	char *error;
	size_t error_len;
	bool gzip, discovery, chuid, ccc, key_history;
	uint8_t pin_policy[2];
	struct vbuf guid, fascn;
	char expires[9];
	size_t chuid_size;
	size_t size[COUNT(slots)];	/* of certificate objects, 0 = as it comes */
	uint8_t seed[SHA256_DIGEST_LENGTH];	/* of the first certificate */
	bool seeded;
};

static bool __attribute__((format(printf, 2, 3)))
fail(struct loader *l, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(l->error, l->error_len, format, args);
	va_end(args);
	return false;
}

/* --- files --- */

/* NULL with errno ENOENT when it is simply not there. */
static FILE *
open_in(const struct loader *l, const char *name)
{
	char path[PATH_MAX + 32];
	const int n = snprintf(path, sizeof(path), "%s/%s", l->content->dir, name);

	if (n < 0 || (size_t)n >= sizeof(path)) {
		errno = ENAMETOOLONG;
		return NULL;
	}
	return fopen(path, "re");
}

/* True also when there is no such file: out stays empty. */
static bool
read_file(struct loader *l, const char *name, struct vbuf *out)
{
	FILE *f = open_in(l, name);
	uint8_t part[4096];
	size_t n;

	if (f == NULL)
		return errno == ENOENT ? true : fail(l, "%s/%s: %s", l->content->dir, name, strerror(errno));
	while ((n = fread(part, 1, sizeof(part), f)) > 0 && out->len < FILE_MAX)
		vbuf_put(out, part, n);
	fclose(f);
	return true;
}

static bool
read_certificate(struct loader *l, uint8_t slot, struct vbuf *der)
{
	char name[16];
	FILE *f;
	X509 *cert;
	uint8_t *bytes = NULL;
	int len;

	snprintf(name, sizeof(name), "%02x.der", slot);
	if (!read_file(l, name, der) || der->len > 0)
		return der->len > 0;
	snprintf(name, sizeof(name), "%02x.crt", slot);
	if ((f = open_in(l, name)) == NULL)
		return errno == ENOENT ? true : fail(l, "%s/%s: %s", l->content->dir, name, strerror(errno));
	cert = PEM_read_X509(f, NULL, NULL, NULL);
	fclose(f);
	if (cert == NULL)
		return fail(l, "%s/%s: no PEM certificate", l->content->dir, name);
	if ((len = i2d_X509(cert, &bytes)) > 0)
		vbuf_put(der, bytes, (size_t)len);
	OPENSSL_free(bytes);
	X509_free(cert);
	return len > 0 || fail(l, "%s/%s: cannot be encoded", l->content->dir, name);
}

static bool
load_key(struct loader *l, uint8_t slot)
{
	struct piv_content *c = l->content;
	char name[16];
	FILE *f;

	snprintf(name, sizeof(name), "%02x.key", slot);
	if ((f = open_in(l, name)) == NULL)
		return errno == ENOENT ? true : fail(l, "%s/%s: %s", c->dir, name, strerror(errno));
	c->keys[c->keys_len].ref = slot;
	c->keys[c->keys_len].key = PEM_read_PrivateKey(f, NULL, NULL, NULL);
	fclose(f);
	if (c->keys[c->keys_len].key == NULL)
		return fail(l, "%s/%s: no PEM private key", c->dir, name);
	c->keys_len++;
	return true;
}

static bool
load_pin(struct loader *l, const char *name, uint8_t *pin)
{
	struct vbuf text = {0};
	bool ok = false;

	if (!read_file(l, name, &text))
		goto out;
	while (text.len > 0 && isspace(text.p[text.len - 1]))
		text.len--;
	if (text.len > PIV_PIN_MAX) {
		fail(l, "%s/%s: a PIN has at most %d bytes", l->content->dir, name, PIV_PIN_MAX);
		goto out;
	}
	if (text.len > 0) {
		memset(pin, 0xff, PIV_PIN_MAX);
		memcpy(pin, text.p, text.len);
	}
	ok = true;
out:
	vbuf_free(&text);
	return ok;
}

/* --- card.conf --- */

static bool
parse_bool(const char *value, bool *out)
{
	*out = strcmp(value, "yes") == 0;
	return *out || strcmp(value, "no") == 0;
}

static bool
parse_number(const char *value, size_t max, size_t *out)
{
	char *end = NULL;
	const unsigned long n = strtoul(value, &end, 10);

	*out = n;
	return isdigit((unsigned char)value[0]) && *end == '\0' && n <= max;
}

static bool
parse_hex(const char *value, size_t len, struct vbuf *out)
{
	out->len = 0;
	return vbuf_hex(out, value) && (len == 0 || out->len == len);
}

static bool
set_retries(struct loader *l, const char *value)
{
	size_t n;

	if (!parse_number(value, 15, &n) || n == 0)
		return false;
	l->content->retries = (unsigned int)n;
	return true;
}

/* NIST SP 800-73-4 Part 1, 3.3.2: the PIN usage policy, and which PIN comes first. */
static bool
set_pin_policy(struct loader *l, const char *value)
{
	static const struct {
		const char *name;
		uint8_t policy[2];
		bool used[PIV_PINS];
	} policies[] = {
		{ "application", { 0x40, 0x00 }, { true, false } },
		{ "both",        { 0x60, 0x10 }, { true, true } },
		{ "global",      { 0x60, 0x20 }, { true, true } },
	};

	for (size_t i = 0; i < COUNT(policies); i++) {
		if (strcmp(policies[i].name, value) != 0)
			continue;
		memcpy(l->pin_policy, policies[i].policy, sizeof(l->pin_policy));
		memcpy(l->content->pin_used, policies[i].used, sizeof(l->content->pin_used));
		return true;
	}
	return false;
}

static bool set_extended(struct loader *l, const char *v) { return parse_bool(v, &l->content->extended); }
static bool set_persist(struct loader *l, const char *v) { return parse_bool(v, &l->content->persist); }
static bool set_gzip(struct loader *l, const char *v) { return parse_bool(v, &l->gzip); }
static bool set_discovery(struct loader *l, const char *v) { return parse_bool(v, &l->discovery); }
static bool set_chuid(struct loader *l, const char *v) { return parse_bool(v, &l->chuid); }
static bool set_ccc(struct loader *l, const char *v) { return parse_bool(v, &l->ccc); }
static bool set_key_history(struct loader *l, const char *v) { return parse_bool(v, &l->key_history); }
static bool set_guid(struct loader *l, const char *v) { return parse_hex(v, PIV_GUID_LEN, &l->guid); }
static bool set_fascn(struct loader *l, const char *v) { return parse_hex(v, PIV_FASCN_LEN, &l->fascn); }
static bool set_atr(struct loader *l, const char *v) { return parse_hex(v, 0, &l->content->atr); }
static bool set_chuid_size(struct loader *l, const char *v) { return parse_number(v, PIV_SIZE_MAX, &l->chuid_size); }

static bool
set_expires(struct loader *l, const char *value)
{
	const int n = snprintf(l->expires, sizeof(l->expires), "%s", value);

	return n == (int)sizeof(l->expires) - 1;
}

static const struct setting {
	const char *name;
	bool (*set)(struct loader *l, const char *value);
} settings[] = {
	{ "retries", set_retries },
	{ "pin_policy", set_pin_policy },
	{ "extended", set_extended },
	{ "persist", set_persist },
	{ "gzip", set_gzip },
	{ "discovery", set_discovery },
	{ "chuid", set_chuid },
	{ "ccc", set_ccc },
	{ "key_history", set_key_history },
	{ "guid", set_guid },
	{ "fascn", set_fascn },
	{ "expires", set_expires },
	{ "chuid_size", set_chuid_size },
	{ "atr", set_atr },
};

/* size.9a and so on */
static bool
set_size(struct loader *l, const char *slot, const char *value)
{
	char name[3];

	for (size_t i = 0; i < COUNT(slots); i++) {
		snprintf(name, sizeof(name), "%02x", slots[i]);
		if (strcmp(name, slot) == 0)
			return parse_number(value, PIV_SIZE_MAX, &l->size[i]);
	}
	return false;
}

static bool
set_value(struct loader *l, const char *key, const char *value)
{
	if (strncmp(key, "size.", 5) == 0)
		return set_size(l, key + 5, value);
	for (size_t i = 0; i < COUNT(settings); i++)
		if (strcmp(settings[i].name, key) == 0)
			return settings[i].set(l, value);
	return false;
}

static char *
trim(char *text)
{
	char *end;

	text += strspn(text, " \t");
	for (end = text + strlen(text); end > text && isspace((unsigned char)end[-1]); end--)
		;
	*end = '\0';
	return text;
}

static bool
load_conf(struct loader *l)
{
	FILE *f = open_in(l, "card.conf");
	char *line = NULL, *value;
	size_t cap = 0;
	bool ok = true;

	if (f == NULL)
		return errno == ENOENT ? true : fail(l, "%s/card.conf: %s", l->content->dir, strerror(errno));
	for (unsigned int number = 1; ok && getline(&line, &cap, f) > 0; number++) {
		line[strcspn(line, "#\n")] = '\0';
		if (*trim(line) == '\0')
			continue;
		if ((value = strchr(line, '=')) != NULL)
			*value++ = '\0';
		if (value == NULL || !set_value(l, trim(line), trim(value)))
			ok = fail(l, "%s/card.conf:%u: unknown key or bad value", l->content->dir, number);
	}
	free(line);
	fclose(f);
	return ok;
}

/* --- objects --- */

static struct vbuf *
add_object(struct loader *l, uint32_t tag)
{
	struct piv_object *o = &l->content->objects[l->content->objects_len++];

	o->tag = tag;
	return &o->data;
}

static uint32_t
certificate_tag(uint8_t slot)
{
	switch (slot) {
	case 0x9a:
		return 0x5fc105;
	case 0x9c:
		return 0x5fc10a;
	case 0x9d:
		return 0x5fc10b;
	case 0x9e:
		return 0x5fc101;
	default:
		return 0x5fc10dU + slot - 0x82U;
	}
}

static bool
load_slot(struct loader *l, size_t i)
{
	struct vbuf cert = {0};
	bool ok = false;

	if (!load_key(l, slots[i]) || !read_certificate(l, slots[i], &cert))
		goto out;
	if (cert.len > 0) {
		if (!l->seeded)
			SHA256(cert.p, cert.len, l->seed);
		l->seeded = true;
		if (l->gzip && !piv_gzip(&cert)) {
			fail(l, "slot %02x: cannot be compressed", slots[i]);
			goto out;
		}
		if (!piv_certificate_object(&cert, l->gzip, l->size[i], add_object(l, certificate_tag(slots[i])))) {
			fail(l, "slot %02x: its certificate cannot fill size.%02x=%zu", slots[i], slots[i], l->size[i]);
			goto out;
		}
	}
	ok = true;
out:
	vbuf_free(&cert);
	return ok;
}

static bool
load_chuid(struct loader *l)
{
	struct vbuf *out = add_object(l, 0x5fc102);
	const struct piv_chuid chuid = { &l->fascn, &l->guid, l->expires, l->seed };

	if (!read_file(l, "chuid.bin", out))
		return false;
	if (out->len == 0)
		piv_chuid_object(&chuid, l->chuid_size, out);
	else if (out->p[0] != 0x53)
		vbuf_wrap(out, 0x53);
	return true;
}

static void
load_key_history(struct loader *l)
{
	uint8_t with = 0, without = 0;

	for (size_t i = 0; i < l->content->keys_len; i++) {
		const uint8_t ref = l->content->keys[i].ref;

		if (ref < 0x82 || ref > 0x95)
			continue;
		if (piv_content_object(l->content, certificate_tag(ref)) != NULL)
			with++;
		else
			without++;
	}
	piv_key_history_object(with, without, add_object(l, 0x5fc10c));
}

/*
 * Historical bytes: 73, card capabilities: whole and partial AIDs; command chaining, and extended length where it is
 * (ISO/IEC 7816-4 8.1.1.2.7). OpenSC offers no EC mechanism of a card without historical bytes.
 */
static void
default_atr(struct piv_content *c)
{
	uint8_t check = 0;

	vbuf_hex(&c->atr, c->extended ? "3B8580018073C001C0" : "3B8580018073C00180");
	/* ISO/IEC 7816-3 8.2.5: TCK makes the exclusive-or from T0 on zero */
	for (size_t i = 1; i < c->atr.len; i++)
		check ^= c->atr.p[i];
	vbuf_byte(&c->atr, check);
}

static bool
load_all(struct loader *l)
{
	struct piv_content *c = l->content;

	if (!load_conf(l) || !load_pin(l, "pin", c->pin[PIV_PIN_APPLICATION]))
		return false;
	memcpy(c->pin[PIV_PIN_GLOBAL], c->pin[PIV_PIN_APPLICATION], PIV_PIN_MAX);
	if (!load_pin(l, "puk", c->puk))
		return false;
	c->has_puk = c->puk[0] != 0;
	if (!load_pin(l, "pin.global", c->pin[PIV_PIN_GLOBAL]))
		return false;
	for (size_t i = 0; i < COUNT(slots); i++)
		if (!load_slot(l, i))
			return false;
	if (l->guid.len == 0)
		piv_make_guid(l->seed, &l->guid);
	if (l->fascn.len == 0)
		piv_make_fascn(l->seed, &l->fascn);
	if (l->chuid && !load_chuid(l))
		return false;
	if (l->ccc)
		piv_ccc_object(l->seed, add_object(l, 0x5fc107));
	if (l->discovery)
		piv_discovery_object(l->pin_policy, add_object(l, 0x7e));
	if (l->key_history)
		load_key_history(l);
	if (c->atr.len == 0)
		default_atr(c);
	return true;
}

struct piv_content *
piv_content_load(const char *dir, char *error, size_t error_len)
{
	struct loader l = { .error = error, .error_len = error_len, .discovery = true, .chuid = true, .ccc = true,
		.key_history = true, .expires = "20351231", .chuid_size = 2600, .pin_policy = { 0x40, 0x00 } };
	struct piv_content *c = calloc(1, sizeof(*c));
	bool ok;

	if (c == NULL || realpath(dir, c->dir) == NULL) {
		snprintf(error, error_len, "%s: %s", dir, strerror(errno));
		free(c);
		return NULL;
	}
	l.content = c;
	c->retries = 3;
	c->pin_used[PIV_PIN_APPLICATION] = true;
	memcpy(c->pin[PIV_PIN_APPLICATION], "123456\xff\xff", PIV_PIN_MAX);
	ok = load_all(&l);
	vbuf_free(&l.guid);
	vbuf_free(&l.fascn);
	if (!ok)
		piv_content_free(&c);
	return c;
}

void
piv_content_free(struct piv_content **content)
{
	struct piv_content *c = *content;

	if (c == NULL)
		return;
	for (size_t i = 0; i < c->objects_len; i++)
		vbuf_free(&c->objects[i].data);
	for (size_t i = 0; i < c->keys_len; i++)
		EVP_PKEY_free(c->keys[i].key);
	vbuf_free(&c->atr);
	free(c);
	*content = NULL;
}

const struct piv_object *
piv_content_object(const struct piv_content *content, uint32_t tag)
{
	for (size_t i = 0; i < content->objects_len; i++)
		if (content->objects[i].tag == tag)
			return &content->objects[i];
	return NULL;
}

EVP_PKEY *
piv_content_key(const struct piv_content *content, uint8_t ref)
{
	for (size_t i = 0; i < content->keys_len; i++)
		if (content->keys[i].ref == ref)
			return content->keys[i].key;
	return NULL;
}
