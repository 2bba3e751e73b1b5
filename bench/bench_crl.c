/*
 * bench/bench_crl.c - a revocation list of a million entries: index it, keep it, ask it; OpenSSL with the same beside.
 *
 *	bench_crl NAME LIST CA CERT FOLDER	NAME is that of the figures, LIST is DER, CA the issuer's PEM, CERT one it issued; the index is made in FOLDER
 *
 * Each side runs in a process of its own, so that memory is that side's alone.
 */
#include <fcntl.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/bench.h"
#include "trust/crl_internal.h"

#define ROUNDS		7
#define LOOKUPS		20001
#define ASKS		501
#define SMALL		(1 << 20)	/* octets of a list */

static const char *label, *list_path, *folder;
static X509 *ca, *leaf;
static uint8_t key[32];

/* "VmHWM:" or "VmRSS:" of this process, kB. */
static double
memory(const char *name)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[256];
	long kb = 0;

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, name, strlen(name)) == 0)
			kb = strtol(line + strlen(name), NULL, 10);
	if (f == NULL || fclose(f) != 0 || kb == 0)
		bench_die(name, "not told by /proc/self/status");
	return (double)kb;
}

static void
figure(const char *name, const char *format, double value, const char *unit)
{
	printf("revocation.%s%s ", name[0] == '_' ? label : "", name);
	printf(format, value);
	printf(" %s\n", unit);
	fflush(stdout);
}

static struct cm_crl_index *
import(struct cm_crl_store *s)
{
	const struct cm_crl_origin o = { list_path, "", "", cm_clock_now(), 0 };
	struct cm_crl_index *x = NULL;
	struct cm_buf why, warning;
	struct cm_crl_import i = { .max = (uint64_t)256 << 20, .issuer = ca, .origin = o, .now = cm_clock_now(),
	    .warning = &warning };

	cm_buf_init(&why, 0);
	cm_buf_init(&warning, 0);
	i.list = open(list_path, O_RDONLY | O_CLOEXEC);
	cm_crl_store_open(s, folder, key, true, &warning);
	if (cm_crl_store_import(s, &i, &x, &why) != CM_OK || warning.len > 0)
		bench_die(list_path, why.len > 0 ? cm_buf_str(&why) : cm_buf_str(&warning));
	close(i.list);
	cm_buf_free(&why);
	cm_buf_free(&warning);
	return x;
}

static void
import_rounds(void)
{
	double seconds[ROUNDS], before = memory("VmRSS:"), peak = 0;

	for (int i = 0; i < ROUNDS; i++) {
		const int64_t begin = cm_clock_us();
		struct cm_crl_store s;
		struct cm_crl_index *x = import(&s);

		seconds[i] = (double)(cm_clock_us() - begin) / 1e6;
		if (i == 0)
			peak = memory("VmHWM:") - before;
		cm_crl_index_close(&x);
		cm_crl_store_close(&s);
	}
	figure("_import", "%.2f", bench_median(seconds, ROUNDS), "s");
	figure("_import_memory", "%.1f", peak / 1024, "MB");
}

struct asking {
	double *us;
	double memory;		/* kB added by one question, the index still mapped */
};

/* What is asked: half of it stands in the list. */
static void
serial_for(const struct cm_crl_index *x, size_t i, uint8_t serial[CM_CRL_SERIAL_MAX])
{
	const size_t width = x->about.width, entry = width + 11;
	const uint64_t at = (i * 2654435761u) % x->about.entries;

	memcpy(serial, x->map + x->header_size + at * entry, width);
	if (i % 2 != 0)
		serial[width - 1] ^= 1;
}

static void
look_up(struct asking *a, const struct cm_crl_index *x)
{
	size_t found = 0;

	for (size_t i = 0; i < LOOKUPS; i++) {
		struct timespec from, to;
		uint8_t serial[CM_CRL_SERIAL_MAX];
		struct cm_crl_entry e;

		serial_for(x, i, serial);
		clock_gettime(CLOCK_MONOTONIC, &from);
		found += cm_crl_index_find(x, X509_get_subject_name(ca),
		    (struct cm_blob){ serial, x->about.width }, &e) == CM_OK;
		clock_gettime(CLOCK_MONOTONIC, &to);
		a->us[i] = (double)(to.tv_sec - from.tv_sec) * 1e6 + (double)(to.tv_nsec - from.tv_nsec) / 1e3;
		if (i == 0)
			a->memory = memory("VmRSS:") - a->memory;
	}
	if (found < LOOKUPS / 2)
		bench_die("index", "does not hold what is in the list");
}

