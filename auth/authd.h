/* authd.h - pipit-authd's state: who has asked, and what runs for them */
#ifndef PIPIT_AUTH_AUTHD_H
#define PIPIT_AUTH_AUTHD_H

#include <stdint.h>
#include <sys/types.h>

#include "accounts.h"
#include "authwire.h"
#include "failures.h"

#define AUTHD_ASKERS      600   /* connections at once, with those of sessions */
#define AUTHD_OPENERS     32    /* of them, on run/relayopen */
#define AUTHD_QUESTION_MS 5000  /* for the question to come */
#define AUTHD_CHECK_S     40    /* for a program to check a password; then it is killed */
#define AUTHD_CHECK_S_MAX 50    /* of -t */
#define AUTHD_HOLD_MS     30000 /* that an answer is held back, at most */
#define AUTHD_SESSIONS_CLIENT 20 /* POP3 sessions of one client at once */
#define AUTHD_SCRAM_MS    80000 /* for a conversation */
#define AUTHD_ARGS        64    /* of the command that is executed, at most */

enum asker_state {
  ASKER_FREE,
  ASKER_NEW,     /* it has not asked yet */
  ASKER_CHECKED, /* a program runs */
  ASKER_HELD,    /* the answer, which is no, is held back */
  ASKER_SESSION  /* pipit-pop3d runs */
};

struct asker {
  enum asker_state state;
  int fd;        /* the connection */
  int is_opener; /* on run/relayopen */
  uid_t uid;
  uint64_t end;  /* of this state */
  pid_t pid;     /* of the program, or 0 */
  int scram;     /* a socket to it, or -1 */
  int mark;      /* a pipe, in which pipit-authok leaves a byte, or -1 */
  int client;    /* the client's socket, until it was handed on, or -1 */
  int said_yes;  /* over <scram> or <mark> */
  struct authwire_request q;
  size_t loginlen; /* of the login */
  char login[AUTHWIRE_LOGIN_MAX];
  size_t secretlen; /* what was tried, to tell it from another */
  char secret[AUTHWIRE_DATA_MAX];
};

struct authd {
  struct accounts accounts;
  int listener, open_listener; /* the second one may be -1 */
  int signals;
  int stopping;
  uint64_t paused_until;
  uint64_t checked;     /* when control files were looked at */
  uint64_t stamp;
  unsigned long delay;  /* control/authdelay, in seconds */
  unsigned int checks, checks_per_client, sessions; /* at most, at once */
  unsigned int check_s;
  unsigned int mechanisms; /* AUTHWIRE_HAS_, without SCRAM where that depends on users/passwd */
  int challenge_first;
  int own_checker;      /* pipit-checkpass, which speaks SCRAM too */
  char const *maildir;
  char *const *checker; /* and its arguments */
  struct asker askers[AUTHD_ASKERS];
};

_Static_assert(1000 * AUTHD_CHECK_S_MAX + AUTHD_HOLD_MS < AUTHWIRE_ANSWER_MS, "who asks gives up before");

/* authd-asker.c: take connections; hear what they say; what their program says; its end; what time does. */
extern void asker_accept(struct authd *d, int listener, int is_opener);
extern void asker_hear(struct authd *d, struct asker *a);
extern void asker_hear_program(struct authd *d, struct asker *a);
extern void asker_mark(struct authd *d, struct asker *a);
extern void asker_exited(struct authd *d, pid_t pid, int status);
extern void asker_time(struct authd *d, struct asker *a, uint64_t now);

/* authd-answer.c: questions that need no program. */
extern void answer(struct asker *a, char kind, char const *s, size_t len);
extern void answer_later(struct asker *a, unsigned int seconds);
extern void answer_quickly(struct authd *d, struct asker *a);
extern void answer_opener(struct authd *d, struct asker *a, char const *packet, size_t len);

#endif
