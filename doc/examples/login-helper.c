/* login-helper.c - a login helper of one's own: cc login-helper.c $(pkg-config --cflags --libs cardmap); ./a.out [USER] */
#include <cardmap.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int
give_pin(struct cardmap_login *l)
{
	char prompt[256], *pin;
	int result;

	if (cardmap_reason(l) != NULL)
		printf("%s (%s)\n", cardmap_text(l), cardmap_reason(l));
	if (cardmap_is_last_try(l)) {
		printf("One try is left, and is not spent here.\n");
		return -ECANCELED;
	}
	if (cardmap_has_pad(l)) {
		printf("Type the PIN at the reader, %d tries left\n", cardmap_tries(l));
		return cardmap_pin_at_reader(l, false);
	}
	snprintf(prompt, sizeof(prompt), "PIN for %s, %d tries left: ", cardmap_name(l), cardmap_tries(l));
	if ((pin = getpass(prompt)) == NULL)
		return -ECANCELED;
	result = cardmap_pin(l, pin, strlen(pin), false);
	explicit_bzero(pin, strlen(pin));
	return result;
}

int
main(int argc, char **argv)
{
	struct cardmap_request request = { .size = sizeof(request), .user = argc > 1 ? argv[1] : NULL, .service = "login-helper" };
	struct cardmap_login *l;
	enum cardmap_state state = CARDMAP_READING;
	int result = cardmap_begin(&request, &l), status = 1;

	while (result == 0 && state != CARDMAP_GRANTED && state != CARDMAP_REFUSED) {
		if ((result = cardmap_next(l, -1, &state)) != 0)
			break;
		if (state == CARDMAP_CARD)
			printf("Insert your card\n");
		if (state == CARDMAP_CHOOSE)
			result = (printf("Several fit: say which user\n"), -ECANCELED);
		if (state == CARDMAP_PIN)
			result = give_pin(l);
	}
	if (result != 0)
		fprintf(stderr, "No login: %s\n", cardmap_error(result));
	else if (state == CARDMAP_REFUSED)
		fprintf(stderr, "Refused: %s (%s)\n", cardmap_text(l), cardmap_reason(l));
	else if ((status = 0) == 0)
		printf("%s, uid %u, home %s\n", cardmap_grant_user(l), cardmap_grant_uid(l), cardmap_grant_home(l));
	cardmap_free(l);
	return status;
}
