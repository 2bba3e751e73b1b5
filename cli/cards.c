/* cli/cards.c - readers, cards, certificates: what is in there, field by field. */
#include <openssl/objects.h>
#include <openssl/pem.h>
#include <stdlib.h>

#include "cli/cards.h"
#include "cli/service.h"
#include "service/disabled.h"

static const char *
key_text(const struct cm_cert *cert, struct cm_buf *out)
{
	EVP_PKEY *key = NULL;
	char group[64] = "";

	if (cm_cert_key(cert, NULL, &key) != CM_OK)
		return "unreadable";
	EVP_PKEY_get_group_name(key, group, sizeof(group), NULL);
	if (EVP_PKEY_is_a(key, "EC"))
		cm_buf_addf(out, "EC %s", group);
	else
		cm_buf_addf(out, "%s %d", EVP_PKEY_get0_type_name(key), EVP_PKEY_get_bits(key));
	return cm_buf_str(out);
}

void
cm_cli_certificate(const struct cm_cli *c, json_t *object, const struct cm_cert *cert)
{
	char from[CM_TIME_SIZE], to[CM_TIME_SIZE];
	struct cm_buf key = { 0 }, serial = { 0 };

	cm_buf_add_hex(&serial, cm_cert_serial(cert));
	cm_clock_text(cm_cert_not_before(cert), from);
	cm_clock_text(cm_cert_not_after(cert), to);
	key_text(cert, &key);
	cm_cli_line(c, "  subject", "%s", cm_cert_subject_text(cert));
	cm_cli_line(c, "  issuer", "%s", cm_cert_issuer_text(cert));
	cm_cli_line(c, "  serial", "%s", cm_buf_str(&serial));
	cm_cli_line(c, "  valid", "%s to %s", from, to);
	cm_cli_line(c, "  key", "%s", cm_buf_str(&key));
	cm_cli_set(object, "subject", cm_cert_subject_text(cert));
	cm_cli_set(object, "issuer", cm_cert_issuer_text(cert));
	cm_cli_set(object, "serial", cm_buf_str(&serial));
	cm_cli_set(object, "not_before", from);
	cm_cli_set(object, "not_after", to);
	cm_cli_set(object, "key", cm_buf_str(&key));
	cm_buf_free(&key);
	cm_buf_free(&serial);
}

/* Chain only, no network: "trusted", or why not. */
static void
tell_trust(const struct cm_cli *c, const struct cm_host *host, json_t *object,
    const struct cm_cert *cert)
{
	const struct cm_known known = { .now = cm_clock_now() };
	struct cm_verdict *v = NULL;

	if (cm_trust_anchor_count(host->trust) == 0) {
		cm_cli_line(c, "  trust", "not checked: trust.anchors holds no CA");
		return;
	}
	if (cm_trust_check_chain(host->trust, cert, &known, c->trace, &v) == CM_OK) {
		cm_cli_line(c, "  trust", "trusted; revocation not asked");
		cm_cli_set(object, "trust", "trusted");
	} else {
		cm_cli_line(c, "  trust", "%s: %s", cm_reason_name(cm_trace_reason(c->trace)),
		    cm_trace_message(c->trace));
		cm_cli_set(object, "trust", cm_reason_name(cm_trace_reason(c->trace)));
		cm_trace_clear_reason(c->trace);
	}
	cm_verdict_free(&v);
}

static enum cm_err
export(const struct cm_cli *c, json_t *object, const struct cm_cert *cert)
{
	BIO *bio = BIO_new(BIO_s_mem());
	X509 *x = NULL;
	char *text = NULL;
	long len;
	enum cm_err err = CM_ERR_NOMEM;

	if (bio == NULL || (err = cm_cert_x509(cert, c->trace, &x)) != CM_OK)
		goto out;
	err = PEM_write_bio_X509(bio, x) == 1 ? CM_OK : CM_ERR_NOMEM;
	len = BIO_get_mem_data(bio, &text);
	if (err == CM_OK && c->json)
		json_object_set_new(object, "pem", json_stringn(text, (size_t)len));
	else if (err == CM_OK)
		fwrite(text, 1, (size_t)len, stdout);
out:
	BIO_free(bio);
	return err;
}

#define CM_SLOTS_MAX	24	/* the four, and 20 retired ones */

struct listing {
	struct cm_cli *cli;
	struct cm_host *host;
	json_t *readers;
	unsigned cards;
	bool status;		/* more of each */
	enum cm_slot only;	/* this slot alone; 0: all */
	unsigned certificates;
};

