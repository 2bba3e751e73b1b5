/* cli/pin.c - the PIN from a terminal without echo, or from a file descriptor. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <termios.h>
#include <unistd.h>

#include "cli/cli.h"

#define PIN_WAIT_MS	(5 * 60 * 1000)

/* For the handler alone: a terminal must not be left without echo by ^C. */
static struct {
	int fd;
	struct termios before;
} terminal = { .fd = -1 };

static void
restore_and_die(int number)
{
	tcsetattr(terminal.fd, TCSAFLUSH, &terminal.before);
	signal(number, SIG_DFL);
	raise(number);
}

static enum cm_err
ask(int fd, const char *prompt, struct cm_secret **out)
{
	static const int numbers[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
	struct sigaction before[CM_COUNT(numbers)];
	const struct sigaction handler = { .sa_handler = restore_and_die };
	struct termios silent;
	enum cm_err err;

	if (tcgetattr(fd, &terminal.before) != 0)
		return CM_ERR_SYSTEM;
	terminal.fd = fd;
	for (size_t i = 0; i < CM_COUNT(numbers); i++)
		sigaction(numbers[i], &handler, &before[i]);
	silent = terminal.before;
	silent.c_lflag &= ~(tcflag_t)(ECHO | ECHONL);
	tcsetattr(fd, TCSAFLUSH, &silent);
	dprintf(fd, "%s", prompt);
	err = cm_secret_read(fd, cm_deadline_in(PIN_WAIT_MS), out);
	tcsetattr(fd, TCSAFLUSH, &terminal.before);
	dprintf(fd, "\n");
	for (size_t i = 0; i < CM_COUNT(numbers); i++)
		sigaction(numbers[i], &before[i], NULL);
	return err;
}

static enum cm_err
read_pin(struct cm_cli *c, const char *prompt, struct cm_secret **out)
{
	enum cm_err err;
	int fd;

	if (c->pin_fd >= 0)
		return cm_secret_read(c->pin_fd, cm_deadline_in(PIN_WAIT_MS), out);
	if ((fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY)) < 0)
		return cm_trace_fail(c->trace, CM_REASON_PIN_MISSING,
		    "there is no terminal to ask the PIN at");
	err = ask(fd, prompt, out);
	close(fd);
	return err;
}

enum cm_err
cm_cli_ask_secret(struct cm_cli *c, const char *prompt, struct cm_secret **out)
{
	enum cm_err err = read_pin(c, prompt, out);

	if (err == CM_ERR_SYSTEM)
		return cm_trace_fail(c->trace, CM_REASON_PIN_MISSING,
		    "the PIN cannot be read into locked memory: see --pin-fd, and ulimit -l");
	if (err != CM_OK && cm_trace_reason(c->trace) != CM_REASON_PIN_MISSING)
		return cm_trace_fail(c->trace, CM_REASON_PIN_MISSING, "no PIN was given");
	return err;
}

enum cm_err
cm_cli_ask_pin(struct cm_cli *c, const char *user, unsigned tries_left, struct cm_secret **out)
{
	struct cm_buf prompt = { 0 };
	enum cm_err err;

	cm_buf_addf(&prompt, "PIN for %s", user);
	if (tries_left != CM_TRIES_UNKNOWN)
		cm_buf_addf(&prompt, " (%u %s left)", tries_left, tries_left == 1 ? "try" : "tries");
	cm_buf_add_str(&prompt, ": ");
	err = cm_cli_ask_secret(c, cm_buf_str(&prompt), out);
	cm_buf_free(&prompt);
	return err;
}
