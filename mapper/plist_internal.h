/* mapper/plist_internal.h - a property list, whichever form it came in. */
#ifndef CM_MAPPER_PLIST_INTERNAL_H
#define CM_MAPPER_PLIST_INTERNAL_H

#include "base/blob.h"
#include "base/trace.h"

/* A SmartcardLogin.plist is a few KB; these bound what a hostile one costs. */
#define CM_PLIST_MAX		((size_t)1 << 20)	/* bytes */
#define CM_PLIST_NODES_MAX	4096
#define CM_PLIST_DEPTH_MAX	16

struct cm_plist_node {
	enum cm_plist_type {
		CM_PLIST_DICT, CM_PLIST_ARRAY, CM_PLIST_STRING, CM_PLIST_INTEGER, CM_PLIST_BOOL,
		CM_PLIST_OTHER,
	} type;
	char *key;			/* owned; NULL outside a dict */
	char *text;			/* owned; of a string, UTF-8 without a NUL; else NULL */
	int64_t number;			/* of an integer; 0 or 1 of a bool */
	int line;			/* of the value; 0: the form has no lines */
	struct cm_plist_node *child;	/* first of a dict or array; owned */
	struct cm_plist_node *next;	/* sibling; owned */
};

/* The file being read, for messages and limits. */
struct cm_plist_file {
	const char *name;
	struct cm_trace *trace;
	unsigned nodes;
	uint64_t text;			/* bytes of all texts so far */
};

/* "NAME:LINE: what; remedy", without the line when it is 0.  Returns CM_ERR_CONFIG. */
enum cm_err cm_plist_fail(const struct cm_plist_file *f, int line, const char *fmt, ...) CM_PRINTF(3, 4);

/* A new node; CM_ERR_NOMEM, or CM_ERR_CONFIG when there are too many. */
CM_MUST_USE enum cm_err cm_plist_node_new(struct cm_plist_file *f, enum cm_plist_type type,
    int line, struct cm_plist_node **out);
void cm_plist_node_free(struct cm_plist_node **n);

/* The two forms.  *out is the caller's.  CM_ERR_CONFIG (reason set), CM_ERR_NOMEM. */
CM_MUST_USE enum cm_err cm_plist_read_xml(struct cm_plist_file *f, struct cm_blob bytes,
    struct cm_plist_node **out);
CM_MUST_USE enum cm_err cm_plist_read_binary(struct cm_plist_file *f, struct cm_blob bytes,
    struct cm_plist_node **out);

#endif /* CM_MAPPER_PLIST_INTERNAL_H */
