/* cli/doctor_host.c - what this computer must have for a login: clock, disk, files, stacks. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <unistd.h>

#include "base/file.h"
#include "cache/accounts.h"
#include "cli/doctor.h"
#include "cli/service.h"

#define DISK_MIN	((uint64_t)16 << 20)	/* bytes: SQLite's log and a list or two */
#define DISK_NONE	((uint64_t)64 << 10)
#define TEXT_MAX	((size_t)1 << 20)
#define PAM_FOLDER	"/etc/pam.d"
#define NSSWITCH	"/etc/nsswitch.conf"

/* What others signed is newer than this computer's time: then nothing that is kept counts. */
void
cm_doctor_clock(struct cm_doctor *d)
{
	struct timex t = { 0 };
	char text[CM_TIME_SIZE];

	if (d->knows && d->unsound && d->floor <= cm_clock_now())
		cm_doctor_say(d, CM_DOCTOR_FAILURE, "timedatectl set-ntp true",
		    "this computer's clock was set back, to %s: what is kept does not count", cm_clock_text(cm_clock_now(), text));
	else if (d->knows && d->unsound)
		cm_doctor_say(d, CM_DOCTOR_FAILURE, "timedatectl set-ntp true",
		    "this computer's clock is behind what was signed before %s: what is kept does not count",
		    cm_clock_text(d->floor, text));
	else if (adjtimex(&t) == TIME_ERROR)
		cm_doctor_say(d, CM_DOCTOR_WARNING, "timedatectl set-ntp true", "%s; no time server keeps it right",
		    cm_clock_text(cm_clock_now(), text));
	else
		cm_doctor_say(d, CM_DOCTOR_OK, NULL, "%s", cm_clock_text(cm_clock_now(), text));
}

static void
folder_of(const char *path, struct cm_buf *out)
{
	const char *end = strrchr(path, '/');

	if (end == NULL)
		cm_buf_add_str(out, ".");
	else
		cm_buf_add(out, path, end == path ? 1 : (size_t)(end - path));
}

void
cm_doctor_disk(struct cm_doctor *d)
{
	struct cm_buf folder = { 0 };
	struct statvfs v;
	uint64_t free_bytes;

	folder_of(d->cli->conf->accounts.path, &folder);
	if (statvfs(cm_buf_str(&folder), &v) != 0) {
		cm_doctor_say(d, CM_DOCTOR_FAILURE, "systemd-tmpfiles --create cardmap.conf", "%s: %s", cm_buf_str(&folder), strerror(errno));
		goto out;
	}
	free_bytes = (uint64_t)v.f_bavail * v.f_frsize;
	if ((v.f_flag & ST_RDONLY) != 0)
		cm_doctor_say(d, CM_DOCTOR_FAILURE, "mount -o remount,rw its disk, which findmnt -T FOLDER names",
		    "%s is on a disk that cannot be written to", cm_buf_str(&folder));
	else if (free_bytes < DISK_NONE || (v.f_files > 0 && v.f_favail == 0))
		cm_doctor_say(d, CM_DOCTOR_FAILURE, "make room: df -h shows the disks", "%s: its disk is full: nothing that a login learns is kept",
		    cm_buf_str(&folder));
	else if (free_bytes < DISK_MIN || (v.f_files > 0 && v.f_favail < 16))
		cm_doctor_say(d, CM_DOCTOR_WARNING, "make room: df -h shows the disks", "%s: %llu KiB are left: what a login learns may not be kept",
		    cm_buf_str(&folder), (unsigned long long)(free_bytes >> 10));
	else
		cm_doctor_say(d, CM_DOCTOR_OK, NULL, "%s: %llu MiB are left", cm_buf_str(&folder), (unsigned long long)(free_bytes >> 20));
out:
	cm_buf_free(&folder);
}

void
cm_doctor_store(struct cm_doctor *d)
{
	const char *path = d->cli->conf->accounts.path;

	if (d->knows || d->denied)	/* or the service had not opened it */
		cm_doctor_say(d, CM_DOCTOR_OK, NULL, "%s is its owner's alone", path);
	else if (d->nothing_kept)
		cm_doctor_say(d, CM_DOCTOR_FAILURE, "with the network: cardmap login", "%s: nothing is kept yet", path);
	else if (geteuid() != 0)
		cm_doctor_say(d, CM_DOCTOR_WARNING, "systemctl start cardmapd.socket, or sudo cardmap doctor",
		    "%s is root's to read: what is kept is not looked at", path);
	else
		cm_doctor_say(d, CM_DOCTOR_FAILURE, "chown root FILE; chmod 600 FILE", "%s", d->refused != NULL ? d->refused : path);
}

