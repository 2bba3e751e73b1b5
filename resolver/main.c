/* resolver/main.c - cardmap-resolver: decodes certificates, maps them, asks directories, responders and lists; trusted by nobody. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <jansson.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/notify.h"
#include "base/secret.h"
#include "base/wire.h"
#include "mapper/import.h"
#include "resolver/resolver.h"

/* Spawned by cardmapd: two listening sockets, and a pipe that ends with it. */
enum { FD_CONTROL = 3, FD_WHOIS, FD_LIFELINE };

#define FILES_WANTED	4096	/* descriptors: who asks (resolver/whois.c), and connections to servers */
#define HEAPS		10
#define HEAP_STEP	(256 << 10)

#define EXIT_USAGE	64	/* sysexits.h */
#define EXIT_CONFIG	78
#define EXIT_FAILED	71
#define STORE_MS	300	/* Whois does without what is kept when cardmapd does not answer */
#define SESSIONS_MAX	256	/* cards at once: more are not in readers */
#define STACK		((size_t)512 << 10)

struct program {
	const char *config, *run_dir;
	struct cm_resolver resolver;
	struct cm_whois *whois;
	struct cm_trace *trace;
	bool settings;			/* told, and no more */
	char *lists_of_root;		/* NULL: none but its own */
	int control, whois_listener, lifeline, signals;
	pthread_mutex_t lock;		/* of sessions */
	unsigned sessions;
};

/* ---- what it is given */

static bool
parse(int argc, char **argv, struct program *p)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' }, { "run-dir", required_argument, NULL, 'r' }, { "settings", no_argument, NULL, 's' },
		{ NULL, 0, NULL, 0 },
	};
	int o;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (o == 'c')
			p->config = optarg;
		else if (o == 'r')
			p->run_dir = optarg;
		else if (o == 's')
			p->settings = true;
		else
			return false;
	}
	return optind == argc;
}

static bool
listens(int fd, int type)
{
	int is = 0, listening = 0;
	socklen_t len = sizeof(int), listening_len = sizeof(int);

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &is, &len) == 0 && is == type &&
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &listening_len) == 0 && listening != 0 &&
	    fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0;
}

/* From the service manager by their names, else from cardmapd by their places. */
static bool
take_sockets(struct program *p)
{
	struct cm_wire_inherited inherited;

	if (cm_wire_inherit(p->trace, &inherited) != CM_OK)
		return false;
	if (inherited.count > 0) {
		p->control = cm_wire_inherited_take(&inherited, "control", SOCK_SEQPACKET);
		p->whois_listener = cm_wire_inherited_take(&inherited, "io.cardmap.Resolver", SOCK_STREAM);
		cm_wire_inherited_close(&inherited);
	} else {
		p->control = FD_CONTROL;
		p->whois_listener = FD_WHOIS;
		p->lifeline = FD_LIFELINE;
		fcntl(FD_LIFELINE, F_SETFD, FD_CLOEXEC);
	}
	return listens(p->control, SOCK_SEQPACKET) && listens(p->whois_listener, SOCK_STREAM);
}

/* ---- what it works with */

static enum cm_err
set(struct cm_conf *c, const char *key, const char *value, struct cm_trace *t)
{
	struct cm_buf b = { 0 };
	enum cm_err err;

	cm_buf_addf(&b, "%s=%s", key, value);
	if ((err = cm_buf_status(&b)) == CM_OK)
		err = cm_conf_set(c, cm_buf_str(&b), "cardmap-resolver", t);
	cm_buf_free(&b);
	return err;
}

static char *
join(const char *folder, size_t len, const char *name)
{
	struct cm_buf b = { 0 };
	char *text;

	cm_buf_add(&b, folder, len);
	cm_buf_add_str(&b, name);
	text = cm_buf_take(&b);
	cm_buf_free(&b);
	return text;
}

/* Made, where that can be; new lists can be kept there. */
static bool
keeps_lists(const char *folder)
{
	return folder != NULL && (mkdir(folder, 0755) == 0 || errno == EEXIST) && access(folder, W_OK | X_OK) == 0;
}

/*
 * The first of these where lists can be kept: where the configuration has them,
 * or what its unit made for it; then those that root's refresh keeps are read
 * beside them.  Where none is, those alone are, and *keeps is false.
 */