static enum cm_err
list_slot(struct listing *l, struct cm_card *card, enum cm_slot slot, json_t *certificates)
{
	struct cm_cli *c = l->cli;
	struct cm_cert *cert = NULL;
	json_t *object = NULL;
	char name[8];
	enum cm_err err = cm_card_certificate(card, slot,
	    cm_deadline_in(c->conf->card.timeout), c->trace, &cert);

	if (err != CM_OK)
		return err;
	object = json_object();
	snprintf(name, sizeof(name), "%02X", slot);
	cm_cli_set(object, "slot", name);
	if (c->export) {
		err = export(c, object, cert);
	} else {
		cm_cli_line(c, "slot", "%s", name);
		cm_cli_certificate(c, object, cert);
		tell_trust(c, l->host, object, cert);
		if (l->status)
			cm_cli_cards_detail(c, object, cert);
	}
	json_array_append_new(certificates, object);
	l->certificates++;
	cm_cert_free(&cert);
	return err;
}

/* With status, former Key Management keys too, as far as the card says that it has their certificates. */
static size_t
choose_slots(const struct listing *l, struct cm_card *card, enum cm_slot slots[CM_SLOTS_MAX])
{
	static const enum cm_slot usual[] = { CM_SLOT_AUTHENTICATION, CM_SLOT_SIGNATURE,
	    CM_SLOT_KEY_MANAGEMENT, CM_SLOT_CARD_AUTHENTICATION };
	struct cm_card_history history = { 0 };
	size_t n = 0;

	if (l->only != 0) {
		slots[n++] = l->only;
		return n;
	}
	for (size_t i = 0; i < CM_COUNT(usual); i++)
		slots[n++] = usual[i];
	if (l->status && cm_card_key_history(card, cm_deadline_in(l->cli->conf->card.timeout), l->cli->trace, &history) != CM_OK)
		cm_trace_clear_reason(l->cli->trace);
	for (unsigned i = 0; i < history.with && n < CM_SLOTS_MAX; i++)
		slots[n++] = (enum cm_slot)(CM_SLOT_RETIRED_FIRST + i);
	return n;
}

static void
tell_tries(const struct listing *l, struct cm_card *card, json_t *object)
{
	struct cm_cli *c = l->cli;
	unsigned tries;

	if (cm_card_pin_tries(card, cm_deadline_in(c->conf->card.timeout), c->trace, &tries) != CM_OK) {
		cm_trace_clear_reason(c->trace);
		return;
	}
	if (tries == CM_TRIES_UNKNOWN)
		return;
	cm_cli_line(c, "PIN tries", "%u", tries);
	json_object_set_new(object, "tries_left", json_integer(tries));
}

/* A slot without a certificate is no mistake; any other failure is told, and the next slot is tried. */
static enum cm_err
list_card(struct listing *l, const char *source, json_t *object)
{
	enum cm_slot slots[CM_SLOTS_MAX];
	struct cm_cli *c = l->cli;
	const struct cm_card_from from = cm_disabled_from(c->conf, source, l->status ? CM_CARD_LOGIN : CM_CARD_LOOK);
	size_t count;
	struct cm_card *card = NULL;
	json_t *certificates = json_array();
	enum cm_err err;

	json_object_set_new(object, "certificates", certificates);
	/* which PIN it wants stands in the discovery object, which a login reads */
	if ((err = cm_card_open_from(&from, cm_deadline_in(c->conf->card.timeout), c->trace, &card)) != CM_OK) {
		cm_cli_line(c, "card", "%s", cm_trace_message(c->trace));
		return err;
	}
	if (l->status)
		tell_tries(l, card, object);
	count = choose_slots(l, card, slots);
	for (size_t i = 0; i < count && err != CM_ERR_OFFLINE; i++) {
		err = list_slot(l, card, slots[i], certificates);
		if (err != CM_OK && err != CM_ERR_ABSENT && !c->export)
			cm_cli_line(c, "slot", "%02X: %s", slots[i], cm_trace_message(c->trace));
	}
	json_object_set_new(object, "commands", json_integer(cm_card_stats(card).commands));
	if (!c->export && cm_card_stats(card).commands > 0)
		cm_cli_line(c, "card commands", "%u", cm_card_stats(card).commands);
	l->cards++;
	cm_card_close(&card);
	return err == CM_ERR_ABSENT ? CM_OK : err;
}

