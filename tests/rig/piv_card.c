/* tests/rig/piv_card.c - the PIV card application. */
#include "piv_card.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "piv_key.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* NIST SP 800-73-4 Part 1, 2.2: RID, PIX, version */
static const uint8_t piv_aid[] = { 0xa0, 0x00, 0x00, 0x03, 0x08, 0x00, 0x00, 0x10, 0x00, 0x01, 0x00 };
enum { RID_LEN = 5 };

enum pin_rule { PIN_NEVER, PIN_ONCE, PIN_ALWAYS };

/* NIST SP 800-73-4 Part 1, table 4b; SP 800-78-4 table 3-1 says which keys agree and which sign. */
static const struct key_rule {
	uint8_t first, last;
	enum pin_rule pin;
	bool agrees;	/* an EC key here does ECDH, not ECDSA */
} key_rules[] = {
	{ 0x9a, 0x9a, PIN_ONCE,   false },
	{ 0x9c, 0x9c, PIN_ALWAYS, false },
	{ 0x9d, 0x9d, PIN_ONCE,   true },
	{ 0x9e, 0x9e, PIN_NEVER,  false },
	{ 0x82, 0x95, PIN_ONCE,   true },
};

/* --- tries --- */

static void
save_tries(const struct piv *piv)
{
	char temporary[sizeof(piv->tries_file) + 8];
	FILE *f;
	const int n = snprintf(temporary, sizeof(temporary), "%s.new", piv->tries_file);

	if (piv->tries_file[0] == '\0' || n < 0 || (size_t)n >= sizeof(temporary))
		return;
	if ((f = fopen(temporary, "we")) == NULL) {
		perror(temporary);
		return;
	}
	fprintf(f, "%u\n%u\n", piv->tries[PIV_PIN_APPLICATION], piv->tries[PIV_PIN_GLOBAL]);
	/* a test reads it at any moment: whole or not at all */
	if (fclose(f) != 0 || rename(temporary, piv->tries_file) != 0)
		perror(piv->tries_file);
}

static void
load_tries(struct piv *piv)
{
	char *line = NULL;
	size_t cap = 0;
	FILE *f = piv->tries_file[0] != '\0' ? fopen(piv->tries_file, "re") : NULL;

	piv->puk_tries = piv->content->retries;
	for (size_t i = 0; i < PIV_PINS; i++) {
		piv->tries[i] = piv->content->retries;
		if (f != NULL && getline(&line, &cap, f) > 0)
			piv->tries[i] = (unsigned int)strtoul(line, NULL, 10) & 0xf;
	}
	free(line);
	if (f != NULL)
		fclose(f);
	save_tries(piv);
}

void
piv_set_tries(struct piv *piv, enum piv_pin pin, unsigned int tries)
{
	if (piv->tries[pin] == tries)
		return;
	piv->tries[pin] = tries;
	save_tries(piv);
}

/* --- SELECT: NIST SP 800-73-4 Part 2, 3.1.1 --- */

static uint16_t
cmd_select(struct piv *piv, const struct command *cmd, struct vbuf *out)
{
	struct vbuf t = {0};

	if (cmd->p1 != 0x04 || cmd->p2 != 0x00)
		return SW_P1P2;
	/* another application is not here: the one selected stays, with its security status */
	if (cmd->len < RID_LEN || cmd->len > sizeof(piv_aid) ||
	    memcmp(cmd->data, piv_aid, cmd->len) != 0)
		return SW_NOT_FOUND;
	piv->selected = true;

	/* table 3: application property template */
	vbuf_tlv(&t, 0x4f, piv_aid + RID_LEN, sizeof(piv_aid) - RID_LEN);
	vbuf_hex(&t, "7907" "4F05A000000308");
	vbuf_tlv(&t, 0x50, "Virtual PIV card", 16);
	vbuf_tlv(out, 0x61, t.p, t.len);
	vbuf_free(&t);
	return SW_OK;
}

/* --- GET DATA: NIST SP 800-73-4 Part 2, 3.1.2 --- */

uint32_t
piv_data_tag(const struct command *cmd)
{
	struct tlv list;
	uint32_t tag = 0;

	if (cmd->ins != INS_GET_DATA || !tlv_read(cmd->data, cmd->len, &list) ||
	    list.tag != 0x5c || list.len == 0 || list.len > 3)
		return 0;
	for (size_t i = 0; i < list.len; i++)
		tag = tag << 8 | list.p[i];
	return tag;
}

static uint16_t
cmd_get_data(struct piv *piv, const struct command *cmd, struct vbuf *out)
{
	const uint32_t tag = piv_data_tag(cmd);
	const struct piv_object *object;

	if (cmd->p1 != 0x3f || cmd->p2 != 0xff)
		return SW_P1P2;
	if (tag == 0)
		return SW_DATA;
	if ((object = piv_content_object(piv->content, tag)) == NULL)
		return SW_NOT_FOUND;
	vbuf_put(out, object->data.p, object->data.len);
	return SW_OK;
}

/* --- VERIFY: NIST SP 800-73-4 Part 2, 3.2.1 --- */

