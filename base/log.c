/* base/log.c - one line for each decision, for administrators; in the journal its parts are fields. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>
#include <unistd.h>

#include "base/log_internal.h"

#define LOG_WAIT_MS	500
#define FIELD_MAX	4096	/* octets of one part: all of them fit into one datagram */

/* sd-id128: what kind of entry it is, for filters and the journal's catalog. */
#define DECISION_ID	"50f0a1abbcf347328cda56df68ac4944"

/* The parts that are texts: where, their field, and what the line calls them ("": it does not have them). */
static const struct part {
	size_t offset;
	const char *field, *word;
} parts[] = {
	{ offsetof(struct cm_log_entry, event), "CARDMAP_EVENT", "" },
	{ offsetof(struct cm_log_entry, user), "CARDMAP_USER", "" },
	{ offsetof(struct cm_log_entry, service), "CARDMAP_SERVICE", "service" },
	{ offsetof(struct cm_log_entry, rhost), "CARDMAP_RHOST", "from" },
	{ offsetof(struct cm_log_entry, tty), "CARDMAP_TTY", "at" },
	{ offsetof(struct cm_log_entry, reader), "CARDMAP_READER", "reader" },
	{ offsetof(struct cm_log_entry, serial), "CARDMAP_SERIAL", "serial" },
	{ offsetof(struct cm_log_entry, stages), "CARDMAP_STAGES", "stages" },
};

static const char *
text_of(const struct cm_log_entry *e, const struct part *p)
{
	const char *text = *(const char *const *)(const void *)((const char *)e + p->offset);

	return text != NULL ? text : "";
}

static size_t
short_length(const char *text)
{
	return strnlen(text, FIELD_MAX);
}

static void
add_text(struct cm_buf *out, const char *text)
{
	cm_buf_add_printable(out, (struct cm_blob){ (const uint8_t *)text, short_length(text) });
}

static void
make_line(const struct cm_log_entry *e, struct cm_buf *line)
{
	const char *between = ": ";

	cm_buf_addf(line, "%s %s", e->event, cm_err_name(e->err));
	if (e->reason != CM_REASON_NONE)
		cm_buf_addf(line, " reason=%s", cm_reason_name(e->reason));
	if (e->text != NULL && e->text[0] != '\0') {
		cm_buf_add_str(line, between);
		add_text(line, e->text);
		between = "; ";
	}
	for (size_t i = 0; i < CM_COUNT(parts); i++) {
		const char *text = text_of(e, &parts[i]);

		if (text[0] == '\0' || parts[i].word[0] == '\0')
			continue;
		cm_buf_addf(line, "%s%s ", between, parts[i].word);
		add_text(line, text);
		between = "; ";
	}
}

static int
severity(const struct cm_log_entry *e)
{
	return e->err == CM_OK ? LOG_INFO : LOG_NOTICE;
}

static void
add_field(struct cm_buf *m, const char *name, const char *text)
{
	struct cm_buf value = { 0 };

	add_text(&value, text);
	if (text[0] != '\0' && cm_buf_status(&value) == CM_OK)
		cm_log_add_field(m, name, cm_buf_blob(&value));
	cm_buf_free(&value);
}

static void
add_number(struct cm_buf *m, const char *name, unsigned long n)
{
	char text[24];

	snprintf(text, sizeof(text), "%lu", n);
	add_field(m, name, text);
}

static void
make_fields(const struct cm_log_entry *e, const char *line, struct cm_buf *m)
{
	add_field(m, "MESSAGE", line);
	add_field(m, "MESSAGE_ID", DECISION_ID);
	add_number(m, "PRIORITY", (unsigned long)severity(e));
	add_number(m, "SYSLOG_FACILITY", LOG_FAC(LOG_AUTHPRIV));
	add_field(m, "SYSLOG_IDENTIFIER", "cardmap");
	add_field(m, "CARDMAP_RESULT", cm_err_name(e->err));
	if (e->reason != CM_REASON_NONE)
		add_field(m, "CARDMAP_REASON", cm_reason_name(e->reason));
	if (e->uid != CM_LOG_NO_UID)
		add_number(m, "CARDMAP_UID", e->uid);
	if (e->online != CM_LOG_NOT_SAID)
		add_field(m, "CARDMAP_ONLINE", e->online == CM_LOG_ONLINE ? "yes" : "no");
	for (size_t i = 0; i < CM_COUNT(parts); i++)
		add_field(m, parts[i].field, text_of(e, &parts[i]));
}

static bool
send_to_journal(const struct cm_log_entry *e, const char *line, cm_deadline deadline)
{
	struct cm_buf m = { 0 };
	bool sent;

	if (access(CM_LOG_JOURNAL, F_OK) != 0)
		return false;
	make_fields(e, line, &m);
	sent = cm_buf_status(&m) == CM_OK && cm_log_datagram(CM_LOG_JOURNAL, cm_buf_blob(&m), deadline);
	cm_buf_free(&m);
	return sent;
}

void
cm_log_write(enum cm_log_target target, const struct cm_log_entry *e)
{
	const cm_deadline deadline = cm_deadline_in(LOG_WAIT_MS);
	struct cm_buf line = { 0 };

	if (target == CM_LOG_NONE)
		return;
	make_line(e, &line);
	if ((target == CM_LOG_SYSLOG || cm_log_is_journal(STDERR_FILENO, getenv("JOURNAL_STREAM"))) &&
	    send_to_journal(e, cm_buf_str(&line), deadline))
		;
	else if (target == CM_LOG_STDERR)
		fprintf(stderr, "cardmap: %s\n", cm_buf_str(&line));
	else
		(void)cm_log_send("/dev/log", LOG_AUTHPRIV | severity(e), cm_buf_str(&line), deadline);
	cm_buf_free(&line);
}

void
cm_log_stages(const struct cm_trace *t, struct cm_buf *out)
{
	for (size_t i = 0; i < cm_trace_count(t); i++) {
		const struct cm_trace_stage *s = cm_trace_stage(t, i);

		cm_buf_addf(out, "%s%s %lld.%lld ms", i > 0 ? ", " : "", s->name,
		    (long long)s->us / 1000, (long long)s->us / 100 % 10);
		if (s->err != CM_OK)
			cm_buf_addf(out, " (%s)", cm_reason_name(s->reason));
	}
}

void
cm_log_event(enum cm_log_target target, const char *event, enum cm_err err,
    enum cm_reason reason, const char *fmt, ...)
{
	char text[1024];
	const struct cm_log_entry e = { .event = event, .err = err, .reason = reason, .text = text, .uid = CM_LOG_NO_UID };
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	cm_log_write(target, &e);
}
