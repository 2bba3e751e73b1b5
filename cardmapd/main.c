/* cardmapd/main.c - cardmapd: the privileged process, which decides who may enter and parses nothing from outside. */
#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/closing.h"
#include "base/notify.h"
#include "base/secret.h"
#include "base/wire.h"
#include "cardmapd/cards.h"
#include "cardmapd/imports.h"
#include "cardmapd/jobs.h"
#include "cardmapd/loop.h"
#include "cardmapd/methods.h"
#include "cardmapd/mobile.h"
#include "cardmapd/processes.h"
#include "cardmapd/record.h"
#include "cardmapd/removal.h"
#include "cardmapd/sandbox.h"
#include "cardmapd/selector.h"
#include "cardmapd/spent.h"
#include "cardmapd/sockets.h"
#include "cardmapd/store.h"
#include "service/card_log.h"
#include "cardmapd/untold.h"

#define EXIT_USAGE	64
#define EXIT_CONFIG	78
#define FILES_WANTED	8192	/* descriptors: clients, and each login's */

struct settings {
	const char *config, *run_dir, *libexec;
	bool no_drop, activated, check;
};

/* Installed, both have the same prefix, whatever it is by now; in a build tree the folder above has those of all programs. */
static bool
find_libexec(char out[4096])
{
	char self[2048], *end;
	const ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n <= 0)
		return false;
	self[n] = '\0';
	if ((end = strrchr(self, '/')) != NULL)
		*end = '\0';
	snprintf(out, 4096, "%s/" CM_LIBEXEC_FROM_SBIN, self);
	if (access(out, F_OK) != 0)
		snprintf(out, 4096, "%s/..", self);
	return true;
}

struct service {
	struct settings settings;
	struct cm_daemon daemon;
	struct cm_loop loop;
	struct cm_conf *conf;
	struct cm_wire_inherited inherited;
	struct cm_trace *trace;
	char *ccache_program, *names_program, *cache;
	_Atomic int64_t silent_until;	/* a source of names */
};

static const char usage[] =
	"usage: cardmapd [options]\n"
	"The service behind pam_cardmap and cardmap: watches readers, prepares logins, decides them.\n"
	"Stays in the foreground. cardmapd(8) tells more.\n"
	"  -c, --config FILE  the configuration; default " CM_CONF_PATH "\n"
	"      --run-dir DIR  where its sockets are; default " CM_RUN_DIR "\n"
	"      --libexec DIR  where its other programs are; default where they were installed with this one\n"
	"      --no-drop      they keep this user: for who is not root\n"
	"      --activated    they are started by the service manager, through sockets in DIR/private\n"
	"      --check        see that all is there and that the sandbox holds, and end\n"
	"      --help, --version\n";

enum { OPTION_RUN_DIR = 256, OPTION_LIBEXEC, OPTION_NO_DROP, OPTION_ACTIVATED, OPTION_CHECK, OPTION_HELP, OPTION_VERSION };

static const struct option options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "run-dir", required_argument, NULL, OPTION_RUN_DIR },
	{ "libexec", required_argument, NULL, OPTION_LIBEXEC },
	{ "no-drop", no_argument, NULL, OPTION_NO_DROP },
	{ "activated", no_argument, NULL, OPTION_ACTIVATED },
	{ "check", no_argument, NULL, OPTION_CHECK },
	{ "help", no_argument, NULL, OPTION_HELP },
	{ "version", no_argument, NULL, OPTION_VERSION },
	{ NULL, 0, NULL, 0 },
};

/* The other processes start in another folder. */
static bool
make_absolute(const char **path, char out[4096])
{
	char here[2048];

	if (*path == NULL || (*path)[0] == '/')
		return true;
	if (getcwd(here, sizeof(here)) == NULL || snprintf(out, 4096, "%s/%s", here, *path) >= 4096)
		return false;
	*path = out;
	return true;
}

