/* log.c - the lines that pipit-smtpd writes; pipit-log(7) */

#include <stdio.h>
#include <string.h>

#include <skalibs/strerr.h>

#include "logline.h"
#include "mode.h"
#include "session.h"

#define LOG_ROOM 1400 /* bytes of a line that are kept for what follows the recipients */

static void start(struct logline *l, struct session const *s, char const *kind)
{
  l->len = 0;
  logline_text(l, mode.program);
  logline_text(l, ": ");
  logline_text(l, kind);
  logline_key(l, "session", s->id);
}

static void add_tls(struct logline *l, struct tls const *t)
{
  char text[sizeof t->protocol + sizeof t->cipher];
  snprintf(text, sizeof text, "%s:%s", t->protocol, t->cipher);
  logline_key(l, "tls", text);
}

static void add_client(struct logline *l, struct session const *s)
{
  logline_key(l, "ip", s->client.ip);
  if (s->client.host) logline_key(l, "host", s->client.host);
  if (s->client.info && !s->login[0]) logline_key(l, "info", s->client.info);
  logline_key(l, "helo", s->helo);
  if (s->login[0]) logline_key(l, "login", s->login);
  if (s->tls.on) add_tls(l, &s->tls);
}

static void add_address(struct logline *l, char const *key, char const *s, size_t len)
{
  char text[ADDRESS_MAX + 2];
  if (len > ADDRESS_MAX) len = ADDRESS_MAX;
  text[0] = '<';
  memcpy(text + 1, s, len);
  text[len + 1] = '>';
  logline_keyb(l, key, text, len + 2);
}

/* As many recipients as fit; rcpts= tells how many there are. */
static void add_rcpts(struct logline *l, struct session const *s)
{
  for (size_t i = 0; i < s->rcpts.len && l->len < LOGLINE_MAX - LOG_ROOM - 4 * LOGLINE_VALUE;) {
    size_t len = strlen(s->rcpts.s + i);
    if (s->rcpts.s[i] == 'T') add_address(l, "rcpt", s->rcpts.s + i + 1, len - 1);
    i += len + 1;
  }
  logline_keyn(l, "rcpts", s->nrcpts);
}

void log_message(struct session const *s, char const *kind, uint64_t id, uint64_t octets,
                 unsigned int code, char const *reply, char const *detail)
{
  struct logline l;
  start(&l, s, kind);
  if (id) logline_keyn(&l, "id", id);
  add_client(&l, s);
  add_address(&l, "from", s->sender, s->senderlen);
  add_rcpts(&l, s);
  logline_keyn(&l, "bytes", octets);
  logline_keyn(&l, "code", code);
  logline_key(&l, "reply", reply);
  if (detail) logline_key(&l, "detail", detail);
  logline_write(&l);
}

void log_refused(struct session const *s, char const *rcpt, size_t len, unsigned int code,
                 char const *reply)
{
  struct logline l;
  start(&l, s, code >= 500 ? "refused" : "deferred");
  add_client(&l, s);
  add_address(&l, "from", s->sender, s->senderlen);
  if (rcpt) add_address(&l, "rcpt", rcpt, len);
  logline_keyn(&l, "code", code);
  logline_key(&l, "reply", reply);
  logline_write(&l);
}

void log_end(struct session const *s)
{
  struct logline l;
  start(&l, s, "end");
  add_client(&l, s);
  if (s->tls.name[0]) logline_key(&l, "sni", s->tls.name);
  if (s->tls.subject[0]) logline_key(&l, "cert", s->tls.subject);
  logline_keyn(&l, "messages", s->messages);
  logline_keyn(&l, "errors", s->errors);
  logline_keyn(&l, "seconds", stream_age(&s->io));
  logline_key(&l, "reason", s->end);
  logline_write(&l);
}

void log_trouble(char const *why)
{
  strerr_warnw(why);
}
