/* card/watch.c - which readers there are, and each card that goes in or comes out (PC/SC, SCardGetStatusChange). */
#include "card/watch.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <winscard.h>

#include "base/clock.h"
#include "base/fault.h"
#include "card/card_internal.h"

/* PC/SC's name for "a reader came or went" (pcsc-lite: SCardGetStatusChange(3)). */
#define HOTPLUG		"\\\\?PnP?\\Notification"

/* Between a list of readers and the wait for changes one may slip through: lists are made anew, soon after a change. */
#define SETTLE_MS	1000
#define RETRY_FIRST_MS	200
#define RETRY_MAX_MS	3000

/* pcsc-lite's, as libpcsclite has them built in; and the file beside the socket that pcscd writes when it begins. */
#define SOCKET_VARIABLE	"PCSCLITE_CSOCK_NAME"
#define SOCKET_PATH	"/run/pcscd/pcscd.comm"
#define PID_NAME	"pcscd.pid"

struct row {
	char name[MAX_READERNAME];
	bool there;		/* named by the last list */
	bool told;		/* of what follows */
	bool present;
	DWORD count;		/* pcscd's own of insertions and removals */
	uint32_t insertion;
	SCARD_READERSTATE state;
};

struct watch {
	cm_watch_tell tell;
	void *arg;
	struct cm_trace *t;
	SCARDCONTEXT context;
	struct row rows[PCSCLITE_MAX_READERS_CONTEXTS];
	size_t row_count;
	SCARD_READERSTATE hotplug;
	uint32_t insertions;
	uint32_t pcscd;		/* as struct cm_watch_event has it */
	bool lost;		/* told that there is no pcscd */
	int alive_ms;
	cm_deadline alive;	/* when it is said again */
};

static enum cm_err
tell(struct watch *w, const struct row *r, bool present)
{
	const struct cm_watch_event e = {
		.reader = r->name, .present = present, .insertion = r->insertion, .gone = !r->there,
		.atr = { r->state.rgbAtr, present ? r->state.cbAtr : 0 }, .pcscd = w->pcscd, .events = (uint16_t)r->count,
	};

	return w->tell(w->arg, &e, w->t);
}

static enum cm_err
say_alive(struct watch *w)
{
	const struct cm_watch_event e = { .alive = true };

	if (!cm_deadline_passed(w->alive))
		return CM_OK;
	w->alive = cm_deadline_in(w->alive_ms);
	return w->tell(w->arg, &e, w->t);
}

/* --- The list of readers --- */

static struct row *
find_row(struct watch *w, const char *name)
{
	for (size_t i = 0; i < w->row_count; i++)
		if (strcmp(w->rows[i].name, name) == 0)
			return &w->rows[i];
	return NULL;
}

static void
note_reader(struct watch *w, const char *name)
{
	struct row *r = find_row(w, name);

	if (r == NULL && strlen(name) < sizeof(r->name) && w->row_count < CM_COUNT(w->rows)) {
		r = &w->rows[w->row_count++];
		*r = (struct row){ 0 };
		memcpy(r->name, name, strlen(name));
	}
	if (r != NULL)
		r->there = true;
}

static enum cm_err
drop_gone(struct watch *w)
{
	enum cm_err err = CM_OK;
	size_t kept = 0;

	for (size_t i = 0; i < w->row_count; i++) {
		if (w->rows[i].there)
			w->rows[kept++] = w->rows[i];
		else if (err == CM_OK && w->rows[i].told)
			err = tell(w, &w->rows[i], false);
	}
	w->row_count = kept;
	return err;
}

static LONG
list_readers(struct watch *w, enum cm_err *err)
{
	char names[PCSCLITE_MAX_READERS_CONTEXTS * MAX_READERNAME + 1];
	DWORD len = sizeof(names) - 1;
	LONG rv = SCardListReaders(w->context, NULL, names, &len);

	if (rv != SCARD_S_SUCCESS && rv != SCARD_E_NO_READERS_AVAILABLE)
		return rv;
	for (size_t i = 0; i < w->row_count; i++)
		w->rows[i].there = false;
	names[rv == SCARD_S_SUCCESS ? len : 0] = '\0';
	for (const char *n = names; *n != '\0'; n += strlen(n) + 1)
		note_reader(w, n);
	*err = drop_gone(w);
	return SCARD_S_SUCCESS;
}

/* --- What changed in one of them --- */

static enum cm_err
see_row(struct watch *w, struct row *r)
{
	const bool present = (r->state.dwEventState & SCARD_STATE_PRESENT) != 0;
	const DWORD count = r->state.dwEventState >> 16;
	const bool other = r->told && count != r->count;
	enum cm_err err = CM_OK;

	if (r->told && present == r->present && !other)
		return CM_OK;
	/* in both times, and another insertion: it was out in between */
	if (r->told && r->present && present)
		err = tell(w, r, false);
	if (present)
		r->insertion = ++w->insertions;
	r->told = true;
	r->present = present;
	r->count = count;
	return err == CM_OK ? tell(w, r, present) : err;
}

