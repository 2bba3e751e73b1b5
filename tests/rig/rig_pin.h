/* tests/rig/rig_pin.h - the PIN of the rig's cards, which is another in each run (rig.py). */
#ifndef RIG_PIN_H
#define RIG_PIN_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of CM_RIG_PIN_FILE: it stands in no environment.  The program ends where there is none.  Of this program, for its life. */
static inline const char *
rig_pin(void)
{
	static char pin[16];
	const char *path = getenv("CM_RIG_PIN_FILE");
	FILE *f = path != NULL && pin[0] == '\0' ? fopen(path, "re") : NULL;

	if (f != NULL) {
		if (fgets(pin, sizeof(pin), f) != NULL)
			pin[strcspn(pin, "\n")] = '\0';
		fclose(f);
	}
	if (pin[0] == '\0') {
		fprintf(stderr, "CM_RIG_PIN_FILE has no PIN: run this through tests/rig/rig.py\n");
		exit(1);
	}
	return pin;
}

#endif