/* -1: go on; else the exit status. */
static int
read_options(int argc, char **argv, struct settings *s)
{
	int o;

	while ((o = getopt_long(argc, argv, "c:", options, NULL)) != -1)
		switch (o) {
		case 'c':
			s->config = optarg;
			break;
		case OPTION_RUN_DIR:
			s->run_dir = optarg;
			break;
		case OPTION_LIBEXEC:
			s->libexec = optarg;
			break;
		case OPTION_NO_DROP:
			s->no_drop = true;
			break;
		case OPTION_ACTIVATED:
			s->activated = true;
			break;
		case OPTION_CHECK:
			s->check = true;
			break;
		case OPTION_HELP:
			fputs(usage, stdout);
			return 0;
		case OPTION_VERSION:
			puts("cardmapd " CM_VERSION);
			return 0;
		default:
			return EXIT_USAGE;
		}
	if (optind < argc || s->run_dir[0] != '/' || (s->libexec[0] != '/' && s->libexec[0] != '\0')) {
		fputs(usage, stderr);
		return EXIT_USAGE;
	}
	return -1;
}

/* ---- the parts */

/* Who is not root cannot give its processes users of their own: said by an option, never by itself. */
static enum cm_err
check_user(struct service *s)
{
	if (geteuid() == 0 || s->settings.no_drop || s->settings.activated)
		return CM_OK;
	return cm_trace_fail(s->trace, CM_REASON_NOT_ROOT, "cardmapd is root's: start it as root, or for a trial with --no-drop");
}

static enum cm_err
make_parts(struct service *s)
{
	struct cm_daemon *d = &s->daemon;
	enum cm_err err;

	if ((d->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0)
		return cm_trace_fail(s->trace, CM_REASON_SYSTEM, "eventfd: %s", strerror(errno));
	if ((err = cm_closing_new(&d->closing)) == CM_OK && (err = cm_record_new(d, &d->record)) == CM_OK &&
	    (err = cm_jobs_new(d, &d->jobs)) == CM_OK && (err = cm_stores_new(d, &d->stores)) == CM_OK &&
	    (err = cm_logins_new(d, &d->logins)) == CM_OK && (err = cm_cards_new(d, &d->cards)) == CM_OK &&
	    (err = cm_removal_new(d, &d->removal)) == CM_OK &&
	    (err = cm_spents_new(d->run_dir, d->conf->service.log, &d->spents)) == CM_OK)
		err = cm_clients_new(d, &cm_methods_service, &d->clients);
	return err;
}

/* A host without a keytab goes on without: kept accounts and pairings open all the same. */
static enum cm_err
open_keytab(struct service *s)
{
	const struct cm_hostcheck_options o = {
		.config = s->conf->kerberos.config, .realm = s->conf->kerberos.realm, .keytab = s->conf->kerberos.keytab,
		.host_principal = s->conf->kerberos.host_principal,
	};
	enum cm_err err;

	if (s->conf->kerberos.ticket == CM_TICKET_OFF)
		return CM_OK;
	if ((err = cm_hostcheck_open(&o, s->trace, &s->daemon.hostcheck)) == CM_ERR_ABSENT) {
		cm_log_event(s->conf->service.log, "keytab", CM_OK, CM_REASON_NONE, "none: %s", cm_trace_message(s->trace));
		cm_trace_clear_reason(s->trace);
		err = CM_OK;
	}
	return err;
}

static void
tell_ended(void *arg)
{
	cm_mobiles_look(arg);
}

enum cm_err
cm_daemon_open_store(const struct cm_daemon *d, struct cm_trace *t, struct cm_accounts **out)
{
	const struct cm_accounts_options o = {
		.path = d->conf->accounts.path, .offline_max = (int64_t)d->conf->accounts.offline_days * 86400,
		.first_uid = d->conf->accounts.first_uid, .first_gid = d->conf->accounts.first_gid,
		.local_groups = (const char *const *)d->conf->accounts.local_groups,
		.ended = tell_ended, .ended_arg = d->mobiles,
	};

	return cm_accounts_open(&o, t, out);
}

/* That it can be opened is seen at the start, not at somebody's login. */
static enum cm_err
check_store(struct service *s)
{
	struct cm_accounts *store = NULL;
	const enum cm_err err = cm_daemon_open_store(&s->daemon, s->trace, &store);

	cm_accounts_close(&store);
	return err;
}

static enum cm_err
listen_for_clients(struct service *s)
{
	char path[4096];

	if ((s->loop.listener = cm_wire_inherited_take(&s->inherited, "io.cardmap", SOCK_STREAM)) >= 0)
		return CM_OK;
	snprintf(path, sizeof(path), "%s/io.cardmap", s->settings.run_dir);
	return cm_wire_listen(path, 0666, s->trace, &s->loop.listener);
}

static bool
is_dropping(const struct service *s)
{
	return geteuid() == 0 && !s->settings.no_drop;
}

static enum cm_err
listen_for_store(struct service *s)
{
	const bool apart = is_dropping(s);
	char path[4096];
	gid_t group = (gid_t)-1;
	enum cm_err err = CM_OK;

	s->loop.store_user = geteuid();
	if (apart)
		err = cm_processes_user(s->conf->service.user, s->trace, &s->loop.store_user, &group);
	snprintf(path, sizeof(path), "%s/private/store", s->settings.run_dir);
	if (err == CM_OK)
		err = cm_sockets_listen(path, apart ? 0660 : 0600, group, s->trace, &s->loop.store);
	return err;
}

static enum cm_err
watch_signals(struct service *s)
{
	static const int ending[] = { SIGTERM, SIGINT, SIGHUP };
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < CM_COUNT(ending); i++)
		sigaddset(&set, ending[i]);
	signal(SIGPIPE, SIG_IGN);
	if (sigprocmask(SIG_BLOCK, &set, NULL) != 0 || (s->loop.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)) < 0)
		return cm_trace_fail(s->trace, CM_REASON_SYSTEM, "signalfd: %s", strerror(errno));
	return CM_OK;
}

