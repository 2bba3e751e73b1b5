/*
 * card/pcsc.c - the connection to one card through pcscd, with deadlines.
 *
 * PC/SC has none of its own: libpcsclite waits for pcscd in a read that only
 * pcscd's answer ends, and SCardCancel(), which ends nothing but
 * SCardGetStatusChange(), asks pcscd itself.  So a worker (worker.c) makes every
 * call, one for each connection, and its owner waits no longer than the
 * deadline.  A worker that is late is left behind with all that it owns:
 * whenever its call returns, it resets the card, lets go and frees.  Should
 * the process end first, pcscd does the same when it sees its client gone.
 * (libpcsclite 1.9.9 keeps its list of readers in one unlocked array for the
 * whole process: have one card open at a time in a process, as cards do here.)
 */
#include <reader.h>
#include <stdlib.h>
#include <winscard.h>

#include "card/card_internal.h"

/* How long letting go may take, and how long pcscd may take to see that a card has gone (it polls). */
#define CLOSE_MS	2000
#define GONE_MS		1000

/* Resets by others, one after the other, before a connection is given up. */
#define RECONNECTS_MAX	8

/* Longest command: extended length, header and both lengths (ISO/IEC 7816-4 5.1). */
#define COMMAND_MAX	(4 + 3 + UINT16_MAX + 2)

struct pcsc {
	struct cm_worker *worker;

	/* The worker's while it is at a job, the owner's otherwise. */
	LONG rv;			/* of the last call */
	SCARDCONTEXT context;
	SCARDHANDLE card;
	bool has_context, has_card;
	_Atomic DWORD disposition;	/* how the card is left */
	DWORD protocol;
	bool extended;			/* card and reader take extended length */
	DWORD pad;			/* control code of FEATURE_VERIFY_PIN_DIRECT; 0: no pad */
	char names[PCSCLITE_MAX_READERS_CONTEXTS * MAX_READERNAME];
	SCARD_READERSTATE readers[PCSCLITE_MAX_READERS_CONTEXTS];
	DWORD reader_count;
	SCARD_READERSTATE reader;	/* the one chosen, as it was when the card was opened */
	uint8_t command[COMMAND_MAX];
	DWORD command_len;
	uint8_t answer[MAX_BUFFER_SIZE_EXTENDED];
	DWORD answer_len;

	/* The owner's. */
	LONG result;			/* rv of the last job that ended in time */
	enum cm_reason lost;		/* why nothing is sent any more */
};

/* --- Jobs: all that talks to pcscd --- */

static void
job_scan(void *arg)
{
	struct pcsc *p = arg;
	DWORD len = sizeof(p->names) - 1;

	p->rv = SCardEstablishContext(SCARD_SCOPE_SYSTEM, NULL, NULL, &p->context);
	if (p->rv != SCARD_S_SUCCESS)
		return;
	p->has_context = true;
	if ((p->rv = SCardListReaders(p->context, NULL, p->names, &len)) != SCARD_S_SUCCESS)
		return;
	/* Names one behind the other, each with its NUL, and an empty one at the end. */
	for (const char *n = p->names; *n != '\0' && p->reader_count < CM_COUNT(p->readers);
	    n += strlen(n) + 1)
		p->readers[p->reader_count++].szReader = n;
	p->rv = SCardGetStatusChange(p->context, 0, p->readers, p->reader_count);
}

/* One property or feature of the reader; {NULL, 0}: it does not tell. */
static struct cm_blob
ask_reader(SCARDHANDLE card, DWORD code, uint32_t tag, uint8_t *buf, DWORD size)
{
	struct cm_blob value = { 0 };
	DWORD len = 0;

	if (SCardControl(card, code, NULL, 0, buf, size, &len) != SCARD_S_SUCCESS ||
	    cm_tlv_find((struct cm_blob){ buf, len }, tag, &value) != CM_OK || value.len != 4)
		return (struct cm_blob){ NULL, 0 };
	return value;
}

/* PC/SC part 10, 2.2: a feature is a control code, highest byte first.  0: the reader has no such.  Nothing goes to the card. */
static DWORD
feature(SCARDHANDLE card, uint32_t tag)
{
	uint8_t buf[256];
	const struct cm_blob v = ask_reader(card, CM_IOCTL_GET_FEATURE_REQUEST, tag, buf, sizeof(buf));

	return v.len == 0 ? 0 : (DWORD)v.ptr[0] << 24 | (DWORD)v.ptr[1] << 16 | (DWORD)v.ptr[2] << 8 | v.ptr[3];
}

