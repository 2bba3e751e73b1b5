/* cli/ldif.c - changes of a directory as LDIF (RFC 2849), ready for ldapmodify; cardmap itself writes none. */
#include "cli/cli.h"

/*
 * RFC 2849, SAFE-STRING; note 8: nor does it end with a space.  It would allow
 * control characters, but a terminal obeys them.
 */
static bool
is_safe(struct cm_blob v)
{
	if (v.len == 0)
		return true;
	if (strchr(" :<", v.ptr[0]) != NULL || v.ptr[v.len - 1] == ' ')
		return false;
	for (size_t i = 0; i < v.len; i++)
		if (v.ptr[i] < 0x20 || v.ptr[i] >= 0x7F)
			return false;
	return true;
}

/* One line: RFC 2849 lets who reads it fold what is long, and ldapmodify takes any length. */
static void
add_line(const char *attribute, struct cm_blob v, struct cm_buf *out)
{
	cm_buf_add_str(out, attribute);
	if (is_safe(v)) {
		cm_buf_add_str(out, ": ");
		cm_buf_add_blob(out, v);
	} else {
		cm_buf_add_str(out, ":: ");
		cm_buf_add_base64(out, v);
	}
	cm_buf_add_byte(out, '\n');
}

void
cm_cli_ldif_add(const char *dn, const char *attribute, const struct cm_blob *values, size_t count,
    struct cm_buf *out)
{
	add_line("dn", cm_blob_str(dn), out);
	cm_buf_addf(out, "changetype: modify\nadd: %s\n", attribute);
	for (size_t i = 0; i < count; i++)
		add_line(attribute, values[i], out);
	cm_buf_add_str(out, "-\n");
}

enum cm_err
cm_cli_tell_ldif(const struct cm_cli *c, const struct cm_buf *ldif)
{
	const enum cm_err err = cm_buf_status(ldif);

	if (err != CM_OK)
		return err;
	json_object_set_new(c->answer, "ldif", json_stringn(cm_buf_str(ldif), ldif->len));
	if (!c->json)
		(void)fwrite(cm_buf_str(ldif), 1, ldif->len, stdout);
	return CM_OK;
}
