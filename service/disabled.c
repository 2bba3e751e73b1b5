/* service/disabled.c - cards that are not used here: macOS's DisabledTokens. */
#include "service/disabled.h"

#include <string.h>

#define APPLE	"com.apple.CryptoTokenKit."
#define READER	"reader"

static bool
names(const char *entry, const char *source)
{
	const bool in_reader = strncmp(source, READER, strlen(READER)) == 0;

	if (strncmp(entry, APPLE, strlen(APPLE)) == 0)
		entry += strlen(APPLE);
	if (strcmp(entry, "pivtoken") == 0)
		return in_reader;
	if (strcmp(entry, "file") == 0)
		return strncmp(source, "file:", 5) == 0;
	return in_reader && strncmp(entry, READER ":", strlen(READER ":")) == 0 && entry[strlen(READER ":")] != '\0' &&
	    strstr(source, entry + strlen(READER ":")) != NULL;
}

enum cm_err
cm_disabled_judge(const struct cm_conf *conf, const char *source, struct cm_trace *t)
{
	for (char *const *entry = conf->card.disabled; entry != NULL && *entry != NULL; entry++)
		if (names(*entry, source))
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