/* 2.4.3: six to eight digits, then FF */
static bool
pin_is_well_formed(const uint8_t pin[PIV_PIN_MAX])
{
	size_t digits = 0;

	while (digits < PIV_PIN_MAX && pin[digits] >= '0' && pin[digits] <= '9')
		digits++;
	for (size_t i = digits; i < PIV_PIN_MAX; i++)
		if (pin[i] != 0xff)
			return false;
	return digits >= 6;
}

static uint16_t
verify_status(const struct piv *piv, enum piv_pin pin)
{
	if (piv->verified[pin])
		return SW_OK;
	return piv->tries[pin] > 0 ? (uint16_t)(SW_TRIES | piv->tries[pin]) : SW_BLOCKED;
}

static uint16_t
verify_pin(struct piv *piv, enum piv_pin pin, const uint8_t *given)
{
	if (CRYPTO_memcmp(given, piv->content->pin[pin], PIV_PIN_MAX) != 0) {
		piv->verified[pin] = false;
		piv_set_tries(piv, pin, piv->tries[pin] - 1);
		return piv->tries[pin] > 0 ? (uint16_t)(SW_TRIES | piv->tries[pin]) : SW_BLOCKED;
	}
	piv_set_tries(piv, pin, piv->content->retries);
	piv->verified[pin] = true;
	piv->fresh = true;
	return SW_OK;
}

static bool
pin_of(const struct piv *piv, const struct command *cmd, enum piv_pin *pin)
{
	*pin = cmd->p2 == 0x00 ? PIV_PIN_GLOBAL : PIV_PIN_APPLICATION;
	return (cmd->p2 == 0x80 || cmd->p2 == 0x00) && piv->content->pin_used[*pin];
}

static uint16_t
cmd_verify(struct piv *piv, const struct command *cmd, struct vbuf *out)
{
	enum piv_pin pin;

	(void)out;
	if (!pin_of(piv, cmd, &pin))
		return SW_REFERENCE;
	if (cmd->p1 == 0xff && cmd->len == 0) {
		piv->verified[pin] = false;
		return SW_OK;
	}
	if (cmd->p1 != 0x00)
		return SW_P1P2;
	if (cmd->len == 0)
		return verify_status(piv, pin);
	if (piv->tries[pin] == 0)
		return SW_BLOCKED;
	if (cmd->len != PIV_PIN_MAX || !pin_is_well_formed(cmd->data))
		return SW_DATA;
	return verify_pin(piv, pin, cmd->data);
}

/* --- CHANGE REFERENCE DATA: NIST SP 800-73-4 Part 2, 3.2.2; of the two PINs, not of the PUK --- */

static uint16_t
cmd_change(struct piv *piv, const struct command *cmd, struct vbuf *out)
{
	enum piv_pin pin;
	uint16_t sw;

	(void)out;
	if (!pin_of(piv, cmd, &pin))
		return SW_REFERENCE;
	if (cmd->p1 != 0x00)
		return SW_P1P2;
	if (piv->tries[pin] == 0)
		return SW_BLOCKED;
	if (cmd->len != 2 * PIV_PIN_MAX || !pin_is_well_formed(cmd->data) ||
	    !pin_is_well_formed(cmd->data + PIV_PIN_MAX))
		return SW_DATA;
	if ((sw = verify_pin(piv, pin, cmd->data)) == SW_OK)
		memcpy(piv->content->pin[pin], cmd->data + PIV_PIN_MAX, PIV_PIN_MAX);
	return sw;
}

/* --- RESET RETRY COUNTER: NIST SP 800-73-4 Part 2, 3.2.3; of the application's PIN, by the PUK --- */

static uint16_t
cmd_reset_retry(struct piv *piv, const struct command *cmd, struct vbuf *out)
{
	(void)out;
	if (!piv->content->has_puk || cmd->p2 != 0x80)
		return SW_REFERENCE;
	if (cmd->p1 != 0x00)
		return SW_P1P2;
	if (piv->puk_tries == 0)
		return SW_BLOCKED;
	if (cmd->len != 2 * PIV_PIN_MAX || !pin_is_well_formed(cmd->data + PIV_PIN_MAX))
		return SW_DATA;
	if (CRYPTO_memcmp(cmd->data, piv->content->puk, PIV_PIN_MAX) != 0) {
		piv->puk_tries--;
		return piv->puk_tries > 0 ? (uint16_t)(SW_TRIES | piv->puk_tries) : SW_BLOCKED;
	}
	piv->puk_tries = piv->content->retries;
	piv_set_tries(piv, PIV_PIN_APPLICATION, piv->content->retries);
	memcpy(piv->content->pin[PIV_PIN_APPLICATION], cmd->data + PIV_PIN_MAX, PIV_PIN_MAX);
	return SW_OK;
}

/* --- GENERAL AUTHENTICATE: NIST SP 800-73-4 Part 2, 3.2.4 --- */

static const struct key_rule *
rule_of(uint8_t ref)
{
	for (size_t i = 0; i < COUNT(key_rules); i++)
		if (ref >= key_rules[i].first && ref <= key_rules[i].last)
			return &key_rules[i];
	return NULL;
}

