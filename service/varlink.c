/* service/varlink.c - varlink served: one message, one table of interfaces and methods, one answer. */
#include "service/varlink.h"

#include "service/varlink_internal.h"

/* ---- answers */

/* parameters is given; error NULL: it is an answer; fd -1: nothing goes beside it. */
struct sending {
	const char *error;
	json_t *parameters;
	bool continues;
	int fd;
};

static enum cm_err
send_reply(struct cm_varlink_turn *t, const struct sending *s, cm_deadline deadline)
{
	json_t *parameters = s->parameters;
	const bool continues = s->continues;
	const struct cm_varlink_reply r = {
		.error = (char *)(uintptr_t)s->error, .parameters = parameters, .continues = continues,
	};
	struct cm_buf text = { 0 };
	enum cm_err err = CM_ERR_NOMEM;

	if (parameters == NULL)
		return err;
	if (t->answered || (continues && !t->more && !t->oneway))
		err = CM_ERR_STATE;
	else if (t->oneway)
		err = CM_OK;	/* "the server must adhere": the next reply belongs to the next call */
	else if ((err = cm_varlink_reply_write(&r, &text)) == CM_OK)
		err = cm_wire_send(t->wire, cm_buf_blob(&text), &s->fd, s->fd >= 0 ? 1 : 0, deadline);
	if (err == CM_OK)
		t->answered = !continues;
	cm_buf_free(&text);
	json_decref(parameters);
	return err;
}

enum cm_err
cm_varlink_answer(struct cm_varlink_turn *t, json_t *parameters, cm_deadline deadline)
{
	return send_reply(t, &(struct sending){ .parameters = parameters, .fd = -1 }, deadline);
}

enum cm_err
cm_varlink_answer_with(struct cm_varlink_turn *t, json_t *parameters, int fd, cm_deadline deadline)
{
	return send_reply(t, &(struct sending){ .parameters = parameters, .fd = fd }, deadline);
}

enum cm_err
cm_varlink_answer_text(struct cm_varlink_turn *t, struct cm_blob reply, cm_deadline deadline)
{
	enum cm_err err = CM_OK;

	if (t->answered)
		return CM_ERR_STATE;
	if (!t->oneway)
		err = cm_wire_send(t->wire, reply, NULL, 0, deadline);
	t->answered = err == CM_OK;
	return err;
}

enum cm_err
cm_varlink_continue(struct cm_varlink_turn *t, json_t *parameters, cm_deadline deadline)
{
	return send_reply(t, &(struct sending){ .parameters = parameters, .continues = true, .fd = -1 }, deadline);
}

enum cm_err
cm_varlink_error(struct cm_varlink_turn *t, const char *error, json_t *parameters, cm_deadline deadline)
{
	return send_reply(t, &(struct sending){ .error = error, .parameters = parameters, .fd = -1 }, deadline);
}

enum cm_err
cm_varlink_invalid(struct cm_varlink_turn *t, const char *parameter, cm_deadline deadline)
{
	return cm_varlink_error(t, CM_VARLINK_INVALID_PARAMETER, json_pack("{s:s}", "parameter", parameter), deadline);
}

/* ---- org.varlink.service: https://varlink.org/Service */

static const char description[] =
	"# What every service of varlink has: who it is, and what it serves.\n"
	"interface org.varlink.service\n"
	"\n"
	"# Who serves, and which interfaces.\n"
	"method GetInfo() -> (\n"
	"  vendor: string,\n"
	"  product: string,\n"
	"  version: string,\n"
	"  url: string,\n"
	"  interfaces: []string\n"
	")\n"
	"\n"
	"# The text that describes one of them.\n"
	"method GetInterfaceDescription(interface: string) -> (description: string)\n"
	"\n"
	"# There is no such interface here.\n"
	"error InterfaceNotFound (interface: string)\n"
	"\n"
	"# The interface has no such method.\n"
	"error MethodNotFound (method: string)\n"
	"\n"
	"# The interface has it, and this service does not serve it.\n"
	"error MethodNotImplemented (method: string)\n"
	"\n"
	"# A parameter is missing, unknown, or not what it may be.\n"
	"error InvalidParameter (parameter: string)\n"
	"\n"
	"# The caller may not.\n"
	"error PermissionDenied ()\n"
	"\n"
	"# The method has several replies, and the call does not say more.\n"
	"error ExpectedMore ()\n";

static enum cm_err
get_info(struct cm_varlink_request *r)
{
	const struct cm_varlink_service *s = r->service;
	json_t *names = json_pack("[s]", CM_VARLINK_SERVICE);
	const char *extra = json_object_iter_key(json_object_iter(r->call->parameters));

	if (extra != NULL) {
		json_decref(names);
		return cm_varlink_invalid(&r->turn, extra, r->deadline);
	}
	for (size_t i = 0; i < s->count; i++)
		if (json_array_append_new(names, json_string(s->interfaces[i]->name)) != 0) {
			json_decref(names);
			return CM_ERR_NOMEM;
		}
	return cm_varlink_answer(&r->turn, json_pack("{s:s, s:s, s:s, s:s, s:o}", "vendor", s->vendor,
	    "product", s->product, "version", s->version, "url", s->url, "interfaces", names), r->deadline);
}

