/*
 * tests/pam/pam_driver.c - a program that logs people in by PAM, and does what it is told.
 *
 * pam_driver CONFDIR SERVICE WORD...: words are settings, then calls, in order.  It prints a line of what it said
 * and asked ("say TEXT", "error TEXT", "hidden PROMPT", "shown PROMPT"), and of each call ("authenticate: CODE").
 *	user=NAME, rhost=, tty=, prompt=	items, before the first call
 *	answer=HEX	to the next question: octets, each exclusive-or 0x5a, so that no PIN stands in the arguments
 *	answer!CODE	the conversation ends with this code, and no answer; answer!0: success, and none all the same
 *	answer@NAME=HEX	PAM_USER becomes NAME meanwhile
 *	mute		what is only said fails
 *	fail=N		the Nth piece of memory asked for within calls is not there
 *	silent		PAM_SILENT in all calls
 * With CM_NO_FAILING_MEMORY (sanitizers have memory of their own) there is neither fail= nor found.
 * After the calls: "user NAME", "env NAME=VALUE"..., "descriptors N" (more than before), "found" if an answer still
 * stands in memory, "allocations N".
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <security/pam_appl.h>

#define MASK	0x5a
#define ANSWERS_MAX	64

static struct {
	const char *answers[ANSWERS_MAX];
	int count, next;
	int mute, flags;
	long fail, allocations;	/* within calls */
	int inside;
	pam_handle_t *h;
} driver;

/* ---- memory; with sanitizers it is theirs */

#ifdef CM_NO_FAILING_MEMORY
#define LOOKS	0
#else
#define LOOKS	1

static int
fails(void)
{
	if (!driver.inside || ++driver.allocations != driver.fail)
		return 0;
	errno = ENOMEM;
	return 1;
}

void *
malloc(size_t size)
{
	static void *(*next)(size_t);

	if (next == NULL)
		next = (void *(*)(size_t))dlsym(RTLD_NEXT, "malloc");
	return fails() ? NULL : next(size);
}

void *
realloc(void *p, size_t size)
{
	static void *(*next)(void *, size_t);

	if (next == NULL)
		next = (void *(*)(void *, size_t))dlsym(RTLD_NEXT, "realloc");
	return fails() ? NULL : next(p, size);
}

/* dlsym() itself may ask for some, before it can tell where the next one is. */
void *
calloc(size_t count, size_t size)
{
	static char first[4096];
	static size_t used;
	static void *(*next)(size_t, size_t);
	static int looking;

	if (next == NULL && !looking) {
		looking = 1;
		next = (void *(*)(size_t, size_t))dlsym(RTLD_NEXT, "calloc");
	}
	if (next == NULL) {
		char *piece = first + used;

		used += (count * size + 15) & ~(size_t)15;
		return used <= sizeof(first) ? piece : NULL;
	}
	return fails() ? NULL : next(count, size);
}

#endif

/* ---- answers */

static unsigned
digit(char c)
{
	return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a' + 10);
}

static char *
unmask(const char *hex)
{
	const size_t len = strlen(hex) / 2;
	const int inside = driver.inside;
	char *text;

	driver.inside = 0;	/* the program's own */
	text = malloc(len + 1);
	driver.inside = inside;
	for (size_t i = 0; i < len; i++)
		text[i] = (char)((digit(hex[2 * i]) << 4 | digit(hex[2 * i + 1])) ^ MASK);
	text[len] = '\0';
	return text;
}

static int
answer(char **out)
{
	const char *word = driver.next < driver.count ? driver.answers[driver.next++] : "!19";
	const char *equals = strchr(word, '=');

	*out = NULL;
	if (word[0] == '!')
		return (int)strtol(word + 1, NULL, 10);
	if (word[0] == '@') {
		char name[256];

		snprintf(name, sizeof(name), "%.*s", (int)(equals - word - 1), word + 1);
		(void)pam_set_item(driver.h, PAM_USER, name);
	}
	*out = unmask(equals + 1);
	return PAM_SUCCESS;
}

static int
converse_one(const struct pam_message *m, struct pam_response *r)
{
	static const char *const words[] = { "", "hidden", "shown", "error", "say" };

	printf("%s %s\n", words[m->msg_style], m->msg);
	r->resp_retcode = 0;
	if (m->msg_style == PAM_PROMPT_ECHO_OFF || m->msg_style == PAM_PROMPT_ECHO_ON)
		return answer(&r->resp);
	return driver.mute ? PAM_CONV_ERR : PAM_SUCCESS;
}

static int
converse(int count, const struct pam_message **m, struct pam_response **out, void *data)
{
	const int inside = driver.inside;
	int code = PAM_SUCCESS;

	(void)data;
	driver.inside = 0;
	*out = calloc((size_t)count, sizeof(**out));
	for (int i = 0; i < count && code == PAM_SUCCESS; i++)
		code = converse_one(m[i], &(*out)[i]);
	if (code != PAM_SUCCESS) {
		free(*out);
		*out = NULL;
	}
	driver.inside = inside;
	return code;
}

