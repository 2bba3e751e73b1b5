/* trust/fetch_http.c - what an HTTP head says of the answer: its range, how long it may be used, where it leads. */
#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>

#include "trust/fetch_internal.h"

/* ---- Content-Range */

/* Digits off *p; what is beyond 2^62 is no size of anything. */
static bool
take_number(const char **p, uint64_t *out)
{
	const char *s = *p;

	*out = 0;
	for (; *s >= '0' && *s <= '9'; s++) {
		if (*out > (UINT64_C(1) << 62) / 10)
			return false;
		*out = *out * 10 + (uint64_t)(*s - '0');
	}
	if (s == *p)
		return false;
	*p = s;
	return true;
}

static bool
take_char(const char **p, char c)
{
	if (**p != c)
		return false;
	(*p)++;
	return true;
}

bool
cm_http_range(const char *value, struct cm_http_range *out)
{
	const char *p = value;

	/* RFC 9110 14.1: names of units know no case */
	if (strncasecmp(p, "bytes", 5) != 0)
		return false;
	p += 5;
	return take_char(&p, ' ') && take_number(&p, &out->first) && take_char(&p, '-') &&
	    take_number(&p, &out->last) && take_char(&p, '/') && take_number(&p, &out->total) && *p == '\0' &&
	    out->first <= out->last && out->last < out->total;
}

/* ---- Cache-Control, Expires, Age */

/* RFC 9111 1.2.2: what is larger counts as this. */
#define SECONDS_MAX	((long)1 << 31)

static bool
seconds_of(struct cm_blob digits, long *out)
{
	*out = 0;
	for (size_t i = 0; i < digits.len; i++) {
		if (digits.ptr[i] < '0' || digits.ptr[i] > '9')
			return false;
		if (*out < SECONDS_MAX)
			*out = *out * 10 + (digits.ptr[i] - '0');
	}
	if (*out > SECONDS_MAX)
		*out = SECONDS_MAX;
	return digits.len > 0;
}

static struct cm_blob
trimmed(const char *p, size_t len)
{
	while (len > 0 && (p[0] == ' ' || p[0] == '\t')) {
		p++;
		len--;
	}
	while (len > 0 && (p[len - 1] == ' ' || p[len - 1] == '\t'))
		len--;
	return (struct cm_blob){ (const uint8_t *)p, len };
}

/* Where the element of a list that begins at p ends: commas in quotes do not count. */
static size_t
element_length(const char *p)
{
	bool quoted = false;
	size_t n = 0;

	for (; p[n] != '\0' && (quoted || p[n] != ','); n++) {
		if (p[n] == '"')
			quoted = !quoted;
		else if (quoted && p[n] == '\\' && p[n + 1] != '\0')
			n++;
	}
	return n;
}

/* One directive (RFC 9111 5.2) off *p: its name, and its argument without quotes.  false: no more. */
static bool
next_directive(const char **p, struct cm_blob *name, struct cm_blob *arg)
{
	const char *s = *p + strspn(*p, ", \t");
	const size_t len = element_length(s);
	const char *equals = memchr(s, '=', len);

	if (*s == '\0')
		return false;
	*p = s + len;
	*arg = (struct cm_blob){ 0 };
	*name = trimmed(s, equals != NULL ? (size_t)(equals - s) : len);
	if (equals != NULL)
		*arg = trimmed(equals + 1, len - (size_t)(equals + 1 - s));
	if (arg->len >= 2 && arg->ptr[0] == '"' && arg->ptr[arg->len - 1] == '"')
		*arg = (struct cm_blob){ arg->ptr + 1, arg->len - 2 };
	return true;
}

static bool
is_named(struct cm_blob name, const char *word)
{
	return name.len == strlen(word) && strncasecmp((const char *)name.ptr, word, name.len) == 0;
}

/* Of several the shortest (RFC 9111 4.2.1 leaves it to us); what is malformed is stale at once. */
static long
directed_life(const char *value)
{
	struct cm_blob name, arg;
	long life = -1, s;

	while (next_directive(&value, &name, &arg)) {
		/* s-maxage is for caches that many share; ours is this host's own. */
		if (is_named(name, "no-store") || is_named(name, "no-cache"))
			return 0;
		if (!is_named(name, "max-age"))
			continue;
		if (!seconds_of(arg, &s))
			return 0;
		life = life < 0 || s < life ? s : life;
	}
	return life;
}

/* RFC 9110 5.6.7: each of the three forms begins with the day's name. */
static time_t
date_of(const char *text)
{
	return text != NULL && isalpha((unsigned char)text[0]) ? curl_getdate(text, NULL) : -1;
}

