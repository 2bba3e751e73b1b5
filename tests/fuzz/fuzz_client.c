/* tests/fuzz/fuzz_client.c - whatever comes from the socket, newline for NUL: no state that says more than the interface does. */
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/client_internal.h"

#define INPUT_MAX	4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool holds)
{
	if (!holds)
		abort();
}

static void
is_text(const char *text)
{
	for (; text != NULL && *text != '\0'; text++)
		require((unsigned char)*text >= 0x20 && *text != 0x7f);
}

static void
look(const struct cardmap_login *l, enum cardmap_state state, int result)
{
	const char *const texts[] = { cardmap_name(l), cardmap_user(l), cardmap_reader(l), cardmap_reason(l), cardmap_text(l),
	    cardmap_remedy(l), cardmap_grant_user(l), cardmap_grant_home(l), cardmap_grant_shell(l), cardmap_grant_ccache(l),
	    cardmap_grant_ccache_later(l) };
	const bool granted = result == 0 && state == CARDMAP_GRANTED;
	const char *id, *text;

	for (size_t i = 0; i < CM_COUNT(texts); i++)
		is_text(texts[i]);
	for (unsigned i = 0; (text = cardmap_choice(l, i, &id)) != NULL; i++) {
		is_text(text);
		require(id != NULL && id[0] != '\0');
	}
	require((cardmap_grant_user(l) != NULL) == granted);
	require(granted ? cardmap_grant_uid(l) != 0 && cardmap_grant_gid(l) != 0 : true);
	require(granted || cardmap_grant_uid(l) == (uid_t)-1);
	require(result == 0 || !cardmap_may_use_password(l));
	require(cardmap_tries(l) >= -1);
}

static struct cm_wire *
wire_of(const uint8_t *data, size_t size)
{
	const struct cm_wire_limits limits = { .message_max = 4096, .message_ms = 1000 };
	struct cm_wire *w = NULL;
	uint8_t octets[INPUT_MAX];
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
		return NULL;
	for (size_t i = 0; i < size; i++)
		octets[i] = data[i] == '\n' ? 0 : data[i];
	(void)!send(ends[1], octets, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	close(ends[1]);
	return cm_wire_new(ends[0], &limits, &w) == CM_OK ? w : NULL;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cardmap_login *l = calloc(1, sizeof(*l));
	enum cardmap_state state;
	int result = 0;

	if (size > INPUT_MAX || l == NULL || (l->wire = wire_of(data, size)) == NULL) {
		free(l);
		return -1;
	}
	l->first = cm_deadline_in(1000);
	cm_client_state_clear(&l->now);
	while (result == 0 && !l->over) {
		result = cardmap_next(l, 1000, &state);
		look(l, state, result);
	}
	require(cardmap_next(l, 0, &state) == result);
	cardmap_free(l);
	return 0;
}
