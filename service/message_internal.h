/* service/message_internal.h - the types of a message's fields: how each is written, read and freed. */
#ifndef CM_SERVICE_MESSAGE_INTERNAL_H
#define CM_SERVICE_MESSAGE_INTERNAL_H

#include "service/message.h"

/* What is still to be read. */
struct cm_message_reader {
	const uint8_t *at;
	size_t left;
};

/*
 * value is the field in a struct cm_message, max its limit.
 * write: CM_ERR_USAGE: it is over its limit, or not what its type says
 * read: CM_ERR_SYNTAX, CM_ERR_NOMEM: what was read so far is in value, to be cleared
 */
struct cm_message_type {
	enum cm_err (*write)(const void *value, uint64_t max, struct cm_buf *out);
	enum cm_err (*read)(struct cm_message_reader *r, uint64_t max, void *value);
	void (*clear)(void *value);
};
extern const struct cm_message_type cm_message_number, cm_message_text, cm_message_octets, cm_message_key,
    cm_message_items, cm_message_account, cm_message_octets_list, cm_message_evidence;

/* Also the kind, before all fields. */
void cm_message_put_number(struct cm_buf *out, uint64_t n);
CM_MUST_USE enum cm_err cm_message_take_number(struct cm_message_reader *r, uint64_t max, uint64_t *out);

#endif /* CM_SERVICE_MESSAGE_INTERNAL_H */
