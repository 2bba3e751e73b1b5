/* tests/helper/test_secret.c - the PIN is in no place where somebody could find it, and who holds it can do next to nothing. */
#include "helper_rig.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Not one that stands in a table of digits. */
#define RARE_PIN	"49207713"
#define WRONG_PIN	"50318824"
#define NOBODY		65534
#define REGION_MAX	((size_t)64 << 20)	/* the sanitizers' shadow is terabytes */

static const uint8_t nonce[32] = { 1 };

static void
change_pin(void)
{
	const struct cm_message m = { .kind = CM_MESSAGE_CHANGE_PIN, .deadline = 20000 };
	struct helper h;

	card_become(card_make("alice-p256", "alice-p256", GUID));
	helper_start(&h, NULL);
	assert_int_equal(helper_open(&h), CM_OK);
	cm_message_clear(&h.answer);
	helper_send(&h, &m, PIN, RARE_PIN);
	assert_int_equal(cm_channel_receive(h.channel, cm_deadline_in(20000), &h.answer, NULL, 0), CM_OK);
	assert_int_equal(h.answer.err, CM_OK);
	helper_end(&h);
}

static struct cm_buf
read_proc(pid_t pid, const char *name)
{
	struct cm_buf b = { 0 };
	char path[64], piece[4096];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	assert_true((fd = open(path, O_RDONLY | O_CLOEXEC)) >= 0);
	while ((n = read(fd, piece, sizeof(piece))) > 0)
		cm_buf_add(&b, piece, (size_t)n);
	close(fd);
	assert_int_equal(cm_buf_status(&b), CM_OK);
	return b;
}

static void
assert_not_in(const struct cm_buf *b, const char *where)
{
	static const char *const pins[] = { RARE_PIN, WRONG_PIN };

	for (size_t i = 0; i < CM_COUNT(pins); i++)
		if (memmem(b->ptr, b->len, pins[i], strlen(pins[i])) != NULL)
			fail_msg("a PIN stands in %s", where);
}

/* How many regions were looked at. */
static unsigned
scan_memory(pid_t pid)
{
	struct cm_buf maps = read_proc(pid, "maps");
	unsigned regions = 0;
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
	assert_true((fd = open(path, O_RDONLY | O_CLOEXEC)) >= 0);
	for (const char *line = cm_buf_str(&maps); *line != '\0'; line = strchr(line, '\n') + 1) {
		char *end = NULL;
		const size_t from = strtoul(line, &end, 16), to = strtoul(end + 1, &end, 16);
		struct cm_buf b = { 0 };
		char where[256];
		ssize_t n;

		if (strncmp(end, " rw", 3) != 0 || to - from > REGION_MAX)
			continue;
		snprintf(where, sizeof(where), "its memory: %.*s", (int)strcspn(line, "\n"), line);
		if ((n = pread(fd, cm_buf_extend(&b, to - from), to - from, (off_t)from)) > 0) {
			cm_buf_truncate(&b, (size_t)n);
			assert_not_in(&b, where);
			regions++;
		}
		cm_buf_free(&b);
	}
	close(fd);
	cm_buf_free(&maps);
	return regions;
}

static void
look_everywhere(const struct helper *h)
{
	static const char *const files[] = { "cmdline", "environ", "status", "maps" };

	for (size_t i = 0; i < CM_COUNT(files); i++) {
		struct cm_buf b = read_proc(h->pid, files[i]);

		assert_not_in(&b, files[i]);
		cm_buf_free(&b);
	}
	assert_true(scan_memory(h->pid) > 10);
}

/* After each step that had to do with it: what was needed for a moment is wiped. */
static void
test_pin_is_nowhere(void **state)
{
	struct helper h;

	(void)state;
	change_pin();
	helper_start(&h, NULL);
	assert_int_equal(helper_open(&h), CM_OK);
	assert_int_equal(helper_verify(&h, WRONG_PIN), CM_ERR_REFUSED);
	assert_int_equal(helper_reason(&h), CM_REASON_PIN_WRONG);
	look_everywhere(&h);
	assert_int_equal(helper_verify(&h, RARE_PIN), CM_OK);
	look_everywhere(&h);
	assert_int_equal(helper_sign(&h, nonce), CM_OK);
	look_everywhere(&h);
	helper_end(&h);
	assert_int_equal(card_log_count(RARE_PIN), 0);
}

