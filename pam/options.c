/* pam/options.c - the module's arguments, a table. */
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include <security/pam_ext.h>

#include "pam/pam_internal.h"

#define TIMEOUT_MAX	600	/* seconds, as service.wait */

static bool
read_quiet(struct cm_pam_options *o, const char *value)
{
	(void)value;
	return o->quiet = true;
}

static bool
read_wait(struct cm_pam_options *o, const char *value)
{
	(void)value;
	return o->wait_for_card = true;
}

static bool
read_missing(struct cm_pam_options *o, const char *value)
{
	(void)value;
	return o->allow_missing_name = true;
}

static bool
read_first_pass(struct cm_pam_options *o, const char *value)
{
	(void)value;
	return o->use_first_pass = true;
}

static bool
read_authtok(struct cm_pam_options *o, const char *value)
{
	(void)value;
	return o->authtok = true;
}

static bool
read_timeout(struct cm_pam_options *o, const char *value)
{
	char *end;
	const unsigned long seconds = strtoul(value, &end, 10);

	if (value[0] < '0' || value[0] > '9' || *end != '\0' || seconds == 0 || seconds > TIMEOUT_MAX)
		return false;
	o->timeout = (unsigned)seconds;
	return true;
}

static bool
read_reader(struct cm_pam_options *o, const char *value)
{
	o->reader = value;
	return value[0] != '\0';
}

/* A name that ends in = has a value. */
static const struct {
	const char *name;
	bool (*read)(struct cm_pam_options *o, const char *value);
} rows[] = {
	{ "quiet", read_quiet },
	{ "wait_for_card", read_wait },
	{ "allow_missing_name", read_missing },
	{ "use_first_pass", read_first_pass },
	{ "authtok", read_authtok },
	{ "timeout=", read_timeout },
	{ "reader=", read_reader },
};

static bool
read_one(struct cm_pam_options *o, const char *argument)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const size_t len = strlen(rows[i].name);
		const bool valued = rows[i].name[len - 1] == '=';

		if (valued ? strncmp(argument, rows[i].name, len) == 0 : strcmp(argument, rows[i].name) == 0)
			return rows[i].read(o, argument + (valued ? len : 0));
	}
	return false;
}

int
cm_pam_options_read(pam_handle_t *h, int argc, const char **argv, struct cm_pam_options *out)
{
	int code = PAM_SUCCESS;

	*out = (struct cm_pam_options){ 0 };
	for (int i = 0; i < argc; i++)
		if (!read_one(out, argv[i])) {
			pam_syslog(h, LOG_ERR, "option %s: unknown, or its value is wrong: see pam_cardmap(8)", argv[i]);
			code = PAM_SERVICE_ERR;
		}
	return code;
}
