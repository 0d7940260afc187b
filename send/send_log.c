/* send_log.c - the lines of the scheduler, as qmail-send wrote them; see man/pipit-log.7 */

#include <string.h>

#include "bounce.h"
#include "logline.h"
#include "send.h"

#define REPORT_MAX 1500 /* bytes of a report that are shown: the pairs must have room */

void log_new(struct msg const *m)
{
  struct logline l = LOGLINE_ZERO;
  logline_text(&l, "new msg ");
  logline_number(&l, m->q.id);
  logline_write(&l);
  logline_text(&l, "info msg ");
  logline_number(&l, m->q.id);
  logline_text(&l, ": bytes ");
  logline_number(&l, m->q.msglen);
  logline_text(&l, " from <");
  logline_safe(&l, m->sender.s, m->sender.len);
  logline_text(&l, "> qp ");
  logline_number(&l, m->q.id);
  logline_text(&l, " uid ");
  logline_number(&l, m->q.uid);
  logline_keyn(&l, "rcpts", m->q.rcpts);
  logline_write(&l);
}

void log_end(uint64_t id)
{
  struct logline l = LOGLINE_ZERO;
  logline_text(&l, "end msg ");
  logline_number(&l, id);
  logline_write(&l);
}

void log_start(struct msg const *m, enum channel channel, struct rcpt const *r)
{
  struct logline l = LOGLINE_ZERO;
  logline_text(&l, "starting delivery ");
  logline_number(&l, r->delivery);
  logline_text(&l, ": msg ");
  logline_number(&l, m->q.id);
  logline_text(&l, channel == CHANNEL_LOCAL ? " to local " : " to remote ");
  logline_safe(&l, r->addr, r->addrlen);
  logline_write(&l);
}

/* The three digits of an SMTP reply at the start of what the server said. */
static int is_code(char const *s, size_t len)
{
  for (size_t i = 0; i < 3; i++)
    if (i >= len || s[i] < '0' || s[i] > '9') return 0;
  return len == 3 || s[3] == ' ' || s[3] == '-' || s[3] == '\n';
}

static void add_pairs(struct logline *l, struct rcpt const *r, char const *text, size_t len)
{
  size_t at;
  logline_keyn(l, "id", r->msg->q.id);
  logline_keyb(l, "rcpt", r->addr, r->addrlen);
  size_t n = bounce_remote(text, len, &at);
  if (n) logline_keyb(l, "ip", text + at, n);
  n = bounce_said(text, len, &at);
  if (n && is_code(text + at, n)) logline_keyb(l, "code", text + at, 3);
  n = bounce_status(text, len, &at);
  if (n) logline_keyb(l, "status", text + at, n);
}

/* What T of job.h says, as far as it is there: tls=, cipher=, verified=, tlswhy=. */
static void add_tls(struct logline *l, char const *text)
{
  static char const *const keys[] = { "tls", "cipher", "verified" };
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    size_t n = strcspn(text, " ");
    if (n && (n > 1 || *text != '-')) logline_keyb(l, keys[i], text, n);
    text += n + (text[n] == ' ');
  }
  if (*text) logline_key(l, "tlswhy", text);
}

void log_result(struct send const *s, struct rcpt const *r, char letter, char const *text, size_t len)
{
  struct logline l = LOGLINE_ZERO;
  logline_text(&l, "delivery ");
  logline_number(&l, r->delivery);
  logline_text(&l, letter == 'K' ? ": success: " : letter == 'D' ? ": failure: " : ": deferral: ");
  logline_safe(&l, text, len < REPORT_MAX ? len : REPORT_MAX);
  add_pairs(&l, r, text, len);
  if (s->tls) add_tls(&l, s->tls);
  logline_write(&l);
}

void log_mangled(struct rcpt const *r)
{
  struct logline l = LOGLINE_ZERO;
  logline_text(&l, "delivery ");
  logline_number(&l, r->delivery);
  logline_text(&l, ": report mangled, will defer");
  add_pairs(&l, r, "", 0);
  logline_write(&l);
}

void log_status(struct send const *s)
{
  static char const *const names[CHANNELS] = { "local ", " remote " };
  struct logline l = LOGLINE_ZERO;
  logline_text(&l, "status: ");
  for (int c = 0; c < CHANNELS; c++) {
    logline_text(&l, names[c]);
    logline_number(&l, s->spawners[c].lines);
    logline_text(&l, "/");
    logline_number(&l, s->settings.concurrency[c]);
  }
  if (s->stopping) logline_text(&l, " exitasap");
  logline_write(&l);
}

void log_exiting(void)
{
  struct logline l = LOGLINE_ZERO;
  logline_text(&l, "status: exiting");
  logline_write(&l);
}

void log_dead(struct group const *g)
{
  struct logline l = LOGLINE_ZERO;
  logline_text(&l, "destination dead: ");
  logline_safe(&l, g->name, g->len);
  logline_keyn(&l, "failures", g->health.failures);
  logline_keyn(&l, "waiting", g->batches + g->parked[LANE_NEW].count + g->parked[LANE_AGAIN].count);
  logline_keyn(&l, "probe", (g->health.probe_at - g->health.died_at) / 1000);
  logline_key(&l, "reply", g->last ? g->last : "");
  logline_write(&l);
}

void log_alive(struct group const *g, uint64_t ms)
{
  struct logline l = LOGLINE_ZERO;
  logline_text(&l, "destination alive: ");
  logline_safe(&l, g->name, g->len);
  logline_keyn(&l, "seconds", ms / 1000);
  logline_keyn(&l, "waiting", g->parked[LANE_NEW].count + g->parked[LANE_AGAIN].count);
  logline_write(&l);
}
