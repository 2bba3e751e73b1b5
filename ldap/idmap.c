/*
 * ldap/idmap.c - uid and gid from a SID, exactly as SSSD makes them: files keep the owner that it gave them.
 *
 * libsss_idmap does the arithmetic.  What SSSD does around it is done here too
 * (sssd-ldap(5), "ID MAPPING"): the default domain has slice 0, any other the
 * slice its SID hashes to, and more slices for RIDs beyond the first.  SSSD
 * keeps the order in which it met domains, and moves on where two hash to one
 * slice; here each SID is mapped by itself, so that nobody else's entry decides.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <sss_idmap.h>

#include "ldap/directory_internal.h"

#define HELPERS		10	/* sssd-ldap(5): ldap_idmap_helper_table_size */
#define DOMAIN_PREFIX	"S-1-5-21-"
/* MS-DTYP section 2.4.2.2: revision, number of parts, authority in six octets, the parts */
#define BINARY_HEAD	8
#define BINARY_PARTS	5	/* S-1-5-21-A-B-C-RID */
#define PRIMARY		"primaryGroupID"

/* "0", or a number without leading zero below 2^32; its end, or NULL. */
static const char *
skip_part(const char *p)
{
	const char *const start = p;
	uint64_t n = 0;

	for (; *p >= '0' && *p <= '9' && p - start < 10; p++)
		n = n * 10 + (uint64_t)(*p - '0');
	return p == start || (*start == '0' && p - start > 1) || n > UINT32_MAX ? NULL : p;
}

/* S-1-5-21-A-B-C, and -RID behind it where rid is wanted; nothing else. */
static bool
is_sid(const char *text, bool rid)
{
	const char *p = text + sizeof(DOMAIN_PREFIX) - 1;

	if (strncasecmp(text, DOMAIN_PREFIX, sizeof(DOMAIN_PREFIX) - 1) != 0)
		return false;
	for (int left = rid ? 3 : 2;; left--) {
		if ((p = skip_part(p)) == NULL || *p != (left > 0 ? '-' : '\0'))
			return false;
		if (left == 0)
			return true;
		p++;
	}
}

const char *
cm_idmap_check(const struct cm_idmap *m)
{
	/* As SSSD checks them when it starts. */
	if (m->use == CM_IDMAP_OFF)
		return NULL;
	if (m->max <= m->min || m->max - m->min < m->size)
		return "accounts.idmap_range_max must be above accounts.idmap_range_min by accounts.idmap_range_size at least";
	if (m->domain_sid != NULL && !is_sid(m->domain_sid, false))
		return "accounts.idmap_domain_sid must be the SID of a domain: S-1-5-21-A-B-C";
	return NULL;
}

static bool
add_domain(struct sss_idmap_ctx *map, const char *sid, id_t slice)
{
	struct sss_idmap_range range;

	return sss_idmap_calculate_range(map, sid, &slice, &range) == IDMAP_SUCCESS &&
	    sss_idmap_add_auto_domain_ex(map, sid, sid, &range, NULL, 0, false, NULL, NULL) == IDMAP_SUCCESS;
}

static bool
make_map(const struct cm_idmap *m, const char *domain, struct sss_idmap_ctx **out)
{
	if (sss_idmap_init(NULL, NULL, NULL, out) != IDMAP_SUCCESS)
		return false;
	if (sss_idmap_ctx_set_autorid(*out, false) != IDMAP_SUCCESS || sss_idmap_ctx_set_lower(*out, m->min) != IDMAP_SUCCESS ||
	    sss_idmap_ctx_set_upper(*out, m->max) != IDMAP_SUCCESS || sss_idmap_ctx_set_rangesize(*out, m->size) != IDMAP_SUCCESS ||
	    sss_idmap_ctx_set_extra_slice_init(*out, HELPERS) != IDMAP_SUCCESS)
		return false;
	if (m->domain_sid != NULL && !add_domain(*out, m->domain_sid, 0))
		return false;
	return (m->domain_sid != NULL && strcasecmp(m->domain_sid, domain) == 0) || add_domain(*out, domain, (id_t)-1);
}

bool
cm_idmap_id(const struct cm_idmap *m, const char *sid, unsigned *id)
{
	struct sss_idmap_ctx *map = NULL;
	char *domain;
	uint32_t n = 0;
	bool done;

	if (!is_sid(sid, true) || (domain = strdup(sid)) == NULL)
		return false;
	*strrchr(domain, '-') = '\0';
	done = make_map(m, domain, &map) && sss_idmap_sid_to_unix(map, sid, &n) == IDMAP_SUCCESS && n >= m->min && n <= m->max;
	if (map != NULL)
		sss_idmap_free(map);
	free(domain);
	if (done)
		*id = n;
	return done;
}

