/* deliver.c - one job; see deliver.h */

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "deliver.h"
#include "find.h"
#include "limits.h"
#include "session.h"

enum run {
  RUN_DONE, /* every verdict is there */
  RUN_NEXT, /* the next place may do better, and what stands there counts when there is none */
  RUN_ANEW  /* what is left needs a new connection */
};

static int job_seconds(uint64_t length)
{
  uint64_t s = JOB_SECONDS + length / JOB_RATE;
  return s < INT32_MAX ? (int)s : INT32_MAX;
}

void link_init(struct link *l)
{
  l->conn.fd = -1;
}

/* Is the connection one for the job's host? */
static int leads_to(struct link const *l, struct job const *j)
{
  return !strcasecmp(l->host.s, j->host) ||
         (*l->nexthop && !strcmp(l->nexthop, job_text(j, JOB_NEXTHOP)));
}

/* Has the connection carried as many messages as it may? */
static int used_up(struct link const *l)
{
  unsigned int most = l->conn.limits.mailmax;
  uint32_t may = job_number(l->now->job, JOB_CONNMESSAGES, l->settings.messages);
  return l->conn.messages >= may || (most && l->conn.messages >= most);
}

/* Look at the job, apart from the network. */
static void begin(struct work *w, struct job const *j)
{
  w->job = j;
  w->ready = w->lost = w->transaction.ahead = 0;
  if (!outcome_start(&w->outcome, j->nrcpts)) {
    w->outcome.nrcpts = 0;
    return;
  }
  if (!envelope_build(&w->envelope, j, &w->outcome)) return;
  w->ready = message_open(&w->message, j->fd, j->offset, j->length);
  if (!w->ready) outcome_message(&w->outcome, 'Z', "Unable to read message. (#4.3.0)\n");
}

/* Begin a transaction on the connection. 0: it has to be another connection. */
static int begin_transaction(struct link *l, struct work *w, int fresh)
{
  struct transaction *t = &w->transaction;
  if (used_up(l) || !envelope_begin(&w->envelope, &l->conn.limits, &l->domains)) return 0;
  t->commands.len = 0;
  w->outcome.host = l->conn.host;
  *t = (struct transaction){ .c = &l->conn,
                             .s = &l->settings,
                             .e = &w->envelope,
                             .m = &w->message,
                             .o = &w->outcome,
                             .fresh = fresh,
                             .commands = t->commands };
  return 1;
}

/* The transaction that may begin before the present one has ended: that of the next job. */
static struct transaction *next_transaction(void *arg)
{
  struct link *l = arg;
  struct work *w = l->works + (l->now == l->works);
  struct job const *j;
  if (!l->take || used_up(l) || !envelope_is_last(&l->now->envelope)) return 0;
  if (!l->take(l->arg, &j)) return 0;
  l->next = w;
  begin(w, j);
  if (!w->ready || !leads_to(l, j) || !begin_transaction(l, w, 0)) return 0;
  return transact_prepare(&w->transaction) ? &w->transaction : 0;
}

static enum run give_up(struct link *l, struct work *w)
{
  outcome_message(&w->outcome, 'Z', "Connected to %s but connection died. (#4.4.2)\n",
                  l->conn.name);
  return RUN_DONE;
}

/* Transactions on the connection, until every recipient had one. <fresh>: it was made for them. */
static enum run run(struct link *l, struct work *w, int fresh)
{
  for (;; fresh = 0) {
    if (!w->transaction.ahead && !begin_transaction(l, w, fresh)) return RUN_ANEW;
    envelope_forget(&w->envelope, &w->outcome);
    enum transact_result r = transact(&w->transaction, next_transaction, l);
    w->transaction.ahead = 0;
    if (fresh && r != TRANSACT_DONE) return RUN_NEXT;
    if (r == TRANSACT_LOST && !w->lost) {
      w->lost = 1;
      return RUN_ANEW;
    }
    /* What is true of the sender, or of the message as such, is true of them all. */
    if (w->transaction.mail / 100 != 2 || envelope_is_last(&w->envelope)) return RUN_DONE;
    envelope_end(&w->envelope, &w->outcome);
    if (l->conn.fd != -1) continue;
    if (w->lost) return give_up(l, w);
    w->lost = 1;
    return RUN_ANEW;
  }
}

