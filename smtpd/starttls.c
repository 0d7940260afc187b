/* starttls.c - put a session behind TLS: STARTTLS (RFC 3207), or on connect (RFC 8314)
 *
 * What stands before the handshake is everybody's who can write to the connection. So what
 * was typed ahead ends the session, and nothing that was said holds afterwards.
 */

#include <stdio.h>

#include "auth.h"
#include "clock.h"
#include "session.h"

static uint32_t limit_of(struct session const *s)
{
  int64_t left = s->io.expires - (int64_t)clock_ms();
  if (left > s->io.idle) left = s->io.idle;
  if (left > TLS_HANDSHAKE_MS) left = TLS_HANDSHAKE_MS;
  return left > 0 ? (uint32_t)left : 1;
}

/* The connection is of no use any more. */
static void give_up(struct session *s, char const *what, char const *why)
{
  snprintf(s->ended, sizeof s->ended, "%s: %s", what, why);
  s->end = s->ended;
}

static void shake_hands(struct session *s, struct tls_offer *o)
{
  if (!tls_handshake(o, &s->tls, s->io.in, s->io.out, limit_of(s), s->io.stop)) {
    give_up(s, "TLS handshake failed", o->why);
    return;
  }
  stream_renew(&s->io);
  session_reset(s);
  auth_forget(s);
  s->helo[0] = 0;
  s->esmtp = 0;
}

void starttls_command(struct session *s)
{
  struct tls_offer o;
  char reply[TLS_WHY_MAX + 64];
  if (stream_is_pending(&s->io)) {
    session_close(s, 554, "5.5.0", "you went on in clear behind STARTTLS", "typed ahead of TLS");
  } else if (s->tls.on) {
    session_reply(s, 503, "5.5.1", "TLS is on already");
  } else if (!tls_prepare(&o, s->io.in, s->io.out, limit_of(s))) {
    session_reply(s, 454, "4.7.0", "TLS is not available now");
    snprintf(reply, sizeof reply, "4.7.0 TLS is not available now: %s", o.why);
    log_refused(s, 0, 0, 454, reply);
  } else {
    session_reply(s, 220, "2.0.0", "go ahead");
    enum stream_result r = stream_flush(&s->io);
    if (r == STREAM_OK) {
      shake_hands(s, &o);
    } else {
      tls_cancel(&o);
      session_lost(s, r);
    }
  }
}

void starttls_on_connect(struct session *s)
{
  struct tls_offer o;
  if (tls_prepare(&o, s->io.in, s->io.out, limit_of(s))) shake_hands(s, &o);
  else give_up(s, "TLS is not available", o.why);
}
