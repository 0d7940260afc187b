/* ask.c - a tool asks pipit-send to do something; see ask.h */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <skalibs/sgetopt.h>
#include <skalibs/strerr.h>

#include "accounts.h"
#include "ask.h"
#include "home.h"
#include "program.h"

static int is_number(char const *s)
{
  return *s && !s[strspn(s, "0123456789")];
}

static void usage_error(char const *usage) __attribute__((noreturn));
static void usage_error(char const *usage)
{
  strerr_dieusage(EXIT_PERMANENT, usage);
}

/* The kind of a word that stands alone, or 0. */
static char kind_of(char const *word, int domain)
{
  if (!strcmp(word, "all")) return SELECTOR_ALL;
  if (is_number(word)) return SELECTOR_ID;
  return domain ? SELECTOR_DOMAIN : 0;
}

char ask_arguments(struct selector *sel, int argc, char const *const *argv, char flag, int domain,
                   char const *usage)
{
  char const letters[] = { 'd', ':', 's', ':', 'i', ':', flag, 0 };
  subgetopt l = SUBGETOPT_ZERO;
  char const *value = 0;
  char kind = 0;
  char seen = 0;
  for (int opt; (opt = subgetopt_r(argc, argv, letters, &l)) != -1;) {
    if (opt == '?' || (opt != flag && kind)) usage_error(usage);
    if (opt == flag) seen = flag;
    else kind = (char)opt;
    if (opt != flag) value = l.arg;
  }
  if (seen == ASK_LIST && !kind && l.ind == argc) return seen;
  if (seen == ASK_LIST || l.ind + !kind != argc) usage_error(usage);
  if (!kind) {
    value = argv[l.ind];
    kind = kind_of(value, domain);
    if (!kind) usage_error(usage);
  }
  char const *why = selector_make(sel, kind, value, kind == SELECTOR_ALL ? 0 : strlen(value));
  if (why) strerr_dief(EXIT_PERMANENT, ask_words(sel), ": ", why);
  return seen;
}

/* What root needs is only to be let in. */
static void become(void)
{
  struct accounts a;
  if (geteuid()) return;
  if (!accounts_load(&a) || !accounts_become(&a, ACCOUNT_SEND))
    strerr_dief(EXIT_TEMPORARY, accounts_why());
}

static int reach(void)
{
  struct sockaddr_un sa;
  struct timeval const patience = { .tv_sec = ASK_SECONDS };
  if (!home_socket(&sa, SENDWIRE_SOCKET)) strerr_diefusys(EXIT_TEMPORARY, "open ", home_dir());
  int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (fd == -1 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) == -1 ||
      setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == -1)
    strerr_diefusys(EXIT_TEMPORARY, "make a socket");
  if (connect(fd, (struct sockaddr const *)&sa, sizeof sa) == 0) return fd;
  if (errno == EACCES || errno == EPERM)
    strerr_dief(EXIT_PERMANENT, "not permitted: pipit-send obeys root and the group ",
                account_name(ACCOUNT_SEND));
  strerr_dief(EXIT_TEMPORARY, home_dir(), ": pipit-send does not answer; is it running?");
}

static void show_progress(uint64_t n)
{
  if (isatty(2)) fprintf(stderr, "\r%llu messages so far", (unsigned long long)n);
}

void ask(char command, struct selector const *sel, struct sendwire_answer *a,
         void (*held)(struct selector const *))
{
  char packet[SENDWIRE_MAX];
  int told = 0;
  become();
  int fd = reach();
  size_t len = sendwire_pack(packet, command, sel);
  /* Who is refused at once finds the socket closed, or hears ECONNRESET: the answer is there. */
  if (send(fd, packet, len, MSG_NOSIGNAL) == -1 && errno != EPIPE && errno != ECONNRESET)
    strerr_diefusys(EXIT_TEMPORARY, "ask pipit-send");
  for (;;) {
    ssize_t n = recv(fd, packet, sizeof packet, 0);
    if (n == -1 && (errno == EINTR || errno == ECONNRESET)) continue;
    if (n > 0 && !sendwire_unpack_answer(packet, (size_t)n, a)) n = 0;
    if (told && (n <= 0 || a->type != 'P')) fputc('\n', stderr);
    if (n <= 0)
      strerr_dief(EXIT_TEMPORARY, "pipit-send did not answer to the end: give the command again");
    switch (a->type) {
    case 'K': return;
    case 'P':
      show_progress(a->messages);
      told = isatty(2);
      break;
    case 'L':
      if (held) held(&a->held);
      break;
    default: strerr_dief(a->type == 'D' ? EXIT_PERMANENT : EXIT_TEMPORARY, a->text);
    }
  }
}

char const *ask_words(struct selector const *sel)
{
  static char words[SELECTOR_MAX + 16];
  char const *kind = sel->kind == SELECTOR_DOMAIN ? "domain" :
                     sel->kind == SELECTOR_SENDER ? "sender" : "message";
  if (sel->kind == SELECTOR_ALL) return "all mail";
  int n = snprintf(words, sizeof words, "%s %.*s", kind, (int)sel->len, sel->value);
  if (!sel->len) snprintf(words + n, sizeof words - (size_t)n, "<>");
  for (char *p = words; *p; p++)
    if (*p < 32 || *p == 127) *p = '_';
  return words;
}

void ask_print(uint64_t n, char const *rest)
{
  if (printf("%llu message%s%s\n", (unsigned long long)n, n == 1 ? "" : "s", rest) < 0 ||
      fflush(stdout) == EOF)
    strerr_diefusys(EXIT_TEMPORARY, "write to standard output");
}