static enum cm_err
list_reader(void *arg, const struct cm_reader *r)
{
	struct listing *l = arg;
	struct cm_cli *c = l->cli;
	json_t *object = json_object();
	struct cm_buf text = { 0 };
	enum cm_err err = CM_OK;

	cm_cli_set(object, "reader", r->name);
	json_object_set_new(object, "card_present", json_boolean(r->card_present));
	if (!c->export)
		cm_cli_line(c, "reader", "%s%s", r->name, r->card_present ? "" : ": no card");
	if (r->card_present) {
		cm_buf_add_hex(&text, r->atr);
		cm_cli_set(object, "atr", cm_buf_str(&text));
		if (l->status)
			cm_cli_line(c, "ATR", "%s", cm_buf_str(&text));
		cm_buf_truncate(&text, 0);
		cm_buf_addf(&text, "reader:%s", r->name);
		err = list_card(l, cm_buf_str(&text), object);
	}
	json_array_append_new(l->readers, object);
	cm_buf_free(&text);
	return err == CM_ERR_NOMEM ? err : CM_OK;	/* one bad card does not hide the next */
}

static enum cm_err
list_everything(struct listing *l)
{
	struct cm_cli *c = l->cli;
	const char *source = c->conf->card.source;
	json_t *object;
	enum cm_err err;

	if (strcmp(source, "reader") == 0)
		return cm_card_readers(cm_deadline_in(c->conf->card.timeout), c->trace, list_reader, l);
	object = json_object();
	cm_cli_set(object, "reader", source);
	if (!c->export)
		cm_cli_line(c, "reader", "%s", source);
	err = list_card(l, source, object);
	json_array_append_new(l->readers, object);
	return err;
}

/* By its key reference: SP 800-73-4 Part 1, table 4b. */
static bool
read_slot(const char *text, enum cm_slot *slot)
{
	char *end;
	const unsigned long n = strtoul(text, &end, 16);

	if (strlen(text) != 2 || *end != '\0' || !((n >= 0x82 && n <= 0x95) || n == 0x9A || (n >= 0x9C && n <= 0x9E)))
		return false;
	*slot = (enum cm_slot)n;
	return true;
}

int
cm_cli_cards(struct cm_cli *c)
{
	struct listing l = { .cli = c, .readers = NULL };
	enum cm_err err;

	l.status = c->arg_count == 1 && strcmp(c->args[0], "status") == 0;
	if (c->export && c->arg_count == 1 && !read_slot(c->args[0], &l.only))
		return cm_cli_finish(c, cm_trace_fail(c->trace, CM_REASON_USAGE, "%s: no slot: 9A, 9C, 9D, 9E, or 82 to 95", c->args[0]));
	if (c->arg_count > 0 && !l.status && l.only == 0)
		return cm_cli_finish(c, cm_cli_cards_log(c));
	if (c->follow || c->service_named)
		return cm_cli_finish(c, c->follow ? cm_cli_follow_cards(c) : cm_trace_fail(c->trace, CM_REASON_USAGE,
		    "--service: cards asks the service with --follow alone"));
	l.readers = json_array();
	json_object_set_new(c->answer, "readers", l.readers);
	if (l.status)
		cm_cli_cards_drivers(c);
	if ((err = cm_host_open(c->conf, CM_NEED_RULES | CM_NEED_TRUST, c->trace, &l.host)) == CM_OK)
		err = list_everything(&l);
	if (err == CM_OK && l.cards > 0 && l.only != 0 && l.certificates == 0)
		err = cm_trace_fail(c->trace, CM_REASON_CARD_NO_CERTIFICATE, "slot %02X holds no certificate", l.only);
	else if (err == CM_OK && l.cards > 0)
		cm_trace_clear_reason(c->trace);
	else if (err == CM_OK && cm_trace_reason(c->trace) != CM_REASON_NONE)
		err = cm_reason_err(cm_trace_reason(c->trace));	/* of the last card, which cannot be read */
	else if (err == CM_OK)
		err = cm_trace_fail(c->trace, CM_REASON_NO_CARD, "no reader holds a card");
	cm_host_close(&l.host);
	return cm_cli_finish(c, err);
}

static void
tell_field(const struct cm_cli *c, json_t *fields, const struct cm_cert *cert, enum cm_cert_field f)
{
	const struct cm_blob v = cm_cert_field(cert, f);
	struct cm_buf text = { 0 };

	if (v.len == 0) {
		json_object_set_new(fields, cm_cert_field_name(f), json_null());
		return;
	}
	if (cm_cert_field_is_text(f))
		cm_buf_add_printable(&text, v);
	else
		cm_buf_add_hex(&text, v);
	if (!c->json)
		printf("%-24s %s%s\n", cm_cert_field_name(f), cm_buf_str(&text),
		    cm_cert_field_count(cert, f) > 1 ? "  (the first of several)" : "");
	json_object_set_new(fields, cm_cert_field_name(f), json_stringn(cm_buf_str(&text), text.len));
	cm_buf_free(&text);
}

