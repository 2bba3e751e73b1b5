/*
 * card/apdu_log.c - what goes to a card and comes from it, written down for support; nothing secret.
 *
 * Hidden are the data of commands that carry a PIN or a key, by their instruction, in each link
 * of a chain alike, and the answers of those that may be a secret, with all that GET RESPONSE
 * brings of them.  Status words are always shown.
 */
#include <sys/stat.h>
#include <unistd.h>

#include "card/card_internal.h"

#define HEAD_LEN	4	/* of a command */
#define LOG_MAX		((off_t)1 << 20)	/* octets: the lists of a card are some 100 KiB */
#define INS_GET_RESPONSE 0xC0

/* NIST SP 800-73-4 Part 2: instructions whose data or answers are nobody's to read. */
static const struct hidden {
	uint8_t ins;
	bool data, answer;
} hidden[] = {
	{ 0x20, true, true },	/* VERIFY */
	{ 0x24, true, true },	/* CHANGE REFERENCE DATA */
	{ 0x2C, true, true },	/* RESET RETRY COUNTER */
	{ 0x87, false, true },	/* GENERAL AUTHENTICATE: what a key decrypted, or two agreed upon */
	{ 0xDB, true, false },	/* PUT DATA */
	{ 0xFE, true, true },	/* IMPORT KEY, of some vendors */
};

static const struct hidden *
find(uint8_t ins)
{
	static const struct hidden open = { 0 };

	for (size_t i = 0; i < CM_COUNT(hidden); i++)
		if (hidden[i].ins == ins)
			return &hidden[i];
	return &open;
}

/* A card that is left in for days, and looked at again and again, fills no disk. */
static bool
has_room(struct cm_apdu_log *l)
{
	static const char end[] = "no more is written: the log is full\n";
	struct stat st;

	if (fstat(l->fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size < LOG_MAX)
		return true;
	if (!l->full && st.st_size < 2 * LOG_MAX)
		(void)!write(l->fd, end, sizeof(end) - 1);
	l->full = true;
	return false;
}

static void
put_line(int fd, char way, struct cm_blob head, struct cm_blob body, bool hide, struct cm_blob tail)
{
	struct cm_buf line = { 0 };
	char when[CM_TIME_SIZE];
	size_t done = 0;

	cm_buf_addf(&line, "%s %c ", cm_clock_text(cm_clock_now(), when), way);
	cm_buf_add_hex(&line, head);
	if (body.len > 0 && head.len > 0)
		cm_buf_add_str(&line, " ");
	if (hide && body.len > 0)
		cm_buf_addf(&line, "(%zu bytes hidden)", body.len);
	else
		cm_buf_add_hex(&line, body);
	cm_buf_add_str(&line, tail.len > 0 && (head.len > 0 || body.len > 0) ? " " : "");
	cm_buf_add_hex(&line, tail);
	cm_buf_add_str(&line, "\n");
	while (cm_buf_status(&line) == CM_OK && done < line.len) {
		const ssize_t n = write(fd, line.ptr + done, line.len - done);

		if (n <= 0)	/* a log that cannot be written keeps nobody out */
			break;
		done += (size_t)n;
	}
	cm_buf_free(&line);
}

void
cm_apdu_log(struct cm_apdu_log *l, struct cm_blob command, const struct cm_buf *answer)
{
	const struct cm_blob none = { NULL, 0 };
	const size_t head = command.len < HEAD_LEN ? command.len : HEAD_LEN;
	const size_t status = answer->len < 2 ? answer->len : 2;
	const bool goes_on = head == HEAD_LEN && command.ptr[1] == INS_GET_RESPONSE;
	const struct hidden *h;

	if (l->fd < 0 || !has_room(l))
		return;
	if (head == HEAD_LEN && !goes_on)
		l->ins = command.ptr[1];	/* what GET RESPONSE brings is that command's */
	h = find(l->ins);
	put_line(l->fd, '>', (struct cm_blob){ command.ptr, head }, (struct cm_blob){ command.ptr + head, command.len - head },
	    h->data && !goes_on, none);
	put_line(l->fd, '<', none, (struct cm_blob){ answer->ptr, answer->len - status }, h->answer,
	    (struct cm_blob){ answer->ptr + answer->len - status, status });
}
