/* self.h - is that this host? */
#ifndef PIPIT_REMOTE_SELF_H
#define PIPIT_REMOTE_SELF_H

#include <ifaddrs.h>

#include "dns.h"
#include "settings.h"

struct self {
  struct settings const *settings;
  struct ifaddrs *interfaces; /* NULL when they cannot be listed */
};

extern void self_open(struct self *s, struct settings const *settings);
extern void self_close(struct self *s);

/* control/me or control/helohost. */
extern int self_is_name(struct self const *s, char const *name);

/* An address of an interface, any loopback address, or the unspecified one. */
extern int self_is_ip(struct self const *s, struct dns_ip const *ip);

#endif
