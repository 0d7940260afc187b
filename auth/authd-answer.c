/* authd-answer.c - answers; see authd.h */

#include <stdio.h>
#include <string.h>

#include "authd.h"
#include "clock.h"
#include "fdpass.h"
#include "limits.h"
#include "logline.h"
#include "open.h"
#include "passwd.h"

/* It has room for more than we ever say: who does not read is gone. */
void answer(struct asker *a, char kind, char const *s, size_t len)
{
  struct iovec v[2] = { { &kind, 1 }, { (char *)s, len } };
  fdpass_send(a->fd, v, 2, 0, 0);
}

void answer_later(struct asker *a, unsigned int seconds)
{
  char text[16];
  answer(a, AUTHWIRE_LATER, text, (size_t)snprintf(text, sizeof text, "%u", seconds));
}

/* SCRAM is of use where all logins have keys for it: a client that finds it offered uses it, and
 * cannot know of whom it would be refused. */
static unsigned int mechanisms(struct authd const *d)
{
  struct passwd_head h = PASSWD_ZERO;
  unsigned int set = d->mechanisms;
  if (d->own_checker && passwd_head(&h) == 1 && strchr(h.flags, 's')) set |= AUTHWIRE_HAS_SCRAM;
  stralloc_free(&h.text);
  return set;
}

void answer_quickly(struct authd *d, struct asker *a)
{
  char set;
  unsigned int seconds;
  switch (a->q.kind) {
    case AUTHWIRE_MECHANISMS:
      set = (char)mechanisms(d);
      answer(a, AUTHWIRE_OK, &set, 1);
      break;
    case AUTHWIRE_SEND:
      seconds = limits_ask(a->login, a->loginlen, a->q.recipients, clock_ms());
      if (seconds == LIMITS_NEVER) answer(a, AUTHWIRE_NO, "", 0);
      else if (seconds) answer_later(a, seconds);
      else answer(a, AUTHWIRE_OK, "", 0);
      break;
    case AUTHWIRE_IS_OPEN:
      answer(a, open_has(a->q.ip, clock_ms()) ? AUTHWIRE_OK : AUTHWIRE_NO, "", 0);
      break;
    default: answer(a, AUTHWIRE_FAULT, "not a question", 14); break;
  }
}

static void log_open(struct asker const *a, char const *ip, int ok)
{
  struct logline l = LOGLINE_ZERO;
  logline_text(&l, ok ? "pipit-authd: relay opened" : "pipit-authd: relay not opened");
  logline_key(&l, "ip", ip);
  logline_keyn(&l, "uid", a->uid);
  logline_write(&l);
}

void answer_opener(struct authd *d, struct asker *a, char const *packet, size_t len)
{
  struct authwire_open q;
  int trusted = !a->uid || a->uid == d->accounts.uid[ACCOUNT_SMTPD];
  if (len != sizeof q) {
    answer(a, AUTHWIRE_FAULT, "not a question", 14);
    return;
  }
  memcpy(&q, packet, sizeof q);
  q.ip[sizeof q.ip - 1] = 0;
  int ok = (trusted || open_is_permitted(a->uid)) && open_add(q.ip, a->uid, !trusted, clock_ms());
  log_open(a, q.ip, ok);
  answer(a, ok ? AUTHWIRE_OK : AUTHWIRE_NO, "", 0);
}