/* Without it a ticket proves nothing; with one that others read, anybody makes tickets for this host. */
void
cm_doctor_keytab(struct cm_doctor *d)
{
	const struct cm_conf *conf = d->cli->conf;
	const char *path = conf->kerberos.keytab != NULL ? conf->kerberos.keytab : "/etc/krb5.keytab";
	struct stat s;

	if (strncmp(path, "FILE:", 5) == 0)
		path += 5;
	if (conf->kerberos.ticket == CM_TICKET_OFF)
		cm_doctor_say(d, CM_DOCTOR_OK, NULL, "kerberos.ticket = off: none is needed");
	else if (stat(path, &s) != 0)
		cm_doctor_say(d, CM_DOCTOR_WARNING, "have the realm's administrator make one: kadmin, ktadd host/NAME",
		    "%s: %s: tickets prove nothing here", path, strerror(errno));
	else if (s.st_uid != 0 || (s.st_mode & (S_IRWXO | S_IWGRP)) != 0)
		cm_doctor_say(d, CM_DOCTOR_FAILURE, "chown root FILE; chmod 600 FILE", "%s: others than root may read or write it", path);
	else
		cm_doctor_say(d, CM_DOCTOR_OK, NULL, "%s", path);
}

void
cm_doctor_service(struct cm_doctor *d)
{
	struct cm_wire *service = NULL;
	const bool asked = d->daemon != NULL || d->silent != NULL;	/* once is enough: it may take its time */
	const enum cm_err err = !asked ? cm_cli_service_need(d->cli, CM_CLI_DAEMON, &service) : d->silent == NULL ? CM_OK : CM_ERR_SYSTEM;

	if (err == CM_OK)
		cm_doctor_say(d, CM_DOCTOR_OK, NULL, "cardmapd answers in %s", d->cli->run_dir);
	else
		cm_doctor_say(d, CM_DOCTOR_FAILURE, "systemctl start cardmapd.socket", "%s",
		    d->silent != NULL ? d->silent : cm_trace_message(d->cli->trace));
	cm_wire_free(&service);
}

/* ---- PAM */

struct stack {
	bool auth, account;		/* pam_cardmap stands there */
	bool falls, late;		/* its refusal goes on to the next module; a password is asked before it */
	bool password;			/* ... so far */
};

static bool
has_word(const char *line, const char *word)
{
	return strstr(line, word) != NULL;
}

/* A refusal ends the stack only by die, bad or requisite; sufficient and optional go on (pam.conf(5)). */
static bool
refusal_ends(const char *line)
{
	const char *control = strchr(line, '['), *fall;

	if (control == NULL)
		return has_word(line, "requisite") || has_word(line, "required");
	fall = strstr(control, "default=");
	return fall != NULL && (strncmp(fall + 8, "die", 3) == 0 || strncmp(fall + 8, "bad", 3) == 0);
}

static void
read_line(struct stack *s, const char *line)
{
	const char *kind = line + strspn(line, " \t-");
	const bool ours = has_word(line, "pam_cardmap.so");

	if (kind[0] == '#')
		return;
	if (strncmp(kind, "account", 7) == 0) {
		s->account |= ours;
		return;
	}
	if (strncmp(kind, "auth", 4) != 0)
		return;
	if (has_word(line, "pam_unix.so") || has_word(line, "pam_sss.so"))
		s->password = true;
	if (!ours)
		return;
	s->auth = true;
	s->late |= s->password;
	s->falls |= !refusal_ends(line);
}

static void
read_stack(struct cm_doctor *d, const char *name, struct stack *s)
{
	struct cm_buf path = { 0 }, text = { 0 };
	char *rest, *line;

	cm_buf_addf(&path, "%s/%s", PAM_FOLDER, name);
	if (cm_file_read(cm_buf_str(&path), TEXT_MAX, CM_FILE_ANY, d->cli->trace, &text) == CM_OK && text.len > 0) {
		rest = cm_buf_take(&text);
		for (char *at = rest; at != NULL && (line = strsep(&at, "\n")) != NULL;)
			read_line(s, line);
		free(rest);
	}
	cm_buf_free(&text);
	cm_buf_free(&path);
}

