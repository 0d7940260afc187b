/* session-queue.c - lib/submit for fuzz-session: takes messages, refuses them, keeps nothing */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "session.h"

static struct {
  unsigned int behaviour; /* bits 0-1: commit; 2: no queue; 3: no room; 4-5: words */
  int open, connected;
  int stage; /* of the envelope: 0 none, 1 sender and its extras, 2 recipients and theirs */
  size_t msglen;
  stralloc text;
} q;

static char const *const words[] = {
  "",
  "4.2.1 come back\r\n250 ok later",
  "5.7.1 no\n.\r\n\x01\xff",
  "5.7.1234567890123456 no",
};

void queue_start(unsigned int behaviour)
{
  q.behaviour = behaviour;
  q.open = q.connected = 0;
}

void queue_behave(unsigned int behaviour)
{
  q.behaviour = behaviour;
}

int queue_is_idle(void)
{
  return !q.open && !q.connected;
}

static void explain(struct submit *s, int code)
{
  s->code = code;
  snprintf(s->why, sizeof s->why, "%s", words[q.behaviour >> 4 & 3]);
}

int submit_uses_program(void)
{
  return rec.setup.program;
}

int submit_open(struct submit *s, unsigned int flags, uint64_t size, char const *trace)
{
  int ok = !(q.behaviour & 4);
  REQUIRE(!q.open && flags == SUBMIT_USE_PROGRAM);
  record_event(EVENT_OPEN, ok, size, trace, strlen(trace));
  q.open = ok;
  q.connected = 1;
  q.stage = 0;
  q.text.len = q.msglen = 0;
  s->program = ok && rec.setup.program;
  s->pid = 4711;
  s->id = 0;
  if (!ok) explain(s, 74);
  return ok;
}

int submit_room(struct submit *s)
{
  int ok = !(q.behaviour & 8) || s->program;
  REQUIRE(q.open);
  record_event(EVENT_ROOM, ok, 0, "", 0);
  if (!ok) explain(s, 53);
  return ok;
}

static void add(char const *s, size_t len)
{
  REQUIRE(q.open);
  if (len && !stralloc_catb(&q.text, s, len)) abort();
}

void submit_message(struct submit *s, char const *bytes, size_t len)
{
  (void)s;
  REQUIRE(!q.stage);
  add(bytes, len);
  q.msglen += len;
}

static void record(char const *start, char const *value, size_t len)
{
  REQUIRE(!memchr(value, 0, len));
  add(start, strlen(start));
  add(value, len);
  add("", 1);
}

void submit_from(struct submit *s, char const *sender, size_t len)
{
  (void)s;
  REQUIRE(q.stage++ == 0);
  record("F", sender, len);
}

void submit_extra(struct submit *s, char const *name, char const *value, size_t len)
{
  (void)s;
  int of_rcpt = !strcmp(name, "NOTIFY") || !strcmp(name, "ORCPT");
  REQUIRE(of_rcpt ? q.stage >= 1 : q.stage == 1);
  q.stage += q.stage == 1 && of_rcpt;
  add("X", 1);
  add(name, strlen(name));
  record("=", value, len);
}

void submit_to(struct submit *s, char const *rcpt, size_t len)
{
  (void)s;
  REQUIRE(q.stage >= 1);
  q.stage = 2;
  record("T", rcpt, len);
}

enum submit_result submit_commit(struct submit *s)
{
  static enum submit_result const results[] = { SUBMIT_OK, SUBMIT_OK, SUBMIT_TEMPORARY,
                                                SUBMIT_PERMANENT };
  enum submit_result r = results[q.behaviour & 3];
  REQUIRE(q.open && q.stage == 2);
  record_event(EVENT_COMMIT, r, q.msglen, q.text.s, q.text.len);
  if (r != SUBMIT_OK) explain(s, q.behaviour & 64 ? 53 : 31);
  s->id = r == SUBMIT_OK && !s->program ? 1700000000000000 : 0;
  s->program = 0;
  q.open = 0;
  return r;
}

void submit_abort(struct submit *s)
{
  REQUIRE(q.open);
  record_event(EVENT_ABORT, 0, 0, "", 0);
  s->program = 0;
  q.open = 0;
}

void submit_init(struct submit *s)
{
  memset(s, 0, sizeof *s);
}

int submit_is_clean(struct submit const *s)
{
  (void)s;
  return 1;
}

/* The connection stays for the next session: as good as closed. */
void submit_wipe(struct submit *s)
{
  submit_close(s);
}

void submit_close(struct submit *s)
{
  REQUIRE(!q.open);
  (void)s;
  q.connected = 0;
}
