/* base/conf.c - configuration. */
#include "base/err.h"
typedef int cm_conf_placeholder;
