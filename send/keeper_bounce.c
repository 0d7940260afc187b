/* keeper_bounce.c - the keeper sends reports to senders; see keeper.h */

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <skalibs/random.h>

#include "bounce.h"
#include "clock.h"
#include "keeper.h"
#include "lines.h"
#include "log.h"
#include "logline.h"
#include "state.h"
#include "submit.h"

static void make_boundary(char out[2 * QFILE_NONCE + 1])
{
  char random[QFILE_NONCE];
  random_buf(random, sizeof random);
  lines_hex(out, random);
  out[2 * QFILE_NONCE] = 0;
}

static int is_8bit(stralloc const *sa)
{
  for (size_t i = 0; i < sa->len; i++)
    if (sa->s[i] & 0x80) return 1;
  return 0;
}

static void trouble(uint64_t id, char const *why)
{
  struct logline l = LOGLINE_ZERO;
  logline_text(&l, "warning: trouble injecting bounce message, will try later");
  logline_keyn(&l, "id", id);
  logline_key(&l, "error", why);
  logline_write(&l);
}

/* Hand the text to queued. The bounce's id, or 0. */
static uint64_t inject(struct bounce const *b, uint64_t id, stralloc const *text)
{
  struct submit s = SUBMIT_ZERO;
  char const *sender = bounce_kind(b->sender.s, b->sender.len) == BOUNCE_SINGLE ? "" : "#@[]";
  enum submit_result r = SUBMIT_TEMPORARY;
  if (submit_open(&s, 0, text->len, 0)) {
    submit_message(&s, text->s, text->len);
    submit_from(&s, sender, strlen(sender));
    if (is_8bit(text)) submit_extra(&s, "BODY", "8BITMIME", 8);
    submit_to(&s, b->to.s, strlen(b->to.s));
    r = submit_commit(&s);
  }
  uint64_t bounce = r == SUBMIT_OK ? s.id : 0;
  if (!bounce) trouble(id, s.why);
  submit_close(&s);
  return bounce;
}

/* A failure is logged as qmail-send does it. */
static void log_report(struct bounce const *b, uint64_t id, uint64_t report)
{
  struct logline l = LOGLINE_ZERO;
  logline_text(&l, b->failed ? "bounce msg " : b->time == BOUNCE_LATE ? "delay msg " : "success msg ");
  logline_number(&l, id);
  logline_text(&l, " qp ");
  logline_number(&l, report);
  logline_key(&l, "to", b->to.s);
  logline_write(&l);
}

static void log_discarded(char const *what, uint64_t id)
{
  struct logline l = LOGLINE_ZERO;
  logline_text(&l, what);
  logline_text(&l, " bounce: discarding bounce/");
  logline_number(&l, id);
  logline_write(&l);
}

/* Note in the state file that the report is out, so that no other one follows. */
static void note_sent(struct keeper *k, struct qfile const *q, enum bounce_time time, uint64_t id)
{
  stralloc sa = STRALLOC_ZERO;
  if ((time == BOUNCE_END ? state_put_bounced(&sa, id) : state_put_told(&sa, id)) &&
      kstate_note(k, q->id, q->nonce, sa.s, sa.len))
    kstate_write(k, q->id);
  stralloc_free(&sa);
}

static int gather(struct keeper *k, struct bounce *b, int fd, struct qfile const *q,
                  enum bounce_time time)
{
  int statefd = kstate_open(k, q->id);
  if (statefd == -1) return 0;
  int ok = bounce_gather(b, fd, q, statefd, time);
  int e = errno;
  close(statefd);
  errno = e;
  return ok;
}

/* Is the report of this time out already? */
static int was_sent(struct keeper *k, struct qfile const *q, enum bounce_time time)
{
  struct state st = STATE_ZERO;
  int fd = kstate_open(k, q->id);
  if (fd == -1) return 0;
  int r = state_read(&st, fd, q->nonce, q->rcpts, 0) == 1 &&
          (time == BOUNCE_END ? st.bounced != 0 : !st.delayed);
  close(fd);
  state_free(&st);
  return r;
}

/* Is there nobody to send it to? */
static int discard(struct bounce const *b, uint64_t id)
{
  enum bounce_kind kind = bounce_kind(b->sender.s, b->sender.len);
  if (kind == BOUNCE_TRIPLE) log_discarded("triple", id);
  else if (kind == BOUNCE_DOUBLE && !*b->to.s) log_discarded("double", id);
  else return 0;
  return 1;
}

static int send_report(struct keeper *k, struct bounce const *b, struct qfile const *q)
{
  char boundary[2 * QFILE_NONCE + 1];
  stralloc text = STRALLOC_ZERO;
  uint64_t id = 0;
  make_boundary(boundary);
  if (bounce_write(b, &text, boundary, q->id, clock_wall())) id = inject(b, q->id, &text);
  else trouble(q->id, strerror(errno));
  stralloc_free(&text);
  if (!id) return 0;
  note_sent(k, q, b->time, id);
  log_report(b, q->id, id);
  return 1;
}

int kbounce(struct keeper *k, int fd, struct qfile const *q, enum bounce_time time)
{
  struct bounce b = { .count = 0 };
  if (!kstate_write(k, q->id)) { /* the file does not tell the failures */
    trouble(q->id, strerror(errno));
    return 0;
  }
  int done = was_sent(k, q, time);
  if (!done && !gather(k, &b, fd, q, time)) trouble(q->id, b.why ? b.why : strerror(errno));
  else if (!done && b.count) done = discard(&b, q->id) || send_report(k, &b, q);
  else if (!done) {
    if (time == BOUNCE_LATE) note_sent(k, q, time, 0);
    done = 1;
  }
  bounce_free(&b);
  return done;
}
