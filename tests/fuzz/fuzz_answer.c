/* tests/fuzz/fuzz_answer.c - an answer of the service, as the command reads it: taken whole, written the same, or not taken. */
#include <stdlib.h>
#include <string.h>

#include "service/answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
need(bool it)
{
	if (!it)
		abort();
}

/* What was read is written and read again as the same. */
static void
check_account(const json_t *o)
{
	struct cm_account *a = NULL, *again = NULL;
	json_t *written;

	if (cm_answer_read_account(o, &a) != CM_OK) {
		need(a == NULL);
		return;
	}
	written = cm_answer_account(a);
	need(cm_answer_read_account(written, &again) == CM_OK);
	need(again->uid == a->uid && again->gid == a->gid && again->group_count == a->group_count);
	cm_account_free(&a);
	cm_account_free(&again);
	json_decref(written);
}

static void
check_outcome(const json_t *o)
{
	struct cm_trace *t = NULL;
	enum cm_err err = CM_OK;

	if (cm_trace_new(&t) != CM_OK)
		return;
	if (cm_answer_read_outcome(o, t, &err) == CM_OK)
		need((err == CM_OK) == (cm_trace_reason(t) == CM_REASON_NONE));
	json_decref(cm_answer_outcome(err, t, 0));
	cm_trace_free(&t);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *o = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);

	if (o == NULL)
		return 0;
	check_account(json_object_get(o, "account"));
	check_outcome(json_object_get(o, "outcome"));
	json_decref(o);
	return 0;
}
