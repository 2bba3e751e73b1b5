/* trust/refresh_due.c - when to ask again, so that many hosts do not ask at once. */
#include "trust/trust.h"

/* Steele, Lea, Flood, "Fast splittable pseudorandom number generators", figure 14: near seeds become far ones. */
static uint64_t
mix(uint64_t z)
{
	z += 0x9e3779b97f4a7c15;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

/* 20 bits of the seed are enough: a week in half seconds, and no product overflows for a life of 10,000 years. */
time_t
cm_trust_refresh_due(time_t learned, time_t until, uint64_t seed)
{
	const int64_t life = (int64_t)until - learned, point = (int64_t)(mix(seed) >> 44);

	if (life <= 0)
		return learned;
	return learned + (time_t)(life / 2 + (life * 2 / 5) / 1048576 * point + (life * 2 / 5) % 1048576 * point / 1048576);
}
