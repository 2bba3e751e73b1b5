/* pam/talk.c - what the module says and asks, through the program's conversation. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <security/pam_ext.h>

#include "pam/pam_internal.h"

#define QUESTIONS_MAX	12	/* in one call: a program that answers by itself must come to an end */
#define NAME_WIDTH	64	/* octets of a name in a prompt */

static void
speak(const struct cm_pam *p, int style, const char *format, va_list ap)
{
	char *none = NULL;

	(void)pam_vprompt(p->h, style, &none, format, ap);
	cm_pam_forget(&none);
}

void
cm_pam_say(const struct cm_pam *p, const char *format, ...)
{
	va_list ap;

	if (p->silent || p->options.quiet)
		return;
	va_start(ap, format);
	speak(p, PAM_TEXT_INFO, format, ap);
	va_end(ap);
}

void
cm_pam_complain(const struct cm_pam *p, const char *format, ...)
{
	va_list ap;

	if (p->silent)
		return;
	va_start(ap, format);
	speak(p, PAM_ERROR_MSG, format, ap);
	va_end(ap);
}

int
cm_pam_count_question(struct cm_pam *p)
{
	return ++p->questions > QUESTIONS_MAX ? PAM_MAXTRIES : PAM_SUCCESS;
}

int
cm_pam_ask(struct cm_pam *p, bool echo, char **answer, const char *format, ...)
{
	va_list ap;
	int code;

	*answer = NULL;
	if (cm_pam_count_question(p) != PAM_SUCCESS)
		return PAM_MAXTRIES;
	va_start(ap, format);
	code = pam_vprompt(p->h, echo ? PAM_PROMPT_ECHO_ON : PAM_PROMPT_ECHO_OFF, answer, format, ap);
	va_end(ap);
	/* The program's code may be anything, PAM_IGNORE too, and it may forget the answer: neither is one. */
	if (code == PAM_SUCCESS && *answer != NULL)
		return PAM_SUCCESS;
	cm_pam_forget(answer);
	return code == PAM_BUF_ERR ? PAM_BUF_ERR : PAM_CONV_ERR;
}

void
cm_pam_forget(char **answer)
{
	if (*answer != NULL)
		explicit_bzero(*answer, strlen(*answer));
	free(*answer);
	*answer = NULL;
}

/* As much of a UTF-8 text as this width holds, no character cut. */
static int
width(const char *text)
{
	size_t n = strnlen(text, NAME_WIDTH + 1);

	if (n > NAME_WIDTH)
		for (n = NAME_WIDTH; n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80; n--)
			;
	return (int)n;
}

void
cm_pam_pin_prompt(const struct cardmap_login *l, const char *what, char *out, size_t size)
{
	const char *user = cardmap_user(l), *who = cardmap_name(l) != NULL ? cardmap_name(l) : user != NULL ? user : "the card";
	const int tries = cardmap_tries(l);
	char left[48] = "";

	if (tries >= 0)
		snprintf(left, sizeof(left), ", %d %s left", tries, tries == 1 ? "try" : "tries");
	snprintf(out, size, "%s for %.*s%s%s: ", what, width(who), who, left, cardmap_is_online(l) ? "" : " (offline)");
}
