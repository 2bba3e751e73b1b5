/* service/names.c - what other sources of names than ours say: the asking. */
#include "service/names.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/child.h"
#include "base/clock.h"
#include "base/file.h"

#define PROGRAM		"cardmap-names"
#define NSSWITCH_MAX	((size_t)65536)

/* ---- who is asked */

static bool
is_space(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* What becomes part of a file's name, libnss_X.so.2: nothing that leads out of where those are. */
static bool
is_source(struct cm_blob word)
{
	for (size_t i = 0; i < word.len; i++)
		if (!((word.ptr[i] >= 'a' && word.ptr[i] <= 'z') || (word.ptr[i] >= 'A' && word.ptr[i] <= 'Z') ||
		    (word.ptr[i] >= '0' && word.ptr[i] <= '9') || word.ptr[i] == '_' || word.ptr[i] == '-'))
			return false;
	return word.len > 0 && word.len < CM_NAMES_SOURCE_MAX;
}

static bool
is_ours(struct cm_blob word)
{
	return cm_blob_equal(word, cm_blob_str("files")) || cm_blob_equal(word, cm_blob_str("systemd"));
}

/* nsswitch.conf(5): sources, and between them what to do next, in brackets, which does not matter here. */
static void
read_sources(struct cm_blob line, struct cm_buf *out)
{
	size_t count = 0;

	for (size_t at = 0, end; at < line.len && count < CM_NAMES_SOURCES_MAX; at = end) {
		struct cm_blob word;

		while (at < line.len && is_space(line.ptr[at]))
			at++;
		end = at;
		if (at < line.len && line.ptr[at] == '[') {
			while (end < line.len && line.ptr[end++] != ']')
				;
			continue;
		}
		while (end < line.len && !is_space(line.ptr[end]) && line.ptr[end] != '[')
			end++;
		word = (struct cm_blob){ line.ptr + at, end - at };
		if (!is_source(word) || is_ours(word))
			continue;
		cm_buf_add_blob(out, word);
		cm_buf_add_byte(out, ' ');
		count++;
	}
}

static bool
is_database(struct cm_blob line, const char *database, size_t *after)
{
	const size_t len = strlen(database);
	size_t at = 0;

	while (at < line.len && is_space(line.ptr[at]))
		at++;
	if (line.len - at <= len || memcmp(line.ptr + at, database, len) != 0)
		return false;
	for (at += len; at < line.len && is_space(line.ptr[at]); at++)
		;
	*after = at + 1;
	return at < line.len && line.ptr[at] == ':';
}

void
cm_names_sources(struct cm_blob nsswitch, const char *database, struct cm_buf *out)
{
	for (size_t at = 0, next; at < nsswitch.len; at = next) {
		const uint8_t *end = memchr(nsswitch.ptr + at, '\n', nsswitch.len - at), *comment;
		struct cm_blob line = { nsswitch.ptr + at, end != NULL ? (size_t)(end - nsswitch.ptr) - at : nsswitch.len - at };
		size_t after;

		next = at + line.len + 1;
		if (line.len > 0 && (comment = memchr(line.ptr, '#', line.len)) != NULL)
			line.len = (size_t)(comment - line.ptr);
		if (is_database(line, database, &after)) {
			read_sources((struct cm_blob){ line.ptr + after, line.len - after }, out);
			return;
		}
	}
}

struct sources {
	struct cm_buf passwd, group;
};

/* A computer without the file has glibc's default, which is files. */
static enum cm_err
find_sources(const char *etc, struct cm_trace *t, struct sources *s)
{
	struct cm_buf path = { 0 }, text;
	enum cm_err err;

	cm_buf_addf(&path, "%s/nsswitch.conf", etc != NULL ? etc : "/etc");
	cm_buf_init(&text, NSSWITCH_MAX);
	if ((err = cm_buf_status(&path)) == CM_OK && (err = cm_file_read(cm_buf_str(&path), NSSWITCH_MAX, CM_FILE_TRUSTED, t, &text)) == CM_OK) {
		cm_names_sources(cm_buf_blob(&text), "passwd", &s->passwd);
		cm_names_sources(cm_buf_blob(&text), "group", &s->group);
		if ((err = cm_buf_status(&s->passwd)) == CM_OK)
			err = cm_buf_status(&s->group);
	}
	if (err == CM_ERR_ABSENT)
		err = CM_OK;
	cm_buf_free(&path);
	cm_buf_free(&text);
	return err;
}

/* ---- asking */

/* Installed as we are, or built as we are: beside us, so that no variable or setting chooses it. */
static enum cm_err
find_program(const char *given, struct cm_buf *path)
{
	static const char *const places[] = { CM_LIBEXEC_FROM_BIN, "../helper" };
	char self[4096], *end;
	const ssize_t n = given == NULL ? readlink("/proc/self/exe", self, sizeof(self) - 1) : 0;

	if (given != NULL || n < 0) {
		cm_buf_add_str(path, given != NULL ? given : PROGRAM);
		return cm_buf_status(path);
	}
	self[n] = '\0';
	if ((end = strrchr(self, '/')) != NULL)
		*end = '\0';
	for (size_t i = 0; i < CM_COUNT(places); i++) {
		cm_buf_truncate(path, 0);
		cm_buf_addf(path, "%s/%s/" PROGRAM, self, places[i]);
		if (access(cm_buf_str(path), X_OK) == 0)
			break;
	}
	return cm_buf_status(path);
}

static bool
is_text(const char *text, size_t size)
{
	return memchr(text, '\0', size) != NULL;
}

/* Of whoever answered nothing is believed but that much. */
static bool
is_answer(const struct cm_names_answer *a)
{
	return a->state <= CM_NAMES_UNASKED && is_text(a->source, sizeof(a->source)) && is_text(a->name, sizeof(a->name));
}

static enum cm_err
unasked(const struct sources *s, const char *why, struct cm_trace *t)
{
	const struct cm_buf *said = s->passwd.len > 0 ? &s->passwd : &s->group;

	return cm_trace_fail(t, CM_REASON_SYSTEM, "other sources of nsswitch.conf could not be asked (%s): %s; mend that, or take them out there",
	    cm_buf_str(said), why);
}

static enum cm_err
take_answers(const struct sources *s, const struct cm_buf *said, size_t count, struct cm_trace *t, struct cm_names_answer *answers)
{
	if (said->len != count * sizeof(*answers))
		return unasked(s, PROGRAM " did not answer each question", t);
	memcpy(answers, said->ptr, said->len);
	for (size_t i = 0; i < count; i++)
		if (!is_answer(&answers[i]))
			return unasked(s, PROGRAM " gave no answer", t);
	return CM_OK;
}

static enum cm_err
run(const struct cm_names_how *how, const struct sources *s, struct cm_blob questions, struct cm_trace *t, struct cm_buf *said)
{
	const char *const arguments[] = { cm_buf_str(&s->passwd), cm_buf_str(&s->group), NULL };
	const cm_deadline deadline = cm_deadline_in(CM_NAMES_MS);
	struct cm_buf path = { 0 };
	struct cm_child c = { .arguments = arguments, .uid = how->uid, .gid = how->gid, .ours = true, .input = questions,
		.output_max = CM_NAMES_QUESTIONS_MAX * sizeof(struct cm_names_answer), .memory_max = SIZE_MAX };
	struct cm_trace *inner = NULL;
	int status = -1;
	enum cm_err err;

	if (how->silent_until != NULL && cm_clock_us() < *how->silent_until)
		return unasked(s, "one of them has not answered lately", t);
	if ((err = find_program(how->program, &path)) == CM_OK && (err = cm_trace_new(&inner)) == CM_OK) {
		c.path = cm_buf_str(&path);
		if ((err = cm_child_run(&c, deadline, inner, said, &status)) == CM_ERR_ABSENT)
			err = unasked(s, PROGRAM " is missing: install cardmap again", t);
		else if (err != CM_OK && err != CM_ERR_NOMEM)
			err = unasked(s, cm_deadline_passed(deadline) ? "one of them does not answer" : cm_trace_message(inner), t);
		else if (err == CM_OK && status != 0)
			err = unasked(s, PROGRAM " failed", t);
		if (err != CM_OK && how->silent_until != NULL && cm_deadline_passed(deadline))
			*how->silent_until = cm_clock_us() + CM_NAMES_SILENT_MS * INT64_C(1000);
	}
	cm_buf_free(&path);
	cm_trace_free(&inner);
	return err;
}

enum cm_err
cm_names_ask(const struct cm_names_how *how, const struct cm_names_question *q, size_t count, struct cm_trace *t,
    struct cm_names_answer *answers)
{
	const struct cm_blob questions = { (const uint8_t *)q, count * sizeof(*q) };
	struct sources s = { .passwd = { 0 } };
	struct cm_buf said;
	enum cm_err err;

	if (count > CM_NAMES_QUESTIONS_MAX)
		return CM_ERR_STATE;
	cm_buf_init(&said, CM_NAMES_QUESTIONS_MAX * sizeof(*answers));
	if ((err = find_sources(how->etc, t, &s)) == CM_OK && s.passwd.len == 0 && s.group.len == 0)
		err = CM_ERR_ABSENT;
	if (err == CM_OK && (err = run(how, &s, questions, t, &said)) == CM_OK)
		err = take_answers(&s, &said, count, t, answers);
	cm_buf_free(&s.passwd);
	cm_buf_free(&s.group);
	cm_buf_free(&said);
	return err;
}
