/*
 * tests/client/test_abi.c - what programs that were built with <cardmap.h> rely on: its numbers, layouts, types and versions.
 *
 * Nothing that stands here changes any more.  What is new comes behind it: a state, a member (whose size cardmap_begin()
 * takes beside those of before), a function with a version of its own.  test_library.py compares FUNCTIONS with all that
 * libcardmap.so has.
 */
#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "client/cardmap.h"

#define WORD	sizeof(void *)
#define STANDS(what)	_Static_assert(what, "the ABI of libcardmap.so.1 changed: " #what)

STANDS(CARDMAP_CARD == 0);
STANDS(CARDMAP_READING == 1);
STANDS(CARDMAP_CHOOSE == 2);
STANDS(CARDMAP_PIN == 3);
STANDS(CARDMAP_WORKING == 4);
STANDS(CARDMAP_GRANTED == 5);
STANDS(CARDMAP_REFUSED == 6);
STANDS(sizeof(enum cardmap_state) == sizeof(int));

STANDS(CARDMAP_PATIENCE == 620000);
STANDS(CARDMAP_PIN_MAX == 256);
STANDS(CARDMAP_SECRET_MAX == 128);

STANDS(sizeof(size_t) == WORD);
STANDS(offsetof(struct cardmap_request, size) == 0);
STANDS(offsetof(struct cardmap_request, user) == WORD);
STANDS(offsetof(struct cardmap_request, service) == 2 * WORD);
STANDS(offsetof(struct cardmap_request, tty) == 3 * WORD);
STANDS(offsetof(struct cardmap_request, rhost) == 4 * WORD);
STANDS(offsetof(struct cardmap_request, reader) == 5 * WORD);
STANDS(offsetof(struct cardmap_request, purpose) == 6 * WORD);
STANDS(offsetof(struct cardmap_request, secret) == 7 * WORD);	/* the size that the first version had */
STANDS(sizeof(((struct cardmap_request *)0)->secret) == 1);
STANDS(sizeof(struct cardmap_request) == 8 * WORD);
STANDS(_Alignof(struct cardmap_request) == _Alignof(void *));

/* Each with the version that programs ask for, its type, its name and its parameters. */
#define FUNCTIONS(X) \
	X(CARDMAP_1, int, cardmap_begin, (const struct cardmap_request *, struct cardmap_login **)) \
	X(CARDMAP_1, int, cardmap_begin_at, (const char *, const struct cardmap_request *, struct cardmap_login **)) \
	X(CARDMAP_1, void, cardmap_free, (struct cardmap_login *)) \
	X(CARDMAP_1, int, cardmap_next, (struct cardmap_login *, int, enum cardmap_state *)) \
	X(CARDMAP_1, int, cardmap_fd, (const struct cardmap_login *)) \
	X(CARDMAP_1, const char *, cardmap_error, (int)) \
	X(CARDMAP_1, const char *, cardmap_name, (const struct cardmap_login *)) \
	X(CARDMAP_1, const char *, cardmap_user, (const struct cardmap_login *)) \
	X(CARDMAP_1, const char *, cardmap_reader, (const struct cardmap_login *)) \
	X(CARDMAP_1, bool, cardmap_is_online, (const struct cardmap_login *)) \
	X(CARDMAP_1, int, cardmap_tries, (const struct cardmap_login *)) \
	X(CARDMAP_1, bool, cardmap_is_last_try, (const struct cardmap_login *)) \
	X(CARDMAP_1, bool, cardmap_has_pad, (const struct cardmap_login *)) \
	X(CARDMAP_1, const char *, cardmap_reason, (const struct cardmap_login *)) \
	X(CARDMAP_1, const char *, cardmap_text, (const struct cardmap_login *)) \
	X(CARDMAP_1, const char *, cardmap_remedy, (const struct cardmap_login *)) \
	X(CARDMAP_1, bool, cardmap_may_use_password, (const struct cardmap_login *)) \
	X(CARDMAP_1, const char *, cardmap_choice, (const struct cardmap_login *, unsigned, const char **)) \
	X(CARDMAP_1, int, cardmap_choose, (struct cardmap_login *, const char *)) \
	X(CARDMAP_1, int, cardmap_pin, (struct cardmap_login *, const char *, size_t, bool)) \
	X(CARDMAP_1, int, cardmap_pin_at_reader, (struct cardmap_login *, bool)) \
	X(CARDMAP_1, int, cardmap_change_pin, (struct cardmap_login *, const char *, size_t, const char *, size_t, bool)) \
	X(CARDMAP_1, const char *, cardmap_grant_user, (const struct cardmap_login *)) \
	X(CARDMAP_1, uid_t, cardmap_grant_uid, (const struct cardmap_login *)) \
	X(CARDMAP_1, gid_t, cardmap_grant_gid, (const struct cardmap_login *)) \
	X(CARDMAP_1, const char *, cardmap_grant_home, (const struct cardmap_login *)) \
	X(CARDMAP_1, const char *, cardmap_grant_shell, (const struct cardmap_login *)) \
	X(CARDMAP_1, const char *, cardmap_grant_ccache, (const struct cardmap_login *)) \
	X(CARDMAP_1, long long, cardmap_grant_kept_age, (const struct cardmap_login *)) \
	X(CARDMAP_1, const char *, cardmap_grant_warning, (const struct cardmap_login *, unsigned)) \
	X(CARDMAP_2, int, cardmap_secret, (struct cardmap_login *, char *, size_t)) \
	X(CARDMAP_3, const char *, cardmap_grant_ccache_later, (const struct cardmap_login *)) \
	X(CARDMAP_4, int, cardmap_pair, (struct cardmap_login *, const char *, size_t, const char *, size_t, bool))

#define TYPE(version, result, name, parameters)	STANDS(_Generic(&name, result (*)parameters: 1, default: 0));
FUNCTIONS(TYPE)

/* As the loader finds them for a program of then, and for one of today. */
static void
test_versions(void **state)
{
	static const struct { const char *name, *version; void (*linked)(void); } rows[] = {
#define ROW(version, result, name, parameters)	{ #name, #version, (void (*)(void))name },
		FUNCTIONS(ROW)
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		void (*found)(void);

		*(void **)&found = dlvsym(RTLD_DEFAULT, rows[i].name, rows[i].version);
		if (found == NULL || found != rows[i].linked)
			fail_msg("%s@%s: %s", rows[i].name, rows[i].version, found == NULL ? dlerror() : "not what programs are linked with");
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_versions) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