/* One of our one-shot programs: installed, or in a build tree. */
static char *
find_program(const struct service *s, const char *name)
{
	static const char *const places[] = { "%s/helper/%s", "%s/%s" };
	char path[4096];

	for (size_t i = 0; i < CM_COUNT(places); i++) {
		snprintf(path, sizeof(path), places[i], s->settings.libexec, name);
		if (access(path, X_OK) == 0)
			break;
	}
	return strdup(path);
}

static enum cm_err
find_programs(struct service *s)
{
	s->daemon.ccache_program = s->ccache_program = find_program(s, "cardmap-ccache");
	s->daemon.names.program = s->names_program = find_program(s, "cardmap-names");
	return s->ccache_program != NULL && s->names_program != NULL ? CM_OK : CM_ERR_NOMEM;
}

/* Whoever asks other sources of names has what the resolver has: a name, and an uid that says so. */
static enum cm_err
choose_asker(struct service *s)
{
	struct cm_names_how *n = &s->daemon.names;

	n->uid = (uid_t)-1;
	n->silent_until = &s->silent_until;
	return is_dropping(s) ? cm_processes_user(s->conf->service.user, s->trace, &n->uid, &n->gid) : CM_OK;
}

/*
 * Where the resolver keeps the lists it fetches: its own folder, beside the store in root's, which it
 * goes through and does not see.  With units the service manager makes one (CacheDirectory=).
 */
static enum cm_err
make_cache(struct service *s)
{
	const char *path = s->conf->accounts.path, *slash = strrchr(path, '/');
	char folder[4096];
	struct stat st;
	uid_t uid;
	gid_t gid;
	enum cm_err err;

	if (geteuid() != 0 || s->settings.no_drop || s->settings.activated || s->settings.check || slash == NULL)
		return CM_OK;
	if ((err = cm_processes_user(s->conf->service.user, s->trace, &uid, &gid)) != CM_OK)
		return err;
	snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path), path);
	if (stat(folder, &st) == 0 && st.st_uid == 0 && (st.st_mode & 0111) != 0111)
		(void)chmod(folder, (st.st_mode & 07777) | 0111);
	snprintf(folder, sizeof(folder), "%.*s/resolver", (int)(slash - path), path);
	if ((mkdir(folder, 0700) != 0 && errno != EEXIST) || lstat(folder, &st) != 0 || !S_ISDIR(st.st_mode) ||
	    (st.st_uid == 0 && lchown(folder, uid, gid) != 0))
		return cm_trace_fail(s->trace, CM_REASON_SYSTEM, "%s: it must be a folder of %s: %s", folder,
		    s->conf->service.user, strerror(errno));
	return (s->cache = strdup(folder)) != NULL ? CM_OK : CM_ERR_NOMEM;
}

