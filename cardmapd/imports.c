/* cardmapd/imports.c - what SmartcardLogin.plist and sssd.conf set, where they are obeyed as they stand. */
#include "cardmapd/imports.h"

#include <jansson.h>
#include <string.h>
#include <unistd.h>

#include "base/child.h"
#include "base/list.h"

#define CHILD_MS	10000
#define OUTPUT_MAX	((size_t)256 << 10)

/* What this process decides on; of everything else the resolver has taken note itself. */
static const char *const obeyed[] = {
	"enforcement.required", "enforcement.not_enforced_group", "enforcement.allow_unmapped_users", "enforcement.allow_cards",
	"enforcement.removal", "accounts.user_pairing", "accounts.one_card_per_user", "accounts.offline_days", "mapper.selector",
	"card.disabled", "card.log_next", "trust.level", "trust.check",
};

static bool
is_obeyed(const char *key)
{
	for (size_t i = 0; i < CM_COUNT(obeyed); i++)
		if (strcmp(obeyed[i], key) == 0)
			return true;
	return false;
}

static bool
is_there(const struct cm_conf *conf)
{
	const char *plist = conf->mapper.plist, *sssd = conf->mapper.sssd;

	if (sssd != NULL && sssd[0] != '\0')
		return true;
	return plist != NULL && plist[0] != '\0' && (access(plist, F_OK) == 0 || !cm_conf_is_default(conf, "mapper.plist"));
}

/* What is obeyed goes into force, unless cardmap.conf says otherwise. */
static enum cm_err
take_setting(const json_t *s, struct cm_conf *conf, struct cm_trace *t)
{
	const char *key = json_string_value(json_object_get(s, "key")), *place = json_string_value(json_object_get(s, "place"));
	char **values = NULL;
	json_t *value;
	enum cm_err err = key != NULL && place != NULL ? CM_OK : CM_ERR_SYNTAX;
	size_t i;

	json_array_foreach(json_object_get(s, "values"), i, value)
		if (err == CM_OK)
			err = json_is_string(value) ? cm_list_add(&values, cm_blob_str(json_string_value(value))) : CM_ERR_SYNTAX;
	if (err == CM_OK && is_obeyed(key))
		err = values != NULL ? cm_conf_set_default(conf, key, values, place, t) : CM_ERR_SYNTAX;
	cm_list_free(&values);
	return err == CM_ERR_ABSENT ? CM_OK : err;
}

enum cm_err
cm_imports_parse(struct cm_blob output, struct cm_conf *conf, struct cm_trace *t)
{
	json_t *told = json_loadb((const char *)output.ptr, output.len, JSON_REJECT_DUPLICATES, NULL), *setting;
	const char *error = json_string_value(json_object_get(told, "error"));
	enum cm_err err = json_is_array(json_object_get(told, "settings")) ? CM_OK : CM_ERR_SYNTAX;
	size_t i;

	if (error != NULL)
		err = cm_trace_fail(t, CM_REASON_CONFIG, "%s", error);
	json_array_foreach(json_object_get(told, "settings"), i, setting)
		if (err == CM_OK)
			err = take_setting(setting, conf, t);
	if (err == CM_ERR_SYNTAX)
		err = cm_trace_fail(t, CM_REASON_HELPER, "cardmap-resolver --settings tells what is none of its answers");
	json_decref(told);
	return err;
}

/* Installed, or in a build tree. */
static bool
find_program(const char *libexec, char out[4096])
{
	static const char *const places[] = { "%s/resolver/cardmap-resolver", "%s/cardmap-resolver" };

	for (size_t i = 0; i < CM_COUNT(places); i++) {
		snprintf(out, 4096, places[i], libexec);
		if (access(out, X_OK) == 0)
			return true;
	}
	return false;
}

enum cm_err
cm_imports_take(const struct cm_imports *i, struct cm_conf *conf, struct cm_trace *t)
{
	const char *const arguments[] = { "--settings", i->config != NULL ? "--config" : NULL, i->config, NULL };
	char program[4096];
	const struct cm_child c = { .path = program, .arguments = arguments, .uid = i->uid, .gid = i->gid, .ours = true,
		.output_max = OUTPUT_MAX, .memory_max = SIZE_MAX };
	struct cm_buf output;
	enum cm_err err;
	int status = -1;

	if (!is_there(conf))
		return CM_OK;
	if (!find_program(i->libexec, program))
		return cm_trace_fail(t, CM_REASON_SYSTEM, "%s is missing: install cardmap again", program);
	cm_buf_init(&output, OUTPUT_MAX);
	if ((err = cm_child_run(&c, cm_deadline_in(CHILD_MS), t, &output, &status)) == CM_OK && status != 0)
		err = cm_trace_fail(t, CM_REASON_HELPER, "cardmap-resolver --settings ended with %d", status);
	if (err == CM_OK)
		err = cm_imports_parse(cm_buf_blob(&output), conf, t);
	cm_buf_free(&output);
	return err;
}
