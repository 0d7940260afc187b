/* dns.c - ask the DNS through c-ares; see dns.h */

#include <ares.h>
#include <arpa/nameser.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include <skalibs/iopause.h>
#include <skalibs/stralloc.h>
#include <skalibs/tai.h>

#include "control.h"
#include "dns.h"

#define TRY_MS   2500 /* before the first question is repeated; c-ares doubles it each time */
#define TRIES    3    /* of each resolver */
#define EDNS_MAX 1232 /* bytes of an answer over UDP: fits every path unfragmented */

struct dns {
  ares_channel channel;
  size_t pending; /* questions without an answer */
};

struct mx_question {
  struct dns *d;
  enum dns_result result;
  struct dns_mx *list;
  size_t count;
};

struct ip_question {
  struct dns *d;
  struct dns_host *host;
  int family;
};

static char why[256];

char const *dns_why(void)
{
  return why;
}

static void because(char const *what, char const *reason)
{
  snprintf(why, sizeof why, "%s: %s", what, reason);
}

/* Give c-ares the lines of control/resolvers, when there is one. */
static int set_resolvers(struct dns *d)
{
  stralloc list = STRALLOC_ZERO;
  int r = control_list("resolvers", &list);
  if (r == -1) because("unable to read settings", control_why());
  if (r != 1) return r == 0;
  if (!list.len) {
    stralloc_free(&list);
    return 1;
  }
  for (size_t i = 0; i + 1 < list.len; i++)
    if (!list.s[i]) list.s[i] = ',';
  int status = ares_set_servers_ports_csv(d->channel, list.s);
  stralloc_free(&list);
  if (status == ARES_SUCCESS) return 1;
  because("unable to use control/resolvers", ares_strerror(status));
  return 0;
}

struct dns *dns_open(void)
{
  struct ares_options o = {
    .flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES | ARES_FLAG_EDNS,
    .timeout = TRY_MS,
    .tries = TRIES,
    .ednspsz = EDNS_MAX,
  };
  int const mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_EDNSPSZ;
  struct dns *d = calloc(1, sizeof *d);
  if (!d) {
    because("unable to start DNS", "out of memory");
    return 0;
  }
  int status = ares_init_options(&d->channel, &o, mask);
  if (status != ARES_SUCCESS) {
    because("unable to start DNS", ares_strerror(status));
    free(d);
    return 0;
  }
  if (set_resolvers(d)) return d;
  dns_close(d);
  return 0;
}

void dns_close(struct dns *d)
{
  if (!d) return;
  ares_destroy(d->channel);
  free(d);
}

/* What a status of c-ares says about the name. */
static enum dns_result judge(int status, char const *what)
{
  switch (status) {
  case ARES_SUCCESS: return DNS_FOUND;
  case ARES_ENODATA: return DNS_NODATA;
  case ARES_ENOTFOUND:
  case ARES_EBADNAME: return DNS_NXDOMAIN; /* a name that cannot be written does not exist */
  }
  because(what, status == ARES_ECANCELLED ? "no answer in time" : ares_strerror(status));
  return DNS_TEMPORARY;
}