static enum cm_err
start_processes(struct service *s)
{
	const struct cm_processes_options o = {
		.conf = s->conf, .config = s->settings.config, .run_dir = s->settings.run_dir, .libexec = s->settings.libexec,
		.cache = s->cache,
		.drop = is_dropping(s), .activated = s->settings.activated,
	};

	return cm_processes_new(&o, s->trace, &s->daemon.processes);
}

static enum cm_err
start_selectors(struct service *s)
{
	return s->conf->mapper.selector == NULL ? CM_OK :
	    cm_selectors_new(s->conf->mapper.selector, s->trace, &s->daemon.selectors);
}

static enum cm_err
begin_processes(struct service *s)
{
	return cm_processes_begin(s->daemon.processes, s->trace);
}

static enum cm_err
make_folders(struct service *s)
{
	return cm_sockets_make_folders(s->settings.run_dir, s->trace);
}

static enum cm_err
read_kept(struct service *s)
{
	cm_removal_begin(s->daemon.removal);
	cm_spents_begin(s->daemon.spents);
	return CM_OK;
}

/* A log that cannot be had keeps nobody from his login. */
static enum cm_err
begin_card_log(struct service *s)
{
	if (cm_card_log_begin(s->conf, s->trace) != CM_OK) {
		cm_log_event(s->conf->service.log, "card-log", CM_ERR_SYSTEM, cm_trace_reason(s->trace), "%s", cm_trace_message(s->trace));
		cm_trace_clear_reason(s->trace);
	}
	return CM_OK;
}

static enum cm_err
inherit(struct service *s)
{
	return cm_wire_inherit(s->trace, &s->inherited);
}

static enum cm_err
load(struct service *s)
{
	const enum cm_err err = cm_conf_load(s->settings.config, s->trace, &s->conf);

	s->daemon.conf = s->conf;
	return err;
}

/* By files that are another process's to read; as root only for who has no other user. */
static enum cm_err
import_settings(struct service *s)
{
	struct cm_imports i = { .config = s->settings.config, .libexec = s->settings.libexec, .uid = (uid_t)-1 };
	enum cm_err err;

	if (geteuid() == 0 && !s->settings.no_drop &&
	    (err = cm_processes_user(s->conf->service.user, s->trace, &i.uid, &i.gid)) != CM_OK)
		return err;
	return cm_imports_take(&i, s->conf, s->trace);
}

/* The descriptions that others write their programs by name what is served here, and nothing else. */
static enum cm_err
check_interfaces(struct service *s)
{
	struct cm_varlink_fault fault;

	for (size_t i = 0; i < cm_methods_service.count; i++)
		if (cm_varlink_interface_check(cm_methods_service.interfaces[i], &fault) != CM_OK) {
			cm_trace_fail(s->trace, CM_REASON_SYSTEM, "%s: line %u: %s", cm_methods_service.interfaces[i]->name,
			    fault.line, fault.what);
			return CM_ERR_STATE;
		}
	return CM_OK;
}

static enum cm_err
settle_untold(struct service *s)
{
	cm_untold_settle(&s->daemon);
	return CM_OK;
}

static enum cm_err
enter_sandbox(struct service *s)
{
	return cm_sandbox_enter(s->trace);
}

static enum cm_err
check_sandbox(struct service *s)
{
	return s->settings.check ? cm_sandbox_check(s->trace) : CM_OK;
}

static enum cm_err
start_mobiles(struct service *s)
{
	return cm_mobiles_new(&s->daemon, &s->daemon.mobiles);
}

