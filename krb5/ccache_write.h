/* krb5/ccache_write.h - a packed ticket becomes a ccache of whoever runs this: for the program that cm_ccache_put() runs. */
#ifndef CM_KRB5_CCACHE_WRITE_H
#define CM_KRB5_CCACHE_WRITE_H

#include "base/buf.h"
#include "base/err.h"

#define CM_CCACHE_TICKET_MAX	((size_t)1 << 16)	/* octets */

/*
 * ticket is cm_ticket_pack()'s, read to the letter: version 4, one ticket, of
 * this principal, nothing behind it.
 * FILE: (a bare path is one too) is written without a name and then given it,
 * over what stood there: no link is followed, nobody reads half a ccache, and who
 * is killed leaves none.  DIR: wants a folder of our own that others cannot
 * write.  Other kinds (KCM:, KEYRING:) are libkrb5's, by the system's krb5.conf.
 *
 * CM_OK
 * CM_ERR_SYNTAX  it is no such ticket
 * CM_ERR_SYSTEM  it cannot be written
 * CM_ERR_NOMEM
 * In all but the first, why is appended in words, without the ccache's name.
 */
CM_MUST_USE enum cm_err cm_ccache_write(const char *name, const char *principal, struct cm_blob ticket, struct cm_buf *why);

/*
 * The same in parts: all that can be done before the ticket is here.  why is
 * borrowed; *out is to be closed whatever is returned.
 */
struct cm_ccache_writer;
CM_MUST_USE enum cm_err cm_ccache_writer_open(const char *principal, struct cm_buf *why, struct cm_ccache_writer **out);
/* ... and then all that nobody sees: of FILE: it is written, where there are nameless files.  name and ticket are borrowed until closed. */
CM_MUST_USE enum cm_err cm_ccache_writer_take(struct cm_ccache_writer *w, const char *name, struct cm_blob ticket);
/* ... and now it is there. */
CM_MUST_USE enum cm_err cm_ccache_writer_give(struct cm_ccache_writer *w);
/*
 * Takes it away, of any kind, if it is that principal's; one that is not there is
 * gone.  CM_ERR_STATE: another principal's, which stays.
 */
CM_MUST_USE enum cm_err cm_ccache_writer_remove(struct cm_ccache_writer *w, const char *name);
void cm_ccache_writer_close(struct cm_ccache_writer **writer);

/*
 * What cardmap-ccache is told: the ticket's length in four octets, big end first;
 * the ticket; and, once the ccache is to be there, CM_CCACHE_GIVE.  Where that does
 * not come, whoever would have said it has ended, and there is no ccache.
 * What it says: CM_CCACHE_DONE, once the ccache is there, or gone where it was to
 * be taken away; or why not, in words.  It runs as the user: a lie about that is
 * told to himself, of a file that is his.
 */
#define CM_CCACHE_HEAD		4
#define CM_CCACHE_GIVE		0x01
#define CM_CCACHE_DONE		0x06	/* no word begins with it */

#endif /* CM_KRB5_CCACHE_WRITE_H */
