/* krb5/context.c - libkrb5 with one configuration and one realm. */
#include "krb5/context_internal.h"

#include <profile.h>
#include <stdlib.h>
#include <string.h>

enum cm_err
cm_krb5_config_error(krb5_context c, krb5_error_code code, const char *what, struct cm_trace *t)
{
	const char *words = krb5_get_error_message(c, code);
	enum cm_err err = cm_trace_fail(t, CM_REASON_CONFIG, "%s: %s", what, words);

	krb5_free_error_message(c, words);
	return err;
}

enum cm_err
cm_krb5_context(const char *config, struct cm_trace *t, krb5_context *out)
{
	const char *files[] = { config, NULL };
	profile_t profile = NULL;
	krb5_error_code code = 0;

	*out = NULL;
	if (config != NULL)
		code = (krb5_error_code)profile_init(files, &profile);
	if (code == 0)
		code = krb5_init_context_profile(profile, 0, out);
	if (profile != NULL)
		profile_release(profile);
	if (code != 0)
		return cm_krb5_config_error(NULL, code, config != NULL ? config : "krb5.conf", t);
	return CM_OK;
}

enum cm_err
cm_krb5_realm(krb5_context c, const char *realm, struct cm_trace *t, char **out)
{
	char *usual = NULL;

	if (realm == NULL && krb5_get_default_realm(c, &usual) != 0) {
		*out = NULL;
		cm_trace_fail(t, CM_REASON_CONFIG, "no realm: set kerberos.realm, or default_realm in krb5.conf");
		return CM_ERR_ABSENT;	/* no error of itself: many hosts have no Kerberos */
	}
	*out = strdup(realm != NULL ? realm : usual);
	krb5_free_default_realm(c, usual);
	return *out != NULL ? CM_OK : CM_ERR_NOMEM;
}

bool
cm_krb5_is_of(krb5_const_principal name, const char *realm)
{
	return name->realm.length == strlen(realm) && memcmp(name->realm.data, realm, name->realm.length) == 0;
}

bool
cm_krb5_is_host_of(krb5_const_principal name, const char *realm)
{
	return name->length == 2 && cm_krb5_is_of(name, realm) &&
	    name->data[0].length == 4 && memcmp(name->data[0].data, "host", 4) == 0;
}
