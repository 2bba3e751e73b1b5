/* trust/fetch.c - addresses asked at once: one loop over curl's multi interface. */
#include <stdlib.h>

#include "trust/fetch_internal.h"

struct cm_fetcher {
	struct cm_fetcher_options o;
	CURLM *multi;
	struct cm_sockets sockets;
	struct cm_transfer *asked;	/* no order */
	struct cm_transfer *done;	/* the first that was done first */
	atomic_bool woken;
};

bool
cm_fetch_is_http(const char *url)
{
	return strncasecmp(url, "http://", 7) == 0 || strncasecmp(url, "https://", 8) == 0;
}

bool
cm_fetch_can(const char *url)
{
	return cm_fetch_is_http(url) || strncasecmp(url, "ldap://", 7) == 0 || strncasecmp(url, "ldaps://", 8) == 0;
}

void
cm_fetch_clear(struct cm_fetch *f)
{
	cm_buf_free(&f->why);
	f->objection = CM_OBJECTION_NONE;
	f->not_modified = f->from_start = false;
	f->new_etag[0] = f->new_modified[0] = '\0';
	f->max_age = -1;
	f->bytes = f->total = 0;
	f->connections = f->redirects = 0;
	f->us = 0;
}

enum cm_err
cm_fetcher_new(const struct cm_fetcher_options *o, struct cm_fetcher **out)
{
	struct cm_fetcher *f = calloc(1, sizeof(*f));

	*out = NULL;
	/* Counts its callers, and may be called in any thread (since 7.84). */
	if (f == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		free(f);
		return CM_ERR_NOMEM;
	}
	f->o = *o;
	if ((f->multi = curl_multi_init()) == NULL) {
		cm_fetcher_free(&f);
		return CM_ERR_NOMEM;
	}
	*out = f;
	return CM_OK;
}

static void
take_off(struct cm_transfer **list, struct cm_transfer *t)
{
	while (*list != t)
		list = &(*list)->next;
	*list = t->next;
	t->next = NULL;
}

static void
put_done(struct cm_fetcher *f, struct cm_transfer *t)
{
	struct cm_transfer **end = &f->done;

	while (*end != NULL)
		end = &(*end)->next;
	*end = t;
	t->f->us = cm_clock_us() - t->since;
}

static bool
send_out(struct cm_fetcher *f, struct cm_transfer *t)
{
	if (t->curl != NULL)
		return curl_multi_add_handle(f->multi, t->curl) == CURLM_OK;
	return cm_ldap_question_start(t, f->multi);
}

/* The next exchange goes out, or the question is done. */
static void
go_on(struct cm_fetcher *f, struct cm_transfer *t)
{
	if (cm_transfer_prepare(t) && send_out(f, t))
		return;
	cm_transfer_object(t, CM_OBJECTION_NOT_ASKABLE, "it cannot be asked: out of memory");
	take_off(&f->asked, t);
	put_done(f, t);
}

static void
object_to_scheme(struct cm_transfer *t)
{
	const char *url = t->f->url;

	if (cm_fetch_is_http(url))
		return;
	/* A directory is no responder. */
	if (t->f->body.len > 0)
		cm_transfer_object(t, CM_OBJECTION_NOT_ASKABLE, "only http:// and https:// addresses can be asked");
	else if (!cm_fetch_can(url))
		cm_transfer_object(t, CM_OBJECTION_NOT_ASKABLE, "only http://, https:// and ldap:// addresses can be asked");
	else if (t->o->ldap == NULL)
		cm_transfer_object(t, CM_OBJECTION_NOT_ASKABLE, "no directory is asked here for lists");
}

enum cm_err
cm_fetcher_add(struct cm_fetcher *f, struct cm_fetch *one)
{
	struct cm_transfer *t;

	cm_fetch_clear(one);
	if ((t = cm_transfer_new(&f->o, &f->sockets, one)) == NULL)
		return CM_ERR_NOMEM;
	t->next = f->asked;
	f->asked = t;
	object_to_scheme(t);
	go_on(f, t);
	return CM_OK;
}

