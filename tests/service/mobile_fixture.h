/* tests/service/mobile_fixture.h - a store and a folder of records, for tests of mobile accounts. */
#ifndef CM_TESTS_SERVICE_MOBILE_FIXTURE_H
#define CM_TESTS_SERVICE_MOBILE_FIXTURE_H

#include "service/mobile.h"

#define DAY	86400

struct fixture {
	char folder[32], store[64], userdb[64];
	struct cm_conf conf;
	struct cm_mobile_host h;
	struct cm_trace *t;
	unsigned ended[3];
	char last[64];
	time_t signed_time;	/* of what a responder said at a login; 0: none did */
};

/* The record of account("alice", 10001). */
#define ALICE "{\"gid\":10000,\"homeDirectory\":\"/home/alice\",\"realName\":\"Alice \\\"Q\\\" Exampl\303\251\",\"shell\":\"/bin/bash\",\"uid\":10001,\"userName\":\"alice\"}\n"
#define ALICE_SH "{\"gid\":10000,\"homeDirectory\":\"/home/alice\",\"realName\":\"Alice \\\"Q\\\" Exampl\303\251\",\"shell\":\"/bin/sh\",\"uid\":10001,\"userName\":\"alice\"}\n"

void mobile_reopen(struct fixture *f);
int mobile_set_up(void **state);
int mobile_tear_down(void **state);
struct cm_account mobile_account(const char *name, uid_t uid);
enum cm_err mobile_log_in(struct fixture *f, const struct cm_account *a, bool asked, time_t now);
enum cm_err mobile_settle(struct fixture *f, time_t now);
void mobile_expect_file(const struct fixture *f, const char *name, const char *content);
void mobile_put_file(const struct fixture *f, const char *name, const char *content);
unsigned mobile_count_files(const struct fixture *f);
void mobile_expect_alice(const struct fixture *f, bool there);
void mobile_expect_warning(const struct fixture *f, const char *text);

#endif /* CM_TESTS_SERVICE_MOBILE_FIXTURE_H */
