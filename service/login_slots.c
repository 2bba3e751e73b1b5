/* service/login_slots.c - card.slots: which slots a card is looked into beside 9A. */
#include "service/login_slots_internal.h"

#include <stdlib.h>

static void
add(struct cm_login_slots *s, unsigned slot)
{
	if (slot == CM_SLOT_AUTHENTICATION || !cm_slot_is_for_login((enum cm_slot)slot) || memchr(s->octets, (int)slot, s->count) != NULL)
		return;
	s->octets[s->count++] = (uint8_t)slot;
}

/* "9c", or "82-95": base/ has seen that they are such texts. */
static void
add_range(struct cm_login_slots *s, const char *text)
{
	char *end = NULL;
	const unsigned long first = strtoul(text, &end, 16), last = *end == '-' ? strtoul(end + 1, NULL, 16) : first;

	for (unsigned long slot = first; slot <= last && slot <= 0xFF; slot++)
		add(s, (unsigned)slot);
}

void
cm_login_slots(const struct cm_conf *conf, struct cm_login_slots *out)
{
	static const char *const usual[] = { "9c", "82-95", NULL };
	const char *const *texts = conf->card.slots != NULL && conf->card.slots[0] != NULL ?
	    (const char *const *)conf->card.slots : usual;

	*out = (struct cm_login_slots){ .count = 0 };
	for (; *texts != NULL; texts++)
		add_range(out, *texts);
}
