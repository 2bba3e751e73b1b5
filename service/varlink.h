/* service/varlink.h - calls and replies of varlink over a wire: checked, made, served from a table, and asked. */
#ifndef CM_SERVICE_VARLINK_H
#define CM_SERVICE_VARLINK_H

#include <jansson.h>

#include "base/wire.h"

/*
 * https://varlink.org/Method-Call: each message is one JSON object.  Read to the
 * letter: no key twice, no member but the standard's, UTF-8 alone, integers
 * of 64 bits, at most CM_VARLINK_DEPTH objects and arrays in each other, nothing
 * behind the object.  A vendor's extensions, which the standard allows, are refused.
 *
 * No PIN is ever in a message, nor in anything made from one: it goes through
 * a pipe whose descriptor is passed beside the call.
 */
#define CM_VARLINK_DEPTH	16

/* interface.Method, of which both parts have the grammar of https://varlink.org/Interface-Definition. */
bool cm_varlink_is_method(const char *name);
bool cm_varlink_is_interface(const char *name);

/* What is owned is freed by the function below it. */
struct cm_varlink_call {
	char *method;		/* owned */
	json_t *parameters;	/* owned; an object, empty where none were sent */
	bool oneway;		/* wants no reply */
	bool more;		/* takes several */
	bool upgrade;		/* wants another protocol from then on */
};

struct cm_varlink_reply {
	char *error;		/* owned; interface.Error, or NULL: it is an answer */
	json_t *parameters;	/* owned; an object, of the error if it is one */
	bool continues;		/* more follow; never with an error */
};

/*
 * CM_ERR_SYNTAX  it is no call (reply): *out is empty.  oneway, more and upgrade go
 *                one at a time: what two of them together ask for, nobody says
 * CM_ERR_NOMEM
 */
CM_MUST_USE enum cm_err cm_varlink_call_parse(struct cm_blob message, struct cm_varlink_call *out);
CM_MUST_USE enum cm_err cm_varlink_reply_parse(struct cm_blob message, struct cm_varlink_reply *out);
void cm_varlink_call_free(struct cm_varlink_call *c);
void cm_varlink_reply_free(struct cm_varlink_reply *r);

/* Append it, without the NUL.  CM_ERR_USAGE: it is none that the above would take; CM_ERR_NOMEM, CM_ERR_SYNTAX: as cm_buf_status(). */
CM_MUST_USE enum cm_err cm_varlink_call_write(const struct cm_varlink_call *c, struct cm_buf *out);
CM_MUST_USE enum cm_err cm_varlink_reply_write(const struct cm_varlink_reply *r, struct cm_buf *out);

/* ---- serving */

/* The standard's errors (https://varlink.org/Service). */
#define CM_VARLINK_SERVICE	"org.varlink.service"
#define CM_VARLINK_INTERFACE_NOT_FOUND	CM_VARLINK_SERVICE ".InterfaceNotFound"
#define CM_VARLINK_METHOD_NOT_FOUND	CM_VARLINK_SERVICE ".MethodNotFound"
#define CM_VARLINK_METHOD_NOT_IMPLEMENTED	CM_VARLINK_SERVICE ".MethodNotImplemented"
#define CM_VARLINK_INVALID_PARAMETER	CM_VARLINK_SERVICE ".InvalidParameter"
#define CM_VARLINK_PERMISSION_DENIED	CM_VARLINK_SERVICE ".PermissionDenied"
#define CM_VARLINK_EXPECTED_MORE	CM_VARLINK_SERVICE ".ExpectedMore"

/*
 * A call that waits for its answer.  A handler that answers later keeps a copy
 * and answers through that alone; nobody serves the next message of this wire before.
 */
struct cm_varlink_turn {
	struct cm_wire *wire;	/* borrowed */
	bool oneway, more;
	bool answered;		/* finally */
};

struct cm_varlink_service;

struct cm_varlink_request {
	struct cm_varlink_turn turn;
	const struct cm_varlink_service *service;
	const struct cm_varlink_call *call;	/* borrowed for the handler's time */
	void *context;
	cm_deadline deadline;	/* of its answer */
};

/*
 * Take descriptors from the wire, answer by the functions below.  Whatever is not
 * CM_OK ends the connection: a refusal is an error of the interface, sent as an answer.
 */
typedef enum cm_err (*cm_varlink_handler)(struct cm_varlink_request *r);

enum {
	CM_VARLINK_MORE = 1,		/* only for callers that take several replies; others are told: ExpectedMore */
	CM_VARLINK_TAKES_DESCRIPTORS = 2,	/* from others they are refused: InvalidParameter descriptors */
	CM_VARLINK_LATER = 4,		/* may return without an answer */
};

struct cm_varlink_method {
	const char *name;	/* within its interface */
	cm_varlink_handler serve;	/* NULL: described and not there, MethodNotImplemented */
	unsigned flags;
};

struct cm_varlink_interface {
	const char *name;
	const char *description;	/* text of https://varlink.org/Interface-Definition */
	const struct cm_varlink_method *methods;
	size_t count;
};

