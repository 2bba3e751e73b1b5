/* cli/doctor.c - will tomorrow's login with no network work?  A table of checks, each told with what mends it. */
#include "cli/doctor.h"

#include <stdarg.h>

/* In the order in which a login meets them; those of the network last: they are asked meanwhile. */
static const struct check {
	const char *name;
	void (*run)(struct cm_doctor *);
} checks[] = {
	{ "clock", cm_doctor_clock },
	{ "disk", cm_doctor_disk },
	{ "permissions", cm_doctor_store },
	{ "keytab", cm_doctor_keytab },
	{ "service", cm_doctor_service },
	{ "pam", cm_doctor_pam },
	{ "nss", cm_doctor_nss },
	{ "account", cm_doctor_account },
	{ "ca", cm_doctor_cas },
	{ "ticket", cm_doctor_ticket },
	{ "pcscd", cm_doctor_pcscd },
	{ "card", cm_doctor_card },
	{ "server", cm_doctor_ask_servers },
};

static const struct { const char *name; int code; } levels[] = {
	[CM_DOCTOR_OK] = { "ok", 0 },
	[CM_DOCTOR_WARNING] = { "warning", 1 },
	[CM_DOCTOR_FAILURE] = { "failure", 3 },
};

void
cm_doctor_say(struct cm_doctor *d, enum cm_doctor_level level, const char *remedy, const char *fmt, ...)
{
	json_t *o = json_object();
	char text[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (level > d->worst)
		d->worst = level;
	cm_cli_set(o, "check", d->check);
	cm_cli_set(o, "level", levels[level].name);
	cm_cli_set(o, "text", text);
	if (remedy != NULL)
		cm_cli_set(o, "remedy", remedy);
	json_array_append_new(d->list, o);
	cm_cli_line(d->cli, levels[level].name, "%-12s %s", d->check, text);
	if (remedy != NULL)
		cm_cli_line(d->cli, "", "%-12s -> %s", "", remedy);
}

int
cm_cli_doctor(struct cm_cli *c)
{
	struct cm_doctor d = { .cli = c, .user = c->args[0], .list = json_array() };
	enum cm_err err;

	json_object_set_new(c->answer, "checks", d.list);
	d.servers = cm_doctor_servers_begin(c->conf);
	if ((err = d.servers != NULL ? cm_doctor_open(&d) : CM_ERR_NOMEM) == CM_OK)
		for (size_t i = 0; i < CM_COUNT(checks); i++) {
			d.check = checks[i].name;
			checks[i].run(&d);
			cm_trace_clear_reason(c->trace);
		}
	cm_doctor_servers_end(&d.servers);
	cm_doctor_close(&d);
	if (err != CM_OK)
		return cm_cli_finish(c, err);
	cm_cli_set(c->answer, "worst", levels[d.worst].name);
	(void)cm_cli_finish(c, CM_OK);		/* the question was answered, whatever the answer is */
	return levels[d.worst].code;
}