/*
 * PC/SC part 10, 2.6.14 (most bytes of data, lowest first; 0: short APDUs only;
 * we want all 64 KiB or short ones).  Not told: what the card takes.
 */
static bool
reader_takes_extended(SCARDHANDLE card)
{
	const DWORD properties = feature(card, FEATURE_GET_TLV_PROPERTIES);
	uint8_t buf[256];
	struct cm_blob v;

	if (properties == 0)
		return true;
	v = ask_reader(card, properties, PCSCv2_PART10_PROPERTY_dwMaxAPDUDataSize, buf, sizeof(buf));
	return v.len == 0 || v.ptr[2] != 0 || v.ptr[3] != 0 || v.ptr[1] == 0xFF;
}

/*
 * Connected, and in a transaction: another program's commands between ours
 * would select another application, or take away the rest of an answer.  Who
 * had it before us may have reset the card; we know nothing of it yet.
 */
static void
job_connect(void *arg)
{
	struct pcsc *p = arg;
	const struct cm_blob atr = { p->reader.rgbAtr, p->reader.cbAtr };
	const DWORD protocols = SCARD_PROTOCOL_T0 | SCARD_PROTOCOL_T1;

	p->rv = SCardConnect(p->context, p->reader.szReader, SCARD_SHARE_SHARED, protocols,
	    &p->card, &p->protocol);
	p->has_card = p->rv == SCARD_S_SUCCESS;
	if (p->has_card)
		p->rv = SCardBeginTransaction(p->card);
	for (int i = 0; p->rv == SCARD_W_RESET_CARD && i < RECONNECTS_MAX; i++) {
		p->rv = SCardReconnect(p->card, SCARD_SHARE_SHARED, protocols, SCARD_LEAVE_CARD,
		    &p->protocol);
		if (p->rv == SCARD_S_SUCCESS)
			p->rv = SCardBeginTransaction(p->card);
	}
	if (p->rv != SCARD_S_SUCCESS)
		return;
	/* T=0 carries short commands only (ISO/IEC 7816-3 12.2). */
	p->extended = p->protocol == SCARD_PROTOCOL_T1 && cm_atr_extended(atr) &&
	    reader_takes_extended(p->card);
	p->pad = feature(p->card, FEATURE_VERIFY_PIN_DIRECT);
}

static void
job_transmit(void *arg)
{
	struct pcsc *p = arg;

	p->answer_len = sizeof(p->answer);
	p->rv = SCardTransmit(p->card,
	    p->protocol == SCARD_PROTOCOL_T0 ? SCARD_PCI_T0 : SCARD_PCI_T1,
	    p->command, p->command_len, NULL, p->answer, &p->answer_len);
	explicit_bzero(p->command, p->command_len);	/* it may hold a PIN */
	/* Some drivers tell a card that went away so. */
	if (p->rv == SCARD_S_SUCCESS && p->answer_len == 0)
		p->rv = SCARD_F_COMM_ERROR;
}

/* The PIN never comes here: it goes from the pad to the card. */
static void
job_pad(void *arg)
{
	struct pcsc *p = arg;

	p->answer_len = 0;
	p->rv = SCardControl(p->card, p->pad, p->command, p->command_len, p->answer, sizeof(p->answer),
	    &p->answer_len);
}

/* A reset or a swap since SCardConnect() makes this fail, for this connection and for good. */
static void
job_lock(void *arg)
{
	struct pcsc *p = arg;

	p->rv = SCardBeginTransaction(p->card);
}

static void
job_unlock(void *arg)
{
	struct pcsc *p = arg;

	p->rv = SCardEndTransaction(p->card, SCARD_LEAVE_CARD);
}

