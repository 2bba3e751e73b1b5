/* tests/card/test_twins.c - readers with long names, of which a PKCS #11 module has the first 64 octets. */
#include "card_rig.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define FOLDER	"/run/rig/twins"
/* 63 octets of the rig's CM_READER_NAME, then " 00 00" and " 00 01": what is cut off is what tells them apart, and a blank is left at the end */
#define NAME	CM_READER_NAME

static const char *const modules[] = { FOLDER "/module.so", NULL };

static void
make_token(void)
{
	char command[2048];
	FILE *f;

	snprintf(command, sizeof(command), "mkdir -m 755 " FOLDER " && install -m 644 '%1$s' " FOLDER "/module.so && "
	    "install -m 644 '%2$s/alice-p256.crt' " FOLDER "/1.crt && install -m 644 '%2$s/alice-p256.key' " FOLDER "/1.key && "
	    "echo '3 0 0 0' >" FOLDER "/state", CM_TOKEN_MODULE, getenv("CM_RIG_PKI"));
	assert_int_equal(system(command), 0);
	assert_non_null(f = fopen(FOLDER "/conf", "w"));
	fprintf(f, "reader %.64s\n", NAME " 00 00");
	assert_int_equal(fclose(f), 0);
	assert_non_null(f = fopen(FOLDER "/pin", "w"));
	fputs(PIN, f);
	assert_int_equal(fclose(f), 0);
}

static enum cm_err
open_in(const char *reader)
{
	const struct cm_card_from from = { .source = reader, .purpose = CM_CARD_LOGIN, .modules = modules, .modules_only = true };
	struct cm_card *card = NULL;
	const enum cm_err err = cm_card_open_from(&from, cm_deadline_in(20000), test_trace(), &card);

	cm_card_close(&card);
	return err;
}

static enum cm_err
count(void *arg, const struct cm_reader *r)
{
	*(unsigned *)arg += r->card_present;
	return CM_OK;
}

static void
wait_for_cards(unsigned wanted)
{
	const cm_deadline deadline = cm_deadline_in(20000);
	unsigned seen = wanted + 1;

	while (seen != wanted) {
		assert_false(cm_deadline_passed(deadline));
		seen = 0;
		assert_int_equal(cm_card_readers(deadline, NULL, count, &seen), CM_OK);
	}
}

/* The module's token may be in either: nobody's PIN is asked for. */
static void
test_no_pin_where_a_module_cannot_tell_readers_apart(void **state)
{
	const char *dir = card_make("bob", "bob", "");
	pid_t second;

	(void)state;
	make_token();
	wait_for_cards(1);
	if (open_in("reader:" NAME " 00 00") != CM_OK)
		fail_msg("%s", cm_trace_message(test_trace()));
	if ((second = fork()) == 0) {
		execl(getenv("CM_VCARD"), "vcard", "--card", dir, "--port", "35964", (char *)NULL);
		_exit(127);
	}
	wait_for_cards(2);
	assert_int_equal(open_in("reader:" NAME " 00 00"), CM_ERR_USAGE);
	assert_int_equal(cm_trace_reason(test_trace()), CM_REASON_SEVERAL_CARDS);
	assert_non_null(strstr(cm_trace_message(test_trace()), NAME " 00 01"));
	cm_trace_clear_reason(test_trace());
	kill(second, SIGTERM);
	waitpid(second, NULL, 0);
	wait_for_cards(1);
	assert_int_equal(open_in("reader:" NAME " 00 00"), CM_OK);
}

int
main(void)
{
	struct stat root;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_pin_where_a_module_cannot_tell_readers_apart),
	};

	/* no module is root's where nothing is */
	if (stat("/", &root) != 0 || root.st_uid != 0 || geteuid() != 0) {
		puts("a module of root's: [  SKIPPED ]");
		return 0;
	}
	return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}