static void
tell_urls(const struct cm_cli *c, const char *key, const struct cm_cert *cert, enum cm_cert_url kind)
{
	json_t *list = json_array();
	size_t count = 0;
	const struct cm_blob *urls = cm_cert_urls(cert, kind, &count);

	for (size_t i = 0; i < count; i++) {
		struct cm_buf text = { 0 };

		cm_buf_add_printable(&text, urls[i]);
		json_array_append_new(list, json_stringn(cm_buf_str(&text), text.len));
		if (!c->json)
			printf("%-24s %s\n", key, cm_buf_str(&text));
		cm_buf_free(&text);
	}
	json_object_set_new(c->answer, key, list);
}

/* RFC 5280 4.2.1.3, bit 0 first. */
static void
tell_key_usage(const struct cm_cli *c, const struct cm_cert *cert)
{
	json_t *list = json_array();
	unsigned bits = 0;

	if (!cm_cert_key_usage(cert, &bits))
		bits = 0;
	for (size_t i = 0; i < CM_CLI_KEY_USAGES; i++) {
		if ((bits >> i & 1) == 0)
			continue;
		json_array_append_new(list, json_string(cm_cli_key_usages[i]));
		if (!c->json)
			printf("%-24s %s\n", "keyUsage", cm_cli_key_usages[i]);
	}
	json_object_set_new(c->answer, "keyUsage", list);
}

/* By number, and for people by the name that OpenSSL has for it. */
static void
tell_ekus(const struct cm_cli *c, const struct cm_cert *cert)
{
	json_t *list = json_array();
	size_t count = 0;
	const struct cm_blob *ekus = cm_cert_ekus(cert, &count);

	for (size_t i = 0; i < count; i++) {
		struct cm_buf oid = { 0 };
		int nid;

		cm_cert_oid_text(ekus[i], &oid);
		nid = OBJ_txt2nid(cm_buf_str(&oid));
		json_array_append_new(list, json_string(cm_buf_str(&oid)));
		if (!c->json)
			printf("%-24s %s%s%s\n", "extKeyUsage", cm_buf_str(&oid),
			    nid != NID_undef ? "  " : "", nid != NID_undef ? OBJ_nid2ln(nid) : "");
		cm_buf_free(&oid);
	}
	json_object_set_new(c->answer, "extKeyUsage", list);
}

static void
tell_sans(const struct cm_cli *c, const struct cm_cert *cert)
{
	static const char *const names[] = { "otherName", "rfc822Name", "dNSName", "x400Address",
	    "directoryName", "ediPartyName", "uniformResourceIdentifier", "iPAddress", "registeredID" };
	size_t count = 0;
	const struct cm_cert_san *sans = cm_cert_sans(cert, &count);
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++) {
		const struct cm_cert_san *s = &sans[i];
		const char *name = (size_t)s->tag < CM_COUNT(names) ? names[s->tag] : "unknown";
		json_t *o = json_object();
		struct cm_buf text = { 0 };

		if (s->oid.len > 0) {
			cm_cert_oid_text(s->oid, &text);
			cm_buf_add_str(&text, " ");
		}
		if (s->tag == 1 || s->tag == 2 || s->tag == 6)
			cm_buf_add_printable(&text, s->value);
		else
			cm_buf_add_hex(&text, s->value);
		cm_cli_set(o, "type", name);
		cm_cli_set(o, "value", cm_buf_str(&text));
		json_array_append_new(list, o);
		if (!c->json)
			printf("%-24s %s: %s\n", "subjectAltName", name, cm_buf_str(&text));
		cm_buf_free(&text);
	}
	json_object_set_new(c->answer, "subjectAltName", list);
}

int
cm_cli_cert(struct cm_cli *c)
{
	struct cm_cert *cert = NULL;
	json_t *fields = json_object();
	enum cm_err err = cm_cert_load(c->args[0], c->trace, &cert);

	if (err != CM_OK)
		goto out;
	cm_cli_certificate(c, c->answer, cert);
	for (int f = 0; f < CM_CERT_FIELD_COUNT; f++)
		tell_field(c, fields, cert, f);
	tell_sans(c, cert);
	tell_key_usage(c, cert);
	tell_ekus(c, cert);
	tell_urls(c, "CRL", cert, CM_URL_CDP);
	tell_urls(c, "OCSP", cert, CM_URL_OCSP);
	tell_urls(c, "caIssuers", cert, CM_URL_CA_ISSUERS);
out:
	json_object_set_new(c->answer, "fields", fields);
	cm_cert_free(&cert);
	return cm_cli_finish(c, err);
}