/* After a failed transmission: has the card gone?  pcscd may need a moment to see it. */
static void
job_look(void *arg)
{
	struct pcsc *p = arg;
	SCARD_READERSTATE now = { .szReader = p->reader.szReader };
	const DWORD event = p->reader.dwEventState >> 16;	/* counts insertions and removals */

	p->rv = SCardGetStatusChange(p->context, 0, &now, 1);
	if (p->rv == SCARD_S_SUCCESS && now.dwEventState >> 16 == event) {
		now.dwCurrentState = now.dwEventState;
		p->rv = SCardGetStatusChange(p->context, GONE_MS, &now, 1);
	}
	if (p->rv == SCARD_S_SUCCESS && now.dwEventState >> 16 != event)
		p->rv = SCARD_W_REMOVED_CARD;
	/* nobody but pcscd was asked this, and it had let us in */
	if (p->rv == SCARD_F_COMM_ERROR || p->rv == SCARD_W_SECURITY_VIOLATION)
		p->rv = SCARD_E_NO_SERVICE;
}

/* Is it the insertion that was there when we looked first? */
static void
job_same(void *arg)
{
	struct pcsc *p = arg;
	SCARD_READERSTATE now = { .szReader = p->reader.szReader };

	p->rv = SCardGetStatusChange(p->context, 0, &now, 1);
	if (p->rv == SCARD_S_SUCCESS && (now.dwEventState & SCARD_STATE_PRESENT) == 0)
		p->rv = SCARD_W_REMOVED_CARD;
	else if (p->rv == SCARD_S_SUCCESS && now.dwEventState >> 16 != p->reader.dwEventState >> 16)
		p->rv = SCARD_W_RESET_CARD;
}

static void
job_release(void *arg)
{
	struct pcsc *p = arg;

	if (p->has_card)
		SCardDisconnect(p->card, p->disposition);
	if (p->has_context)
		SCardReleaseContext(p->context);
	p->has_card = p->has_context = false;
}

/* --- Its owner --- */

static void
destroy(struct pcsc *p)
{
	explicit_bzero(p->command, sizeof(p->command));
	free(p);
}

static void
abandon(void *arg)
{
	job_release(arg);
	destroy(arg);
}

static struct pcsc *
new_pcsc(void)
{
	struct pcsc *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->disposition = SCARD_LEAVE_CARD;
	if ((p->worker = cm_worker_new(p, abandon)) == NULL) {
		free(p);
		return NULL;
	}
	return p;
}

static void
free_pcsc(struct pcsc *p)
{
	(void)!cm_worker_run(p->worker, job_release, cm_deadline_in(CLOSE_MS));
	if (cm_worker_end(p->worker))
		destroy(p);
}

static const char *
reader_name(const struct pcsc *p)
{
	return p->reader.szReader != NULL ? p->reader.szReader : "reader";
}

/* One job with its failure in words. */
static enum cm_err
do_job(struct pcsc *p, void (*job)(void *arg), cm_deadline deadline, struct cm_trace *t)
{
	const char *words = "nothing came before the deadline";
	enum cm_reason reason = CM_REASON_CARD_SILENT;

	p->result = SCARD_E_TIMEOUT;
	if (cm_worker_run(p->worker, job, deadline)) {
		if ((p->result = p->rv) == SCARD_S_SUCCESS)
			return CM_OK;
		reason = cm_pcsc_reason(p->result, &words);
	} else if (job == job_connect || job == job_lock) {
		words = "no turn came before the deadline: does another program keep the card to itself?";
	}
	p->lost = reason;
	return cm_trace_fail(t, reason, "%s: %s", reader_name(p), words);
}

/* --- The wire --- */

/* A connection that failed once is over: the card there now may be another. */
static enum cm_err
check_usable(const struct pcsc *p, cm_deadline deadline, struct cm_trace *t)
{
	if (p->lost != CM_REASON_NONE)
		return cm_trace_fail(t, p->lost, "%s: the connection to the card is over",
		    reader_name(p));
	if (cm_deadline_passed(deadline))
		return cm_trace_fail(t, CM_REASON_CARD_SILENT,
		    "%s: the deadline passed before the card was asked", reader_name(p));
	return CM_OK;
}

/* The last is what libpcsclite 1.9.9 makes of EPIPE. */
static bool
is_transmission_error(LONG rv)
{
	return rv == SCARD_F_COMM_ERROR || rv == SCARD_E_NOT_TRANSACTED ||
	    rv == SCARD_W_SECURITY_VIOLATION;
}

static enum cm_err
exchange(struct pcsc *p, void (*job)(void *arg), struct cm_blob command, cm_deadline deadline,
    struct cm_trace *t, struct cm_buf *answer)
{
	const char *words;
	enum cm_err err;