/* Wait for sockets or c-ares' own timers, at most until <deadline>. */
static int wait_once(struct dns *d, tain const *deadline)
{
  ares_socket_t socks[ARES_GETSOCK_MAXNUM];
  iopause_fd x[ARES_GETSOCK_MAXNUM];
  unsigned int n = 0;
  /* ares.h's macros for the bits shift a 1 into the sign: undefined. */
  unsigned int bits = (unsigned int)ares_getsock(d->channel, socks, ARES_GETSOCK_MAXNUM);
  for (unsigned int i = 0; i < ARES_GETSOCK_MAXNUM; i++) {
    int r = bits >> i & 1, w = bits >> (i + ARES_GETSOCK_MAXNUM) & 1;
    if (!r && !w) continue;
    x[n].fd = socks[i];
    x[n++].events = (short)((r ? IOPAUSE_READ : 0) | (w ? IOPAUSE_WRITE : 0));
  }
  struct timeval tv, *next = ares_timeout(d->channel, 0, &tv);
  tain until = *deadline, timer;
  if (next && tain_from_millisecs(&timer, (int)(tv.tv_sec * 1000 + tv.tv_usec / 1000 + 1))) {
    tain_add_g(&timer, &timer);
    if (tain_less(&timer, &until)) until = timer;
  }
  if (iopause_g(x, n, &until) == -1) return 0;
  for (unsigned int i = 0; i < n; i++)
    if (x[i].revents)
      ares_process_fd(d->channel, x[i].revents & ~IOPAUSE_WRITE ? x[i].fd : ARES_SOCKET_BAD,
                      x[i].revents & ~IOPAUSE_READ ? x[i].fd : ARES_SOCKET_BAD);
  ares_process_fd(d->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
  return 1;
}

/* Until every question has its answer; what has none by the deadline is cancelled. */
static void run(struct dns *d)
{
  tain deadline;
  tain_now_g();
  tain_addsec_g(&deadline, DNS_SECONDS);
  while (d->pending && tain_future(&deadline))
    if (!wait_once(d, &deadline)) break;
  if (d->pending) ares_cancel(d->channel);
}

static int plain_name(char const *s)
{
  size_t len = strlen(s);
  return len < DNS_NAME_MAX &&
         strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == len;
}

static void copy_mx(struct mx_question *q, struct ares_mx_reply *reply)
{
  size_t n = 0;
  for (struct ares_mx_reply *r = reply; r; r = r->next) n++;
  q->list = n ? calloc(n, sizeof *q->list) : 0;
  if (n && !q->list) {
    q->result = judge(ARES_ENOMEM, "MX lookup");
    return;
  }
  for (struct ares_mx_reply *r = reply; r; r = r->next) {
    if (!plain_name(r->host)) continue;
    struct dns_mx *mx = q->list + q->count++;
    mx->preference = r->priority;
    memcpy(mx->name, r->host, strlen(r->host) + 1);
  }
  q->result = n ? DNS_FOUND : DNS_NODATA;
}

static void on_mx(void *arg, int status, int timeouts, unsigned char *answer, int len)
{
  struct mx_question *q = arg;
  struct ares_mx_reply *reply = 0;
  (void)timeouts;
  q->d->pending--;
  if (status == ARES_SUCCESS) status = ares_parse_mx_reply(answer, len, &reply);
  q->result = judge(status, "MX lookup");
  if (q->result == DNS_FOUND) copy_mx(q, reply);
  ares_free_data(reply);
}

enum dns_result dns_mx(struct dns *d, char const *name, struct dns_mx **list, size_t *count)
{
  struct mx_question q = { .d = d, .result = DNS_TEMPORARY };
  d->pending = 1;
  ares_query(d->channel, name, ns_c_in, ns_t_mx, on_mx, &q);
  run(d);
  *list = q.list;
  *count = q.count;
  return q.result;
}

static void copy_ips(struct dns_host *h, int family, struct hostent const *e)
{
  size_t *count = family == AF_INET ? &h->count4 : &h->count6;
  struct dns_ip *ips = family == AF_INET ? h->ip4 : h->ip6;
  for (char **a = e->h_addr_list; *a && *count < DNS_IPS_MAX; a++) {
    ips[*count].family = family;
    memcpy(ips[*count].ip, *a, family == AF_INET ? 4 : 16);
    ++*count;
  }
}

/* Of the answers for the two families, the worse one to believe counts. */
static void merge(struct dns_host *h, enum dns_result r)
{
  if (h->result == DNS_FOUND || r == DNS_FOUND) h->result = DNS_FOUND;
  else if (h->result == DNS_TEMPORARY || r == DNS_TEMPORARY) h->result = DNS_TEMPORARY;
  else if (h->result == DNS_NODATA || r == DNS_NODATA) h->result = DNS_NODATA;
}

static void on_ips(void *arg, int status, int timeouts, unsigned char *answer, int len)
{
  struct ip_question *q = arg;
  struct hostent *e = 0;
  (void)timeouts;
  q->d->pending--;
  if (status == ARES_SUCCESS)
    status = q->family == AF_INET ? ares_parse_a_reply(answer, len, &e, 0, 0)
                                  : ares_parse_aaaa_reply(answer, len, &e, 0, 0);
  enum dns_result r = judge(status, "address lookup");
  if (r == DNS_FOUND && e && *e->h_addr_list) copy_ips(q->host, q->family, e);
  else if (r == DNS_FOUND) r = DNS_NODATA;
  if (e) ares_free_hostent(e);
  merge(q->host, r);
}

void dns_addresses(struct dns *d, struct dns_host *hosts, size_t n)
{
  struct ip_question *q = n ? calloc(2 * n, sizeof *q) : 0;
  for (size_t i = 0; i < n; i++) {
    hosts[i].result = q ? DNS_NXDOMAIN : judge(ARES_ENOMEM, "address lookup");
    hosts[i].count4 = hosts[i].count6 = 0;
  }
  if (!q) return;
  d->pending = 2 * n;
  for (size_t i = 0; i < 2 * n; i++) {
    q[i] = (struct ip_question){ d, hosts + i / 2, i % 2 ? AF_INET : AF_INET6 };
    ares_query(d->channel, q[i].host->name, ns_c_in, i % 2 ? ns_t_a : ns_t_aaaa, on_ips, q + i);
  }
  run(d);
  free(q);
}
