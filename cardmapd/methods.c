/* cardmapd/methods.c - what cardmapd serves: interfaces, and permission before each body. */
#include "cardmapd/methods.h"

#include <string.h>

#include "cardmapd/permissions.h"
#include "service/interface.h"

#define PARAMETER_TEXT_MAX	1024

static const json_type types[] = {
	[CM_PARAMETER_TEXT] = JSON_STRING, [CM_PARAMETER_INTEGER] = JSON_INTEGER, [CM_PARAMETER_FLAG] = JSON_TRUE,
	[CM_PARAMETER_OBJECT] = JSON_OBJECT,
};

static bool
is_of(const json_t *value, enum cm_parameter_type type)
{
	if (type == CM_PARAMETER_FLAG)
		return json_is_boolean(value);
	if (type == CM_PARAMETER_TEXT)
		return json_is_string(value) && json_string_length(value) <= PARAMETER_TEXT_MAX;
	return json_typeof(value) == types[type];
}

static void
put(const struct cm_parameter *p, json_t *value)
{
	switch (p->type) {
	case CM_PARAMETER_TEXT:
		*(const char **)p->out = json_string_value(value);
		break;
	case CM_PARAMETER_INTEGER:
		*(json_int_t *)p->out = json_integer_value(value);
		break;
	case CM_PARAMETER_FLAG:
		*(bool *)p->out = json_is_true(value);
		break;
	case CM_PARAMETER_OBJECT:
		*(json_t **)p->out = value;
		break;
	}
}

static const struct cm_parameter *
find_row(const struct cm_parameter *rows, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(rows[i].name, name) == 0)
			return &rows[i];
	return NULL;
}

bool
cm_parameters_take(struct cm_varlink_request *r, const struct cm_parameter *rows, size_t count, enum cm_err *err)
{
	const char *name, *wrong = NULL;
	json_t *value;

	json_object_foreach(r->call->parameters, name, value) {
		const struct cm_parameter *p = find_row(rows, count, name);

		if (p == NULL || (!json_is_null(value) && !is_of(value, p->type)))
			wrong = wrong != NULL ? wrong : name;
		else if (!json_is_null(value))
			put(p, value);
	}
	for (size_t i = 0; i < count && wrong == NULL; i++) {
		value = json_object_get(r->call->parameters, rows[i].name);
		if (rows[i].required && (value == NULL || json_is_null(value)))
			wrong = rows[i].name;
	}
	if (wrong != NULL)
		*err = cm_varlink_invalid(&r->turn, wrong, r->deadline);
	return wrong == NULL;
}

static enum cm_err
deny(struct cm_varlink_request *r)
{
	return cm_varlink_error(&r->turn, CM_VARLINK_PERMISSION_DENIED, json_object(), r->deadline);
}

/* Those of the resolver: it answers itself, so that whoever asks much is not in the way of a login. */
enum cm_err
cm_method_elsewhere(struct cm_varlink_request *r)
{
	const struct cm_client *c = r->context;
	struct cm_buf where = { 0 };
	enum cm_err err;

	cm_buf_addf(&where, "unix:%s/io.cardmap.Resolver", c->daemon->run_dir);
	err = cm_varlink_error(&r->turn, "io.cardmap.NotServedHere", json_pack("{s:s}", "where", cm_buf_str(&where)),
	    r->deadline);
	cm_buf_free(&where);
	return err;
}

/* ---- permission first: each row of the interfaces is a guard around its body */

static enum cm_err
guard(struct cm_varlink_request *r, cm_varlink_handler body)
{
	const struct cm_client *c = r->context;

	return cm_permissions_of(r->call->method, c->who) == CM_MAY_NOT ? deny(r) : body(r);
}

#define GUARD(name) \
static enum cm_err \
guard_##name(struct cm_varlink_request *r) \
{ \
	return guard(r, cm_method_##name); \
}
GUARD(cards)
GUARD(accounts)
GUARD(doctor)
GUARD(revocation)
GUARD(enforcement)
GUARD(status)
GUARD(log)
GUARD(begin)
GUARD(answer)
GUARD(cancel)

static const struct cm_varlink_method cardmap_methods[] = {
	{ "Whois", cm_method_elsewhere, 0 },
	{ "Explain", cm_method_elsewhere, 0 },
	{ "Cards", guard_cards, CM_VARLINK_MORE | CM_VARLINK_LATER },
	{ "Accounts", guard_accounts, CM_VARLINK_LATER },
	{ "Doctor", guard_doctor, CM_VARLINK_LATER },
	{ "Revocation", guard_revocation, CM_VARLINK_LATER },
	{ "Enforcement", guard_enforcement, CM_VARLINK_LATER },
	{ "Status", guard_status, CM_VARLINK_LATER },
	{ "Log", guard_log, CM_VARLINK_LATER },
};

const struct cm_varlink_interface cm_methods_cardmap = {
	"io.cardmap", cm_interface_io_cardmap, cardmap_methods, CM_COUNT(cardmap_methods),
};

static const struct cm_varlink_method login_methods[] = {
	{ "Begin", guard_begin, CM_VARLINK_MORE | CM_VARLINK_LATER },
	{ "Answer", guard_answer, CM_VARLINK_TAKES_DESCRIPTORS },
	{ "Cancel", guard_cancel, 0 },
};

const struct cm_varlink_interface cm_methods_login = {
	"io.cardmap.Login", cm_interface_io_cardmap_login, login_methods, CM_COUNT(login_methods),
};

static const struct cm_varlink_interface *const interfaces[] = { &cm_methods_cardmap, &cm_methods_login };

const struct cm_varlink_service cm_methods_service = {
	.vendor = "cardmap", .product = "cardmapd", .version = CM_VERSION, .url = "man:cardmap-protocol(7)",
	.interfaces = interfaces, .count = CM_COUNT(interfaces),
};