static struct cm_transfer *
find(struct cm_transfer *list, const struct cm_fetch *one)
{
	while (list != NULL && list->f != one)
		list = list->next;
	return list;
}

static void
let_go(struct cm_fetcher *f, struct cm_transfer *t)
{
	if (t->curl != NULL)
		curl_multi_remove_handle(f->multi, t->curl);
	cm_transfer_free(&t);
}

void
cm_fetcher_remove(struct cm_fetcher *f, struct cm_fetch *one)
{
	struct cm_transfer *t = find(f->asked, one);
	struct cm_transfer **list = t != NULL ? &f->asked : &f->done;

	if (t == NULL && (t = find(f->done, one)) == NULL)
		return;
	take_off(list, t);
	let_go(f, t);
}

void
cm_fetcher_free(struct cm_fetcher **fp)
{
	struct cm_fetcher *f = *fp;

	if (f == NULL)
		return;
	*fp = NULL;
	while (f->asked != NULL)
		cm_fetcher_remove(f, f->asked->f);
	while (f->done != NULL)
		cm_fetcher_remove(f, f->done->f);
	curl_multi_cleanup(f->multi);
	curl_global_cleanup();
	free(f);
}

/* What curl is through with: done, or sent on. */
static void
collect_http(struct cm_fetcher *f)
{
	const CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(f->multi, &left)) != NULL) {
		const CURLcode rc = m->data.result;
		struct cm_transfer *t = NULL;

		if (m->msg != CURLMSG_DONE || curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &t) != CURLE_OK)
			continue;
		curl_multi_remove_handle(f->multi, t->curl);
		if (cm_transfer_goes_on(t, rc)) {
			go_on(f, t);
		} else {
			take_off(&f->asked, t);
			put_done(f, t);
		}
	}
}

static void
collect_ldap(struct cm_fetcher *f)
{
	struct cm_transfer *next;

	for (struct cm_transfer *t = f->asked; t != NULL; t = next) {
		next = t->next;
		if (cm_ldap_question_through(t)) {
			cm_ldap_question_collect(t);
			take_off(&f->asked, t);
			put_done(f, t);
		}
	}
}

/* Nothing can be waited for any more: memory or descriptors are at their end. */
static void
fail_all(struct cm_fetcher *f, CURLMcode rc)
{
	while (f->asked != NULL) {
		struct cm_transfer *t = f->asked;

		if (t->curl != NULL)
			curl_multi_remove_handle(f->multi, t->curl);
		cm_ldap_question_free(&t->ldap);
		cm_transfer_object(t, CM_OBJECTION_NO_CONNECTION, "it cannot be asked: %s", curl_multi_strerror(rc));
		take_off(&f->asked, t);
		put_done(f, t);
	}
}

static struct cm_fetch *
take_done(struct cm_fetcher *f)
{
	struct cm_transfer *t = f->done;
	struct cm_fetch *one = t != NULL ? t->f : NULL;

	if (t != NULL) {
		take_off(&f->done, t);
		let_go(f, t);
	}
	return one;
}

/* Whatever can be done without waiting. */
static void
work(struct cm_fetcher *f, CURLMcode rc)
{
	int running;

	if (rc == CURLM_OK && (rc = curl_multi_perform(f->multi, &running)) == CURLM_OK)
		collect_http(f);
	collect_ldap(f);
	if (rc != CURLM_OK)
		fail_all(f, rc);
}

struct cm_fetch *
cm_fetcher_next(struct cm_fetcher *f, cm_deadline until)
{
	CURLMcode rc = CURLM_OK;

	for (bool over = false; ; over = cm_deadline_passed(until)) {
		if (f->done == NULL)
			work(f, rc);
		if (f->done != NULL)
			return take_done(f);
		if (atomic_exchange(&f->woken, false) || over || f->asked == NULL)
			return NULL;
		rc = curl_multi_poll(f->multi, NULL, 0, cm_deadline_left(until), NULL);
	}
}

void
cm_fetcher_wake(struct cm_fetcher *f)
{
	atomic_store(&f->woken, true);
	curl_multi_wakeup(f->multi);
}
