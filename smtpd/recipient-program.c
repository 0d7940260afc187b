/* recipient-program.c - the program that RCPTCHECK names, run for each recipient
 *
 * It finds SENDER, RECIPIENT, HELO and USE_FD4=1 in its environment, beside what the session
 * has, and nothing of them in its arguments. Its exit code decides: 0 and 112 take the
 * recipient, 100 refuses it, 113 ends the session; 111, 120 (it cannot be executed) and all
 * others are temporary. What it writes on descriptor 4 is the text of the reply, and its code
 * where that begins with one.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <skalibs/djbunix.h>
#include <skalibs/sig.h>

#include "cleanenv.h"
#include "clock.h"
#include "home.h"
#include "priv.h"
#include "program.h"
#include "recipient.h"
#include "session.h"

#define PROGRAM_SECONDS 60 /* that it may take; then it is killed */
#define LOOK_MS         50 /* between two looks at a program that cannot be waited for */
#define TEXT_FD         4
#define TEXT_FD_NAME    "1" /* of USE_FD4: any value will do */

enum {
  CHECK_OK = 0,
  CHECK_NO = 100,
  CHECK_IGNORE = 112,
  CHECK_OVERLIMIT = 113,
  CHECK_NOEXEC = 120
};

static void become_program(struct session const *s, char const *addr, size_t len, int text)
{
  char const *program = getenv("RCPTCHECK");
  char *const argv[] = { (char *)program, 0 };
  int null = open("/dev/null", O_RDONLY);
  if (null == -1 || dup2(null, 0) == -1 || dup2(2, 1) == -1) _exit(EXIT_TEMPORARY);
  if (text == TEXT_FD ? uncoe(text) == -1 : dup2(text, TEXT_FD) == -1) _exit(EXIT_TEMPORARY);
  close(3);
  close_range(TEXT_FD + 1, ~0U, 0);
  sig_restore(SIGPIPE);
  sig_restore(SIGXFSZ);
  sig_restore(SIGHUP);
  sig_blocknone();
  priv_restore_memory();
  if (!cleanenv_setb("SENDER", s->sender, s->senderlen, 0) ||
      !cleanenv_setb("RECIPIENT", addr, len, 0) || !cleanenv_set("HELO", s->helo) ||
      !cleanenv_set("USE_FD4", TEXT_FD_NAME) || !home_enter())
    _exit(EXIT_TEMPORARY);
  execv(program, argv);
  _exit(CHECK_NOEXEC);
}

/* Read what is there; more than fits is thrown away. */
static void read_text(int fd, char *text, size_t *len)
{
  char scrap[512];
  ssize_t n;
  while ((n = read(fd, scrap, sizeof scrap)) > 0 || (n == -1 && errno == EINTR)) {
    size_t room = RECIPIENT_TEXT_MAX - 1 - *len;
    if (n > 0 && room > (size_t)n) room = (size_t)n;
    if (n > 0) memcpy(text + *len, scrap, room), *len += room;
  }
}

/* Wait until the program has ended: its exit code, EXIT_TEMPORARY if it was killed. */
static int await(pid_t pid, int fd, char *text, size_t *len)
{
  uint64_t end = clock_ms() + PROGRAM_SECONDS * 1000;
  int pidfd = pidfd_open(pid, 0);
  int status;
  pid_t r;
  while ((r = waitpid(pid, &status, WNOHANG)) == 0 || (r == -1 && errno == EINTR)) {
    struct pollfd x[2] = { { .fd = pidfd, .events = POLLIN }, { .fd = fd, .events = POLLIN } };
    uint64_t now = clock_ms();
    if (now >= end) kill(pid, SIGKILL), end = UINT64_MAX;
    int wait = pidfd == -1 ? LOOK_MS : end - now > 1000 ? 1000 : (int)(end - now);
    if (poll(x, 2, wait) > 0 && x[1].revents) {
      read_text(fd, text, len);
      if (x[1].revents & POLLHUP && !(x[0].revents)) poll(x, 1, wait); /* it has only closed it */
    }
  }
  read_text(fd, text, len);
  if (pidfd != -1) close(pidfd);
  return r == pid && WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_TEMPORARY;
}

/* The code of a reply that <text> begins with, or 0. */
static unsigned int code_of(char const *text)
{
  if ((text[0] != '4' && text[0] != '5') || strspn(text, "0123456789") != 3 || text[3] != ' ')
    return 0;
  return (unsigned int)strtoul(text, 0, 10);
}

static void set(struct recipient_answer *a, unsigned int code, char const *status, char const *text)
{
  a->code = code;
  snprintf(a->status, sizeof a->status, "%s", status);
  if (text) snprintf(a->text, sizeof a->text, "%s", text);
}

/* Make one printable line of what the program has left. */
static void clean(char *text, size_t len)
{
  text[len] = 0;
  text[strcspn(text, "\r\n")] = 0;
  for (char *c = text; *c; c++)
    if ((unsigned char)*c < 32 || (unsigned char)*c > 126) *c = '?';
}

/* Obey the code that the text begins with; but what is temporary stays so. */
static void use_code(struct recipient_answer *a)
{
  unsigned int code = code_of(a->text);
  if (!code) return;
  memmove(a->text, a->text + 4, strlen(a->text + 4) + 1);
  if (code < 500 || a->code == 550) set(a, code, "", 0);
}

/* 1 the recipient is taken; 0 and <a>. */
static int judge(struct recipient_answer *a, int code, size_t len)
{
  clean(a->text, len);
  int own = *a->text != 0;
  switch (code) {
    case CHECK_OK:
    case CHECK_IGNORE: return 1;
    case CHECK_NO: set(a, 550, "5.1.1", own ? 0 : "sorry, no mailbox here by that name"); break;
    case CHECK_OVERLIMIT:
      set(a, 421, "4.7.0", own ? 0 : "you have exceeded your messaging limits");
      break;
    default: set(a, 451, "4.3.0", own ? 0 : "unable to check that recipient, try again later"); break;
  }
  if (own) use_code(a);
  a->unknown = code == CHECK_NO && a->code >= 500;
  return 0;
}

int recipient_run(struct session const *s, char const *addr, size_t len, struct recipient_answer *a)
{
  int text[2];
  size_t textlen = 0;
  int code = EXIT_TEMPORARY;
  pid_t pid = -1;
  if (pipe2(text, O_CLOEXEC) == 0) {
    pid = ndelay_on(text[0]) == 0 ? fork() : -1;
    if (!pid) become_program(s, addr, len, text[1]);
    close(text[1]);
    if (pid != -1) code = await(pid, text[0], a->text, &textlen);
    close(text[0]);
  }
  return judge(a, code, textlen);
}
