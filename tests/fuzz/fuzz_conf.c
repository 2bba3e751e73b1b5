/* tests/fuzz/fuzz_conf.c - a configuration file: any bytes give values in range, or a mistake that is named. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cm_trace *t = NULL;
	struct cm_conf *c = NULL;
	char path[32] = "/proc/self/fd/";
	int fd = memfd_create("conf", MFD_CLOEXEC);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size || fchmod(fd, 0600) != 0)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (cm_trace_new(&t) != CM_OK)
		abort();
	cm_trace_begin(t, "configuration");
	if (cm_conf_load(path, t, &c) == CM_OK) {
		if (c->trust.level.level > 3 || (c->trust.level.level < 2 && c->trust.level.max_age != 0) ||
		    c->trust.undated_max > 604800 || c->directory.timeout < 50 || c->accounts.first_uid == 0)
			abort();
		for (size_t i = 0; i < c->rule_count; i++) {
			const struct cm_conf_rule *r = &c->rules[i];
			struct cm_conf_level level;

			if (r->name == NULL || r->name[0] == '\0' || r->origin == NULL ||
			    (r->filter == NULL) == (r->value == NULL) || (r->attribute == NULL) != (r->value == NULL))
				abort();
			if (r->level != NULL && (!cm_conf_level_parse(r->level, &level) || level.level == 0))
				abort();
		}
	} else if (cm_trace_reason(t) != CM_REASON_CONFIG) {
		abort();
	}
	cm_conf_free(&c);
	cm_trace_free(&t);
	close(fd);
	return 0;
}