/* Is there a connection for the job, from the one before? The server closes its
 * side whenever it likes, and that is nothing against this message. */
static int is_kept(struct link *l, struct work *w)
{
  if (l->conn.fd != -1 && leads_to(l, w->job)) return 1;
  w->lost = w->transaction.ahead;
  w->transaction.ahead = 0;
  return 0;
}

/* Connect to one place and try there, where a session begins before <find_end>. */
static enum run try_place(struct link *l, struct work *w, struct place const *p,
                          char const *nexthop, tain const *find_end)
{
  tain const end = l->conn.limit;
  struct outcome *o = &w->outcome;
  char const was = o->message.letter, trouble = o->trouble;
  if (tain_less(find_end, &end)) l->conn.limit = *find_end;
  l->domains.count = 0;
  o->host = l->conn.host;
  if (!conn_open(&l->conn, p, (unsigned int)l->settings.timeoutconnect)) {
    if (was != 'Z') {
      outcome_message(o, 'Z',
                      "Sorry, I wasn't able to establish an %s connection. (#4.4.1)\n%s: %s\n",
                      conn_protocol(&l->conn), l->conn.name, strerror(errno));
      o->trouble = JOB_HOST;
    }
    return RUN_NEXT;
  }
  if (!session_begin(&l->conn, &l->settings, o)) {
    /* One server's dislike of our name is not the last word while another could not be asked. */
    if (was == 'Z') {
      o->message.letter = 'Z';
      o->trouble = trouble;
    }
    return RUN_NEXT;
  }
  l->conn.limit = end;
  memcpy(l->nexthop, p->best ? nexthop : "", p->best ? strlen(nexthop) + 1 : 1);
  return run(l, w, 1);
}

static enum run try_places(struct link *l, struct work *w, struct places const *p, tain const *end)
{
  tain find_end;
  tain_addsec_g(&find_end, FIND_SECONDS);
  for (size_t i = 0; i < p->count && (!i || tain_future(&find_end)); i++) {
    deliver_quit(l);
    l->conn.limit = *end;
    enum run r = try_place(l, w, p->list + i, p->nexthop, &find_end);
    if (r != RUN_NEXT) return r;
  }
  return RUN_DONE;
}

static int load_settings(struct link *l, struct outcome *o)
{
  if (settings_load(&l->settings)) return 1;
  outcome_message(o, 'Z', "Unable to read control files. (#4.3.0)\n%s\n", settings_why());
  return 0;
}

static enum run connect_and_run(struct link *l, struct work *w, tain const *end)
{
  struct places p;
  struct outcome *o = &w->outcome;
  deliver_quit(l);
  envelope_forget(&w->envelope, o);
  if (!stralloc_copys(&l->host, w->job->host) || !stralloc_0(&l->host)) {
    outcome_message(o, 'Z', "Out of memory. (#4.3.0)\n");
    return RUN_DONE;
  }
  if (!load_settings(l, o)) return RUN_DONE;
  int found = l->route ? find_fixed(&p, l->route, w->job->host, &l->settings, o)
                       : find_places(&p, w->job->host, &l->settings, o);
  if (*p.group && l->on_group) l->on_group(l->arg, w->job->num, p.group);
  return found ? try_places(l, w, &p, end) : RUN_DONE;
}

struct work *deliver(struct link *l, struct job const *j)
{
  struct work *w = l->next ? l->next : l->works;
  tain end;
  l->now = w;
  if (!l->next) begin(w, j);
  l->next = 0;
  tain_now_g();
  tain_addsec_g(&end, job_seconds(w->job->length));
  l->conn.limit = end;
  if (w->ready) {
    enum run r = is_kept(l, w) ? run(l, w, 0) : RUN_ANEW;
    while (r == RUN_ANEW) r = connect_and_run(l, w, &end);
    outcome_finish(&w->outcome);
  }
  if (!l->next && used_up(l)) deliver_quit(l);
  return w;
}

void deliver_drop(struct link *l)
{
  conn_close(&l->conn);
}

void deliver_quit(struct link *l)
{
  session_end(&l->conn);
}
