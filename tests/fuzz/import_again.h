/* tests/fuzz/import_again.h - what an import is written as, cardmap.conf reads without a mistake, and means the same. */
#ifndef CM_TESTS_IMPORT_AGAIN_H
#define CM_TESTS_IMPORT_AGAIN_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mapper/import.h"

static inline void
same_text(const char *a, const char *b)
{
	if ((a == NULL) != (b == NULL) || (a != NULL && strcmp(a, b) != 0))
		abort();
}

static inline void
import_again(const struct cm_import *i)
{
	struct cm_conf *c = NULL;
	struct cm_buf text;
	char path[64];
	int fd = memfd_create("conf", MFD_CLOEXEC);

	cm_buf_init(&text, 0);
	if (fd < 0 || fchmod(fd, 0600) != 0 || cm_import_write(i, &text) != CM_OK ||
	    write(fd, cm_buf_str(&text), text.len) != (ssize_t)text.len)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (text.len < 1 << 20) {
		if (cm_conf_load(path, NULL, &c) != CM_OK || c->rule_count != i->rule_count)
			abort();
		for (size_t k = 0; k < i->rule_count; k++) {
			same_text(c->rules[k].name, i->rules[k].name);
			same_text(c->rules[k].match, i->rules[k].match);
			same_text(c->rules[k].filter, i->rules[k].filter);
			same_text(c->rules[k].value, i->rules[k].value);
		}
	}
	cm_conf_free(&c);
	cm_buf_free(&text);
	close(fd);
}

/* The whole of a harness for a reader: a refusal says why, success gives an import that stays the same. */
static inline void
fuzz_import(cm_import_reader read, const uint8_t *data, size_t size)
{
	struct cm_import *r = NULL;
	struct cm_trace *t = NULL;
	enum cm_err err;

	if (cm_trace_new(&t) != CM_OK)
		return;
	cm_trace_begin(t, "import");
	err = read((struct cm_blob){ data, size }, "f", t, &r);
	if ((err == CM_OK) != (r != NULL) ||
	    (err == CM_ERR_CONFIG) != (cm_trace_reason(t) == CM_REASON_CONFIG))
		abort();
	if (r != NULL)
		import_again(r);
	cm_import_free(&r);
	cm_trace_free(&t);
}

#endif /* CM_TESTS_IMPORT_AGAIN_H */
