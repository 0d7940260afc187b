/* keeper.c - the child of send that does everything that touches the disk; see keeper.h */

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <skalibs/uint64.h>

#include "clock.h"
#include "keeper.h"
#include "keeper_link.h"
#include "log.h"

#define BATCH         256   /* packets read before anything else is done */
#define ANSWER_WAIT   10000 /* milliseconds that send may take to hear an answer */
#define FINISHED_MIN  64
#define PATH_DATA_MAX 64    /* bytes of a path in a packet, with a NUL */

struct packet {
  char type;
  uint64_t seq, id, place;
  char const *nonce, *data;
  size_t len;
};

void keeper_answer(struct keeper *k, char type, uint64_t id, uint64_t num)
{
  char packet[KEEPER_REPLY] = { type };
  uint64_pack_big(packet + 1, id);
  uint64_pack_big(packet + 9, num);
  while (!k->eof && send(k->sock, packet, sizeof packet, MSG_NOSIGNAL | MSG_DONTWAIT) == -1) {
    struct pollfd p = { k->sock, POLLOUT, 0 };
    if (errno != EAGAIN && errno != EINTR && errno != ENOBUFS) return;
    if (poll(&p, 1, ANSWER_WAIT) == 0) return;
  }
}

static int add_heavy(struct keeper *k, struct packet const *p)
{
  struct heavy *h = calloc(1, sizeof *h);
  if (!h) return 0;
  h->type = p->type;
  h->id = p->id;
  h->place = p->place;
  memcpy(h->nonce, p->nonce, QFILE_NONCE);
  if (k->heavy) k->heavy_last->next = h;
  else k->heavy = h;
  k->heavy_last = h;
  return 1;
}

/* Every recipient has it: make an end of the message. */
static void end_message(struct keeper *k, uint64_t id, uint64_t place, char const *nonce)
{
  if (kfile_end(k, id, place, nonce)) {
    kstate_remove(k, id);
    keeper_answer(k, 'E', id, 0);
  } else {
    log_trouble("trouble marking message finished, will try later", id);
    keeper_answer(k, 'T', id, 0);
  }
}

static void end_with_bounce(struct keeper *k, struct heavy const *h)
{
  struct kfile f;
  int opened = kfile_open(k, &f, h->id, h->place, h->nonce);
  int ok = opened ? kbounce(k, f.fd, &f.q, BOUNCE_END) : errno == ENOENT;
  if (opened) close(f.fd);
  if (ok) end_message(k, h->id, h->place, h->nonce);
  else keeper_answer(k, 'T', h->id, 0);
}

static void tell_of_delays(struct keeper *k, struct heavy const *h)
{
  struct kfile f;
  if (!kfile_open(k, &f, h->id, h->place, h->nonce)) {
    if (errno != ENOENT) log_trouble("trouble telling of a delay, will try later", h->id);
    return;
  }
  kbounce(k, f.fd, &f.q, BOUNCE_LATE);
  close(f.fd);
}

static void damaged(struct keeper *k, uint64_t id, uint64_t place, char const *nonce,
                    char const *why)
{
  struct kfile f;
  if (kfile_open(k, &f, id, place, nonce)) {
    kfile_bad(k, f.path, id, why);
    close(f.fd);
  }
  keeper_answer(k, 'B', id, 0);
}

static void check_body(struct keeper *k, struct heavy const *h)
{
  struct kfile f;
  if (!kfile_open(k, &f, h->id, h->place, h->nonce)) {
    keeper_answer(k, errno == ENOENT ? 'B' : 'T', h->id, 0);
    return;
  }
  int r = qfile_check_body(f.fd, &f.q);
  if (r == -1) log_trouble("trouble reading message, will try later", h->id);
  close(f.fd);
  if (r) keeper_answer(k, r == 1 ? 'O' : 'T', h->id, 0);
  else damaged(k, h->id, h->place, h->nonce, "the sum does not match");
}

static void look_at(struct keeper *k, struct packet const *p)
{
  char path[PATH_DATA_MAX];
  uint64_t id;
  if (p->len >= sizeof path) return;
  memcpy(path, p->data, p->len);
  path[p->len] = 0;
  if (kfile_look(k, path, &id) == 1) keeper_answer(k, 'N', id, 0);
}

/* 1, or 0 when there is no memory: then the next keeper hears it again. */
static int act(struct keeper *k, struct packet const *p)
{
  k->seq = p->seq;
  switch (p->type) {
  case 'R': return kstate_note(k, p->id, p->nonce, p->data, p->len);
  case 'C':
  case 'W': return add_heavy(k, p);
  case 'F':
    if (p->len && p->data[0]) return add_heavy(k, p);
    end_message(k, p->id, p->place, p->nonce);
    break;
  case 'D': damaged(k, p->id, p->place, p->nonce, "the envelope cannot be read"); break;
  case 'V': look_at(k, p); break;
  case 'S': kfile_scan_pool(k); break;
  case 'H': khold_change(k, p->data, p->len); break;
  case 'Q':
    k->hurry = 1;
    k->tick_at = 0;
    break;
  }
  return 1;
}

