/*
 * tests/rig/crlgen.c - make a revocation list: crlgen CA.crt CA.key OUT [NAME=VALUE...]
 *
 * entries= serial_len= seed= flags= number= base= issuers=, this_update= and next_update= in seconds from now, point=URI,
 * relative=CN,
 * scope= reasons= freshest=URI key_id=1, named=CERT.pem (and reason= for it), hostile=FORM: see crl_list.h.  A million
 * entries take a second or two.
 */
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/rig/crl_list.h"

static bool
set_named(struct crl_list *l, struct crl_named *named, const char *path)
{
	FILE *f = fopen(path, "r");

	if (f == NULL)
		return false;
	named->cert = PEM_read_X509(f, NULL, NULL, NULL);
	fclose(f);
	l->named = named;
	l->named_count = named->cert != NULL;
	return named->cert != NULL;
}

static bool
set(struct crl_list *l, struct crl_named *named, const char *pair)
{
	const char *value = strchr(pair, '=');
	const struct {
		const char *name;
		unsigned *number;
	} numbers[] = { { "serial_len", &l->serial_len }, { "seed", &l->seed }, { "flags", &l->flags },
	    { "issuers", &l->issuers }, { "scope", &l->scope }, { "reasons", &l->reasons } };
	const size_t len = value != NULL ? (size_t)(value - pair) : 0;
	const long n = value != NULL ? strtol(value + 1, NULL, 0) : 0;

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (len == strlen(numbers[i].name) && strncmp(pair, numbers[i].name, len) == 0) {
			*numbers[i].number = (unsigned)n;
			return true;
		}
	if (len == 0)
		return false;
#define IS(name)	(strncmp(pair, name "=", sizeof(name)) == 0)
	if (IS("entries"))
		l->entries = (size_t)n;
	else if (IS("number"))
		l->number = n;
	else if (IS("base"))
		l->base = n;
	else if (IS("this_update"))
		l->this_update = time(NULL) + n;
	else if (IS("next_update"))
		l->next_update = time(NULL) + n;
	else if (IS("point"))
		l->point = value + 1;
	else if (IS("hostile"))
		l->hostile = value + 1;
	else if (IS("relative"))
		l->relative = value + 1;
	else if (IS("freshest"))
		l->freshest = value + 1;
	else if (IS("key_id"))
		l->key_id = n != 0;
	else if (IS("reason"))
		named->reason = (int)n;
	else if (IS("named"))
		return set_named(l, named, value + 1);
	else
		return false;
#undef IS
	return true;
}

static int
usage(const char *what)
{
	fprintf(stderr, "crlgen: %s\nusage: crlgen CA.crt CA.key OUT [NAME=VALUE...]\n", what);
	return 2;
}

int
main(int argc, char **argv)
{
	struct crl_list l = { .entries = 10, .serial_len = 16, .seed = 1, .number = 1, .this_update = time(NULL) - 60,
	    .next_update = time(NULL) + 7 * 86400 };
	struct crl_named named = { .reason = -1 };
	FILE *ca, *key, *out;
	uint8_t *der;
	size_t len;
	bool ok;

	if (argc < 4 || (ca = fopen(argv[1], "r")) == NULL || (key = fopen(argv[2], "r")) == NULL)
		return usage("no CA");
	l.ca = PEM_read_X509(ca, NULL, NULL, NULL);
	l.key = PEM_read_PrivateKey(key, NULL, NULL, NULL);
	fclose(ca);
	fclose(key);
	if (l.ca == NULL || l.key == NULL)
		return usage("no certificate, or no key");
	for (int i = 4; i < argc; i++)
		if (!set(&l, &named, argv[i]))
			return usage(argv[i]);
	der = crl_list_make(&l, &len);
	out = der != NULL ? fopen(argv[3], "w") : NULL;
	ok = out != NULL && fwrite(der, 1, len, out) == len && fclose(out) == 0;
	free(der);
	X509_free(l.ca);
	X509_free((X509 *)(uintptr_t)named.cert);
	EVP_PKEY_free(l.key);
	return ok ? 0 : usage("the list cannot be made, or not be written");
}
