/* base/conf_internal.h - what the files of the configuration share. */
#ifndef CM_BASE_CONF_INTERNAL_H
#define CM_BASE_CONF_INTERNAL_H

/* Turn every comment in text into blanks, line ends kept; one that is not closed stays. */
void cm_conf_blank_comments(char *text);

#endif /* CM_BASE_CONF_INTERNAL_H */
