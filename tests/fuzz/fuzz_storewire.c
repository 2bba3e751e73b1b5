/* tests/fuzz/fuzz_storewire.c - what a process that is not believed sends to whoever serves the store, datagram by datagram. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cache/accounts_internal.h"
#include "cache/store_server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One store for the whole run: what was asked before does not matter to what is asked next. */
static struct cm_accounts *
store(void)
{
	static struct cm_accounts *s;
	static char path[64];
	char folder[] = "/dev/shm/cm_fuzz_XXXXXX";
	struct cm_accounts_options o = { .path = path, .first_uid = 1000, .first_gid = 1000 };

	if (s != NULL)
		return s;
	if (mkdtemp(folder) == NULL)
		abort();
	snprintf(path, sizeof(path), "%s/db", folder);
	if (cm_accounts_open(&o, NULL, &s) != CM_OK)
		abort();
	return s;
}

/* What a selector is asked is within its limits, whatever is sent. */
static enum cm_err
be_asked(void *arg, const struct cm_selection *q, struct cm_trace *t, struct cm_buf *answer)
{
	(void)arg;
	if (q->hashes.len == 0 || q->hashes.len % 20 != 0 || q->hashes.len > 20 * 64 || cm_deadline_left(q->deadline) > 60000 ||
	    (q->user != NULL && (q->user[0] == '\0' || strlen(q->user) > 255)))
		abort();
	cm_buf_addf(answer, "%s", q->user != NULL ? q->user : "");
	return q->hashes.ptr[0] == 0 ? cm_trace_fail(t, CM_REASON_SELECTOR, "zero") : q->hashes.ptr[0] == 1 ? CM_ERR_USAGE : CM_OK;
}

static const struct cm_store_selector selector = { .run = be_asked };

/* length(2, big end first) octets: a datagram each; then the end. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cm_accounts *s = store();
	struct cm_trace *t = NULL;
	int pair[2];
	enum cm_err err;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0 || cm_trace_new(&t) != CM_OK)
		abort();
	for (size_t at = 0; size - at > 2;) {
		size_t len = (size_t)data[at] << 8 | data[at + 1];

		at += 2;
		if (len > size - at)
			len = size - at;
		if (len > 0 && send(pair[0], data + at, len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			break;
		at += len;
	}
	shutdown(pair[0], SHUT_WR);
	err = cm_store_serve(pair[1], s, &selector, t);
	if (err != CM_OK && err != CM_ERR_SYNTAX && err != CM_ERR_OFFLINE)
		abort();
	close(pair[0]);
	cm_trace_free(&t);
	return 0;
}
