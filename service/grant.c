/* service/grant.c - permission to enter as one account: what both its makers (grant_here.c, grant_apart.c) make. */
#include "service/grant_internal.h"

#include <stdlib.h>

struct cm_grant {
	struct cm_account *account;
};

enum cm_err
cm_grant_new(const struct cm_account *a, struct cm_grant **out)
{
	struct cm_grant *g;
	enum cm_err err;

	*out = NULL;
	if ((g = calloc(1, sizeof(*g))) == NULL)
		return CM_ERR_NOMEM;
	if ((err = cm_account_copy(a, &g->account)) != CM_OK)
		cm_grant_free(&g);
	*out = g;
	return err;
}

void
cm_grant_free(struct cm_grant **g)
{
	if (*g == NULL)
		return;
	cm_account_free(&(*g)->account);
	free(*g);
	*g = NULL;
}

const struct cm_account *
cm_grant_account(const struct cm_grant *g)
{
	return g->account;
}