static long
expiry(const struct cm_http_life *l)
{
	const time_t until = date_of(l->expires);
	const time_t date = date_of(l->date) >= 0 ? date_of(l->date) : l->now;

	/* RFC 9111 5.3: an invalid one, above all "0", is in the past */
	if (until < 0 || until <= date)
		return 0;
	return until - date > SECONDS_MAX ? SECONDS_MAX : (long)(until - date);
}

long
cm_http_fresh_for(const struct cm_http_life *l)
{
	long life = l->cache_control != NULL ? directed_life(l->cache_control) : -1;
	long age = 0;

	if (life < 0 && l->expires != NULL)
		life = expiry(l);
	if (life < 0)
		return -1;
	/* RFC 9111 5.1: one that is no number is as if it were not there */
	if (l->age != NULL && !seconds_of(trimmed(l->age, strlen(l->age)), &age))
		age = 0;
	return life > age ? life - age : 0;
}

/* ---- ETag */

/* etagc = %x21 / %x23-7E / obs-text */
static bool
is_opaque_tag(const char *v)
{
	const size_t len = strlen(v);

	if (len < 2 || v[0] != '"' || v[len - 1] != '"')
		return false;
	for (size_t i = 1; i < len - 1; i++)
		if ((unsigned char)v[i] < 0x21 || v[i] == '"' || v[i] == 0x7f)
			return false;
	return true;
}

bool
cm_http_strong_etag(const char *value)
{
	return value != NULL && is_opaque_tag(value);
}

bool
cm_http_etag(const char *value)
{
	return value != NULL && is_opaque_tag(strncmp(value, "W/", 2) == 0 ? value + 2 : value);
}

/* ---- Location */

static char *
part_of(CURLU *u, CURLUPart what)
{
	char *text = NULL;

	return u != NULL && curl_url_get(u, what, &text, 0) == CURLUE_OK ? text : NULL;
}

