/* cli/pair_watch.c - cards that open no account are offered to be paired, as they are put in: for a terminal, or a desktop. */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/service.h"

#define NOTIFY		"/usr/bin/notify-send"
#define REMEMBERED_MAX	((size_t)64 << 10)	/* octets of the file */

extern char **environ;

static const char *
text_of(const json_t *o, const char *key)
{
	const char *text = json_string_value(json_object_get(o, key));

	return text != NULL ? text : "";
}

/* ---- cards that are never asked about again: their hashes, a line each, in a file of this user's */

/* XDG Base Directory Specification; what is not absolute does not count.  False: there is no home. */
static bool
find_file(struct cm_buf *out, bool make)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	const char *const parts[] = { "/.local", "/state", "/cardmap" };
	const bool named = state != NULL && state[0] == '/';

	if (!named && (home == NULL || home[0] != '/'))
		return false;
	cm_buf_add_str(out, named ? state : home);
	for (size_t i = named ? 2 : 0; i < CM_COUNT(parts); i++) {
		cm_buf_add_str(out, parts[i]);
		if (make)
			(void)mkdir(cm_buf_str(out), 0700);
	}
	cm_buf_add_str(out, "/never-pair");
	return cm_buf_status(out) == CM_OK;
}

static bool
is_remembered(const char *hash)
{
	struct cm_buf path = { 0 }, text = { 0 };
	bool found = false;

	if (find_file(&path, false) && cm_file_read(cm_buf_str(&path), REMEMBERED_MAX, CM_FILE_ANY, NULL, &text) == CM_OK)
		for (const char *line = cm_buf_str(&text); *line != '\0' && !found; line += strcspn(line, "\n") + (strchr(line, '\n') != NULL))
			found = strncmp(line, hash, strlen(hash)) == 0;
	cm_buf_free(&text);
	cm_buf_free(&path);
	return found;
}

static void
remember(const char *hash)
{
	struct cm_buf path = { 0 };
	int fd = -1;

	if (find_file(&path, true))
		fd = open(cm_buf_str(&path), O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || dprintf(fd, "%s\n", hash) < 0)
		fprintf(stderr, "cardmap: that this card is not to be asked about again could not be written down: %s\n", strerror(errno));
	if (fd >= 0)
		close(fd);
	cm_buf_free(&path);
}

/* ---- asking */

/* True: the desktop has it. */
static bool
send(const char *text)
{
	int status = -1;
	pid_t pid;
	char *const argv[] = { (char *)(uintptr_t)NOTIFY, (char *)(uintptr_t)"--app-name=cardmap", (char *)(uintptr_t)"--",
		(char *)(uintptr_t)"Unknown smart card", (char *)(uintptr_t)text, NULL };

	if (posix_spawn(&pid, NOTIFY, NULL, NULL, argv, environ) != 0)
		return false;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status == 0;
}

/* A notification may have markup, and a reader's name is what somebody plugged in. */
static void
add_plain(struct cm_buf *out, const char *text)
{
	for (; *text != '\0'; text++)
		cm_buf_add_byte(out, strchr("<>&", *text) != NULL ? ' ' : (uint8_t)*text);
}

/* Without a terminal nobody can type a PIN here: he is told where he can. */
static void
notify(const char *reader)
{
	struct cm_buf text = { 0 };

	cm_buf_add_str(&text, "The card in ");
	add_plain(&text, reader);
	cm_buf_add_str(&text, " opens no account. To have it open yours, run: cardmap pair");
	/* No desktop, or one that shows none: the journal has it. */
	if (!send(cm_buf_str(&text)))
		fprintf(stderr, "cardmap: %s\n", cm_buf_str(&text));
	cm_buf_free(&text);
}

static void
ask(struct cm_cli *c, const char *reader, const char *hash)
{
	char line[32] = "";
	enum cm_err err;

	fprintf(stderr, "The card in %s opens no account. Pair it with yours? yes, no, or never: ", reader);
	if (fgets(line, sizeof(line), stdin) == NULL)
		return;
	if (strcmp(line, "never\n") == 0)
		remember(hash);
	if (strcmp(line, "yes\n") != 0 && strcmp(line, "y\n") != 0)
		return;
	/* What became of one is told, and the next is asked about. */
	if ((err = cm_cli_pair_own(c, reader)) != CM_OK)
		fprintf(stderr, "cardmap: %s (%s): %s\n", cm_trace_message(c->trace), cm_reason_name(cm_trace_reason(c->trace)),
		    cm_reason_remedy(cm_trace_reason(c->trace)));
	cm_trace_clear_reason(c->trace);
}

/* A card is asked about once for each insertion: it changes its state with each look that the service has at it. */
static bool
is_new(struct cm_cli *c, const char *reader, const json_t *insertion)
{
	json_t *asked = json_object_get(c->answer, "asked");

	if (asked == NULL && json_object_set_new(c->answer, "asked", asked = json_object()) != 0)
		return false;
	if (json_equal(json_object_get(asked, reader), insertion))
		return false;
	return json_object_set(asked, reader, (json_t *)(uintptr_t)insertion) == 0;
}

static enum cm_err
see(struct cm_cli *c, const json_t *parameters, bool *enough)
{
	const json_t *card = json_object_get(parameters, "card");
	const char *hash = text_of(card, "unpaired"), *reader = text_of(card, "reader");

	*enough = false;
	if (hash[0] == '\0' || !is_new(c, reader, json_object_get(card, "insertion")) || is_remembered(hash))
		return CM_OK;
	if (isatty(STDIN_FILENO))
		ask(c, reader, hash);
	else
		notify(reader);
	return CM_OK;
}

enum cm_err
cm_cli_pair_watch(struct cm_cli *c)
{
	struct cm_wire *service = NULL;
	enum cm_err err;

	if (c->json)
		return cm_trace_fail(c->trace, CM_REASON_USAGE, "--watch asks a person: cardmap cards --follow --json is for programs");
	if ((err = cm_cli_service_need(c, CM_CLI_DAEMON, &service)) == CM_OK)
		err = cm_cli_service_ask_more(c, service, "io.cardmap.Cards", NULL, see);
	cm_wire_free(&service);
	return err;
}
