/* deliver.c - one job; see deliver.h */

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "auth.h"
#include "control.h"
#include "deliver.h"
#include "find.h"
#include "limits.h"
#include "session.h"
#include "tls.h"

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

/* May mail to another host go over a connection that was made for this one? */
static int is_secure_for(struct link const *l, char const *host)
{
  struct tlspolicy p;
  if (l->routed) return 1; /* the next hop's name says it all */
  tlspolicy_find(&l->policies, host, l->relay, &p);
  return tlspolicy_same(&p, &l->tls);
}

static uint64_t stamp_of_policies(void)
{
  static char const *const names[] = { TLSPOLICY_FILE, 0 };
  return control_stamp(names);
}

/* Was the connection made for such jobs? Where that has led elsewhere since, send says so. */
static int is_for(struct link const *l, struct job const *j)
{
  char const *hop = job_text(j, JOB_NEXTHOP);
  return !strcasecmp(l->host.s, j->host) && !strcmp(l->via.s, job_text(j, JOB_VIA)) &&
         (!*l->hop.s || !*hop || !strcmp(l->hop.s, hop));
}

/* Is the connection one for the job's host, and sender? What was made by other policies than those of
 * today is none. */
static int leads_to(struct link const *l, struct job const *j)
{
  return (is_for(l, j) || (*l->nexthop && !strcmp(l->nexthop, job_text(j, JOB_NEXTHOP)) &&
                           is_secure_for(l, j->host))) &&
         l->stamp == stamp_of_policies();
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
  w->outcome.tls = l->conn.tls;
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

/* Connect to <p>. 1, or 0 and the verdict. */
static int connect_to(struct link *l, struct place const *p, struct outcome *o)
{
  if (conn_open(&l->conn, p, (unsigned int)l->settings.timeoutconnect)) return 1;
  outcome_message(o, 'Z', "Sorry, I wasn't able to establish an %s connection%s. (#4.4.1)\n%s: %s\n",
                  conn_protocol(&l->conn),
                  errno == EADDRNOTAVAIL ? ": this host has not got the address to send from" : "",
                  l->conn.name, strerror(errno));
  o->trouble = JOB_HOST;
  return 0;
}

/* Connect and begin a session, once more where the server's TLS does not work. 1; or the verdict, and
 * 0, or -1 without a connection. */
static int reach(struct link *l, struct place const *p, struct outcome *o)
{
  static struct tlspolicy const none = { .level = TLSPOLICY_NONE };
  char tls[sizeof l->conn.tls];
  struct tls_need need = { .policy = *p->path ? &none : &l->tls }; /* a socket is on this host */
  for (;;) {
    if (!connect_to(l, p, o)) return -1;
    if (need.clear) memcpy(l->conn.tls, tls, sizeof tls); /* why it is in clear */
    switch (session_begin(&l->conn, &l->settings, &need, o)) {
    case SESSION_READY: return 1;
    case SESSION_FAILED: return 0;
    case SESSION_AGAIN: break;
    }
    memcpy(tls, l->conn.tls, sizeof tls);
    need.clear = 1;
  }
}

/* Connect to one place and try there, where a session begins before <find_end>. */
static enum run try_place(struct link *l, struct work *w, struct place const *p,
                          struct places const *places, tain const *find_end)
{
  char const *nexthop = places->nexthop;
  tain const end = l->conn.limit;
  struct outcome *o = &w->outcome;
  struct verdict const was = o->message;
  char const trouble = o->trouble;
  if (tain_less(find_end, &end)) l->conn.limit = *find_end;
  l->domains.count = 0;
  o->host = l->conn.host;
  int r = reach(l, p, o);
  if (r != 1) {
    if (was.letter != 'Z') return RUN_NEXT;
    if (r == -1) o->message = was;
    /* One server's dislike of our name is not the last word while another could not be asked. */
    o->message.letter = 'Z';
    o->trouble = trouble;
    return RUN_NEXT;
  }
  switch (auth_login(&l->conn, &places->route, &l->settings, o)) {
  case AUTH_NEXT: return RUN_NEXT;
  case AUTH_STOP: return RUN_DONE;
  case AUTH_OK: break;
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
    enum run r = try_place(l, w, p->list + i, p, &find_end);
    if (r != RUN_NEXT) return r;
  }
  return RUN_DONE;
}

static int load_settings(struct link *l, struct outcome *o)
{
  char const *why = 0;
  l->stamp = stamp_of_policies();
  if (!settings_load(&l->settings)) why = settings_why();
  else if (!tlspolicy_load(&l->policies)) why = control_why();
  if (why) outcome_message(o, 'Z', "Unable to read control files. (#4.3.0)\n%s\n", why);
  return !why;
}

/* How mail to <host> goes to <p>. Where nothing is said of TLS, who gets a password has to be the one
 * that it is for. Where that is its own affair, so is the next hop. */
static void choose_policy(struct link *l, char const *host, struct places *p)
{
  memcpy(l->relay, *p->group ? "" : p->nexthop, *p->group ? 1 : strlen(p->nexthop) + 1);
  l->routed = *p->route.tls && !tlspolicy_parse(&l->tls, p->route.tls); /* it was checked */
  int own = l->routed ? tlspolicy_complete(&l->tls, host, l->relay)
                      : tlspolicy_find(&l->policies, host, l->relay, &l->tls);
  if (l->tls.level == TLSPOLICY_MAY && *p->route.auth && !p->route.clear) {
    l->tls.level = TLSPOLICY_VERIFY;
    l->routed = !own;
    own |= tlspolicy_complete(&l->tls, host, l->relay);
  }
  if (!own || !*p->nexthop) return;
  if (!tlspolicy_mark(&l->tls, p->nexthop, sizeof p->nexthop)) *p->nexthop = 0;
  if (*p->group) tlspolicy_mark(&l->tls, p->group, sizeof p->group);
}

static int set_text(stralloc *sa, char const *text)
{
  return stralloc_copys(sa, text) && stralloc_0(sa);
}

/* What the connection is made for. */
static int note_job(struct link *l, struct job const *j)
{
  return set_text(&l->host, j->host) && set_text(&l->via, job_text(j, JOB_VIA)) &&
         set_text(&l->hop, job_text(j, JOB_NEXTHOP));
}

static enum run connect_and_run(struct link *l, struct work *w, tain const *end)
{
  struct places p;
  struct outcome *o = &w->outcome;
  deliver_quit(l);
  envelope_forget(&w->envelope, o);
  if (!note_job(l, w->job)) {
    outcome_message(o, 'Z', "Out of memory. (#4.3.0)\n");
    return RUN_DONE;
  }
  if (!load_settings(l, o)) return RUN_DONE;
  *l->nexthop = 0;
  int found = l->route ? find_fixed(&p, l->route, w->job->host, &l->settings, o)
                       : find_places(&p, w->job->host, w->job->sender, &l->settings, o);
  choose_policy(l, w->job->host, &p);
  if (*p.group && l->on_group) l->on_group(l->arg, w->job->num, p.group);
  if (!found) return RUN_DONE;
  struct tls_need need = { .policy = &l->tls };
  return *p.list->path || tls_can_be_had(&need, o) ? try_places(l, w, &p, end) : RUN_DONE;
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
