/* base/conf_level.c - how strictly a certificate's revocation is judged: "soft 72h". */
#include "base/conf_internal.h"

#include <stdlib.h>

#define AGE_MAX		(3650 * 86400U)
#define DAYS_FROM	(7 * 86400U)	/* shorter ages are shown in hours: "72h" */

/* SmartCardServices(7), checkCertificateTrust 0 to 3. */
const char *const cm_conf_levels[] = { "off", "chain", "soft", "hard", NULL };
enum { OFF, CHAIN, SOFT, HARD };

static const struct unit { char letter; unsigned seconds; } units[] = {
	{ 'd', 86400 }, { 'h', 3600 }, { 'm', 60 }, { 's', 1 },
};

static const char *
parse_word(const char *text, size_t len, unsigned *level)
{
	for (unsigned i = 0; cm_conf_levels[i] != NULL; i++) {
		if ((strlen(cm_conf_levels[i]) == len && memcmp(cm_conf_levels[i], text, len) == 0) ||
		    (len == 1 && text[0] == (char)('0' + i))) {
			*level = i;
			return NULL;
		}
	}
	return "no such choice";
}

static const char *
parse_age(const char *text, unsigned *seconds)
{
	unsigned long n;
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return "the age is no number";
	n = strtoul(text, &end, 10);
	for (size_t i = 0; i < CM_COUNT(units); i++) {
		if (end[0] != units[i].letter || end[1] != '\0')
			continue;
		if (n == 0 || n > AGE_MAX / units[i].seconds)
			return "the age is out of range (1s to 3650d)";
		*seconds = (unsigned)n * units[i].seconds;
		return NULL;
	}
	return "the age needs a unit: s, m, h or d";
}

static const char *
parse(const char *text, struct cm_conf_level *out)
{
	const size_t word = strcspn(text, " \t");
	const char *age = text + word + strspn(text + word, " \t"), *wrong;
	struct cm_conf_level l = { 0 };

	if ((wrong = parse_word(text, word, &l.level)) != NULL)
		return wrong;
	if (text[word] != '\0' && (wrong = parse_age(age, &l.max_age)) != NULL)
		return wrong;
	if (l.max_age != 0 && l.level < SOFT)
		return "there is no evidence at this level that could have an age";
	*out = l;
	return NULL;
}

bool
cm_conf_level_parse(const char *text, struct cm_conf_level *out)
{
	return parse(text, out) == NULL;
}

void
cm_conf_level_text(const struct cm_conf_level *l, struct cm_buf *out)
{
	size_t i = l->max_age < DAYS_FROM;

	cm_buf_add_str(out, cm_conf_levels[l->level]);
	if (l->max_age == 0)
		return;
	while (l->max_age % units[i].seconds != 0)
		i++;
	cm_buf_addf(out, " %u%c", l->max_age / units[i].seconds, units[i].letter);
}

static const char *
set_level(void *field, const struct cm_conf_row *r, const char *text)
{
	(void)r;
	return parse(text, field);
}

static void
show_level(const void *field, const struct cm_conf_row *r, struct cm_buf *out)
{
	(void)r;
	cm_conf_level_text(field, out);
}

/* Of a rule: as text, since it need not be there. */
static const char *
set_rule_level(void *field, const struct cm_conf_row *r, const char *text)
{
	struct cm_conf_level l;
	const char *wrong;
	struct cm_buf b = { 0 };

	if (text[0] == '\0')
		return "expected a value: or leave it out";
	if ((wrong = parse(text, &l)) != NULL)
		return wrong;
	if (l.level == OFF)
		return "the chain is checked before anybody is asked whose card it is, so no rule can leave it out";
	cm_conf_level_text(&l, &b);
	wrong = cm_buf_status(&b) == CM_OK ? cm_conf_text.set(field, r, cm_buf_str(&b)) : "out of memory";
	cm_buf_free(&b);
	return wrong;
}

static void
show_rule_level(const void *field, const struct cm_conf_row *r, struct cm_buf *out)
{
	cm_conf_text.show(field, r, out);
}

static void
clear_rule_level(void *field)
{
	cm_conf_text.clear(field);
}

const struct cm_conf_type
cm_conf_level = { "level", false, set_level, show_level, NULL },
cm_conf_rule_level = { "level", false, set_rule_level, show_rule_level, clear_rule_level };