/* Of each file of the folder by itself: what includes what does not matter to the order within. */
void
cm_doctor_pam(struct cm_doctor *d)
{
	DIR *dir = opendir(PAM_FOLDER);
	const struct dirent *e;
	bool auth = false, account = false, bad = false;

	while (dir != NULL && (e = readdir(dir)) != NULL) {
		struct stack s = { 0 };

		if (e->d_name[0] == '.')
			continue;
		read_stack(d, e->d_name, &s);
		auth |= s.auth;
		account |= s.account;
		bad |= s.falls || s.late;
		if (s.falls)
			cm_doctor_say(d, CM_DOCTOR_FAILURE, "pam-auth-update --enable cardmap", PAM_FOLDER "/%s: a refusal of pam_cardmap "
			    "goes on to the next module: write [success=end ignore=ignore default=die]", e->d_name);
		if (s.late)
			cm_doctor_say(d, CM_DOCTOR_FAILURE, "pam-auth-update --enable cardmap", PAM_FOLDER "/%s: pam_cardmap stands behind "
			    "a module that asks for a password", e->d_name);
	}
	if (dir != NULL)
		closedir(dir);
	if (!auth)
		cm_doctor_say(d, CM_DOCTOR_FAILURE, "pam-auth-update --enable cardmap", "no stack in " PAM_FOLDER " asks for a card");
	else if (!account)
		cm_doctor_say(d, CM_DOCTOR_WARNING, "pam-auth-update --enable cardmap", "no account stack in " PAM_FOLDER
		    " has pam_cardmap: keys of ssh pass by what the directory says");
	else if (!bad)
		cm_doctor_say(d, CM_DOCTOR_OK, NULL, "pam_cardmap stands before passwords, and its refusal is the end");
}

/* ---- NSS */

/* Where a source stands in a database's line, counted from 1; 0: it does not. */
static unsigned
place_of(const char *line, const char *source)
{
	char copy[512], *at = copy, *word;
	unsigned n = 0;

	snprintf(copy, sizeof(copy), "%s", line);
	while ((word = strsep(&at, " \t")) != NULL) {
		if (word[0] == '\0' || word[0] == '[')
			continue;
		n++;
		if (strcmp(word, source) == 0)
			return n;
	}
	return 0;
}

static void
judge_nss(struct cm_doctor *d, const char *line)
{
	static const char remedy[] = "sudoedit " NSSWITCH ": \"passwd: files systemd\" and \"group: files [SUCCESS=merge] systemd\"";
	const unsigned files = place_of(line, "files"), records = place_of(line, "systemd");

	if (records == 0)
		cm_doctor_say(d, CM_DOCTOR_FAILURE, remedy, "passwd has no source \"systemd\": mobile accounts have no name without the network");
	else if (files == 0 || files > records)
		cm_doctor_say(d, CM_DOCTOR_WARNING, remedy, "\"systemd\" stands before \"files\": local accounts are to be asked for first");
	else
		cm_doctor_say(d, CM_DOCTOR_OK, NULL, "passwd: files, then systemd");
}

void
cm_doctor_nss(struct cm_doctor *d)
{
	struct cm_buf text = { 0 };
	char *all = NULL, *at, *line, *found = NULL;

	if (d->cli->conf->accounts.mobile == CM_MOBILE_OFF) {
		cm_doctor_say(d, CM_DOCTOR_OK, NULL, "accounts.mobile = off: names are another's matter");
		return;
	}
	if (cm_file_read(NSSWITCH, TEXT_MAX, CM_FILE_ANY, d->cli->trace, &text) == CM_OK)
		all = at = cm_buf_take(&text);
	while (all != NULL && at != NULL && found == NULL && (line = strsep(&at, "\n")) != NULL)
		if (strncmp(line, "passwd:", 7) == 0)
			found = line + 7;
	judge_nss(d, found != NULL ? found : "");
	free(all);
	cm_buf_free(&text);
}