/* A service; org.varlink.service need not be among its interfaces: it is always there. */
struct cm_varlink_service {
	const char *vendor, *product, *version, *url;
	const struct cm_varlink_interface *const *interfaces;
	size_t count;
};

/*
 * Serve one message that was received from w.
 *
 * CM_OK          answered, if only by an error; or kept to be answered later
 * CM_ERR_SYNTAX  it is no call: the connection ended, since nobody could say which reply is which
 * CM_ERR_STATE   the handler gave no answer: a mistake of the program; it ended
 * others         the handler's, or the wire's: it ended
 */
CM_MUST_USE enum cm_err cm_varlink_serve(const struct cm_varlink_service *s, struct cm_wire *w,
    struct cm_blob message, void *context, cm_deadline deadline);

/*
 * Answer.  parameters is given whatever follows; NULL, as of a json_pack() that
 * found no memory, is CM_ERR_NOMEM.  One that wants no reply gets none, and this is CM_OK.
 *
 * CM_ERR_STATE   it was answered; or it takes one reply only, and this is not the last
 * CM_ERR_USAGE   too large, or no error's name: nothing was sent
 * others         as cm_wire_send()
 */
CM_MUST_USE enum cm_err cm_varlink_answer(struct cm_varlink_turn *t, json_t *parameters, cm_deadline deadline);
/* The same of a whole reply, {"parameters":{...}} as json_dumps(3) writes it: it is sent as it is. */
CM_MUST_USE enum cm_err cm_varlink_answer_text(struct cm_varlink_turn *t, struct cm_blob reply, cm_deadline deadline);
/* With a descriptor beside it, which stays the caller's; -1: none. */
CM_MUST_USE enum cm_err cm_varlink_answer_with(struct cm_varlink_turn *t, json_t *parameters, int fd, cm_deadline deadline);
/* More follow. */
CM_MUST_USE enum cm_err cm_varlink_continue(struct cm_varlink_turn *t, json_t *parameters, cm_deadline deadline);
CM_MUST_USE enum cm_err cm_varlink_error(struct cm_varlink_turn *t, const char *error, json_t *parameters,
    cm_deadline deadline);
/* InvalidParameter, with its name. */
CM_MUST_USE enum cm_err cm_varlink_invalid(struct cm_varlink_turn *t, const char *parameter, cm_deadline deadline);

/* ---- asking */

struct cm_varlink_question {
	const char *method;
	json_t *parameters;	/* borrowed; an object, or NULL: none */
	const int *descriptors;	/* borrowed, beside the call */
	size_t descriptor_count;
	cm_deadline deadline;	/* of the next reply; of the call, where none is wanted */
};

/*
 * Three answers, and *out holds the reply of the first two and of CM_ERR_USAGE, to be freed:
 *
 * CM_OK           an answer
 * CM_ERR_REFUSED  an error of the method's own interface: asked, and it is no
 *
 * Could not ask:
 * CM_ERR_USAGE    an error of org.varlink.service: this is not on offer there, to this caller; or
 *                 (out->error is NULL) the question is none
 * CM_ERR_OFFLINE  no answer: silent, or gone
 * CM_ERR_SYNTAX   what came is no reply to this, such as the error of yet another interface
 * CM_ERR_NOMEM, CM_ERR_SYSTEM
 * After all but CM_ERR_USAGE the connection has ended: an answer might yet come, to another question.
 */
CM_MUST_USE enum cm_err cm_varlink_ask(struct cm_wire *w, const struct cm_varlink_question *q,
    struct cm_varlink_reply *out);

/* Each reply but an error, in order; next, at first the question's, is when the next one must come, and may be moved. */
typedef enum cm_err (*cm_varlink_visit)(void *context, const struct cm_varlink_reply *r, cm_deadline *next);

/*
 * As cm_varlink_ask(), for several replies.  What visit returns, if not CM_OK, ends
 * the connection, as the standard asks of who is no longer interested, and is returned.
 * *out is the last one where that is an error, and empty otherwise.
 */
CM_MUST_USE enum cm_err cm_varlink_ask_more(struct cm_wire *w, const struct cm_varlink_question *q,
    cm_varlink_visit visit, void *context, struct cm_varlink_reply *out);

/* Ask for no reply: CM_OK says that it was sent. */
CM_MUST_USE enum cm_err cm_varlink_tell(struct cm_wire *w, const struct cm_varlink_question *q);

/* ---- interface descriptions */

struct cm_varlink_fault {
	unsigned line;		/* from 1 */
	const char *what;	/* static text: what is wanted there */
};

/*
 * Does text have the grammar of https://varlink.org/Interface-Definition, each
 * name once, each type that is used there?  White space is ASCII's; a comment
 * ends with its line.  If name is not NULL, the interface must be called that.
 *
 * CM_ERR_SYNTAX  *fault says where and what
 */
CM_MUST_USE enum cm_err cm_varlink_description_check(struct cm_blob text, const char *name,
    struct cm_varlink_fault *fault);

/* Are the rows of i the methods that its description has, in the same order, and is that right? */
CM_MUST_USE enum cm_err cm_varlink_interface_check(const struct cm_varlink_interface *i,
    struct cm_varlink_fault *fault);

#endif /* CM_SERVICE_VARLINK_H */