static LONG
look(struct watch *w, DWORD ms, enum cm_err *err)
{
	SCARD_READERSTATE states[PCSCLITE_MAX_READERS_CONTEXTS + 1];
	LONG rv;

	for (size_t i = 0; i < w->row_count; i++) {
		states[i] = w->rows[i].state;
		states[i].szReader = w->rows[i].name;
		states[i].dwCurrentState = w->rows[i].told ? states[i].dwEventState : SCARD_STATE_UNAWARE;
	}
	states[w->row_count] = w->hotplug;
	rv = SCardGetStatusChange(w->context, ms, states, (DWORD)w->row_count + 1);
	if (rv != SCARD_S_SUCCESS)
		return rv;
	w->hotplug.dwCurrentState = states[w->row_count].dwEventState & ~(DWORD)SCARD_STATE_CHANGED;
	for (size_t i = 0; *err == CM_OK && i < w->row_count; i++) {
		w->rows[i].state = states[i];
		w->rows[i].state.dwEventState &= ~(DWORD)SCARD_STATE_CHANGED;
		if ((states[i].dwEventState & (SCARD_STATE_UNKNOWN | SCARD_STATE_UNAVAILABLE)) == 0)
			*err = see_row(w, &w->rows[i]);
	}
	return rv;
}

/* --- As long as pcscd is there --- */

static enum cm_err
say_back(struct watch *w)
{
	const struct cm_watch_event e = { .err = CM_OK };

	if (!w->lost)
		return CM_OK;
	w->lost = false;
	return w->tell(w->arg, &e, w->t);
}

/* One that was started anew counts anew. */
static uint32_t
find_pcscd(void)
{
	const char *socket = secure_getenv(SOCKET_VARIABLE), *slash;
	char path[4096];
	struct stat st;

	if (socket == NULL)
		socket = SOCKET_PATH;
	if ((slash = strrchr(socket, '/')) == NULL ||
	    snprintf(path, sizeof(path), "%.*s/" PID_NAME, (int)(slash - socket), socket) >= (int)sizeof(path) || stat(path, &st) != 0)
		return 0;
	return (uint32_t)((uint64_t)st.st_mtim.tv_sec * 1000000 + (uint64_t)st.st_mtim.tv_nsec / 1000);
}

/* Returns why it ended: PC/SC's failure, or *err. */
static LONG
watch_pcscd(struct watch *w, enum cm_err *err)
{
	LONG rv = SCARD_S_SUCCESS;
	DWORD wait = SETTLE_MS;

	if ((*err = say_back(w)) != CM_OK)
		return SCARD_S_SUCCESS;
	w->pcscd = find_pcscd();
	w->hotplug = (SCARD_READERSTATE){ .szReader = HOTPLUG };
	while (rv == SCARD_S_SUCCESS && *err == CM_OK) {
		if ((rv = list_readers(w, err)) != SCARD_S_SUCCESS || *err != CM_OK)
			break;
		rv = look(w, wait, err);
		wait = rv == (LONG)SCARD_E_TIMEOUT ? (DWORD)w->alive_ms : SETTLE_MS;
		/* nothing changed; or a reader went while it was waited for, and the next list has it no more */
		if (rv == (LONG)SCARD_E_TIMEOUT || rv == (LONG)SCARD_E_UNKNOWN_READER)
			rv = SCARD_S_SUCCESS;
		if (rv == SCARD_S_SUCCESS && *err == CM_OK)
			*err = say_alive(w);
	}
	return rv;
}

/* Everything that was there is gone with it; the readers count on when they come back. */
static enum cm_err
say_lost(struct watch *w, LONG rv)
{
	const struct cm_watch_event e = { .err = CM_ERR_OFFLINE };
	const char *words = "";

	w->row_count = 0;
	if (w->lost)
		return say_alive(w);
	w->lost = true;
	(void)cm_pcsc_reason(rv, &words);
	(void)cm_trace_fail(w->t, CM_REASON_NO_READER, "no reader can be asked: %s", words);
	return w->tell(w->arg, &e, w->t);
}

enum cm_err
cm_watch_readers(cm_watch_tell tell_change, void *arg, struct cm_trace *t)
{
	struct watch *w = calloc(1, sizeof(*w));
	enum cm_err err = CM_OK;
	int pause = RETRY_FIRST_MS;
	LONG rv;

	if (w == NULL)
		return CM_ERR_NOMEM;
	w->tell = tell_change;
	w->arg = arg;
	w->t = t;
	w->alive_ms = cm_fault_ms("CM_WATCH_ALIVE_MS", CM_WATCH_ALIVE_MS);
	w->alive = cm_deadline_in(w->alive_ms);
	while (err == CM_OK) {
		rv = SCardEstablishContext(SCARD_SCOPE_SYSTEM, NULL, NULL, &w->context);
		if (rv == SCARD_S_SUCCESS) {
			rv = watch_pcscd(w, &err);
			SCardReleaseContext(w->context);
			pause = RETRY_FIRST_MS;
		}
		if (err == CM_OK && (err = say_lost(w, rv)) == CM_OK) {
			poll(NULL, 0, pause);
			pause = pause * 2 < RETRY_MAX_MS ? pause * 2 : RETRY_MAX_MS;
		}
	}
	free(w);
	return err;
}
