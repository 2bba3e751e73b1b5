/* trust/crl_der.c - the little of DER that a revocation list is made of. */
#include "trust/crl_internal.h"

bool
cm_der_head(const uint8_t *p, size_t left, struct cm_der *out)
{
	size_t octets, len = 0;

	/* X.690 8.1.2.4: a tag number of 31 and above takes more octets; no list has one. */
	if (left < 2 || (p[0] & 0x1f) == 0x1f)
		return false;
	if (p[1] < 0x80) {
		*out = (struct cm_der){ p[0], 2, p[1] };
		return true;
	}
	octets = p[1] & 0x7f;
	/* 0x80 is BER's "until the end"; a first octet of 0 is a length longer than it need be (X.690 10.1). */
	if (octets == 0 || octets > 4 || left < 2 + octets || p[2] == 0)
		return false;
	for (size_t i = 0; i < octets; i++)
		len = len << 8 | p[2 + i];
	if (len < 0x80)
		return false;
	*out = (struct cm_der){ p[0], 2 + octets, len };
	return true;
}

bool
cm_der_take(struct cm_blob *in, uint8_t tag, struct cm_blob *content)
{
	struct cm_der d;

	if (!cm_der_head(in->ptr, in->len, &d) || d.tag != tag || d.len > in->len - d.head)
		return false;
	*content = (struct cm_blob){ in->ptr + d.head, d.len };
	*in = (struct cm_blob){ in->ptr + d.head + d.len, in->len - d.head - d.len };
	return true;
}

static bool
two_digits(const uint8_t *p, unsigned *out)
{
	const unsigned tens = p[0] - '0', ones = p[1] - '0';

	*out = tens * 10 + ones;
	return tens <= 9 && ones <= 9;
}

/* Days from 1970-01-01 in the Gregorian calendar; years that begin in March make leap days the last. */
static int64_t
days_to(unsigned year, unsigned month, unsigned day)
{
	const int64_t y = (int64_t)year - (month <= 2);
	const int64_t era = (y >= 0 ? y : y - 399) / 400, of_era = y - era * 400;
	const int64_t of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static bool
is_date(unsigned year, unsigned month, unsigned day)
{
	static const uint8_t days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return month >= 1 && month <= 12 && day >= 1 && day <= days[month - 1] + (unsigned)(leap && month == 2);
}

bool
cm_der_time(uint8_t tag, struct cm_blob v, time_t *out)
{
	const size_t century = tag == 0x18 ? 2 : 0;
	unsigned part[7] = { 0 };	/* century, year, month, day, hour, minute, second */
	unsigned year;

	if ((tag != 0x17 && tag != 0x18) || v.len != century + 13 || v.ptr[v.len - 1] != 'Z')
		return false;
	for (size_t i = 0; i < (v.len - 1) / 2; i++)
		if (!two_digits(v.ptr + 2 * i, &part[i + (century == 0)]))
			return false;
	/* RFC 5280 4.1.2.5.1: two digits are 1950 to 2049. */
	year = century != 0 ? part[0] * 100 + part[1] : part[1] + (part[1] < 50 ? 2000 : 1900);
	if (!is_date(year, part[2], part[3]) || part[4] > 23 || part[5] > 59 || part[6] > 59)
		return false;
	*out = days_to(year, part[2], part[3]) * 86400 + part[4] * 3600 + part[5] * 60 + part[6];
	return true;
}

bool
cm_der_unsigned(struct cm_blob v, size_t max, struct cm_blob *out)
{
	/* X.690 8.3.2: the first nine bits are not all the same. */
	if (v.len == 0 || (v.ptr[0] & 0x80) != 0 || (v.len > 1 && v.ptr[0] == 0 && (v.ptr[1] & 0x80) == 0))
		return false;
	/* RFC 5280 4.1.2.2 counts the octet that only says "not negative". */
	if (v.len > max)
		return false;
	if (v.len > 1 && v.ptr[0] == 0)
		v = (struct cm_blob){ v.ptr + 1, v.len - 1 };
	*out = v;
	return true;
}
