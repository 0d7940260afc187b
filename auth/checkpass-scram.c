/* checkpass-scram.c - SCRAM over a socket; see checkpass.h
 *
 * This is root, has the keys, and reads nothing that the client has sent: another process does
 * (checkpass-reader.h), of which nothing is believed. A login is proved by what is computed here, over a text that
 * has the nonce, salt and iterations which were made here in it.
 */

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <skalibs/allreadwrite.h>
#include <skalibs/bytestr.h>
#include <skalibs/strerr.h>

#include "base64.h"
#include "checkpass-reader.h"
#include "checkpass.h"
#include "fdpass.h"
#include "program.h"

struct talk {
  int sock, reader;
  char const *trouble; /* what cannot be done */
  struct reader_task task;
  struct reader_first first;
  struct reader_final final;
  size_t serverlen;
  char server[AUTHWIRE_SCRAM_MAX]; /* the server's first message */
};

char const checkpass_lost[] = "ask the reader";

static int tell(struct talk *t, char kind, char const *s, size_t len)
{
  struct iovec v[2] = { { &kind, 1 }, { (char *)s, len } };
  t->trouble = "answer pipit-authd";
  return fdpass_send(t->sock, v, 2, 0, 0) == 1;
}

/* The client's next message, which is not looked at. */
static int hear(struct talk *t)
{
  struct reader_task *m = &t->task;
  t->trouble = "hear pipit-authd";
  ssize_t n = recv(t->sock, &m->kind, 1 + sizeof m->s, MSG_TRUNC);
  if (n == 0) errno = EPIPE;
  if (n <= 0) return 0;
  m->len = (uint16_t)(n - 1);
  errno = EPROTO;
  return n <= 1 + AUTHWIRE_SCRAM_MAX && m->kind == AUTHWIRE_DATA;
}

/* Have the message read: 1 and the packet that comes back, of just that size. */
static int ask(struct talk *t, void *answer, size_t size)
{
  t->trouble = checkpass_lost;
  if (fd_write(t->reader, (char *)&t->task, sizeof t->task) == -1) return 0;
  ssize_t n = recv(t->reader, answer, size, MSG_TRUNC);
  if (n <= 0) return 0;
  t->trouble = "understand the reader";
  errno = EPROTO;
  return (size_t)n == size;
}

static int read_first(struct talk *t)
{
  struct reader_first const *f = &t->first;
  return hear(t) && ask(t, &t->first, sizeof t->first) && f->loginlen <= sizeof f->login &&
         !memchr(f->login, 0, f->loginlen) && f->barelen <= sizeof f->bare && f->noncelen <= sizeof f->nonce;
}

static int read_final(struct talk *t)
{
  return hear(t) && ask(t, &t->final, sizeof t->final) && t->final.len <= sizeof t->final.without_proof;
}

/* For a login that cannot use SCRAM: keys that nobody has, but always the same salt, in whatever case the
 * login is written, because that of one that can is the same too. */
static int invent(struct scram_keys *k, struct passwd_head const *h, struct checkpass const *c)
{
  char lower[sizeof c->login];
  size_t len = strlen(c->login);
  char const *hash;
  memcpy(lower, c->login, sizeof lower);
  case_lowerb(lower, len);
  if (secret_kind(h->dummy, &hash) != SECRET_SCRAM || !secret_scram(k, hash)) {
    k->iterations = SCRAM_ITERATIONS;
    k->saltlen = SCRAM_SALT;
  }
  if (k->saltlen > SCRAM_KEY) k->saltlen = SCRAM_KEY;
  return HMAC(EVP_sha256(), h->seed, (int)strlen(h->seed), (unsigned char const *)lower, len, k->salt, 0) &&
         getrandom(k->stored, sizeof k->stored, 0) == sizeof k->stored &&
         getrandom(k->server, sizeof k->server, 0) == sizeof k->server;
}

