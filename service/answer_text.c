/* service/answer_text.c - the outcome of a question straight as text: for whoever answers thousands of them. */
#include "service/answer.h"

/* RFC 8259 section 7; what is printable needs no more than these two.  Most texts have neither. */
static void
put_string(struct cm_buf *b, const char *s)
{
	const size_t len = strlen(s);
	uint8_t *to;

	if (memchr(s, '"', len) == NULL && memchr(s, '\\', len) == NULL) {
		if ((to = cm_buf_extend(b, len + 2)) == NULL)
			return;
		to[0] = to[len + 1] = '"';
		memcpy(to + 1, s, len);
		return;
	}
	cm_buf_add_byte(b, '"');
	for (size_t n; *s != '\0'; s += n) {
		/* the first of them is written as what it is, behind a backslash */
		if (*s == '"' || *s == '\\')
			cm_buf_add_byte(b, '\\');
		for (n = 1; s[n] != '\0' && s[n] != '"' && s[n] != '\\';)
			n++;
		cm_buf_add(b, s, n);
	}
	cm_buf_add_byte(b, '"');
}

void
cm_answer_write_text(const char *text, struct cm_buf *out)
{
	struct cm_buf printable = { 0 };
	size_t n = 0;

	while (text[n] >= 0x20 && text[n] < 0x7F)
		n++;
	if (text[n] == '\0') {
		put_string(out, text);
		return;
	}
	cm_buf_add_printable(&printable, cm_blob_str(text));
	if (cm_buf_status(&printable) == CM_OK)
		put_string(out, cm_buf_str(&printable));
	else
		out->err = CM_ERR_NOMEM;
	cm_buf_free(&printable);
}

/* Texts that are ours, or of a trace, are printable already. */
static void
put_member(struct cm_buf *b, const char *key, const char *text)
{
	put_string(b, key);
	cm_buf_add_byte(b, ':');
	put_string(b, text);
}

static void
put_stage(struct cm_buf *b, const struct cm_trace_stage *s)
{
	cm_buf_add_byte(b, '{');
	put_member(b, "name", s->name);
	cm_buf_add_byte(b, ',');
	put_member(b, "result", cm_err_name(s->err));
	if (s->reason != CM_REASON_NONE) {
		cm_buf_add_byte(b, ',');
		put_member(b, "reason", cm_reason_name(s->reason));
	}
	cm_buf_addf(b, ",\"microseconds\":%lld,\"items\":[", (long long)s->us);
	for (size_t i = 0; i < s->count; i++) {
		cm_buf_add_str(b, i > 0 ? ",{" : "{");
		put_member(b, "key", s->items[i].key);
		cm_buf_add_byte(b, ',');
		put_member(b, "text", s->items[i].text);
		cm_buf_add_byte(b, '}');
	}
	cm_buf_add_str(b, "]}");
}

void
cm_answer_write_outcome(enum cm_err err, const struct cm_trace *t, struct cm_buf *out)
{
	const struct cm_trace_stage *failed = cm_trace_failed(t);
	const enum cm_reason reason = failed != NULL ? failed->reason : cm_trace_reason(t);

	cm_buf_add_byte(out, '{');
	put_member(out, "result", cm_err_name(err));
	if (err != CM_OK) {
		cm_buf_add_byte(out, ',');
		put_member(out, "reason", cm_reason_name(reason));
		cm_buf_add_byte(out, ',');
		put_member(out, "text", cm_trace_why(t, failed));
		cm_buf_add_byte(out, ',');
		put_member(out, "remedy", cm_reason_remedy(reason));
	}
	cm_buf_add_str(out, ",\"stages\":[");
	for (size_t i = 0; i < cm_trace_count(t); i++) {
		if (i > 0)
			cm_buf_add_byte(out, ',');
		put_stage(out, cm_trace_stage(t, i));
	}
	cm_buf_add_str(out, "]}");
}
