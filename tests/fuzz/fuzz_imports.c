/* tests/fuzz/fuzz_imports.c - what the process that reads others' files tells: only keys that cardmapd obeys are set by it, and whole. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cardmapd/imports.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whose word anybody's would be, if they could be set from there. */
static void
check(void *arg, const struct cm_conf_item *item)
{
	static const char *const never[] = { "accounts.path", "accounts.first_uid", "service.user", "service.vouch", "kerberos.keytab",
		"enforcement.exempt", "service.remote" };

	(void)arg;
	for (size_t i = 0; i < CM_COUNT(never); i++)
		if (strcmp(item->key, never[i]) == 0 && strcmp(item->origin, "default") != 0)
			abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const int fd = memfd_create("cardmap.conf", MFD_CLOEXEC);
	struct cm_conf *conf = NULL;
	struct cm_trace *t = NULL;
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (fd < 0 || fchmod(fd, 0600) != 0 || cm_trace_new(&t) != CM_OK || cm_conf_load(path, t, &conf) != CM_OK)
		abort();
	close(fd);
	if (cm_imports_parse((struct cm_blob){ data, size }, conf, t) != CM_OK && cm_trace_reason(t) == CM_REASON_NONE)
		abort();
	cm_conf_each(conf, check, NULL);
	cm_conf_free(&conf);
	cm_trace_free(&t);
	return 0;
}
