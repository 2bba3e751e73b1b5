/* card/slot.c - what a slot of a PIV card is for (NIST SP 800-73-4 Part 1, table 4b). */
#include "card/card.h"

bool
cm_slot_is_retired(enum cm_slot slot)
{
	return slot >= CM_SLOT_RETIRED_FIRST && slot <= CM_SLOT_RETIRED_LAST;
}

bool
cm_slot_is_for_login(enum cm_slot slot)
{
	return slot == CM_SLOT_AUTHENTICATION || slot == CM_SLOT_SIGNATURE || cm_slot_is_retired(slot);
}

bool
cm_slot_signs_once(enum cm_slot slot)
{
	return slot == CM_SLOT_SIGNATURE;
}