	if ((err = check_usable(p, deadline, t)) != CM_OK)
		return err;
	if (command.len > sizeof(p->command))
		return CM_ERR_STATE;
	memcpy(p->command, command.ptr, command.len);
	p->command_len = command.len;
	if ((err = do_job(p, job, deadline, t)) == CM_OK) {
		cm_buf_add(answer, p->answer, p->answer_len);
		explicit_bzero(p->answer, p->answer_len);	/* it may open a secret */
		return cm_buf_status(answer);
	}
	/* The reader only says that it failed: see whether there is a card, a reader, a pcscd at all. */
	if (is_transmission_error(p->result) && cm_worker_run(p->worker, job_look, deadline) &&
	    p->rv != SCARD_S_SUCCESS && p->rv != SCARD_E_TIMEOUT) {
		p->lost = cm_pcsc_reason(p->rv, &words);
		return cm_trace_fail(t, p->lost, "%s: %s", reader_name(p), words);
	}
	return err;
}

static enum cm_err
pcsc_transmit(void *self, struct cm_blob command, cm_deadline deadline, struct cm_trace *t,
    struct cm_buf *answer)
{
	return exchange(self, job_transmit, command, deadline, t, answer);
}

static enum cm_err
pcsc_pad(void *self, struct cm_blob structure, cm_deadline deadline, struct cm_trace *t,
    struct cm_buf *answer)
{
	return exchange(self, job_pad, structure, deadline, t, answer);
}

static enum cm_err
use(struct pcsc *p, void (*job)(void *arg), cm_deadline deadline, struct cm_trace *t)
{
	enum cm_err err;

	if ((err = check_usable(p, deadline, t)) != CM_OK)
		return err;
	return do_job(p, job, deadline, t);
}

static enum cm_err
pcsc_lock(void *self, cm_deadline deadline, struct cm_trace *t)
{
	return use(self, job_lock, deadline, t);
}

static enum cm_err
pcsc_unlock(void *self, cm_deadline deadline, struct cm_trace *t)
{
	return use(self, job_unlock, deadline, t);
}

static void
pcsc_close(void *self, bool reset)
{
	struct pcsc *p = self;

	p->disposition = reset ? SCARD_RESET_CARD : SCARD_LEAVE_CARD;
	free_pcsc(p);
}

static const struct cm_wire_ops pcsc_wire = {
	pcsc_transmit, pcsc_lock, pcsc_unlock, pcsc_close, pcsc_pad,
};

/* Of a reader whose card others talk to: nothing is sent. */
static enum cm_err
pcsc_same(void *self, cm_deadline deadline, struct cm_trace *t)
{
	return use(self, job_same, deadline, t);
}

static const struct cm_wire_ops pcsc_looks = { .lock = pcsc_same, .close = pcsc_close };

/* --- Readers --- */

static bool
has_card(const SCARD_READERSTATE *r)
{
	return (r->dwEventState & SCARD_STATE_PRESENT) != 0;
}

static enum cm_err
open_scan(cm_deadline deadline, struct cm_trace *t, struct pcsc **out)
{
	struct pcsc *p = new_pcsc();
	enum cm_err err;

	if (p == NULL)
		return CM_ERR_NOMEM;
	if ((err = do_job(p, job_scan, deadline, t)) != CM_OK) {
		free_pcsc(p);
		return err;
	}
	*out = p;
	return CM_OK;
}

/* Names of the readers that hold a card, or of all. */
static void
list_names(const struct pcsc *p, bool with_card, struct cm_buf *out)
{
	for (DWORD i = 0; i < p->reader_count; i++)
		if (!with_card || has_card(&p->readers[i]))
			cm_buf_addf(out, "%s\"%s\"", out->len > 0 ? ", " : "",
			    p->readers[i].szReader);
}

/* "Virtual PCD 00 0" is a part of "Virtual PCD 00 00", and may be a reader of its own. */
static bool
is_named(const struct pcsc *p, const char *name)
{
	for (DWORD i = 0; i < p->reader_count; i++)
		if (strcmp(p->readers[i].szReader, name) == 0)
			return true;
	return false;
}

