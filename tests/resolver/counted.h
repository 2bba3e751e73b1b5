/* tests/resolver/counted.h - how a test asks a process for the octets it has allocated: one octet there, a uint64_t back. */
#ifndef CM_TESTS_RESOLVER_COUNTED_H
#define CM_TESTS_RESOLVER_COUNTED_H

#include <stddef.h>
#include <stdint.h>

#define COUNTED_FD	10

#endif /* CM_TESTS_RESOLVER_COUNTED_H */
