/* service/disabled.c - cards that are not used here: macOS's DisabledTokens. */
#include "service/disabled.h"

#include <string.h>

#define APPLE	"com.apple.CryptoTokenKit."
#define READER	"reader"

/* The name of a driver, as macOS writes it or bare. */
static bool
is_driver(const char *entry, const char *driver)
{
	return strcmp(strncmp(entry, APPLE, strlen(APPLE)) == 0 ? entry + strlen(APPLE) : entry, driver) == 0;
}

bool
cm_disabled_driver(const struct cm_conf *conf, const char *driver)
{
	for (char *const *entry = conf->card.disabled; entry != NULL && *entry != NULL; entry++)
		if (is_driver(*entry, driver))
			return true;
	return false;
}

static bool
has_modules(const struct cm_conf *conf)
{
	return conf->card.modules != NULL && conf->card.modules[0] != NULL && !cm_disabled_driver(conf, "pkcs11");
}

struct cm_card_from
cm_disabled_from(const struct cm_conf *conf, const char *source, enum cm_card_purpose purpose)
{
	const bool modules = has_modules(conf);

	return (struct cm_card_from){ .source = source, .purpose = purpose,
		.modules = modules ? (const char *const *)conf->card.modules : NULL, .modules_only = modules && cm_disabled_driver(conf, "pivtoken") };
}

/* Does this entry leave nothing that opens it? */
static bool
names(const struct cm_conf *conf, const char *entry, const char *source)
{
	const bool in_reader = strncmp(source, READER, strlen(READER)) == 0;

	if (is_driver(entry, "pivtoken"))
		return in_reader && !has_modules(conf);
	if (is_driver(entry, "pkcs11"))
		return strncmp(source, "token:", 6) == 0;
	if (strncmp(entry, APPLE, strlen(APPLE)) == 0)
		entry += strlen(APPLE);
	if (strcmp(entry, "file") == 0)
		return strncmp(source, "file:", 5) == 0;
	return in_reader && strncmp(entry, READER ":", strlen(READER ":")) == 0 && entry[strlen(READER ":")] != '\0' &&
	    strstr(source, entry + strlen(READER ":")) != NULL;
}

enum cm_err
cm_disabled_judge(const struct cm_conf *conf, const char *source, struct cm_trace *t)
{
	for (char *const *entry = conf->card.disabled; entry != NULL && *entry != NULL; entry++)
		if (names(conf, *entry, source))
			return cm_trace_fail(t, CM_REASON_CARD_DISABLED, "%s: card.disabled names %s: no login uses it", source, *entry);
	return CM_OK;
}

enum cm_err
cm_disabled_judge_card(const struct cm_conf *conf, const char *where, struct cm_trace *t)
{
	struct cm_buf source = { 0 };
	enum cm_err err;

	if (strncmp(conf->card.source, READER, strlen(READER)) != 0)
		return cm_disabled_judge(conf, conf->card.source, t);
	cm_buf_addf(&source, READER ":%s", where);
	if ((err = cm_buf_status(&source)) == CM_OK)
		err = cm_disabled_judge(conf, cm_buf_str(&source), t);
	cm_buf_free(&source);
	return err;
}