static CURLU *
parse_url(const char *url)
{
	CURLU *u = curl_url();

	if (u != NULL && curl_url_set(u, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK) {
		curl_url_cleanup(u);
		u = NULL;
	}
	return u;
}

static bool
is_followed(CURLU *u, struct cm_buf *why)
{
	char *scheme = part_of(u, CURLUPART_SCHEME), *user = part_of(u, CURLUPART_USER);
	const bool http = scheme != NULL && (strcasecmp(scheme, "http") == 0 || strcasecmp(scheme, "https") == 0);

	if (!http)
		cm_buf_addf(why, "%s: addresses are not followed, only http: and https:", scheme != NULL ? scheme : "such");
	else if (user != NULL)
		cm_buf_add_str(why, "an address with a user's name is not followed");
	curl_free(scheme);
	curl_free(user);
	return http && user == NULL;
}

enum cm_err
cm_http_follow(const char *url, const char *location, struct cm_buf *to, struct cm_buf *why)
{
	CURLU *u = parse_url(url);
	char *text = NULL;
	enum cm_err err = CM_ERR_SYNTAX;

	cm_buf_truncate(to, 0);
	if (u == NULL || curl_url_set(u, CURLUPART_URL, location, CURLU_NON_SUPPORT_SCHEME | CURLU_URLENCODE) != CURLUE_OK)
		cm_buf_add_str(why, "that is no address");
	else if (is_followed(u, why)) {
		/* What follows # is ours alone. */
		curl_url_set(u, CURLUPART_FRAGMENT, NULL, 0);
		if ((text = part_of(u, CURLUPART_URL)) != NULL)
			cm_buf_add_str(to, text);
		err = text != NULL ? cm_buf_status(to) : CM_ERR_NOMEM;
	}
	curl_free(text);
	curl_url_cleanup(u);
	return err;
}

bool
cm_http_same_host(const char *a, const char *b)
{
	CURLU *u = parse_url(a), *v = parse_url(b);
	char *x = part_of(u, CURLUPART_HOST), *y = part_of(v, CURLUPART_HOST);
	const bool same = x != NULL && y != NULL && x[0] != '\0' && strcasecmp(x, y) == 0;

	curl_free(x);
	curl_free(y);
	curl_url_cleanup(u);
	curl_url_cleanup(v);
	return same;
}

bool
cm_http_is_named(const char *url)
{
	CURLU *u = parse_url(url);
	char *host = part_of(u, CURLUPART_HOST);
	uint8_t v4[4];
	const bool named = host != NULL && host[0] != '[' && inet_pton(AF_INET, host, v4) != 1 &&
	    strcasecmp(host, "localhost") != 0;

	curl_free(host);
	curl_url_cleanup(u);
	return named;
}

void
cm_http_authority(const char *url, struct cm_buf *out)
{
	CURLU *u = parse_url(url);
	char *host = part_of(u, CURLUPART_HOST), *port = part_of(u, CURLUPART_PORT);

	cm_buf_truncate(out, 0);
	cm_buf_add_str(out, host != NULL ? host : "the server");
	if (port != NULL)
		cm_buf_addf(out, ":%s", port);
	curl_free(host);
	curl_free(port);
	curl_url_cleanup(u);
}

/* ---- addresses */

/* IANA's registries of special purpose addresses; nobody publishes revocation there for the world. */
static const struct {
	uint32_t net;
	int bits;
	bool own;		/* of this computer, or its link */
} private4[] = {
	{ 0x00000000, 8, true },	/* 0/8 this host */
	{ 0x0a000000, 8, false },	/* 10/8 RFC 1918 */
	{ 0x64400000, 10, false },	/* 100.64/10 RFC 6598 */
	{ 0x7f000000, 8, true },	/* 127/8 loopback */
	{ 0xa9fe0000, 16, true },	/* 169.254/16 link-local */
	{ 0xac100000, 12, false },	/* 172.16/12 RFC 1918 */
	{ 0xc0000000, 24, false },	/* 192.0.0/24 RFC 6890 */
	{ 0xc0a80000, 16, false },	/* 192.168/16 RFC 1918 */
	{ 0xc6120000, 15, false },	/* 198.18/15 RFC 2544 */
	{ 0xe0000000, 3, false },	/* 224/3 multicast, reserved, broadcast */
};

static const struct {
	uint8_t net[4];
	int bits;
	bool own;
} private6[] = {
	{ { 0xfc, 0 }, 7, false },		/* RFC 4193 */
	{ { 0xfe, 0x80 }, 10, true },		/* link-local */
	{ { 0xfe, 0xc0 }, 10, false },		/* site-local, RFC 3879 */
	{ { 0xff, 0 }, 8, false },		/* multicast */
};

static bool
is_private4(const uint8_t *a, bool own_only)
{
	const uint32_t v = (uint32_t)a[0] << 24 | (uint32_t)a[1] << 16 | (uint32_t)a[2] << 8 | a[3];

	for (size_t i = 0; i < CM_COUNT(private4); i++)
		if ((v ^ private4[i].net) >> (32 - private4[i].bits) == 0)
			return private4[i].own || !own_only;
	return false;
}

/* The prefix, and where behind it the IPv4 address stands. */
static const struct {
	uint8_t net[12];
	size_t len, at;
} wrapped4[] = {
	{ { 0 }, 12, 12 },					/* ::/96, :: and ::1 too */
	{ { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff }, 12, 12 },	/* RFC 4291 2.5.5.2: mapped */
	{ { 0, 0x64, 0xff, 0x9b }, 12, 12 },			/* RFC 6052: NAT64 */
	{ { 0x20, 0x02 }, 2, 2 },				/* RFC 3056: 6to4 */
};

static bool
is_private6(const uint8_t *a, bool own_only)
{
	static const uint8_t nat64_local[6] = { 0, 0x64, 0xff, 0x9b, 0, 1 };	/* RFC 8215 */

	for (size_t i = 0; i < CM_COUNT(wrapped4); i++)
		if (memcmp(a, wrapped4[i].net, wrapped4[i].len) == 0)
			return is_private4(a + wrapped4[i].at, own_only);
	for (size_t i = 0; i < CM_COUNT(private6); i++) {
		const unsigned v = (unsigned)a[0] << 8 | a[1];
		const unsigned net = (unsigned)private6[i].net[0] << 8 | private6[i].net[1];

		if ((v ^ net) >> (16 - private6[i].bits) == 0)
			return private6[i].own || !own_only;
	}
	return !own_only && memcmp(a, nat64_local, sizeof(nat64_local)) == 0;
}

static bool
is_private(const struct sockaddr *a, bool own_only)
{
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;

	switch (a->sa_family) {
	case AF_INET:
		memcpy(&v4, a, sizeof(v4));
		return is_private4((const uint8_t *)&v4.sin_addr, own_only);
	case AF_INET6:
		memcpy(&v6, a, sizeof(v6));
		return is_private6((const uint8_t *)&v6.sin6_addr, own_only);
	default:	/* nothing else is the internet */
		return true;
	}
}

bool
cm_address_is_private(const struct sockaddr *a)
{
	return is_private(a, false);
}

bool
cm_address_is_own(const struct sockaddr *a)
{
	return is_private(a, true);
}

static bool
text_is_private(const char *text, bool own_only)
{
	uint8_t a[16];

	if (inet_pton(AF_INET, text, a) == 1)
		return is_private4(a, own_only);
	return inet_pton(AF_INET6, text, a) != 1 || is_private6(a, own_only);
}

bool
cm_address_text_is_private(const char *text)
{
	return text_is_private(text, false);
}

bool
cm_address_text_is_own(const char *text)
{
	return text_is_private(text, true);
}
