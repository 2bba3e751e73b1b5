/* trust/source_state.c - what is noted of how asking a source went: for those too that ask nobody and link no library for it. */
#include <limits.h>
#include <stdio.h>

#include "trust/trust_internal.h"

#define PROBE_FIRST	5	/* seconds after the first failure; then twice as long after each */
#define PROBE_LAST	300

const char *
cm_source_name(enum cm_source_kind kind)
{
	static const char *const names[] = {
		[CM_SOURCE_OCSP] = "OCSP", [CM_SOURCE_CRL] = "CRL", [CM_SOURCE_DELTA] = "delta CRL",
	};

	return names[kind];
}

bool
cm_source_is_silent(const struct cm_source *s, time_t now)
{
	return s->probe_at != 0 && s->asked <= now && now - s->asked < CM_SOURCE_SILENT_MAX;
}

void
cm_source_alive(struct cm_source *s, time_t now)
{
	s->asked = s->answered = now;
	s->probe_at = 0;
	s->failures = 0;
	s->why[0] = '\0';
}

void
cm_source_probed(struct cm_source *s, time_t now)
{
	time_t pause = PROBE_FIRST;

	for (unsigned n = 1; n < s->failures && pause < PROBE_LAST; n++)
		pause *= 2;
	s->probe_at = now + (pause < PROBE_LAST ? pause : PROBE_LAST);
}

void
cm_source_failed(struct cm_source *s, time_t now, const char *why)
{
	s->asked = now;
	s->failures += s->failures < UINT_MAX;
	cm_source_probed(s, now);
	snprintf(s->why, sizeof(s->why), "%s", why);
}