/* The search itself finds what is there: the reader's name, which the helper must have. */
static void
test_the_search_finds_what_is_there(void **state)
{
	struct cm_buf maps, found = { 0 };
	struct helper h;

	(void)state;
	card_become(card_make("alice-p256", "alice-p256", GUID));
	helper_start(&h, NULL);
	assert_int_equal(helper_open(&h), CM_OK);
	maps = read_proc(h.pid, "maps");
	for (const char *line = cm_buf_str(&maps); *line != '\0'; line = strchr(line, '\n') + 1) {
		char *end = NULL, path[64];
		const size_t from = strtoul(line, &end, 16), to = strtoul(end + 1, &end, 16);
		int fd;

		if (strncmp(end, " rw", 3) != 0 || to - from > REGION_MAX)
			continue;
		snprintf(path, sizeof(path), "/proc/%d/mem", (int)h.pid);
		assert_true((fd = open(path, O_RDONLY | O_CLOEXEC)) >= 0);
		if (pread(fd, cm_buf_extend(&found, to - from), to - from, (off_t)from) < 0)
			cm_buf_truncate(&found, found.len - (to - from));
		close(fd);
	}
	assert_non_null(memmem(found.ptr, found.len, READER, strlen(READER)));
	cm_buf_free(&found);
	cm_buf_free(&maps);
	helper_end(&h);
}

/* Of the whole computer: who is root of one user id alone becomes nobody else. */
static void
need_root(void)
{
	unsigned long first = 1, outside = 1, count = 0;
	struct cm_buf map = read_proc(getpid(), "uid_map");
	char *end = NULL;

	first = strtoul(cm_buf_str(&map), &end, 10);
	outside = strtoul(end, &end, 10);
	count = strtoul(end, NULL, 10);
	cm_buf_free(&map);
	if (geteuid() != 0 || first != 0 || outside != 0 || count <= NOBODY)
		skip();
}

static void
test_no_core_no_debugger_no_new_privileges(void **state)
{
	struct cm_buf b;
	struct helper h;
	struct stat st;
	char path[64];

	(void)state;
	need_root();
	card_become(card_make("alice-p256", "alice-p256", GUID));
	helper_start_as(&h, NOBODY);
	assert_int_equal(helper_open(&h), CM_OK);
	b = read_proc(h.pid, "status");
	assert_non_null(strstr(cm_buf_str(&b), "NoNewPrivs:\t1\n"));
	assert_non_null(strstr(cm_buf_str(&b), "Seccomp:\t2\n"));
	cm_buf_free(&b);
	b = read_proc(h.pid, "limits");
	assert_non_null(strstr(cm_buf_str(&b), "Max core file size        0                    0"));
	cm_buf_free(&b);
	/* proc(5): of a process that is not dumpable everything belongs to root */
	snprintf(path, sizeof(path), "/proc/%d/mem", (int)h.pid);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_uid, 0);
	helper_end(&h);
}

/* As it runs in earnest: pcscd lets an ordinary user in, and nothing else of root's is needed. */
static void
test_as_an_ordinary_user(void **state)
{
	const struct cm_message m = { .kind = CM_MESSAGE_GET_TICKET, .principal = "alice@CARDMAP.TEST",
		.host_principal = getenv("CM_RIG_HOST_PRINCIPAL"), .nonce = { nonce, sizeof(nonce) }, .deadline = 20000 };
	struct helper h;

	(void)state;
	need_root();
	card_become(card_make("alice-p256", "alice-p256", GUID));
	helper_start_as(&h, NOBODY);
	assert_int_equal(helper_open(&h), CM_OK);
	assert_int_equal(helper_verify(&h, PIN), CM_OK);
	assert_int_equal(helper_sign(&h, nonce), CM_OK);
	if (helper_ask(&h, &m, NULL, CM_MESSAGE_TICKET) != CM_OK)
		fail_msg("%s", h.answer.text);
	assert_true(h.answer.ap_req.len > 100);
	helper_end(&h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pin_is_nowhere),
		cmocka_unit_test(test_the_search_finds_what_is_there),
		cmocka_unit_test(test_no_core_no_debugger_no_new_privileges),
		cmocka_unit_test(test_as_an_ordinary_user),
	};

	return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}
