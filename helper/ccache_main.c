/*
 * helper/ccache_main.c - cardmap-ccache: write the ticket on standard input into a ccache.
 *
 * cardmap-ccache CCACHE PRINCIPAL, as the user whose it is, told as
 * krb5/ccache_write.h says; with --remove behind it takes that one away instead.
 * Says so on standard output once it is done, and ends with 0; or says why it is
 * not, and ends with 1.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/secret.h"
#include "krb5/ccache_write.h"

/* CM_ERR_ABSENT: who speaks to us has ended before. */
static enum cm_err
read_octets(uint8_t *to, size_t len, struct cm_buf *why)
{
	while (len > 0) {
		const ssize_t n = read(STDIN_FILENO, to, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			cm_buf_add_str(why, strerror(errno));
			return CM_ERR_SYSTEM;
		}
		if (n == 0) {
			cm_buf_add_str(why, "whoever asked for it has ended");
			return CM_ERR_ABSENT;
		}
		to += n;
		len -= (size_t)n;
	}
	return CM_OK;
}

static enum cm_err
read_ticket(struct cm_buf *ticket, struct cm_buf *why)
{
	uint8_t head[CM_CCACHE_HEAD], *to;
	size_t len = 0;
	enum cm_err err;

	if ((err = read_octets(head, sizeof(head), why)) != CM_OK)
		return err;
	for (size_t i = 0; i < sizeof(head); i++)
		len = len << 8 | head[i];
	if ((to = cm_buf_extend(ticket, len)) == NULL) {
		cm_buf_add_str(why, "the ticket is too long");
		return CM_ERR_SYNTAX;
	}
	return read_octets(to, len, why);
}

/* Everything is ready when the word comes. */
static enum cm_err
write_when_told(struct cm_ccache_writer *w, const char *name, struct cm_buf *why)
{
	struct cm_buf ticket;
	uint8_t word;
	enum cm_err err;

	cm_buf_init_secret(&ticket, CM_CCACHE_TICKET_MAX);
	if ((err = read_ticket(&ticket, why)) == CM_OK && (err = cm_ccache_writer_take(w, name, cm_buf_blob(&ticket))) == CM_OK &&
	    (err = read_octets(&word, 1, why)) == CM_OK)
		err = word == CM_CCACHE_GIVE ? cm_ccache_writer_give(w) : CM_ERR_SYNTAX;
	cm_buf_free(&ticket);
	return err;
}

/* What would be tidied goes with the process. */
static _Noreturn void
end_done(void)
{
	static const uint8_t word = CM_CCACHE_DONE;

	_exit(write(STDOUT_FILENO, &word, 1) == 1 ? 0 : 1);
}

int
main(int argc, char **argv)
{
	struct cm_ccache_writer *writer = NULL;
	struct cm_buf why;
	enum cm_err err;

	cm_secret_harden_process();
	umask(077);
	cm_buf_init(&why, 0);
	const bool removes = argc == 4 && strcmp(argv[3], "--remove") == 0;
	if (argc != 3 && !removes) {
		cm_buf_add_str(&why, "usage: cardmap-ccache CCACHE PRINCIPAL [--remove], a ticket on standard input by cardmapd");
		err = CM_ERR_USAGE;
	} else if ((err = cm_ccache_writer_open(argv[2], &why, &writer)) == CM_OK) {	/* the ticket may be asked for only now */
		err = removes ? cm_ccache_writer_remove(writer, argv[1]) : write_when_told(writer, argv[1], &why);
	}
	if (err == CM_OK)
		end_done();
	fputs(why.len > 0 ? cm_buf_str(&why) : cm_err_name(err), stdout);
	cm_ccache_writer_close(&writer);
	cm_buf_free(&why);
	return 1;
}
