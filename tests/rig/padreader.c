/*
 * tests/rig/padreader.c - a reader with a PIN pad: a driver for pcscd that is vpcd's in all but IFDHControl().
 * It knows PC/SC Part 10 from the standard alone, and uses no code of ours.  What a person types on it stands in the file
 * PAD_FILE: digits, "cancel", or nothing; "wait": he has typed nothing yet, and PAD_WAITS is there for as long as the reader
 * waits for that to change, and is back when it has taken what was typed; "stuck": the same, with a reader that never gives up.
 */
#include <dlfcn.h>
#include <ifdhandler.h>
#include <reader.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PAD_FILE	"/run/rig/pad.pin"
#define PAD_WAITS	"/run/rig/pad.waits"
#define VPCD		"/usr/lib/pcsc/drivers/serial/libifdvpcd.so"
#define VERIFY_CODE	SCARD_CTL_CODE(3500)

enum { APDU_MAX = 261, HEADER = 5, DEFAULT_SECONDS = 1, LOOK_NS = 10000000 };

/* The same function of the real driver. */
static void *
real(const char *name)
{
	static void *driver;

	if (driver == NULL && (driver = dlopen(VPCD, RTLD_NOW | RTLD_LOCAL)) == NULL) {
		fprintf(stderr, "padreader: %s\n", dlerror());
		abort();
	}
	return dlsym(driver, name);
}

#define FORWARD(name, ...)	((__typeof__(&name))real(#name))(__VA_ARGS__)

RESPONSECODE IFDHCreateChannelByName(DWORD Lun, LPSTR DeviceName) { return FORWARD(IFDHCreateChannelByName, Lun, DeviceName); }
RESPONSECODE IFDHCreateChannel(DWORD Lun, DWORD Channel) { return FORWARD(IFDHCreateChannel, Lun, Channel); }
RESPONSECODE IFDHCloseChannel(DWORD Lun) { return FORWARD(IFDHCloseChannel, Lun); }
RESPONSECODE IFDHICCPresence(DWORD Lun) { return FORWARD(IFDHICCPresence, Lun); }

RESPONSECODE
IFDHGetCapabilities(DWORD Lun, DWORD Tag, PDWORD Length, PUCHAR Value)
{
	return FORWARD(IFDHGetCapabilities, Lun, Tag, Length, Value);
}

RESPONSECODE
IFDHSetCapabilities(DWORD Lun, DWORD Tag, DWORD Length, PUCHAR Value)
{
	return FORWARD(IFDHSetCapabilities, Lun, Tag, Length, Value);
}

RESPONSECODE
IFDHSetProtocolParameters(DWORD Lun, DWORD Protocol, UCHAR Flags, UCHAR PTS1, UCHAR PTS2, UCHAR PTS3)
{
	return FORWARD(IFDHSetProtocolParameters, Lun, Protocol, Flags, PTS1, PTS2, PTS3);
}

RESPONSECODE
IFDHPowerICC(DWORD Lun, DWORD Action, PUCHAR Atr, PDWORD AtrLength)
{
	return FORWARD(IFDHPowerICC, Lun, Action, Atr, AtrLength);
}

RESPONSECODE
IFDHTransmitToICC(DWORD Lun, SCARD_IO_HEADER SendPci, PUCHAR TxBuffer, DWORD TxLength, PUCHAR RxBuffer,
    PDWORD RxLength, PSCARD_IO_HEADER RecvPci)
{
	return FORWARD(IFDHTransmitToICC, Lun, SendPci, TxBuffer, TxLength, RxBuffer, RxLength, RecvPci);
}

/* --- FEATURE_VERIFY_PIN_DIRECT: PC/SC Part 10, 2.5.2 --- */

static RESPONSECODE
answer(unsigned int sw, PUCHAR out, DWORD size, LPDWORD returned)
{
	if (size < 2)
		return IFD_ERROR_INSUFFICIENT_BUFFER;
	out[0] = (UCHAR)(sw >> 8);
	out[1] = (UCHAR)sw;
	*returned = 2;
	return IFD_SUCCESS;
}

static void
typed(char digits[64])
{
	FILE *f = fopen(PAD_FILE, "re");

	digits[0] = '\0';
	if (f != NULL) {
		if (fgets(digits, 64, f) == NULL)
			digits[0] = '\0';
		fclose(f);
	}
	digits[strcspn(digits, "\n")] = '\0';
}

