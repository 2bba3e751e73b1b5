/* base/log.c - one line for each decision, for administrators. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <syslog.h>

void
cm_log_event(enum cm_log_target target, const char *event, enum cm_err err,
    enum cm_reason reason, const char *fmt, ...)
{
	char text[1024];
	struct cm_buf line;
	va_list ap;

	if (target == CM_LOG_NONE)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	cm_buf_init(&line, 0);
	cm_buf_addf(&line, "%s %s", event, cm_err_name(err));
	if (reason != CM_REASON_NONE)
		cm_buf_addf(&line, " reason=%s", cm_reason_name(reason));
	cm_buf_add_str(&line, ": ");
	cm_buf_add_printable(&line, cm_blob_str(text));
	if (target == CM_LOG_STDERR)
		fprintf(stderr, "cardmap: %s\n", cm_buf_str(&line));
	else
		syslog(LOG_AUTHPRIV | (err == CM_OK ? LOG_INFO : LOG_NOTICE),
		    "%s", cm_buf_str(&line));
	cm_buf_free(&line);
}
