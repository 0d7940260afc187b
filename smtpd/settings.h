/* settings.h - the control files that pipit-smtpd reads, as one struct */
#ifndef PIPIT_SMTPD_SETTINGS_H
#define PIPIT_SMTPD_SETTINGS_H

#include <stdint.h>

#include <skalibs/stralloc.h>

#include "complete.h"
#include "map.h"
#include "netlist.h"

#define SETTINGS_LINE_MIN 512   /* bytes that maxline must at least be (RFC 5321, 4.5.3.1.4) */
#define SETTINGS_LINE_MAX 12288 /* and at most */

struct settings {
  stralloc me;          /* NUL-terminated, as the next two */
  stralloc greeting;
  stralloc localiphost;
  int has_rcpthosts;    /* without the file, nothing but RELAYCLIENT's mail is taken */
  struct map rcpthosts;
  struct map badmailfrom;
  struct netlist normalize;
  struct netlist authinclear; /* whose logins are taken without TLS */
  unsigned long authdelay;    /* seconds that a failed login costs */
  unsigned long relayopen;    /* seconds: relayopentime; 0: nobody relays for it */
  unsigned long databytes; /* 0: no limit */
  unsigned long maxrcpt;
  unsigned long maxline;
  unsigned long maxerrors;
  unsigned long brtlimit;  /* recipients refused as not existing; 0: no limit */
  struct complete hosts;   /* of pipit-ofmipd: how addresses are completed, */
  stralloc idhost;         /* the domain of Message-IDs, */
  unsigned long hideclient; /* 1: Received does not say where a message comes from */
  int rcptd;               /* control/rcptcheck: pipit-rcptd is asked about recipients */
  unsigned long idle;      /* seconds: timeoutsmtpd */
  unsigned long session;   /* seconds: timeoutsession */
  unsigned long sessions;  /* at once, of a listener: concurrencysmtpd */
  unsigned long per_client;
  uint64_t stamp;          /* stands for the files that this was read from, or 0 */
};

/* Read everything into <s>, which is static storage or was loaded before; it is
 * replaced only on success, but for the stamp. <watch>: settings_changed will be
 * asked. 1, or 0 with settings_why(): one line that names the file, the line and
 * the mend. */
extern int settings_load(struct settings *s, int watch);
extern char const *settings_why(void);

/* Is any of the files another one than at the last settings_load? */
extern int settings_changed(struct settings const *s);

#endif
