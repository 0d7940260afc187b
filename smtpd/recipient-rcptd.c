/* recipient-rcptd.c - ask pipit-rcptd, over a connection that stays for the next question */

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "localsocket.h"
#include "rcptwire.h"
#include "recipient.h"

#define WAIT_MS 6000 /* for an answer; pipit-rcptd itself gives up earlier */

static int sock = -1;
static int closed;

static void leave(void)
{
  if (sock != -1) close(sock);
  sock = -1;
}

/* 1 there is a connection, 0. */
static int reach(void)
{
  if (sock != -1) return 1;
  sock = localsocket_reach(RCPTWIRE_SOCKET);
  if (sock != -1) return 1;
  closed = errno == EACCES;
  return 0;
}

/* The byte of the answer; 0 when none came in time, -1 when the connection is of no use. */
static int answer(uint64_t end)
{
  for (uint64_t now; (now = clock_ms()) < end;) {
    struct pollfd x = { .fd = sock, .events = POLLIN };
    unsigned char byte[2];
    ssize_t n = recv(sock, byte, sizeof byte, MSG_DONTWAIT);
    if (n == 1) return byte[0];
    if (n != -1 || (errno != EAGAIN && errno != EINTR)) return -1;
    if (poll(&x, 1, (int)(end - now)) == -1 && errno != EINTR) return -1;
  }
  return 0;
}

static int ask(char const *addr, size_t len, uint64_t end)
{
  if (!reach()) return -1;
  if (send(sock, addr, len, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)len) return -1;
  return answer(end);
}

int recipient_is_closed(void)
{
  return closed;
}

enum known recipient_ask(char const *addr, size_t len)
{
  uint64_t end = clock_ms() + WAIT_MS;
  int kept = sock != -1;
  int r = ask(addr, len, end);
  if (r == -1) leave();
  if (r == -1 && kept) r = ask(addr, len, end); /* it was closed while it was idle */
  switch (r) {
    case RCPTWIRE_YES: return KNOWN_YES;
    case RCPTWIRE_REMOTE: return KNOWN_REMOTE;
    case RCPTWIRE_NO: return KNOWN_NO;
    case RCPTWIRE_TROUBLE: return KNOWN_TROUBLE;
    default: leave(); return KNOWN_TROUBLE; /* no late answer is to be taken for another question's */
  }
}
