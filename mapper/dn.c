/* mapper/dn.c - distinguished names as the different directories have them written. */
#include "mapper/dn_internal.h"

enum cm_err
cm_dn_write(const struct cm_cert_name *n, enum cm_dn_style style, struct cm_buf *out)
{
	if (n->count == 0)
		return CM_ERR_ABSENT;
	switch (style) {
	case CM_DN_PKCA:
		return cm_name_ad(n, out);
	}
	return CM_ERR_STATE;
}