static enum cm_err
choose_lists(struct program *p, struct cm_conf *c, bool *keeps)
{
	const char *path = c->accounts.path, *slash = strrchr(path, '/'), *own = getenv("CACHE_DIRECTORY");
	char *places[3] = { NULL, NULL, NULL };
	enum cm_err err = CM_OK;
	size_t i;

	if (c->trust.crl_dir != NULL)
		places[0] = strdup(c->trust.crl_dir);
	else if (path[0] == '/')
		places[0] = join(path, (size_t)(slash - path) + 1, "crl");
	if (own != NULL && own[0] == '/')
		places[1] = join(own, strlen(own), "/crl");
	places[2] = strdup("/var/cache/cardmap/crl");
	for (i = 0; i < CM_COUNT(places) && !keeps_lists(places[i]); i++)
		;
	*keeps = i < CM_COUNT(places);
	if (places[*keeps ? i : 0] != NULL)
		err = set(c, "trust.crl_dir", places[*keeps ? i : 0], p->trace);
	if (*keeps && i > 0)
		c->trust.crl_also = p->lists_of_root = places[0];
	for (i = 0; i < CM_COUNT(places); i++)
		if (places[i] != p->lists_of_root)
			free(places[i]);
	return err;
}

/* The store is cardmapd's, on its socket, and the keytab nobody's but cardmapd's. */
static enum cm_err
redirect(struct program *p, struct cm_conf *c)
{
	char *store = join(p->run_dir, strlen(p->run_dir), "/private/store");
	const enum cm_err err = store != NULL ? set(c, "accounts.path", store, p->trace) : CM_ERR_NOMEM;

	free(c->kerberos.keytab);
	c->kerberos.keytab = NULL;
	free(store);
	return err;
}

/* An answer of Whois may be as old as this; no login asks here. */
static enum cm_err
open_asked(struct cm_resolver *r, struct cm_trace *t)
{
	const struct cm_accounts_options o = {
		.path = r->conf->accounts.path, .remote = true, .answer_ms = STORE_MS, .unpaired_ms = r->conf->service.whois_age,
		.offline_max = (int64_t)r->conf->accounts.offline_days * 86400,
		.first_uid = r->conf->accounts.first_uid, .first_gid = r->conf->accounts.first_gid,
		.local_groups = (const char *const *)r->conf->accounts.local_groups,
	};

	return cm_accounts_open(&o, t, &r->asked);
}

static enum cm_err
open_all(struct program *p)
{
	struct cm_resolver *r = &p->resolver;
	unsigned needs = CM_NEED_RULES | CM_NEED_TRUST | CM_NEED_ACCOUNTS | CM_STORE_REMOTE;
	bool keeps;
	enum cm_err err;

	if ((err = cm_conf_load(p->config, p->trace, &r->conf)) != CM_OK ||
	    (err = cm_import_configured(r->conf, p->trace)) != CM_OK ||
	    (err = choose_lists(p, r->conf, &keeps)) != CM_OK || (err = redirect(p, r->conf)) != CM_OK)
		return err;
	needs |= keeps ? 0 : CM_LOOKS_ONLY;
	if ((r->daemon = join(p->run_dir, strlen(p->run_dir), "/io.cardmap")) == NULL)
		return CM_ERR_NOMEM;
	if ((err = cm_host_open(r->conf, needs, p->trace, &r->host)) != CM_OK ||
	    (err = open_asked(r, p->trace)) != CM_OK || (err = cm_pool_new(r->conf, p->trace, &r->pool)) != CM_OK ||
	    (err = cm_kdcs_new(r->conf, p->trace, &r->kdcs)) != CM_OK)
		return err;
	return cm_whois_new(r, p->whois_listener, &p->whois);
}

/* ---- cards */

struct card {
	struct program *program;
	int fd;
};

static void *
run_session(void *arg)
{
	struct card *c = arg;
	struct program *p = c->program;

	cm_session_run(&p->resolver, c->fd);
	free(c);
	pthread_mutex_lock(&p->lock);
	p->sessions--;
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

/* Only cardmapd, which is root or, in a test, whoever we are. */
static bool
is_cardmapd(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && (peer.uid == 0 || peer.uid == geteuid());
}

static bool
start_session(struct program *p, int fd)
{
	struct card *c = malloc(sizeof(*c));
	pthread_attr_t a;
	pthread_t thread;
	bool room, ok = false;

	pthread_mutex_lock(&p->lock);
	room = p->sessions < SESSIONS_MAX;
	p->sessions += room;
	pthread_mutex_unlock(&p->lock);
	if (c != NULL && room) {
		*c = (struct card){ p, fd };
		pthread_attr_init(&a);
		pthread_attr_setdetachstate(&a, PTHREAD_CREATE_DETACHED);
		pthread_attr_setstacksize(&a, STACK);
		ok = pthread_create(&thread, &a, run_session, c) == 0;
		pthread_attr_destroy(&a);
	}
	if (ok)
		return true;
	free(c);
	pthread_mutex_lock(&p->lock);
	p->sessions -= room;
	pthread_mutex_unlock(&p->lock);
	return false;
}

static void
accept_cards(struct program *p)
{
	int fd;

	while ((fd = accept4(p->control, NULL, NULL, SOCK_CLOEXEC)) >= 0)
		if (!is_cardmapd(fd) || !start_session(p, fd))
			close(fd);
}

/* Until cardmapd ends, or whoever started it asks to. */
static void
serve(struct program *p)
{
	struct pollfd f[] = {
		{ .fd = p->control, .events = POLLIN }, { .fd = p->signals, .events = POLLIN },
		{ .fd = p->lifeline, .events = POLLIN },
	};
	const unsigned every = cm_notify_watchdog();

	(void)cm_notify("READY=1");
	for (;;) {
		if (poll(f, CM_COUNT(f), every > 0 ? (int)every : -1) < 0 && errno != EINTR)
			return;
		if (every > 0)
			(void)cm_notify("WATCHDOG=1");
		if ((f[1].revents | f[2].revents) != 0)
			return;
		if (f[0].revents != 0)
			accept_cards(p);
	}
}

/* ---- the process */

static enum cm_err
catch_signals(struct program *p)
{
	sigset_t ends;

	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	signal(SIGPIPE, SIG_IGN);
	if (sigprocmask(SIG_BLOCK, &ends, NULL) != 0 || (p->signals = signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK)) < 0)
		return CM_ERR_SYSTEM;
	return CM_OK;
}