/* Top to bottom; the starter, and who runs selectors, are forked while there is one thread and no filter, sockets are made once nobody else can have them. */
static const struct step {
	enum cm_err (*run)(struct service *);
	bool serving;		/* not with --check */
} steps[] = {
	{ check_interfaces, false },
	{ load, false },
	{ check_user, false },
	{ inherit, false },
	{ watch_signals, false },
	{ import_settings, false },
	{ find_programs, false },
	{ choose_asker, false },
	{ make_cache, false },
	{ start_processes, false },
	{ start_selectors, false },
	{ make_parts, false },
	{ open_keytab, false },
	{ check_store, false },
	{ make_folders, true },
	{ read_kept, true },
	{ begin_card_log, true },
	{ settle_untold, true },
	{ listen_for_clients, true },
	{ listen_for_store, true },
	{ begin_processes, true },
	{ enter_sandbox, false },
	{ check_sandbox, false },
	{ start_mobiles, true },
};

static int
exit_code(enum cm_err err)
{
	return err == CM_OK ? 0 : err == CM_ERR_CONFIG || err == CM_ERR_REFUSED ? EXIT_CONFIG : 1;
}

static enum cm_err
serve(struct service *s)
{
	enum cm_err err;

	(void)cm_notify("READY=1");
	err = cm_loop_run(&s->loop);
	(void)cm_notify("STOPPING=1");
	if (err != CM_OK)
		cm_trace_fail(s->trace, CM_REASON_HELPER, "the process that starts the others is gone");
	return err;
}

static void
end(struct service *s)
{
	struct cm_daemon *d = &s->daemon;
	const int fds[] = { s->loop.listener, s->loop.store, s->loop.signals, d->wake };

	if (d->logins != NULL)
		cm_logins_stop(d->logins);
	if (d->selectors != NULL)
		cm_selectors_stop(d->selectors);	/* nobody waits for one */
	cm_jobs_free(&d->jobs);
	cm_clients_free(&d->clients);	/* while all is there that they listen to */
	cm_cards_free(&d->cards);
	cm_logins_free(&d->logins);
	cm_removal_free(&d->removal);
	cm_spents_free(&d->spents);
	cm_closing_free(&d->closing);
	cm_stores_free(&d->stores);
	cm_selectors_free(&d->selectors);
	cm_mobiles_free(&d->mobiles);
	cm_record_free(&d->record);
	cm_processes_free(&d->processes);
	cm_hostcheck_close(&d->hostcheck);
	cm_wire_inherited_close(&s->inherited);
	for (size_t i = 0; i < CM_COUNT(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	pthread_mutex_destroy(&d->lock);
	free(s->ccache_program);
	free(s->names_program);
	free(s->cache);
	cm_conf_free(&s->conf);
}

int
main(int argc, char **argv)
{
	struct service s = {
		.settings = { .run_dir = CM_RUN_DIR, .libexec = "" },
		.loop = { .listener = -1, .store = -1, .signals = -1 },
		.daemon = { .wake = -1, .lock = PTHREAD_MUTEX_INITIALIZER },
	};
	const int status = read_options(argc, argv, &s.settings);
	char libexec[4096], config[4096];
	enum cm_err err;

	if (status >= 0)
		return status;
	if (!make_absolute(&s.settings.config, config))
		return EXIT_USAGE;
	if (s.settings.libexec[0] == '\0' && find_libexec(libexec))
		s.settings.libexec = libexec;
	umask(077);
	/* Threads that mostly wait need no heap each: what one leaves free the next one uses. */
	(void)mallopt(M_ARENA_MAX, 1);
	cm_secret_harden_process();
	cm_wire_allow(FILES_WANTED);
	s.loop.daemon = &s.daemon;
	s.daemon.run_dir = s.settings.run_dir;
	s.daemon.started = cm_clock_now();
	err = cm_trace_new(&s.trace);
	for (size_t i = 0; err == CM_OK && i < CM_COUNT(steps); i++)
		if (!steps[i].serving || !s.settings.check)
			err = steps[i].run(&s);
	if (err == CM_OK && !s.settings.check)
		err = serve(&s);
	if (err != CM_OK)
		fprintf(stderr, "cardmapd: %s\n%s\n", cm_trace_message(s.trace), cm_reason_remedy(cm_trace_reason(s.trace)));
	end(&s);
	cm_trace_free(&s.trace);
	return exit_code(err);
}