static bool
pin_allows(const struct piv *piv, enum pin_rule rule, bool fresh)
{
	const bool verified = piv->verified[PIV_PIN_APPLICATION] || piv->verified[PIV_PIN_GLOBAL];

	return rule == PIN_NEVER || (verified && (rule == PIN_ONCE || fresh));
}

/* Table 7: 7C { 82 empty: the answer is wanted here, 81 challenge or 85 exponentiation } */
static bool
read_template(const struct command *cmd, struct tlv *challenge, struct tlv *point)
{
	struct tlv all, t;
	bool response = false;

	if (!tlv_read(cmd->data, cmd->len, &all) || all.tag != 0x7c)
		return false;
	while (all.len > 0) {
		if (!tlv_next(&all.p, &all.len, &t))
			return false;
		if (t.tag == 0x82 && t.len == 0)
			response = true;
		else if (t.tag == 0x81)
			*challenge = t;
		else if (t.tag == 0x85)
			*point = t;
		else
			return false;
	}
	return response && (challenge->len > 0) != (point->len > 0);
}

/* Borrowed; made at first use. */
static EVP_PKEY *
other_key(struct piv *piv, EVP_PKEY *key)
{
	if (piv->other_key != NULL && piv_key_algorithm(piv->other_key) != piv_key_algorithm(key)) {
		EVP_PKEY_free(piv->other_key);
		piv->other_key = NULL;
	}
	if (piv->other_key == NULL)
		piv->other_key = piv_key_like(key);
	return piv->other_key;
}

static uint16_t
use_key(EVP_PKEY *key, const struct key_rule *rule, const struct command *cmd, struct vbuf *out)
{
	struct tlv challenge = {0}, point = {0};
	struct vbuf result = {0};
	bool ok;

	if (key == NULL)
		return SW_FAILURE;
	if (!read_template(cmd, &challenge, &point))
		return SW_DATA;
	if (rule->agrees && !piv_key_is_rsa(key))
		ok = piv_key_agree(key, point.p, point.len, &result);
	else
		ok = piv_key_sign(key, challenge.p, challenge.len, &result);
	if (ok) {
		vbuf_wrap(&result, 0x82);
		vbuf_tlv(out, 0x7c, result.p, result.len);
	}
	vbuf_free(&result);
	return ok ? SW_OK : SW_DATA;
}

static uint16_t
cmd_general_authenticate(struct piv *piv, const struct command *cmd, struct vbuf *out)
{
	const bool fresh = piv->fresh;
	const struct key_rule *rule = rule_of(cmd->p2);
	EVP_PKEY *key = piv_content_key(piv->content, cmd->p2);
	uint16_t sw;

	piv->fresh = false;
	if (rule == NULL || key == NULL || piv_key_algorithm(key) != cmd->p1)
		return SW_P1P2;
	if (!pin_allows(piv, rule->pin, fresh))
		return SW_SECURITY;
	sw = use_key(piv->wrong_key ? other_key(piv, key) : key, rule, cmd, out);
	if (sw == SW_OK)
		piv->operations++;
	return sw;
}

/* --- all commands --- */

static const struct handler {
	uint8_t ins;
	bool selected;	/* only once the application is selected */
	uint16_t (*run)(struct piv *piv, const struct command *cmd, struct vbuf *out);
} handlers[] = {
	{ INS_SELECT, false, cmd_select },
	{ INS_GET_DATA, true, cmd_get_data },
	{ INS_VERIFY, true, cmd_verify },
	{ INS_CHANGE, true, cmd_change },
	{ INS_RESET_RETRY, true, cmd_reset_retry },
	{ INS_GENERAL_AUTHENTICATE, true, cmd_general_authenticate },
};

uint16_t
piv_command(struct piv *piv, const struct command *cmd, struct vbuf *out)
{
	/* NIST SP 800-73-4 Part 1, table 4b, PIN Always: verified immediately before each use */
	if (cmd->ins != INS_GENERAL_AUTHENTICATE)
		piv->fresh = false;
	for (size_t i = 0; i < COUNT(handlers); i++)
		if (handlers[i].ins == cmd->ins && (piv->selected || !handlers[i].selected))
			return handlers[i].run(piv, cmd, out);
	return SW_INS;
}

void
piv_insert(struct piv *piv, struct piv_content *content, const char *tries_file)
{
	piv_reset(piv);
	piv->content = content;
	piv->tries_file[0] = '\0';
	if (tries_file != NULL)
		snprintf(piv->tries_file, sizeof(piv->tries_file), "%s", tries_file);
	else if (content->persist)
		snprintf(piv->tries_file, sizeof(piv->tries_file), "%s/tries", content->dir);
	load_tries(piv);
}

void
piv_reset(struct piv *piv)
{
	piv->selected = false;
	piv->fresh = false;
	memset(piv->verified, 0, sizeof(piv->verified));
}

void
piv_clear(struct piv *piv)
{
	EVP_PKEY_free(piv->other_key);
	piv->other_key = NULL;
}
