/* mapper/fields_name.c - the issuer's and the subject's names, whole or one attribute of them. */
#include "mapper/fields_internal.h"

#include <strings.h>

#include "mapper/dn_internal.h"
#include "mapper/sssname_internal.h"

static enum cm_err
write_dn(const struct cm_cert_name *n, const struct cm_field_ref *ref, struct cm_buf *out)
{
	return cm_dn_write(n, (enum cm_dn_style)ref->conversion->style, out);
}

enum cm_err
cm_write_issuer(const struct cm_cert *c, const struct cm_field_ref *ref, struct cm_buf *out)
{
	return write_dn(cm_cert_issuer(c), ref, out);
}

enum cm_err
cm_write_subject(const struct cm_cert *c, const struct cm_field_ref *ref, struct cm_buf *out)
{
	return write_dn(cm_cert_subject(c), ref, out);
}

/* Does the attribute's type have this name in sss-certmap(5)'s nss texts?  Case is ignored. */
static bool
is_type(const struct cm_cert_attr *a, const char *name, struct cm_buf *scratch)
{
	const size_t start = scratch->len;
	bool same;

	cm_sss_type(a->oid, CM_SSS_TYPES, scratch);
	same = cm_buf_status(scratch) == CM_OK &&
	    strcasecmp((const char *)scratch->ptr + start, name) == 0;
	cm_buf_truncate(scratch, start);
	return same;
}

/*
 * [1] is the leaf and [-1] the root; with a name too, the attribute there must
 * have it.  A name alone is the one nearest to the leaf; nothing at all is the leaf.
 */
static const struct cm_cert_attr *
find_component(const struct cm_cert_name *n, const struct cm_field_ref *ref, struct cm_buf *scratch)
{
	const size_t distance = (size_t)(ref->index < 0 ? -(long)ref->index : ref->index);
	const struct cm_cert_attr *a;

	if (n->count == 0 || distance > n->count)
		return NULL;
	if (distance == 0 && ref->part != NULL) {
		for (size_t i = n->count; i-- > 0;)
			if (is_type(&n->attrs[i], ref->part, scratch))
				return &n->attrs[i];
		return NULL;
	}
	a = &n->attrs[ref->index < 0 ? distance - 1 : n->count - (distance > 0 ? distance : 1)];
	return ref->part == NULL || is_type(a, ref->part, scratch) ? a : NULL;
}

/*
 * libsss_certmap gives the value as it stands in its text of the name, with
 * that text's escapes; in our own dialect it is the value.
 */
static enum cm_err
write_component(const struct cm_cert_name *n, const struct cm_field_ref *ref, struct cm_buf *out)
{
	const struct cm_cert_attr *a = find_component(n, ref, out);

	if (a == NULL || (a->text && a->value.len == 0))
		return CM_ERR_ABSENT;
	if ((ref->flags & CM_REF_SSS) == 0 && a->text)
		cm_buf_add_blob(out, a->value);
	else
		cm_sss_value(a, out);
	return cm_buf_status(out);
}

enum cm_err
cm_write_issuer_component(const struct cm_cert *c, const struct cm_field_ref *ref, struct cm_buf *out)
{
	return write_component(cm_cert_issuer(c), ref, out);
}

enum cm_err
cm_write_subject_component(const struct cm_cert *c, const struct cm_field_ref *ref, struct cm_buf *out)
{
	return write_component(cm_cert_subject(c), ref, out);
}
