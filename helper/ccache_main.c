/*
 * helper/ccache_main.c - cardmap-ccache: write the ticket on standard input into a ccache.
 *
 * cardmap-ccache CCACHE PRINCIPAL, as the user whose it is; with --remove behind
 * it takes that one away instead.  Ends with 0; or with 1, and why on standard output.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/secret.h"
#include "krb5/ccache_write.h"

static enum cm_err
read_ticket(struct cm_buf *ticket, struct cm_buf *why)
{
	uint8_t chunk[4096];
	ssize_t n;

	while ((n = read(STDIN_FILENO, chunk, sizeof(chunk))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			cm_buf_add_str(why, strerror(errno));
			return CM_ERR_SYSTEM;
		}
		cm_buf_add(ticket, chunk, (size_t)n);
	}
	explicit_bzero(chunk, sizeof(chunk));
	if (cm_buf_status(ticket) != CM_OK)
		cm_buf_add_str(why, "the ticket is too long");
	return cm_buf_status(ticket);
}

static enum cm_err
put(struct cm_ccache_writer *w, const char *name, struct cm_buf *why)
{
	struct cm_buf ticket;
	enum cm_err err;

	cm_buf_init_secret(&ticket, CM_CCACHE_TICKET_MAX);
	if ((err = read_ticket(&ticket, why)) == CM_OK)	/* it may be asked for only now */
		err = cm_ccache_writer_put(w, name, cm_buf_blob(&ticket));
	cm_buf_free(&ticket);
	return err;
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
		cm_buf_add_str(&why, "usage: cardmap-ccache CCACHE PRINCIPAL [--remove], a ticket on standard input");
		err = CM_ERR_USAGE;
	} else if ((err = cm_ccache_writer_open(argv[2], &why, &writer)) == CM_OK) {
		err = removes ? cm_ccache_writer_remove(writer, argv[1]) : put(writer, argv[1], &why);
	}
	if (err != CM_OK)
		fputs(why.len > 0 ? cm_buf_str(&why) : cm_err_name(err), stdout);
	cm_ccache_writer_close(&writer);
	cm_buf_free(&why);
	return err == CM_OK ? 0 : 1;
}