static long long
now_ms(void)
{
	struct timespec t = { 0 };

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

static bool
is_awaited(const char *digits)
{
	return strcmp(digits, "wait") == 0 || strcmp(digits, "stuck") == 0;
}

static void
put(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	if (f != NULL) {
		fputs(text, f);
		fclose(f);
	}
}

/* Whoever waits is told by the reader alone that the card has gone.  False: it has. */
static bool
await(DWORD Lun, unsigned int seconds, char digits[64])
{
	const long long end = now_ms() + (seconds != 0 ? seconds : DEFAULT_SECONDS) * 1000LL;
	const struct timespec pause = { .tv_nsec = LOOK_NS };
	const bool stuck = strcmp(digits, "stuck") == 0;
	bool is_in = true;

	put(PAD_WAITS, "");
	while (is_in && is_awaited(digits)) {
		if (!stuck && now_ms() >= end) {
			digits[0] = '\0';
			break;
		}
		(void)nanosleep(&pause, NULL);
		is_in = IFDHICCPresence(Lun) == IFD_ICC_PRESENT;
		typed(digits);
	}
	/* typed once: the next time is another */
	(void)unlink(PAD_WAITS);
	put(PAD_FILE, stuck ? "stuck" : "wait");
	return is_in;
}

/* The structure's fields at their places; numbers with the low end first.  false: it is not one that this reader takes. */
static bool
insert(const UCHAR *s, DWORD len, const char *digits, UCHAR apdu[APDU_MAX], DWORD *apdu_len)
{
	const size_t count = strlen(digits);
	size_t block, position;

	if (len < 19 || len - 19 < HEADER || len - 19 > APDU_MAX)
		return false;
	*apdu_len = s[15] | (DWORD)s[16] << 8 | (DWORD)s[17] << 16 | (DWORD)s[18] << 24;
	if (*apdu_len != len - 19)
		return false;
	memcpy(apdu, s + 19, *apdu_len);
	/* bmFormatString: units of bytes, left, ASCII; bmPINBlockString: no length of the PIN; bmPINLengthFormat: none */
	position = s[2] >> 3 & 0x0F;
	block = s[3] & 0x0F;
	if ((s[2] & 0x87) != 0x82 || s[3] >> 4 != 0 || s[4] != 0 || s[7] != 0x02 ||
	    HEADER + position + block > *apdu_len || count > block)
		return false;
	memcpy(apdu + HEADER + position, digits, count);
	return true;
}

static RESPONSECODE
verify(DWORD Lun, const UCHAR *s, DWORD len, PUCHAR out, DWORD size, LPDWORD returned)
{
	SCARD_IO_HEADER pci = { .Protocol = 1, .Length = sizeof(pci) }, back = pci;
	UCHAR apdu[APDU_MAX], response[258];
	DWORD apdu_len = 0, response_len = sizeof(response);
	RESPONSECODE rv;
	char digits[64];

	typed(digits);
	if (is_awaited(digits) && !await(Lun, len > 0 ? s[0] : 0, digits))
		return IFD_ICC_NOT_PRESENT;
	if (digits[0] == '\0')
		return answer(0x6400, out, size, returned);
	if (strcmp(digits, "cancel") == 0)
		return answer(0x6401, out, size, returned);
	if (len < 19)
		return answer(0x6B80, out, size, returned);
	if (strlen(digits) < s[6] || strlen(digits) > s[5])
		return answer(0x6403, out, size, returned);
	if (!insert(s, len, digits, apdu, &apdu_len))
		return answer(0x6B80, out, size, returned);
	rv = IFDHTransmitToICC(Lun, pci, apdu, apdu_len, response, &response_len, &back);
	if (rv != IFD_SUCCESS || response_len != 2)
		return rv != IFD_SUCCESS ? rv : IFD_COMMUNICATION_ERROR;
	return answer((unsigned int)response[0] << 8 | response[1], out, size, returned);
}

RESPONSECODE
IFDHControl(DWORD Lun, DWORD dwControlCode, PUCHAR TxBuffer, DWORD TxLength, PUCHAR RxBuffer, DWORD RxLength,
    LPDWORD pdwBytesReturned)
{
	/* 2.2: tag, length, the control code with its highest byte first */
	static const UCHAR features[] = { FEATURE_VERIFY_PIN_DIRECT, 4, (UCHAR)(VERIFY_CODE >> 24), (UCHAR)(VERIFY_CODE >> 16),
		(UCHAR)(VERIFY_CODE >> 8), (UCHAR)VERIFY_CODE };

	if (dwControlCode == CM_IOCTL_GET_FEATURE_REQUEST && RxLength >= sizeof(features)) {
		memcpy(RxBuffer, features, sizeof(features));
		*pdwBytesReturned = sizeof(features);
		return IFD_SUCCESS;
	}
	if (dwControlCode == VERIFY_CODE)
		return verify(Lun, TxBuffer, TxLength, RxBuffer, RxLength, pdwBytesReturned);
	return FORWARD(IFDHControl, Lun, dwControlCode, TxBuffer, TxLength, RxBuffer, RxLength, pdwBytesReturned);
}