/* Read and obey what is there. 1, or 0 when there is no memory. */
static int obey(struct keeper *k)
{
  char buf[KEEPER_PACKET_MAX];
  for (int i = 0; i < BATCH; i++) {
    ssize_t n = recv(k->sock, buf, sizeof buf, MSG_DONTWAIT);
    /* ECONNRESET tells that send died with our answers unread: what it said before still comes. */
    if (n == -1 && (errno == EINTR || errno == ECONNRESET)) continue;
    if (n == -1 && errno == EAGAIN) return 1;
    if (n < KEEPER_HEAD) {
      k->eof = 1;
      return 1;
    }
    struct packet p = { .type = buf[0], .nonce = buf + 25, .data = buf + KEEPER_HEAD,
                        .len = (size_t)n - KEEPER_HEAD };
    uint64_unpack_big(buf + 1, &p.seq);
    uint64_unpack_big(buf + 9, &p.id);
    uint64_unpack_big(buf + 17, &p.place);
    if (!act(k, &p)) return 0;
  }
  return 1;
}

/* Once a second: write what is old enough, sync it, tell send. */
static void tick(struct keeper *k)
{
  kstate_flush(k, k->eof || k->hurry);
  k->hurry = 0;
  if (!journal_sync(&k->journal)) {
    log_unable("sync", JOURNAL_NAME);
    return;
  }
  uint64_t covered = k->first ? k->first->seq - 1 : k->seq;
  if (covered <= k->covered) return;
  k->covered = covered;
  keeper_answer(k, 'A', 0, covered);
}

static void do_heavy(struct keeper *k)
{
  struct heavy *h = k->heavy;
  k->heavy = h->next;
  if (h->type == 'F') end_with_bounce(k, h);
  else if (h->type == 'W') tell_of_delays(k, h);
  else check_body(k, h);
  free(h);
}

/* A line of the journal, at the start: do it again. */
static int replay(void *data, char letter, uint64_t id, char const *nonce, char const *payload,
                  size_t len)
{
  struct keeper *k = data;
  if (letter == 's') return kstate_note(k, id, nonce, payload, len);
  if (letter != 'e') return 1;
  if (k->nfinished == k->finished_room) {
    size_t room = k->finished_room ? k->finished_room * 2 : FINISHED_MIN;
    struct finished *f = reallocarray(k->finished, room, sizeof *f);
    if (!f) return 0;
    k->finished = f;
    k->finished_room = room;
  }
  k->finished[k->nfinished].id = id;
  memcpy(k->finished[k->nfinished++].nonce, nonce, QFILE_NONCE);
  return 1;
}

static int compare(void const *a, void const *b)
{
  struct finished const *x = a;
  struct finished const *y = b;
  return (x->id > y->id) - (x->id < y->id);
}

/* Finish what the journal calls finished; write state files only for the rest. All mail that lies in
 * free/ goes to mess/, where send's first scan finds it: told of it now, send would read its state
 * before that is written. */
static int work_in(struct keeper *k)
{
  if (k->nfinished) qsort(k->finished, k->nfinished, sizeof *k->finished, compare);
  kfile_scan_pool(k);
  for (size_t i = 0; i < k->nfinished; i++) {
    if (!kfile_end(k, k->finished[i].id, 0, k->finished[i].nonce)) return 0;
    kstate_remove(k, k->finished[i].id);
  }
  k->journal.pending.len = 0;
  while (k->first) {
    uint64_t id = k->first->id;
    if (kfile_is_gone(k, id)) kstate_remove(k, id);
    else if (!kstate_write(k, id)) return 0;
  }
  k->journal.pending.len = 0;
  for (unsigned int n = 0; n < k->split; n++) kstate_clean(k, n);
  return 1;
}

static int start(struct keeper *k)
{
  char const *why;
  k->pool.files_max = POOL_FILES;
  k->pool.bytes_max = POOL_BYTES;
  if (!pool_load(&k->pool, &why)) log_alert(why);
  k->list = -1;
  kstate_init(k);
  if (!journal_open(&k->journal, k->queuefd, replay, k)) {
    log_alert_unable("read", JOURNAL_NAME);
    return 0;
  }
  journal_reserve(&k->journal);
  if (!work_in(k) || !journal_renew(&k->journal)) {
    log_alert_unable("work in", JOURNAL_NAME);
    return 0;
  }
  k->worked_in = 1;
  return 1;
}

static int wait_time(struct keeper const *k)
{
  if (k->heavy) return 0;
  if (!k->first && !k->journal.pending.len && k->covered == k->seq) return -1;
  uint64_t now = clock_ms();
  return now >= k->tick_at ? 0 : (int)(k->tick_at - now);
}

/* At the end everything is written once more; what cannot be stays undone, and is done again. */
static int serve(struct keeper *k)
{
  while (!k->eof) {
    struct pollfd p = { k->sock, POLLIN, 0 };
    if (poll(&p, 1, wait_time(k)) == -1 && errno != EINTR) return 111;
    if (p.revents && !obey(k)) return 111;
    uint64_t now = clock_ms();
    if (k->eof || now >= k->tick_at) {
      tick(k);
      k->tick_at = now + KEEPER_TICK;
    }
    if (k->heavy && !k->eof) do_heavy(k);
  }
  return k->first || k->journal.pending.len ? 111 : 0;
}

int keeper_run(int sock, int queuefd, unsigned int split)
{
  struct keeper *k = calloc(1, sizeof *k);
  if (!k) return 111;
  k->sock = sock;
  k->queuefd = queuefd;
  k->split = split;
  k->journal = (struct journal)JOURNAL_ZERO;
  if (!start(k)) return 111;
  keeper_answer(k, 'Y', 0, 0);
  return serve(k);
}
