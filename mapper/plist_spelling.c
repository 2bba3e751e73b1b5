/* mapper/plist_spelling.c - a key that somebody meant, though it is misspelt. */
#include <string.h>

#include "mapper/plist_internal.h"

bool
cm_plist_is_nearly(const char *a, const char *b)
{
	size_t la, lb;

	for (; *a != '\0' && *a == *b; a++)
		b++;
	la = strlen(a);
	lb = strlen(b);
	if (la > 1 && lb > 1 && a[0] == b[1] && a[1] == b[0] && strcmp(a + 2, b + 2) == 0)
		return true;
	return la == lb ? la > 0 && strcmp(a + 1, b + 1) == 0 :
	    (la == lb + 1 && strcmp(a + 1, b) == 0) || (lb == la + 1 && strcmp(a, b + 1) == 0);
}