static void
no_delay(int code, unsigned usec, void *data)
{
	(void)code;
	(void)usec;
	(void)data;
}

/* ---- what is left */

static int
descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

/* Does the answer stand anywhere in this process's own writable memory? */
static int
stands(const char *hex)
{
	char line[512];
	FILE *maps = fopen("/proc/self/maps", "r");
	const size_t len = strlen(hex) / 2;
	int found = 0;

	while (fgets(line, sizeof(line), maps) != NULL) {
		char *end;
		const char *p = (const char *)strtoul(line, &end, 16), *stop = (const char *)strtoul(end + 1, &end, 16);

		if (strncmp(end, " rw", 3) != 0)
			continue;
		for (; p + len <= stop && len > 0; p++) {
			size_t i = 0;

			while (i < len && ((unsigned char)p[i] ^ MASK) == (digit(hex[2 * i]) << 4 | digit(hex[2 * i + 1])))
				i++;
			if (i == len)
				found = 1;
		}
	}
	fclose(maps);
	return found;
}

static void
report(int before)
{
	const void *user = NULL;
	char **env;

	(void)pam_get_item(driver.h, PAM_USER, &user);
	printf("user %s\n", user != NULL ? (const char *)user : "");
	env = pam_getenvlist(driver.h);
	for (char **e = env; e != NULL && *e != NULL; e++) {
		printf("env %s\n", *e);
		free(*e);
	}
	free(env);
	printf("descriptors %d\n", descriptors() - before);
	for (int i = 0; i < driver.count && LOOKS; i++)
		if (driver.answers[i][0] == '=' && strlen(driver.answers[i]) > 8 && stands(driver.answers[i] + 1))
			printf("found\n");
	printf("allocations %ld\n", driver.allocations);
}

/* ---- calls */

static const struct {
	const char *name;
	int (*call)(pam_handle_t *, int);
	int flags;
} calls[] = {
	{ "authenticate", pam_authenticate, 0 }, { "account", pam_acct_mgmt, 0 }, { "establish", pam_setcred, PAM_ESTABLISH_CRED },
	{ "delete", pam_setcred, PAM_DELETE_CRED }, { "open", pam_open_session, 0 }, { "close", pam_close_session, 0 },
	{ "change", pam_chauthtok, 0 }, { "expired", pam_chauthtok, PAM_CHANGE_EXPIRED_AUTHTOK },
};

static const struct {
	const char *name;
	int item;
} items[] = { { "rhost=", PAM_RHOST }, { "tty=", PAM_TTY }, { "prompt=", PAM_USER_PROMPT }, { "user=", PAM_USER } };

static void
run_word(const char *word)
{
	for (size_t i = 0; i < sizeof(items) / sizeof(items[0]); i++)
		if (strncmp(word, items[i].name, strlen(items[i].name)) == 0)
			(void)pam_set_item(driver.h, items[i].item, word + strlen(items[i].name));
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (strcmp(word, calls[i].name) == 0) {
			int code;

			driver.inside = 1;
			code = calls[i].call(driver.h, calls[i].flags | driver.flags);
			driver.inside = 0;
			printf("%s: %d\n", word, code);
		}
	if (strncmp(word, "answer", 6) == 0 && driver.count < ANSWERS_MAX)
		driver.answers[driver.count++] = word + 6;
}

static void
set_word(const char *word)
{
	if (strcmp(word, "mute") == 0)
		driver.mute = 1;
	if (strcmp(word, "silent") == 0)
		driver.flags = PAM_SILENT;
	if (strncmp(word, "fail=", 5) == 0)
		driver.fail = strtol(word + 5, NULL, 10);
}

int
main(int argc, char **argv)
{
	const struct pam_conv conv = { converse, NULL };
	int before, code;

	setvbuf(stdout, malloc(1 << 16), _IOLBF, 1 << 16);
	if (argc < 3 || (code = pam_start_confdir(argv[2], NULL, &conv, argv[1], &driver.h)) != PAM_SUCCESS)
		return 2;
	(void)pam_set_item(driver.h, PAM_FAIL_DELAY, (const void *)no_delay);
	/* glibc 2.36 asserts that it has memory for nsswitch.conf: that is not what is tried here. */
	(void)getpwnam("nobody");
	before = descriptors();
	for (int i = 3; i < argc; i++)
		set_word(argv[i]);
	for (int i = 3; i < argc; i++)
		if (strncmp(argv[i], "answer", 6) == 0)
			run_word(argv[i]);
	for (int i = 3; i < argc; i++)
		if (strncmp(argv[i], "answer", 6) != 0)
			run_word(argv[i]);
	report(before);
	return pam_end(driver.h, PAM_SUCCESS) == PAM_SUCCESS ? 0 : 1;
}
