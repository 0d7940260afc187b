/* fuzz-tlsc.c - what is said about TLS: remote/tlspolicy.c, requests as tls/peer.c takes them apart,
 * or the whole of tls/session.c does from the packet on, answers as lib/tlsclient.c does
 *
 * Input: a byte that says which, then (unpacked) a control file, a NUL and a host; or a level and
 * the strings of a request; or a packet of an answer; or a byte for role and descriptors, and a
 * packet of a request.
 */

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../remote/tlspolicy.h"
#include "../../tls/session.c" /* receive() */
#include "clock.h"
#include "control.h"
#include "fuzz.h"
#include "tlsclient.h"

/* What of a session comes behind its request. */
enum shovel_result shovel(SSL *ssl, int net, int plain)
{
  (void)ssl, (void)net, (void)plain;
  return SHOVEL_UNUSED;
}

void shovel_linger(int fd)
{
  (void)fd;
}

static int home;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
  (void)argc;
  (void)argv;
  home = fuzz_home();
  return 0;
}

/* --- control/tlsdestinations --- */

static void check_policy(struct tlspolicy const *p)
{
  struct tlspolicy copy = *p;
  REQUIRE(p->level > TLSPOLICY_UNSET && p->level <= TLSPOLICY_VERIFY);
  REQUIRE(!tlspolicy_check(&copy) && tlspolicy_same(&copy, p));
  REQUIRE(memchr(p->match, 0, sizeof p->match) && memchr(p->ca, 0, sizeof p->ca) &&
          memchr(p->prints, 0, sizeof p->prints));
  REQUIRE(!strchr(p->ca, '/') && *p->ca != '.' && !strstr(p->match, ",,"));
  REQUIRE((strlen(p->prints) + 1) % (TLSPOLICY_PRINT + 1) == (*p->prints ? 0 : 1));
}

/* Whoever asks for verification gets names or fingerprints to go by. */
static void test_policies(char const *s, size_t len)
{
  struct tlspolicies all = TLSPOLICIES_ZERO;
  char name[TLSPOLICY_MATCH_MAX] = "mx.example";
  char const *nul = len ? memchr(s, 0, len) : 0;
  size_t size = nul ? (size_t)(nul - s) : len;
  char *words = malloc(len - size + 2);
  if (!words) abort();
  memcpy(words, nul ? nul + 1 : "", nul ? len - size - 1 : 0);
  words[nul ? len - size - 1 : 0] = 0;
  fuzz_file(home, "control/" TLSPOLICY_FILE, s, size);
  if (tlspolicy_load(&all)) {
    struct tlspolicy p;
    for (int relay = 0; relay < 2; relay++) {
      tlspolicy_find(&all, words, relay ? "gate.example:25" : "", &p);
      if (*words && strlen(words) < 250 && *words != '.') REQUIRE(p.level != TLSPOLICY_VERIFY || *p.match || *p.prints);
      REQUIRE(p.level > TLSPOLICY_UNSET && p.level <= TLSPOLICY_VERIFY);
    }
    REQUIRE(tlspolicy_mark(&p, name, sizeof name) && strlen(name) == 10 + TLSPOLICY_MARK_MAX);
  } else REQUIRE(strstr(control_why(), "control/" TLSPOLICY_FILE));
  struct tlspolicy p;
  if (!tlspolicy_parse(&p, words)) check_policy(&p);
  tlspolicy_free(&all);
  free(words);
}

/* --- requests --- */

static void test_request(char const *s, size_t len)
{
  struct peer p;
  if (!len || !peer_take(&p, *s, s + 1, len - 1)) return;
  char const *at = s + 1;
  for (size_t i = 0; i < TLSWIRE_STRINGS; i++) {
    REQUIRE(p.strings[i] == at);
    at += strlen(at) + 1;
  }
  REQUIRE(at == s + len && (p.level == TLSWIRE_MAY || p.level == TLSWIRE_ENCRYPT || p.level == TLSWIRE_VERIFY));
}

/* --- packets of requests, of both roles --- */

static void test_packet(char const *s, size_t len)
{
  static struct session session;
  int ends[2], fds[2], got[2];
  if (!len || len - 1 > TLSWIRE_MAX) return;
  char role = *s & 1 ? TLSWIRE_SERVER : TLSWIRE_CLIENT;
  size_t n = *s >> 1 & 3;
  if (n == 3) n = 2;
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == -1 || pipe(fds) == -1) abort();
  struct iovec v = { (char *)s + 1, len - 1 };
  memset(&session, 'x', sizeof session);
  if (len > 1 && fdpass_send(ends[1], &v, 1, fds, n) != 1) abort();
  char const *why = receive(ends[0], &session, role, got);
  struct tlswire_request q;
  int whole = n == 2 && len - 1 >= sizeof q;
  if (whole) memcpy(&q, s + 1, sizeof q);
  if (!why) {
    REQUIRE(whole && got[0] != -1 && got[1] != -1 && q.role == role && !memcmp(&q, &session.q, sizeof q));
    REQUIRE(role != TLSWIRE_SERVER || len - 1 == sizeof q);
    for (size_t i = 0; role == TLSWIRE_CLIENT && i < TLSWIRE_STRINGS; i++)
      REQUIRE(session.peer.strings[i] >= session.strings && session.peer.strings[i] < session.strings + len - 1 - sizeof q);
  } else if (whole && q.role == role && role == TLSWIRE_SERVER) REQUIRE(len - 1 > sizeof q);
  for (int i = 0; i < 2; i++)
    if (got[i] != -1) close(got[i]);
  close(ends[0]), close(ends[1]), close(fds[0]), close(fds[1]);
}

/* --- answers --- */

static void check_fact(char const *s, size_t size, char const *unwanted)
{
  REQUIRE(memchr(s, 0, size));
  for (; *s; s++) REQUIRE(*s >= 32 && *s < 127 && !strchr(unwanted, *s));
}

static void test_answer(char const *s, size_t len)
{
  int ends[2];
  struct tlsclient_facts f;
  if (!len || len > TLSWIRE_MAX) return;
  if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == -1 || write(ends[1], s, len) != (ssize_t)len) abort();
  struct tlsclient t = { .control = ends[0], .plain = -1 };
  enum tlsclient_result r = tlsclient_begin(&t, &f, clock_ms() + 10000, 0);
  REQUIRE(r != TLSCLIENT_OK || *s == TLSWIRE_OK);
  REQUIRE(r != TLSCLIENT_PEER || *s == TLSWIRE_FAILED);
  REQUIRE(r != TLSCLIENT_PLAIN);
  check_fact(f.protocol, sizeof f.protocol, TLSCLIENT_WORD);
  check_fact(f.cipher, sizeof f.cipher, TLSCLIENT_WORD);
  check_fact(f.third, sizeof f.third, TLSCLIENT_WORD);
  check_fact(f.fourth, sizeof f.fourth, TLSCLIENT_TEXT);
  if (r == TLSCLIENT_PEER)
    for (char const *c = t.why; *c; c++) REQUIRE(*c >= 32 && *c < 127);
  tlsclient_end(&t);
  close(ends[1]);
}

int LLVMFuzzerTestOneInput(uint8_t const *bytes, size_t size)
{
  struct fuzz f = { (char const *)bytes, size };
  unsigned int which = fuzz_below(&f, 4);
  size_t len;
  char *s = fuzz_unpack(f, &len);
  if (which == 0) test_policies(s, len);
  else if (which == 1) test_request(s, len);
  else if (which == 2) test_answer(s, len);
  else test_packet(s, len);
  free(s);
  return 0;
}
