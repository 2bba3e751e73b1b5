/* service/varlink_ask.c - varlink asked: an answer, an error, or could not ask. */
#include "service/varlink.h"
#include "service/varlink_internal.h"

static enum cm_err
send_call(struct cm_wire *w, const struct cm_varlink_question *q, bool oneway, bool more)
{
	const struct cm_varlink_call c = {
		.method = (char *)(uintptr_t)q->method, .parameters = q->parameters, .oneway = oneway, .more = more,
	};
	struct cm_buf text = { 0 };
	enum cm_err err = cm_varlink_call_write(&c, &text);

	if (err == CM_OK)
		err = cm_wire_send(w, cm_buf_blob(&text), q->descriptors, q->descriptor_count, q->deadline);
	cm_buf_free(&text);
	return err;
}

/* "Varlink calls can only return well-defined errors specified in the interface description." */
static enum cm_err
judge_error(const char *method, const char *error)
{
	const struct cm_blob of = cm_varlink_interface_of(error);

	if (cm_blob_equal(of, cm_varlink_interface_of(method)))
		return CM_ERR_REFUSED;
	return cm_blob_equal(of, cm_blob_str(CM_VARLINK_SERVICE)) ? CM_ERR_USAGE : CM_ERR_SYNTAX;
}

/* One reply: CM_OK with continues, too, where more are wanted. */
static enum cm_err
receive_reply(struct cm_wire *w, const char *method, bool more, cm_deadline deadline,
    struct cm_varlink_reply *out)
{
	struct cm_blob message;
	enum cm_err err = cm_wire_receive(w, deadline, &message);

	if (err == CM_ERR_ABSENT)
		return CM_ERR_OFFLINE;	/* that it closed is no answer */
	if (err == CM_OK)
		err = cm_varlink_reply_parse(message, out);
	if (err == CM_OK && out->continues && !more)
		err = CM_ERR_SYNTAX;
	if (err == CM_OK && out->error != NULL)
		err = judge_error(method, out->error);
	return err;
}

/* What can be asked on after this, and what *out then holds. */
static enum cm_err
conclude(struct cm_wire *w, struct cm_varlink_reply *out, enum cm_err err)
{
	if (err == CM_OK || err == CM_ERR_REFUSED || err == CM_ERR_USAGE)
		return err;
	cm_varlink_reply_free(out);
	cm_wire_give_up(w);
	return err;
}

enum cm_err
cm_varlink_ask(struct cm_wire *w, const struct cm_varlink_question *q, struct cm_varlink_reply *out)
{
	enum cm_err err;

	*out = (struct cm_varlink_reply){ 0 };
	if ((err = send_call(w, q, false, false)) == CM_OK)
		err = receive_reply(w, q->method, false, q->deadline, out);
	return conclude(w, out, err);
}

enum cm_err
cm_varlink_ask_more(struct cm_wire *w, const struct cm_varlink_question *q, cm_varlink_visit visit,
    void *context, struct cm_varlink_reply *out)
{
	cm_deadline next = q->deadline;
	bool continues = true;
	enum cm_err err;

	*out = (struct cm_varlink_reply){ 0 };
	if ((err = send_call(w, q, false, true)) != CM_OK)
		return conclude(w, out, err);
	while (continues) {
		if ((err = receive_reply(w, q->method, true, next, out)) != CM_OK)
			return conclude(w, out, err);
		continues = out->continues;
		err = visit(context, out, &next);
		cm_varlink_reply_free(out);
		if (err != CM_OK) {
			cm_wire_give_up(w);
			return err;
		}
	}
	return CM_OK;
}

enum cm_err
cm_varlink_tell(struct cm_wire *w, const struct cm_varlink_question *q)
{
	struct cm_varlink_reply none = { 0 };

	return conclude(w, &none, send_call(w, q, true, false));
}
