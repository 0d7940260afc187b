/* dns.h - mail's questions to the DNS, through c-ares
 *
 * The only file that includes <ares.h>. Asks the resolvers of control/resolvers
 * (one per line: "addr", "addr:port", "[v6]:port"), without that file those of
 * /etc/resolv.conf; with EDNS, over TCP where an answer was truncated. Every
 * question is answered within DNS_SECONDS. The hosts file is not used.
 *
 * That something is temporarily unknown is a result of its own: only an answer
 * that says so (NXDOMAIN, or no records) counts as "does not exist". A timeout,
 * SERVFAIL, REFUSED, a bad answer, a dead resolver, lack of memory are all
 * DNS_TEMPORARY.
 *
 * The caller has called tain_now_set_stopwatch_g().
 */
#ifndef PIPIT_DNS_H
#define PIPIT_DNS_H

#include <stddef.h>

#define DNS_SECONDS  30  /* for all questions of one call */
#define DNS_NAME_MAX 254 /* bytes of a name as text, with the NUL, without a final dot */
#define DNS_IPS_MAX  10  /* addresses of a host, of each family; the rest is dropped */

enum dns_result {
  DNS_FOUND,
  DNS_NODATA,   /* the name exists, but no such records */
  DNS_NXDOMAIN, /* the name does not exist */
  DNS_TEMPORARY
};

struct dns;

struct dns_mx {
  unsigned int preference;
  char name[DNS_NAME_MAX]; /* "" for the root: RFC 7505's null MX */
};

struct dns_ip {
  int family; /* AF_INET or AF_INET6 */
  unsigned char ip[16];
};

struct dns_host {
  char const *name; /* set by the caller */
  enum dns_result result;
  size_t count4, count6;
  struct dns_ip ip4[DNS_IPS_MAX], ip6[DNS_IPS_MAX];
};

/* Begin. NULL with dns_why(): always a temporary failure. */
extern struct dns *dns_open(void);
extern void dns_close(struct dns *d); /* NULL is fine */

/* The MX records of <name>, in the order of the answer. With DNS_FOUND there is
 * at least one; <*list> is the caller's to free. Records whose host name is not
 * made of letters, digits, '-', '_' and '.' are left out; when no other is
 * there, <*list> is NULL and <*count> 0. */
extern enum dns_result dns_mx(struct dns *d, char const *name, struct dns_mx **list, size_t *count);

/* The addresses of hosts[0..n), all asked for at once. A host is DNS_FOUND with
 * at least one address of either family; DNS_TEMPORARY when there is none and
 * either answer was missing. */
extern void dns_addresses(struct dns *d, struct dns_host *hosts, size_t n);

/* One line on the last failure of dns_open, or of the last DNS_TEMPORARY. */
extern char const *dns_why(void);

#endif