/* Before anything from outside is read. */
static enum cm_err
harden(struct program *p)
{
	umask(077);
	/* Whois by eight threads at once: with one heap for two of them a quarter of the questions wait for a lock. */
	(void)mallopt(M_ARENA_MAX, HEAPS);
	/* ... and none gives back after each question what the next one takes. */
	(void)mallopt(M_TOP_PAD, HEAP_STEP);
	(void)mallopt(M_TRIM_THRESHOLD, 2 * HEAP_STEP);
	/* libldap has SASL load its plugins, and what they want, Berkeley DB too: we bind by other ways, and none is used. */
	(void)setenv("SASL_PATH", "/nonexistent", 1);
	cm_secret_harden_process();
	cm_wire_allow(FILES_WANTED);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return CM_ERR_SYSTEM;
	return cm_resolver_confine(p->trace);
}

/* ---- what other systems' files set, for cardmapd, which reads none: once, in a process without privilege */

static enum cm_err
add_setting(void *arg, const char *place, const struct cm_import_setting *s)
{
	json_t *values = json_array(), *one = json_pack("{s:s, s:s, s:o}", "key", s->key, "place", place, "values", values);

	for (char *const *v = s->values; *v != NULL; v++)
		json_array_append_new(values, json_string(*v));
	return json_array_append_new(arg, one) == 0 && json_array_size(values) > 0 ? CM_OK : CM_ERR_NOMEM;
}

static int
tell_settings(struct program *p)
{
	json_t *list = json_array(), *answer;
	struct cm_conf *conf = NULL;
	enum cm_err err = cm_conf_load(p->config, p->trace, &conf);
	char *text;

	if (err == CM_OK)
		err = cm_import_each(conf, p->trace, add_setting, list);
	answer = err == CM_OK ? json_pack("{s:O}", "settings", list) :
	    json_pack("{s:s}", "error", cm_trace_reason(p->trace) != CM_REASON_NONE ? cm_trace_message(p->trace) : cm_err_name(err));
	if ((text = json_dumps(answer, JSON_COMPACT)) != NULL)
		fputs(text, stdout);
	free(text);
	json_decref(answer);
	json_decref(list);
	cm_conf_free(&conf);
	return text != NULL && fflush(stdout) == 0 ? 0 : EXIT_FAILED;
}

int
main(int argc, char **argv)
{
	struct program p = { .run_dir = "/run/cardmap", .control = -1, .whois_listener = -1, .lifeline = -1, .signals = -1,
		.lock = PTHREAD_MUTEX_INITIALIZER };
	enum cm_err err;

	if (cm_trace_new(&p.trace) != CM_OK)
		return EXIT_FAILED;
	cm_trace_begin(p.trace, "start");
	const bool parsed = parse(argc, argv, &p);

	if (parsed && p.settings)
		_exit(tell_settings(&p));
	if (!parsed || !take_sockets(&p)) {
		fprintf(stderr, "usage: cardmap-resolver [--config FILE] [--run-dir DIR] [--settings], started by cardmapd or by its socket units\n");
		return EXIT_USAGE;
	}
	if ((err = catch_signals(&p)) == CM_OK && (err = harden(&p)) == CM_OK && (err = open_all(&p)) == CM_OK) {
		serve(&p);
		/* Sessions are let go as they are: what they would answer nobody waits for. */
		_exit(0);
	}
	fprintf(stderr, "cardmap-resolver: %s: %s\n", cm_err_name(err), cm_trace_message(p.trace));
	/* A sanitizer's look for leaks would need what the filter denies. */
	_exit(err == CM_ERR_CONFIG || err == CM_ERR_SYNTAX ? EXIT_CONFIG : EXIT_FAILED);
}