/* The entry's SID as text: S-1-5-21-A-B-C-RID.  NULL: it has none, several, or something else; for free(3). */
static char *
read_sid(const struct cm_entry *e)
{
	struct sss_idmap_ctx *map = NULL;
	struct cm_blob v;
	char *library = NULL, *text = NULL;

	if (cm_entry_values(e, CM_SID_ATTRIBUTE, &v) != 1)
		return NULL;
	if (v.len > 2 && memcmp(v.ptr, "S-", 2) == 0 && memchr(v.ptr, '\0', v.len) == NULL)
		return (text = strndup((const char *)v.ptr, v.len)) != NULL && is_sid(text, true) ? text : (free(text), NULL);
	if (v.len != BINARY_HEAD + 4 * BINARY_PARTS || v.ptr[0] != 1 || v.ptr[1] != BINARY_PARTS)
		return NULL;
	if (sss_idmap_init(NULL, NULL, NULL, &map) != IDMAP_SUCCESS)
		return NULL;
	if (sss_idmap_bin_sid_to_sid(map, v.ptr, v.len, &library) == IDMAP_SUCCESS && is_sid(library, true))
		text = strdup(library);
	if (library != NULL)
		sss_idmap_free_sid(map, library);
	sss_idmap_free(map);
	return text;
}

/* Its domain's SID with another RID: of its primary group. */
static char *
primary_sid(const char *sid, const struct cm_entry *e)
{
	struct cm_buf b = { 0 };
	struct cm_blob v;
	unsigned rid;

	if (cm_entry_values(e, PRIMARY, &v) != 1 || !cm_number_parse(v, &rid))
		return NULL;
	cm_buf_addf(&b, "%.*s-%u", (int)(strrchr(sid, '-') - sid), sid, rid);
	return cm_buf_take(&b);
}

bool
cm_idmap_holds(const struct cm_idmap *m, const struct cm_entry *e)
{
	struct cm_blob v;

	if (m->use != CM_IDMAP_SID)
		return m->use == CM_IDMAP_ALWAYS;
	return cm_entry_values(e, CM_SID_ATTRIBUTE, &v) > 0 && cm_entry_values(e, "uidNumber", &v) == 0 &&
	    cm_entry_values(e, "gidNumber", &v) == 0;
}

const char *
cm_idmap_user(const struct cm_idmap *m, const struct cm_entry *e, unsigned *uid, unsigned *gid)
{
	char *sid = read_sid(e), *primary = NULL;
	const char *wrong = NULL;

	if (sid == NULL)
		wrong = "is not the one SID of a domain's account, S-1-5-21-A-B-C-RID: no uid can be made from it";
	else if ((primary = primary_sid(sid, e)) == NULL)
		wrong = "makes a uid, but the entry has no usable " PRIMARY ": it has no gid";
	else if (!cm_idmap_id(m, sid, uid) || !cm_idmap_id(m, primary, gid))
		wrong = "has no id in the range that accounts.idmap_range_min, _max and _size set";
	free(primary);
	free(sid);
	return wrong;
}

bool
cm_idmap_group(const struct cm_idmap *m, const struct cm_entry *e, unsigned *gid)
{
	char *sid = read_sid(e);
	const bool done = sid != NULL && cm_idmap_id(m, sid, gid);

	free(sid);
	return done;
}

void
cm_idmap_primary(const struct cm_entry *e, struct cm_buf *out)
{
	char *sid = read_sid(e), *primary = sid != NULL ? primary_sid(sid, e) : NULL;
	struct sss_idmap_ctx *map = NULL;
	uint8_t *octets = NULL;
	size_t len = 0;

	if (primary != NULL && sss_idmap_init(NULL, NULL, NULL, &map) == IDMAP_SUCCESS) {
		if (sss_idmap_sid_to_bin_sid(map, primary, &octets, &len) == IDMAP_SUCCESS)
			cm_buf_add(out, octets, len);
		if (octets != NULL)
			sss_idmap_free_bin_sid(map, octets);
		sss_idmap_free(map);
	}
	free(primary);
	free(sid);
}

void
cm_idmap_attributes(struct cm_search *s)
{
	cm_search_want(s, CM_SID_ATTRIBUTE);
	cm_search_want(s, PRIMARY);
}
