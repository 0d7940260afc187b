/* rcptd-passwd.c - the process of pipit-rcptd that asks the password database
 *
 * What is behind that (files, LDAP, SSSD) is loaded into this process, which has no right to
 * look into homes, and may hang without the others.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <skalibs/types.h>

#include "getpw.h"
#include "rcptd.h"

#define FIELDS 6

static size_t put(char out[RCPTD_PACKET_MAX], struct mailuser const *u)
{
  int n = snprintf(out, RCPTD_PACKET_MAX, "%c%u%c%u%c%s%c%s%c%s%c%s", PASSWD_USER,
                   (unsigned int)u->uid, 0, (unsigned int)u->gid, 0, u->user, 0, u->home, 0,
                   u->dash, 0, u->ext);
  if (n > 0 && n < RCPTD_PACKET_MAX) return (size_t)n + 1;
  out[0] = PASSWD_TROUBLE;
  return 1;
}

void passwd_run(void)
{
  static char packet[RCPTD_PACKET_MAX];
  struct mailuser u = MAILUSER_ZERO;
  for (;;) {
    ssize_t n = read(0, packet, sizeof packet);
    if (n <= 0) _exit(0);
    int r = getpw_find(packet, (size_t)n, &u);
    size_t len = 1;
    if (r == 1) len = put(packet, &u);
    else packet[0] = r ? PASSWD_TROUBLE : PASSWD_NONE;
    if (write(0, packet, len) != (ssize_t)len) _exit(0);
  }
}

int passwd_read(char const *s, size_t len, struct mailuser *u)
{
  char const *field[FIELDS];
  char const *end = s + len;
  uid_t uid;
  gid_t gid;
  if (len == 1 && *s == PASSWD_NONE) return 0;
  if (!len || *s++ != PASSWD_USER) return (errno = EIO, -1);
  for (int i = 0; i < FIELDS; i++) {
    field[i] = s;
    s = memchr(s, 0, (size_t)(end - s));
    if (!s++) return (errno = EPROTO, -1);
  }
  if (s != end || !uid0_scan(field[0], &uid) || !gid0_scan(field[1], &gid) || *field[3] != '/')
    return (errno = EPROTO, -1);
  return mailuser_set(u, uid, gid, field[2], field[3], field[4], field[5], strlen(field[5])) ? 1 : -1;
}