static void
lookup_rounds(void)
{
	static double us[LOOKUPS];
	struct asking a = { .us = us };
	struct cm_crl_index *x = NULL;
	struct cm_crl_store s;

	memset(us, 0, sizeof(us));
	a.memory = memory("VmRSS:");
	cm_crl_store_open(&s, folder, key, false, NULL);
	cm_crl_store_load(&s, &x);
	cm_crl_store_close(&s);
	if (x == NULL)
		bench_die("index", "is not there");
	look_up(&a, x);
	cm_crl_list_close(&x);
	figure("_lookup", "%.2f", bench_median(us, LOOKUPS), "us");
	figure("_memory", "%.1f", a.memory / 1024, "MB");
}

/* As a login asks: the folder read, the index opened, its header checked, the serial number found to be absent. */
static void
ask_rounds(void)
{
	const struct cm_trust tr = { .o = { .crl_dir = folder, .crl_max = (size_t)256 << 20 } };
	const struct cm_known known = { .now = cm_clock_now() };
	static double us[ASKS];

	for (size_t i = 0; i < ASKS; i++) {
		struct cm_question q = { .trust = &tr, .known = &known, .now = known.now, .cert = leaf, .issuer = ca,
		    .note = "" };
		const int64_t begin = cm_clock_us();

		if (cm_evidence_name(leaf, ca, &q.answer) != CM_OK ||
		    cm_crl_ask_kept(&q) != CM_STATUS_GOOD)
			bench_die("index", cm_buf_str(&q.why));
		us[i] = (double)(cm_clock_us() - begin);
		cm_buf_free(&q.why);
	}
	figure("_ask", "%.0f", bench_median(us, ASKS), "us");
}

static void
openssl_rounds(void)
{
	const double before = memory("VmRSS:");
	FILE *f = fopen(list_path, "r");
	int64_t begin;
	X509_CRL *crl;
	X509_REVOKED *entry;
	ASN1_INTEGER *serial = ASN1_INTEGER_new();

	begin = cm_clock_us();
	if (f == NULL || (crl = d2i_X509_CRL_fp(f, NULL)) == NULL)
		bench_die(list_path, "OpenSSL cannot read it");
	if (X509_CRL_verify(crl, X509_get0_pubkey(ca)) != 1)
		bench_die(list_path, "OpenSSL does not verify it");
	ASN1_INTEGER_set(serial, 4711);
	X509_CRL_get0_by_serial(crl, &entry, serial);
	figure("openssl_d2i_verify_lookup", "%.2f", (double)(cm_clock_us() - begin) / 1e6, "s");
	figure("openssl_memory", "%.0f", (memory("VmHWM:") - before) / 1024, "MB");
	ASN1_INTEGER_free(serial);
	X509_CRL_free(crl);
	fclose(f);
}

/* A child of its own for each, whose memory nobody else has used. */
static void
apart(void (*run)(void))
{
	const pid_t pid = fork();
	int status = -1;

	if (pid == 0) {
		run();
		exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
		bench_die("a part", "ended early");
}

static void
import_once(void)
{
	struct cm_crl_store s;
	struct cm_crl_index *x = import(&s);

	cm_crl_index_close(&x);
	cm_crl_store_close(&s);
}

/* Of a small list nothing but the asking is worth a figure. */
static const struct part {
	void (*run)(void);
	bool small;
} parts[] = {
	{ import_rounds, false }, { lookup_rounds, false }, { import_once, true }, { ask_rounds, true },
	{ openssl_rounds, false },
};

static X509 *
load(const char *path)
{
	FILE *f = fopen(path, "r");
	X509 *x = f != NULL ? PEM_read_X509(f, NULL, NULL, NULL) : NULL;

	if (x == NULL)
		bench_die(path, "no certificate");
	fclose(f);
	return x;
}

int
main(int argc, char **argv)
{
	struct cm_evidence name;
	struct stat st;

	if (argc != 6)
		bench_die("usage", "bench_crl NAME LIST CA CERT FOLDER");
	label = argv[1];
	list_path = argv[2];
	ca = load(argv[3]);
	leaf = load(argv[4]);
	folder = argv[5];
	if (stat(list_path, &st) != 0)
		bench_die(list_path, "is not there");
	bench_must(cm_evidence_name(leaf, ca, &name), argv[4], NULL);
	memcpy(key, name.issuer_key, sizeof(key));
	figure("_list", "%.3g", (double)st.st_size / 1e6, "MB");
	for (size_t i = 0; i < CM_COUNT(parts); i++)
		if (parts[i].small || st.st_size > SMALL)
			apart(parts[i].run);
	X509_free(ca);
	X509_free(leaf);
	return 0;
}
