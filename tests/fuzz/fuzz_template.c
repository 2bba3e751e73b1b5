/*
 * tests/fuzz/fuzz_template.c - an octet that says how, a template, a NUL, and a
 * certificate.  A filter stays one: nothing of the certificate stands bare in it.
 */
#include <ctype.h>
#include <stdlib.h>

#include "mapper/template_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool
has(struct cm_blob v, const char *octets, size_t count)
{
	for (size_t i = 0; i < v.len; i++)
		if (memchr(octets, v.ptr[i], count) != NULL)
			return true;
	return false;
}

/* RFC 4515 section 3: "valueencoding" */
static void
check_escaped(struct cm_blob v)
{
	if (has(v, "()*", 4))
		abort();
	for (size_t i = 0; i < v.len; i++)
		if (v.ptr[i] == '\\' &&
		    (i + 2 >= v.len || !isxdigit(v.ptr[i + 1]) || !isxdigit(v.ptr[i + 2])))
			abort();
}

/* Each field alone, so that no fixed text is in the way. */
static void
check_fields(const struct cm_template *tp, const struct cm_cert *c)
{
	struct cm_buf b = { 0 };

	for (size_t i = 0; i < tp->count; i++) {
		const struct cm_template one = { .segments = &tp->segments[i], .count = 1, .escape = true,
			.dialect = tp->dialect };

		if (tp->segments[i].ref.field == NULL)
			continue;
		cm_buf_truncate(&b, 0);
		if (cm_template_write(&one, c, &b, NULL) == CM_OK)
			check_escaped(cm_buf_blob(&b));
	}
	cm_buf_free(&b);
}

/* All or nothing, and twice the same. */
static void
check_write(const struct cm_template *tp, const struct cm_cert *c)
{
	const struct cm_segment *missing = NULL;
	struct cm_buf b, again;
	enum cm_err err;

	cm_buf_init(&b, CM_VALUE_MAX);
	cm_buf_init(&again, CM_VALUE_MAX);
	cm_buf_add_str(&b, "=");
	cm_buf_add_str(&again, "=");
	err = cm_template_write(tp, c, &b, &missing);
	if (cm_template_write(tp, c, &again, NULL) != err ||
	    !cm_blob_equal(cm_buf_blob(&b), cm_buf_blob(&again)) || (err != CM_OK && b.len != 1))
		abort();
	if (missing != NULL && (err == CM_OK || missing->ref.field == NULL))
		abort();
	cm_buf_free(&b);
	cm_buf_free(&again);
}

static enum cm_err
try_dialect(const char *text, enum cm_dialect dialect, bool escape, const struct cm_cert *c)
{
	struct cm_template tp;
	struct cm_syntax why;
	const enum cm_err err = cm_template_parse(text, dialect, escape, &tp, &why);

	if (err == CM_ERR_SYNTAX && (why.column == 0 || why.column > strlen(text) + 1 || why.what[0] == '\0' ||
	    tp.count != 0))
		abort();
	if (err == CM_OK && c != NULL) {
		check_write(&tp, c);
		check_fields(&tp, c);
	}
	cm_template_clear(&tp);
	return err;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *nul;
	struct cm_cert *c = NULL;
	enum cm_err ldap, ldapu1, own;
	char *text;

	if (size < 2 || (nul = memchr(data + 1, '\0', size - 1)) == NULL)
		return 0;
	text = (char *)(uintptr_t)data + 1;
	if (cm_cert_decode((struct cm_blob){ nul + 1, size - (size_t)(nul + 1 - data) }, NULL, &c) != CM_OK)
		c = NULL;
	ldap = try_dialect(text, CM_DIALECT_LDAP, (data[0] & 1) != 0, c);
	ldapu1 = try_dialect(text, CM_DIALECT_LDAPU1, (data[0] & 1) != 0, c);
	own = try_dialect(text, CM_DIALECT_OWN, (data[0] & 1) != 0, c);
	/* Each has all words of the one before. */
	if ((ldap == CM_OK && ldapu1 != CM_OK) || (ldapu1 == CM_OK && own != CM_OK))
		abort();
	cm_cert_free(&c);
	return 0;
}
