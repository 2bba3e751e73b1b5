/* trust/silence.c - sources that gave nothing that could be verified: nobody waits for them until a probe saw them alive. */
#include <stdlib.h>

#include "trust/inquiry_internal.h"

#define PROBE_FIRST	5	/* seconds after the first failure; then twice as long after each */
#define PROBE_LAST	300
#define SEEN_AGAIN	86400	/* seconds: how exactly it is kept when a source was last named */

static const struct cm_source *
known_source(const struct cm_inquiry *i, const struct cm_source *like)
{
	for (size_t n = 0; n < i->known->source_count; n++) {
		const struct cm_source *s = &i->known->sources[n];

		if (s->kind == like->kind && strcmp(s->url, like->url) == 0 &&
		    memcmp(s->issuer_key, like->issuer_key, sizeof(s->issuer_key)) == 0)
			return s;
	}
	return NULL;
}

struct cm_source_state *
cm_source_of(struct cm_inquiry *i, const struct cm_lane *l, const char *url)
{
	struct cm_source_state *s;
	const struct cm_source *known;
	struct cm_source name = { .kind = l->kind, .seen = i->known->now };

	if (strlen(url) >= sizeof(name.url))
		return NULL;
	memcpy(name.url, url, strlen(url));
	memcpy(name.issuer_key, l->about->name.issuer_key, sizeof(name.issuer_key));
	for (s = i->sources; s != NULL; s = s->next)
		if (s->s.kind == name.kind && strcmp(s->s.url, name.url) == 0 &&
		    memcmp(s->s.issuer_key, name.issuer_key, sizeof(name.issuer_key)) == 0)
			return s;
	if ((s = calloc(1, sizeof(*s))) == NULL)
		return NULL;
	known = known_source(i, &name);
	s->s = known != NULL ? *known : name;
	s->about = l->about;
	if (known == NULL || s->s.seen > i->known->now || i->known->now - s->s.seen >= SEEN_AGAIN) {
		s->s.seen = i->known->now;
		s->changed = true;
	}
	s->next = i->sources;
	i->sources = s;
	return s;
}

bool
cm_source_is_silent(const struct cm_inquiry *i, const struct cm_source_state *s)
{
	const time_t now = i->known->now;

	return s != NULL && s->s.probe_at != 0 && s->s.asked <= now && now - s->s.asked < CM_SOURCE_SILENT_MAX;
}

bool
cm_source_is_due(const struct cm_inquiry *i, const struct cm_source_state *s)
{
	return cm_source_is_silent(i, s) && i->known->now >= s->s.probe_at;
}

void
cm_source_object(struct cm_question *q, const struct cm_source_state *s)
{
	char since[CM_TIME_SIZE], next[CM_TIME_SIZE];

	cm_object(q, CM_OBJECTION_KNOWN_SILENT, "known silent since %s (%s); %s%s; now: cardmap revocation refresh",
	    cm_clock_text(s->s.asked, since), s->s.why, q->known->now >= s->s.probe_at ? "it is probed now" :
	    "it is probed again by a login after ", q->known->now >= s->s.probe_at ? "" : cm_clock_text(s->s.probe_at, next));
}

void
cm_source_alive(struct cm_inquiry *i, struct cm_source_state *s)
{
	if (s == NULL)
		return;
	s->s.asked = s->s.answered = i->known->now;
	s->s.probe_at = 0;
	s->s.failures = 0;
	s->s.why[0] = '\0';
	s->changed = true;
}

static time_t
next_probe(const struct cm_inquiry *i, const struct cm_source_state *s)
{
	time_t pause = PROBE_FIRST;

	for (unsigned n = 1; n < s->s.failures && pause < PROBE_LAST; n++)
		pause *= 2;
	return i->known->now + (pause < PROBE_LAST ? pause : PROBE_LAST);
}

void
cm_source_failed(struct cm_inquiry *i, struct cm_source_state *s, const char *why)
{
	if (s == NULL)
		return;
	s->s.asked = i->known->now;
	s->s.failures += s->s.failures < UINT_MAX;
	s->s.probe_at = next_probe(i, s);
	snprintf(s->s.why, sizeof(s->s.why), "%s", why);
	s->changed = true;
}

void
cm_source_probed(struct cm_inquiry *i, struct cm_source_state *s)
{
	s->s.probe_at = next_probe(i, s);
	s->changed = true;
}
