/* keeper_bounce.c - the keeper sends a bounce; see keeper.h */

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

static void log_bounce(uint64_t id, uint64_t bounce, char const *to)
{
  struct logline l = LOGLINE_ZERO;
  logline_text(&l, "bounce msg ");
  logline_number(&l, id);
  logline_text(&l, " qp ");
  logline_number(&l, bounce);
  logline_key(&l, "to", to);
  logline_write(&l);
}

static void log_triple(uint64_t id)
{
  struct logline l = LOGLINE_ZERO;
  logline_text(&l, "triple bounce: discarding bounce/");
  logline_number(&l, id);
  logline_write(&l);
}

/* Note in the state file that the bounce is out, so that no other one follows. */
static void note_bounced(struct keeper *k, struct qfile const *q, uint64_t bounce)
{
  stralloc sa = STRALLOC_ZERO;
  if (state_put_bounced(&sa, bounce) && kstate_note(k, q->id, q->nonce, sa.s, sa.len))
    kstate_write(k, q->id);
  stralloc_free(&sa);
}

static int build(struct keeper *k, struct bounce *b, int fd, struct qfile const *q, stralloc *text)
{
  char boundary[2 * QFILE_NONCE + 1];
  int statefd = kstate_open(k, q->id);
  if (statefd == -1) return 0;
  int ok = bounce_gather(b, fd, q, statefd);
  int e = errno;
  close(statefd);
  errno = e;
  if (!ok) return 0;
  make_boundary(boundary);
  return bounce_write(b, text, boundary, q->id, clock_wall());
}

static int was_bounced(struct keeper *k, struct qfile const *q)
{
  struct state st = STATE_ZERO;
  int fd = kstate_open(k, q->id);
  if (fd == -1) return 0;
  int r = state_read(&st, fd, q->nonce, 0, 0) == 1 && st.bounced;
  close(fd);
  state_free(&st);
  return r;
}

int kbounce(struct keeper *k, int fd, struct qfile const *q)
{
  struct bounce b = { .count = 0 };
  stralloc text = STRALLOC_ZERO;
  if (!kstate_write(k, q->id)) { /* the file does not tell the failures */
    trouble(q->id, strerror(errno));
    return 0;
  }
  int done = was_bounced(k, q);
  if (!done && !build(k, &b, fd, q, &text)) {
    trouble(q->id, b.why ? b.why : strerror(errno));
  } else if (!done && bounce_kind(b.sender.s, b.sender.len) == BOUNCE_TRIPLE) {
    log_triple(q->id);
    done = 1;
  } else if (!done) {
    uint64_t bounce = inject(&b, q->id, &text);
    if (bounce) {
      note_bounced(k, q, bounce);
      log_bounce(q->id, bounce, b.to.s);
      done = 1;
    }
  }
  bounce_free(&b);
  stralloc_free(&text);
  return done;
}
