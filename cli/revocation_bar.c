/* cli/revocation_bar.c - how far a download or an import has come. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/revocation.h"

#define WIDTH		30
#define DRAW_US		100000	/* ten times a second is enough for eyes */

const char *
cm_cli_size(uint64_t octets, char text[CM_CLI_SIZE_TEXT])
{
	static const char *const units[] = { "bytes", "kB", "MB", "GB", "TB" };
	double n = (double)octets;
	size_t u = 0;

	for (; n >= 1000 && u + 1 < CM_COUNT(units); u++)
		n /= 1000;
	snprintf(text, CM_CLI_SIZE_TEXT, u == 0 || n >= 100 ? "%.0f %s" : "%.1f %s", n, units[u]);
	return text;
}

void
cm_cli_bar_begin(struct cm_cli_bar *b, const struct cm_cli *c)
{
	*b = (struct cm_cli_bar){ .on = !c->json && isatty(STDERR_FILENO) };
}

void
cm_cli_bar_draw(struct cm_cli_bar *b, uint64_t done, uint64_t total)
{
	const int64_t now = cm_clock_us();
	char bar[WIDTH + 1], a[CM_CLI_SIZE_TEXT], of[CM_CLI_SIZE_TEXT];
	size_t full;

	if (!b->on || total == 0 || (b->there && now - b->drawn < DRAW_US))
		return;
	full = done < total ? (size_t)(done * WIDTH / total) : WIDTH;
	memset(bar, '#', full);
	memset(bar + full, '.', WIDTH - full);
	bar[WIDTH] = '\0';
	fprintf(stderr, "\r[%s] %3u%%  %s of %s\033[K", bar, (unsigned)(done < total ? done * 100 / total : 100),
	    cm_cli_size(done, a), cm_cli_size(total, of));
	b->drawn = now;
	b->there = true;
}

void
cm_cli_bar_clear(struct cm_cli_bar *b)
{
	if (b->there)
		fputs("\r\033[K", stderr);
	b->there = false;
}