static const struct cm_varlink_interface *find_interface(const struct cm_varlink_service *s, struct cm_blob name);

static enum cm_err
get_description(struct cm_varlink_request *r)
{
	const struct cm_varlink_interface *i;
	const char *name, *key;
	json_t *value;

	json_object_foreach(r->call->parameters, key, value)
		if (strcmp(key, "interface") != 0)
			return cm_varlink_invalid(&r->turn, key, r->deadline);
	if ((name = json_string_value(json_object_get(r->call->parameters, "interface"))) == NULL)
		return cm_varlink_invalid(&r->turn, "interface", r->deadline);
	if ((i = find_interface(r->service, cm_blob_str(name))) == NULL)
		return cm_varlink_error(&r->turn, CM_VARLINK_INTERFACE_NOT_FOUND,
		    json_pack("{s:s}", "interface", name), r->deadline);
	return cm_varlink_answer(&r->turn, json_pack("{s:s}", "description", i->description), r->deadline);
}

static const struct cm_varlink_method standard_methods[] = {
	{ "GetInfo", get_info, 0 },
	{ "GetInterfaceDescription", get_description, 0 },
};

static const struct cm_varlink_interface standard = {
	CM_VARLINK_SERVICE, description, standard_methods, CM_COUNT(standard_methods),
};

/* ---- the table */

static const struct cm_varlink_interface *
find_interface(const struct cm_varlink_service *s, struct cm_blob name)
{
	if (cm_blob_equal(name, cm_blob_str(standard.name)))
		return &standard;
	for (size_t i = 0; i < s->count; i++)
		if (cm_blob_equal(name, cm_blob_str(s->interfaces[i]->name)))
			return s->interfaces[i];
	return NULL;
}

static const struct cm_varlink_method *
find_method(const struct cm_varlink_interface *i, const char *name)
{
	for (size_t n = 0; n < i->count; n++)
		if (strcmp(i->methods[n].name, name) == 0)
			return &i->methods[n];
	return NULL;
}

static enum cm_err
refuse_interface(struct cm_varlink_request *r, struct cm_blob name)
{
	return cm_varlink_error(&r->turn, CM_VARLINK_INTERFACE_NOT_FOUND,
	    json_pack("{s:s%}", "interface", (const char *)name.ptr, name.len), r->deadline);
}

static enum cm_err
refuse_method(struct cm_varlink_request *r, const char *error)
{
	return cm_varlink_error(&r->turn, error, json_pack("{s:s}", "method", r->call->method), r->deadline);
}

static enum cm_err
serve_method(struct cm_varlink_request *r, const struct cm_varlink_method *m)
{
	enum cm_err err;

	/* No method here takes the connection over. */
	if (m->serve == NULL || r->call->upgrade)
		return refuse_method(r, CM_VARLINK_METHOD_NOT_IMPLEMENTED);
	if ((m->flags & CM_VARLINK_MORE) != 0 && !r->call->more)
		return cm_varlink_error(&r->turn, CM_VARLINK_EXPECTED_MORE, json_object(), r->deadline);
	if ((m->flags & CM_VARLINK_TAKES_DESCRIPTORS) == 0 && cm_wire_descriptors(r->turn.wire) > 0)
		return cm_varlink_invalid(&r->turn, "descriptors", r->deadline);
	if ((err = m->serve(r)) != CM_OK)
		return err;
	return r->turn.answered || r->call->oneway || (m->flags & CM_VARLINK_LATER) != 0 ? CM_OK : CM_ERR_STATE;
}

static enum cm_err
dispatch(struct cm_varlink_request *r)
{
	const struct cm_blob name = cm_varlink_interface_of(r->call->method);
	const struct cm_varlink_interface *i = find_interface(r->service, name);
	const struct cm_varlink_method *m;

	if (i == NULL)
		return refuse_interface(r, name);
	if ((m = find_method(i, r->call->method + name.len + 1)) == NULL)
		return refuse_method(r, CM_VARLINK_METHOD_NOT_FOUND);
	return serve_method(r, m);
}

enum cm_err
cm_varlink_serve(const struct cm_varlink_service *s, struct cm_wire *w, struct cm_blob message,
    void *context, cm_deadline deadline)
{
	struct cm_varlink_call call;
	enum cm_err err = cm_varlink_call_parse(message, &call);

	if (err == CM_OK) {
		struct cm_varlink_request r = {
			.turn = { .wire = w, .oneway = call.oneway, .more = call.more },
			.service = s, .call = &call, .context = context, .deadline = deadline,
		};

		err = dispatch(&r);
		cm_varlink_call_free(&call);
	}
	if (err != CM_OK)
		cm_wire_give_up(w);
	return err;
}
