/* trust/fetch_objection.c - why a server's answer does not count, in words: the address, the numbers, what to do. */
#include <stdarg.h>
#include <stdio.h>

#include "trust/fetch_internal.h"

void
cm_transfer_object(struct cm_transfer *t, enum cm_objection o, const char *fmt, ...)
{
	struct cm_buf text = { 0 };
	va_list ap;

	if (t->f->objection != CM_OBJECTION_NONE)
		return;
	t->f->objection = o;
	va_start(ap, fmt);
	cm_buf_addv(&text, fmt, ap);
	va_end(ap);
	/* Parts of it come from the server. */
	cm_buf_truncate(&t->f->why, 0);
	cm_buf_add_printable(&t->f->why, cm_buf_blob(&text));
	cm_buf_free(&text);
}

void
cm_transfer_object_to_size(struct cm_transfer *t, uint64_t announced)
{
	if (announced > 0)
		cm_transfer_object(t, CM_OBJECTION_TOO_LARGE, "the answer is larger than %zu bytes: %llu are announced",
		    t->f->max, (unsigned long long)announced);
	else
		cm_transfer_object(t, CM_OBJECTION_TOO_LARGE, "the answer is larger than %zu bytes%s", t->f->max,
		    t->headed ? "" : ", and its header has not ended");
}

static void
object_to_time(struct cm_transfer *t)
{
	const char *host = cm_buf_str(&t->host);
	const bool tls = strncasecmp(cm_buf_str(&t->url), "https:", 6) == 0;

	if (t->begun && t->f->total > 0)
		cm_transfer_object(t, CM_OBJECTION_SLOW_ANSWER, "not the whole answer within %ld ms: %llu bytes of %llu came",
		    t->ms, (unsigned long long)t->here, (unsigned long long)t->f->total);
	else if (t->begun)
		cm_transfer_object(t, CM_OBJECTION_SLOW_ANSWER, "not the whole answer within %ld ms: %llu bytes came",
		    t->ms, (unsigned long long)t->here);
	else if (t->answered)
		cm_transfer_object(t, CM_OBJECTION_SLOW_ANSWER, "not the whole answer within %ld ms: "
		    "%s sent %s header, and then nothing", t->ms, host, t->headed ? "a" : "part of a");
	else if (t->sent)
		cm_transfer_object(t, CM_OBJECTION_NO_ANSWER, "no answer within %ld ms: %s took the question", t->ms, host);
	else if (!t->named)
		cm_transfer_object(t, CM_OBJECTION_NO_NAME, "no answer within %ld ms from the name servers about %s; "
		    "see /etc/resolv.conf", t->ms, host);
	else
		cm_transfer_object(t, CM_OBJECTION_NO_CONNECTION, "no connection to %s within %ld ms%s; "
		    "does a firewall drop it?", host, t->ms, tls ? ", the TLS handshake included" : "");
}

static void
object_to_connection(struct cm_transfer *t)
{
	long error = 0;

	curl_easy_getinfo(t->curl, CURLINFO_OS_ERRNO, &error);
	cm_transfer_object(t, CM_OBJECTION_NO_CONNECTION, "no connection to %s: %s", cm_buf_str(&t->host),
	    error != 0 ? strerror((int)error) : "it was refused");
}

static void
object_to_end(struct cm_transfer *t, CURLcode rc)
{
	const char *host = cm_buf_str(&t->host);

	if (t->begun && t->f->total > 0)
		cm_transfer_object(t, CM_OBJECTION_BROKEN_ANSWER, "the answer broke off after %llu bytes of %llu",
		    (unsigned long long)t->here, (unsigned long long)t->f->total);
	else if (rc == CURLE_GOT_NOTHING || (!t->answered && rc != CURLE_WEIRD_SERVER_REPLY))
		cm_transfer_object(t, CM_OBJECTION_BROKEN_ANSWER, "%s ended the connection without an answer", host);
	else
		cm_transfer_object(t, CM_OBJECTION_BROKEN_ANSWER, "the answer of %s broke off: %s", host,
		    curl_easy_strerror(rc));
}

static void
object_to_tls(struct cm_transfer *t, CURLcode rc)
{
	cm_transfer_object(t, CM_OBJECTION_TLS, "the TLS certificate of %s is not one of an anchor here, or has another "
	    "name: %s", cm_buf_str(&t->host), t->detail[0] != '\0' ? t->detail : curl_easy_strerror(rc));
}

/* What curl does when one header line goes on beyond 100 KB. */
static void
object_to_line(struct cm_transfer *t)
{
	if (t->sent && !t->begun)
		cm_transfer_object(t, CM_OBJECTION_TOO_LARGE, "a line of the answer's header is longer than is read, "
		    "or this computer is out of memory");
	else
		cm_transfer_object(t, CM_OBJECTION_NOT_KEPT, "this computer is out of memory");
}

void
cm_transfer_object_to(struct cm_transfer *t, CURLcode rc)
{
	switch (rc) {
	case CURLE_OPERATION_TIMEDOUT:
		object_to_time(t);
		break;
	case CURLE_COULDNT_RESOLVE_HOST:
		cm_transfer_object(t, CM_OBJECTION_NO_NAME, "the name of %s cannot be looked up", cm_buf_str(&t->host));
		break;
	case CURLE_COULDNT_CONNECT:
		object_to_connection(t);
		break;
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CIPHER:
		object_to_tls(t, rc);
		break;
	case CURLE_UNSUPPORTED_PROTOCOL:
		if (t->sent) {
			cm_transfer_object(t, CM_OBJECTION_BROKEN_ANSWER, "what %s sent is no HTTP", cm_buf_str(&t->host));
			break;
		}	/* fall through */
	case CURLE_URL_MALFORMAT:
		cm_transfer_object(t, CM_OBJECTION_NOT_ASKABLE, "this is no address that can be asked: %s",
		    curl_easy_strerror(rc));
		break;
	case CURLE_OUT_OF_MEMORY:	/* 8.6 has a name of its own for it: CURLE_TOO_LARGE */
		object_to_line(t);
		break;
	default:
		object_to_end(t, rc);
	}
}
