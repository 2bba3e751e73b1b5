/* tests/fuzz/fuzz_varlink.c - any bytes are a call, a reply or a description, or none: what is taken can be said again. */
#include <stdlib.h>

#include "service/varlink.h"
#include "service/varlink_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool holds)
{
	if (!holds)
		abort();
}

static void
try_call(struct cm_blob text)
{
	struct cm_varlink_call c, again;
	struct cm_buf said = { 0 };

	if (cm_varlink_call_parse(text, &c) != CM_OK) {
		require(c.method == NULL && c.parameters == NULL);
		return;
	}
	require(cm_varlink_is_method(c.method) && json_is_object(c.parameters));
	require(cm_varlink_call_write(&c, &said) == CM_OK);
	require(memchr(cm_buf_str(&said), '\0', said.len) == NULL);
	require(cm_varlink_call_parse(cm_buf_blob(&said), &again) == CM_OK);
	require(strcmp(c.method, again.method) == 0 && json_equal(c.parameters, again.parameters));
	require(c.oneway == again.oneway && c.more == again.more && c.upgrade == again.upgrade);
	cm_varlink_call_free(&c);
	cm_varlink_call_free(&again);
	cm_buf_free(&said);
}

static void
try_reply(struct cm_blob text)
{
	struct cm_varlink_reply r, again;
	struct cm_buf said = { 0 };

	if (cm_varlink_reply_parse(text, &r) != CM_OK) {
		require(r.error == NULL && r.parameters == NULL);
		return;
	}
	require(json_is_object(r.parameters) && (r.error == NULL || !r.continues));
	require(cm_varlink_reply_write(&r, &said) == CM_OK);
	require(cm_varlink_reply_parse(cm_buf_blob(&said), &again) == CM_OK);
	require((r.error == NULL) == (again.error == NULL) && (r.error == NULL || strcmp(r.error, again.error) == 0));
	require(json_equal(r.parameters, again.parameters) && r.continues == again.continues);
	cm_varlink_reply_free(&r);
	cm_varlink_reply_free(&again);
	cm_buf_free(&said);
}

/* One mistake, in a line that is there; and what is right goes on being right with another comment and another error. */
static void
try_description(struct cm_blob text)
{
	static const char more[] = "\n# more\nerror FuzzedItself ()\n";
	struct cm_varlink_fault f;
	struct cm_buf longer = { 0 };
	unsigned lines = 1;

	for (size_t i = 0; i < text.len; i++)
		lines += text.ptr[i] == '\n';
	if (cm_varlink_description_check(text, NULL, &f) != CM_OK) {
		require(f.line >= 1 && f.line <= lines && f.what != NULL);
		return;
	}
	if (memmem(text.ptr, text.len, "FuzzedItself", 12) != NULL)
		return;
	cm_buf_add_blob(&longer, text);
	cm_buf_add_str(&longer, more);
	require(cm_varlink_description_check(cm_buf_blob(&longer), NULL, &f) == CM_OK);
	cm_buf_add_str(&longer, more);
	require(cm_varlink_description_check(cm_buf_blob(&longer), NULL, &f) == CM_ERR_SYNTAX);
	cm_buf_free(&longer);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct cm_blob text = { data, size };

	try_call(text);
	try_reply(text);
	try_description(text);
	return 0;
}