/* The keys of c->login. 1; 0: invented ones; -1 with errno. They are always invented, for the time that it takes. */
static int find_keys(struct checkpass *c, struct scram_keys *k)
{
  struct passwd_head h = PASSWD_ZERO;
  char const *hash;
  int r = passwd_head(&h);
  if (r == 0) errno = ENOENT;
  if (r != 1 || !invent(k, &h, c)) return -1;
  r = passwd_find(&c->entry, c->login, strlen(c->login));
  if (r != 1 || secret_is_disabled(c->entry.secret) || secret_kind(c->entry.secret, &hash) != SECRET_SCRAM)
    return r == -1 ? -1 : 0;
  return secret_scram(k, hash) ? 1 : (errno = EPROTO, -1);
}

static size_t add(char *out, size_t n, char const *s, size_t len)
{
  memcpy(out + n, s, len);
  out[n + len] = ',';
  return n + len + 1;
}

/* The conversation of which there has to be a proof: the client's first message bare, the server's first
 * one, which is ours alone but for the client's nonce, and the client's final one. */
static size_t join(char out[SCRAM_TEXT_MAX], struct talk const *t)
{
  size_t n = add(out, 0, t->first.bare, t->first.barelen);
  n = add(out, n, t->server, t->serverlen);
  return add(out, n, t->final.without_proof, t->final.len) - 1;
}

static int tell_signature(struct talk *t, unsigned char const signature[SCRAM_KEY])
{
  char last[2 + BASE64_LEN(SCRAM_KEY)] = "v=";
  base64_encode(last + 2, (char const *)signature, SCRAM_KEY);
  return tell(t, AUTHWIRE_DATA, last, sizeof last);
}

/* From the client's first message to the last: 1, 0, -1 with errno and t->trouble. */
static int converse(struct checkpass *c, struct talk *t)
{
  char text[SCRAM_TEXT_MAX];
  unsigned char signature[SCRAM_KEY];
  struct scram_keys k;
  if (!read_first(t)) return -1;
  memcpy(c->login, t->first.login, sizeof t->first.login);
  c->login[t->first.loginlen] = 0;
  if (!tell(t, AUTHWIRE_WHO, c->login, t->first.loginlen)) return -1;
  if (!t->first.noncelen) return 0;
  t->trouble = 0;
  int known = find_keys(c, &k);
  if (known == -1 || !scram_nonce(t->task.ours)) return -1;
  t->serverlen = scram_challenge(t->server, &k, t->first.nonce, t->first.noncelen, t->task.ours);
  if (!tell(t, AUTHWIRE_DATA, t->server, t->serverlen) || !read_final(t)) return -1;
  if (!t->final.len) return 0;
  t->trouble = "check a proof";
  int r = scram_check(&k, t->final.proof, text, join(text, t), signature);
  if (r != 1 || !known) return r == -1 ? (errno = EIO, -1) : 0;
  if (!tell_signature(t, signature) || !hear(t)) return -1;
  return !t->task.len;
}

int checkpass_judge(struct checkpass *c, int sock, int reader, char const **trouble)
{
  static struct talk t;
  t.sock = sock;
  t.reader = reader;
  int r = converse(c, &t);
  if (r != -1 && !tell(&t, r ? AUTHWIRE_OK : AUTHWIRE_NO, 0, 0)) r = -1;
  *trouble = t.trouble;
  return r;
}

int checkpass_scram(struct checkpass *c, int sock)
{
  char const *trouble = "start the reader";
  int reader;
  pid_t pid = reader_start(&reader);
  int r = pid == -1 ? -1 : checkpass_judge(c, sock, reader, &trouble);
  int e = errno;
  if (trouble == checkpass_lost && r == -1) reader_lost(pid);
  if (pid != -1) reader_end(pid);
  errno = e;
  if (r == -1 && trouble) strerr_diefusys(EXIT_TEMPORARY, trouble);
  close(sock);
  return r;
}
