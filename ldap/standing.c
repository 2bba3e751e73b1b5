/* ldap/standing.c - what an entry says against its own account: another SID, disabled. */
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "ldap/directory_internal.h"

/* MS-DTYP section 2.4.2.2: revision, count, six bytes of authority, then four each, the lowest first. */
static bool
add_binary_sid(struct cm_blob v, struct cm_buf *out)
{
	uint64_t authority = 0;

	if (v.len < 8 || v.ptr[0] != 1 || v.ptr[1] > 15 || v.len != 8 + 4 * (size_t)v.ptr[1])
		return false;
	for (size_t i = 2; i < 8; i++)
		authority = authority << 8 | v.ptr[i];
	/* section 2.4.2.1: hexadecimal from 2^32 */
	cm_buf_addf(out, authority > UINT32_MAX ? "S-1-0x%012" PRIX64 : "S-1-%" PRIu64, authority);
	for (size_t i = 8; i < v.len; i += 4)
		cm_buf_addf(out, "-%u", (unsigned)v.ptr[i] | (unsigned)v.ptr[i + 1] << 8 |
		    (unsigned)v.ptr[i + 2] << 16 | (unsigned)v.ptr[i + 3] << 24);
	return true;
}

void
cm_sid_text(struct cm_blob v, struct cm_buf *out)
{
	if (!add_binary_sid(v, out))
		cm_buf_add_printable(out, v);
}

enum cm_err
cm_entry_other_sid(const struct cm_entry *e, const char *sid, char **out)
{
	struct cm_buf text = { 0 };
	bool other = false;
	enum cm_err err = CM_OK;

	*out = NULL;
	for (size_t i = 0; sid != NULL && i < e->count && !other; i++) {
		if (!cm_attribute_is(e->values[i].attribute, CM_SID_ATTRIBUTE))
			continue;
		cm_buf_truncate(&text, 0);
		cm_sid_text(e->values[i].value, &text);
		other = strcasecmp(cm_buf_str(&text), sid) != 0;
	}
	if (cm_buf_status(&text) != CM_OK || (other && (*out = strdup(cm_buf_str(&text))) == NULL))
		err = CM_ERR_NOMEM;
	cm_buf_free(&text);
	return err;
}

/* MS-ADTS section 2.2.16: ADS_UF_ACCOUNTDISABLE, ADS_UF_LOCKOUT; a value that is no number disables too. */
static bool
has_disabled_bit(struct cm_blob v)
{
	struct cm_buf text = { 0 };
	char *end;
	long long bits;
	bool disabled;

	cm_buf_add_blob(&text, v);
	bits = strtoll(cm_buf_str(&text), &end, 10);
	disabled = v.len == 0 || isspace((unsigned char)cm_buf_str(&text)[0]) ||
	    end != cm_buf_str(&text) + v.len || (bits & 0x12) != 0;
	cm_buf_free(&text);
	return disabled;
}

/* 389 Directory Server, FreeIPA: what is not "FALSE" locks. */
static bool
is_lock(struct cm_blob v)
{
	return cm_value_compare(v, cm_blob_str("FALSE")) != 0;
}

static const struct {
	const char *attribute;
	bool (*disables)(struct cm_blob v);
	const char *what;
} standings[] = {
	{ "userAccountControl", has_disabled_bit, "userAccountControl has the bit 0x2 (ACCOUNTDISABLE) or 0x10 (LOCKOUT)" },
	{ "nsAccountLock", is_lock, "nsAccountLock is TRUE" },
};

const char *
cm_entry_disabled(const struct cm_entry *e)
{
	for (size_t i = 0; i < CM_COUNT(standings); i++)
		for (size_t k = 0; k < e->count; k++)
			if (cm_attribute_is(e->values[k].attribute, standings[i].attribute) &&
			    standings[i].disables(e->values[k].value))
				return standings[i].what;
	return NULL;
}

void
cm_standing_attributes(struct cm_search *s, const char *sid)
{
	for (size_t i = 0; i < CM_COUNT(standings); i++)
		cm_search_want(s, standings[i].attribute);
	if (sid != NULL)
		cm_search_want(s, CM_SID_ATTRIBUTE);
}