static enum cm_err
choose(struct pcsc *p, const char *name, struct cm_trace *t)
{
	const bool whole = is_named(p, name);
	struct cm_buf names = { 0 };
	unsigned readers = 0, cards = 0;
	enum cm_err err = CM_OK;

	for (DWORD i = 0; i < p->reader_count; i++) {
		if (whole ? strcmp(p->readers[i].szReader, name) != 0 :
		    strcasestr(p->readers[i].szReader, name) == NULL)
			continue;
		readers++;
		if (has_card(&p->readers[i])) {
			cards++;
			p->reader = p->readers[i];
		}
	}
	list_names(p, cards > 1, &names);
	if (readers == 0)
		err = cm_trace_fail(t, CM_REASON_NO_READER,
		    "no reader has \"%s\" in its name; there are: %s", name, cm_buf_str(&names));
	else if (cards == 0)
		err = cm_trace_fail(t, CM_REASON_NO_CARD, "no card in: %s", cm_buf_str(&names));
	else if (cards > 1)
		err = cm_trace_fail(t, CM_REASON_SEVERAL_CARDS, "cards in: %s", cm_buf_str(&names));
	cm_buf_free(&names);
	return err;
}

/* A card that left between the look and the connection is no card, not a removed one. */
static enum cm_err
connect_card(struct pcsc *p, cm_deadline deadline, struct cm_trace *t)
{
	enum cm_err err = do_job(p, job_connect, deadline, t);

	if (err != CM_OK && p->lost == CM_REASON_CARD_REMOVED)
		return cm_trace_fail(t, CM_REASON_NO_CARD, "no card in: %s", reader_name(p));
	return err;
}

enum cm_err
cm_pcsc_connect(const char *name, cm_deadline deadline, struct cm_trace *t, struct cm_wire *wire,
    struct cm_buf *where)
{
	struct pcsc *p = NULL;
	enum cm_err err;

	if ((err = open_scan(deadline, t, &p)) != CM_OK)
		return err;
	if ((err = choose(p, name, t)) != CM_OK || (err = connect_card(p, deadline, t)) != CM_OK) {
		free_pcsc(p);
		return err;
	}
	*wire = (struct cm_wire){ .ops = &pcsc_wire, .self = p, .extended = p->extended,
		.t0 = p->protocol == SCARD_PROTOCOL_T0, .has_pad = p->pad != 0 };
	cm_buf_add_printable(where, cm_blob_str(reader_name(p)));
	cm_trace_add(t, "reader", "%s", reader_name(p));
	return cm_buf_status(where);
}

/* A module that is told of no more than this cannot tell two readers apart, and the PIN might go to the other's card. */
static enum cm_err
check_alone(const struct pcsc *p, size_t seen, struct cm_trace *t)
{
	for (DWORD i = 0; i < p->reader_count; i++) {
		const char *other = p->readers[i].szReader;

		if (has_card(&p->readers[i]) && strcmp(other, reader_name(p)) != 0 && strncmp(other, reader_name(p), seen) == 0)
			return cm_trace_fail(t, CM_REASON_SEVERAL_CARDS, "cards in: \"%s\", \"%s\", of whose names a PKCS #11 module is told "
			    "the same first %zu octets", reader_name(p), other, seen);
	}
	return CM_OK;
}

enum cm_err
cm_pcsc_look(const char *name, size_t seen, cm_deadline deadline, struct cm_trace *t, struct cm_wire *wire, struct cm_buf *where)
{
	struct pcsc *p = NULL;
	enum cm_err err;

	if ((err = open_scan(deadline, t, &p)) != CM_OK)
		return err;
	if ((err = choose(p, name, t)) != CM_OK || (err = check_alone(p, seen, t)) != CM_OK) {
		free_pcsc(p);
		return err;
	}
	*wire = (struct cm_wire){ .ops = &pcsc_looks, .self = p };
	cm_buf_add_str(where, reader_name(p));
	return cm_buf_status(where);
}

enum cm_err
cm_card_readers(cm_deadline deadline, struct cm_trace *t, cm_reader_visit visit, void *arg)
{
	struct pcsc *p = NULL;
	enum cm_err err;

	if ((err = open_scan(deadline, t, &p)) != CM_OK)
		return err;
	for (DWORD i = 0; err == CM_OK && i < p->reader_count; i++) {
		const SCARD_READERSTATE *s = &p->readers[i];
		const struct cm_reader r = { s->szReader, has_card(s), { s->rgbAtr, s->cbAtr } };

		err = visit(arg, &r);
	}
	free_pcsc(p);
	return err;
}
