/* cardmapd/methods.h - what cardmapd serves, and the bodies of its methods. */
#ifndef CM_CARDMAPD_METHODS_H
#define CM_CARDMAPD_METHODS_H

#include "cardmapd/clients.h"

extern const struct cm_varlink_service cm_methods_service;
extern const struct cm_varlink_interface cm_methods_cardmap, cm_methods_login;

/* The bodies; each has been let through by the table of permissions, and finds in r->context its struct cm_client. */
enum cm_err cm_method_cards(struct cm_varlink_request *r);
enum cm_err cm_method_accounts(struct cm_varlink_request *r);
enum cm_err cm_method_doctor(struct cm_varlink_request *r);
enum cm_err cm_method_revocation(struct cm_varlink_request *r);
enum cm_err cm_method_enforcement(struct cm_varlink_request *r);
enum cm_err cm_method_status(struct cm_varlink_request *r);
enum cm_err cm_method_log(struct cm_varlink_request *r);
enum cm_err cm_method_begin(struct cm_varlink_request *r);
enum cm_err cm_method_answer(struct cm_varlink_request *r);
enum cm_err cm_method_cancel(struct cm_varlink_request *r);

/*
 * Parameters taken to the letter: of each one that is there the type, nothing that
 * is not named.  What is not well is answered here, and false is returned; *err is then the answer's.
 */
enum cm_parameter_type { CM_PARAMETER_TEXT, CM_PARAMETER_INTEGER, CM_PARAMETER_FLAG, CM_PARAMETER_OBJECT };
struct cm_parameter {
	const char *name;
	enum cm_parameter_type type;
	bool required;
	void *out;	/* const char **, json_int_t *, bool *, json_t ** (borrowed); untouched where it is absent */
};
bool cm_parameters_take(struct cm_varlink_request *r, const struct cm_parameter *rows, size_t count, enum cm_err *err);

/* NotServedHere: with the resolver's address. */
CM_MUST_USE enum cm_err cm_method_elsewhere(struct cm_varlink_request *r);

#endif /* CM_CARDMAPD_METHODS_H */
