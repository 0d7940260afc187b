/* explain.c - where would mail go? See explain.h */

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include <skalibs/strerr.h>

#include "explain.h"
#include "program.h"
#include "route.h"

static void print_by(struct routes const *rs, struct route const *r, char const *host,
                     char const *sender)
{
  size_t len;
  char const *key = sender ? route_sender_key(rs, host, sender, &len) : 0;
  if (!r->file) return;
  if (key) printf(", by control/%s: %.*s", r->file, (int)len, key);
  else printf(", by control/%s", r->file);
}

static void print_place(struct route const *r)
{
  char ip[INET6_ADDRSTRLEN] = "";
  switch (r->kind) {
  case ROUTE_MX: printf("the mail exchangers of %s, port %u", r->name, r->port); break;
  case ROUTE_HOST: printf("%s %s, port %u", r->lmtp ? "LMTP server" : "relay", r->name, r->port); break;
  case ROUTE_IP:
    inet_ntop(r->ip.family, r->ip.ip, ip, sizeof ip);
    printf("%s [%s], port %u", r->lmtp ? "LMTP server" : r->fixed ? "relay" : "host", ip, r->port);
    break;
  case ROUTE_SOCKET: printf("LMTP server %s", r->name); break;
  case ROUTE_REFUSE: printf("refused: %s", r->name); break;
  case ROUTE_DEFER: printf("waits: %s", r->name); break;
  case ROUTE_LOCAL: printf("delivered here%s%s", *r->name ? ", with the prefix " : "", r->name); break;
  }
}

static void print_rest(struct route const *r)
{
  char ip[INET6_ADDRSTRLEN];
  if (*r->tls) printf("; TLS: %s", r->tls);
  if (*r->auth) printf("; login: %s%s", r->auth, r->clear ? ", also in clear" : "");
  for (int i = 0; i < ROUTE_BINDS; i++)
    if (r->bind[i].family && inet_ntop(r->bind[i].family, r->bind[i].ip, ip, sizeof ip))
      printf("; from %s", ip);
}

int explain(char const *host, char const *sender)
{
  struct routes rs = ROUTES_ZERO;
  struct route r;
  enum route_result result = route_load(&rs) ? route_look(&r, &rs, host, sender) : ROUTE_TEMPORARY;
  if (result == ROUTE_TEMPORARY) strerr_dief1x(EXIT_TEMPORARY, route_why());
  if (result == ROUTE_BADHOST) printf("no host can have that name\n");
  else {
    print_place(&r);
    print_by(&rs, &r, host, sender);
    print_rest(&r);
    putchar('\n');
  }
  routes_free(&rs);
  return fflush(stdout) ? EXIT_TEMPORARY : 0;
}
