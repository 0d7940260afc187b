/* sasl.c - the mechanisms of AUTH; see sasl.h */

#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include <skalibs/strerr.h>

#include "clock.h"
#include "sasl.h"
#include "word.h"

#define RAW_MAX (SASL_LINE_MAX / 4 * 3)
#define DIGEST  32 /* hexadecimal digits of an MD5 sum */

struct mechanism {
  char const *name;
  unsigned int set; /* the bit of authwire.h */
  enum authwire_mechanism number;
  int server_first; /* no initial response makes sense */
  char const *greeting; /* the first challenge */
  enum sasl_result (*take)(struct sasl *s, char const *raw, size_t len);
};

static enum sasl_result challenge(struct sasl *s, char const *raw, size_t len)
{
  s->challengelen = base64_encode(s->challenge, raw, len);
  return SASL_CONTINUE;
}

static enum sasl_result result_of(struct sasl *s, enum auth_result r)
{
  switch (r) {
    case AUTH_OK: return SASL_OK;
    case AUTH_NO: return SASL_REFUSED;
    case AUTH_DATA: return challenge(s, s->answer.data, s->answer.datalen);
    case AUTH_LATER: return SASL_LATER;
    default: return SASL_TROUBLE;
  }
}

static enum sasl_result check(struct sasl *s, char const *login, size_t loginlen,
                              char const *secret, size_t secretlen, char const *extra,
                              size_t extralen)
{
  s->try.login = login;
  s->try.loginlen = loginlen;
  s->try.secret = secret;
  s->try.secretlen = secretlen;
  s->try.extra = extra;
  s->try.extralen = extralen;
  return result_of(s, auth_check(s->auth, &s->who, &s->try, &s->answer));
}

/* What no checker needs to be asked about. */
static enum sasl_result refuse(struct sasl *s, char const *login, size_t len)
{
  auth_log_failure(PROG, s->who.ip, s->who.service, s->try.mechanism, login,
                   len < AUTHWIRE_LOGIN_MAX ? len : AUTHWIRE_LOGIN_MAX);
  return SASL_REFUSED;
}

/* authzid NUL login NUL password (RFC 4616). Nobody may act for another one. */
static enum sasl_result take_plain(struct sasl *s, char const *raw, size_t len)
{
  char const *first = memchr(raw, 0, len);
  if (!first) return SASL_MALFORMED;
  char const *login = first + 1;
  size_t left = len - (size_t)(login - raw);
  char const *second = memchr(login, 0, left);
  if (!second) return SASL_MALFORMED;
  size_t loginlen = (size_t)(second - login);
  size_t secretlen = left - loginlen - 1;
  size_t authzidlen = (size_t)(first - raw);
  if (!loginlen || !secretlen || memchr(second + 1, 0, secretlen)) return SASL_MALFORMED;
  if (authzidlen && (authzidlen != loginlen || memcmp(raw, login, loginlen)))
    return refuse(s, login, loginlen);
  return check(s, login, loginlen, second + 1, secretlen, "", 0);
}

static enum sasl_result take_login(struct sasl *s, char const *raw, size_t len)
{
  if (memchr(raw, 0, len) || !len) return SASL_MALFORMED;
  if (s->step++) return check(s, s->login, s->loginlen, raw, len, "", 0);
  if (len > sizeof s->login) return SASL_MALFORMED;
  memcpy(s->login, raw, len);
  s->loginlen = len;
  return challenge(s, "Password:", 9);
}

/* login, a space, the digest (RFC 2195). */
static enum sasl_result take_cram(struct sasl *s, char const *raw, size_t len)
{
  char const *space = memrchr(raw, ' ', len);
  if (!space || space == raw || memchr(raw, 0, len)) return SASL_MALFORMED;
  size_t loginlen = (size_t)(space - raw);
  size_t digest = len - loginlen - 1;
  if (digest != DIGEST) return SASL_MALFORMED;
  return check(s, raw, loginlen, space + 1, digest, s->sent, s->sentlen);
}

static enum sasl_result take_scram(struct sasl *s, char const *raw, size_t len)
{
  if (len > AUTHWIRE_SCRAM_MAX || memchr(raw, 0, len)) return SASL_MALFORMED;
  if (!s->step++) return check(s, "", 0, "", 0, raw, len);
  return result_of(s, auth_go_on(&s->who, &s->answer, raw, len));
}

static struct mechanism const mechanisms[] = {
  { "SCRAM-SHA-256", AUTHWIRE_HAS_SCRAM, AUTHWIRE_SCRAM_SHA_256, 0, "", take_scram },
  { "CRAM-MD5", AUTHWIRE_HAS_CRAM, AUTHWIRE_CRAM_MD5, 1, 0, take_cram },
  { "PLAIN", AUTHWIRE_HAS_PLAIN, AUTHWIRE_PLAIN, 0, "", take_plain },
  { "LOGIN", AUTHWIRE_HAS_PLAIN, AUTHWIRE_LOGIN, 0, "Username:", take_login },
};
#define MECHANISMS (sizeof mechanisms / sizeof *mechanisms)

size_t sasl_names(char out[SASL_NAMES_MAX], unsigned int set)
{
  size_t n = 0;
  *out = 0;
  for (size_t i = 0; i < MECHANISMS; i++)
    if (set & mechanisms[i].set)
      n += (size_t)snprintf(out + n, SASL_NAMES_MAX - n, " %s", mechanisms[i].name);
  return n;
}

static struct mechanism const *mechanism_of(struct sasl const *s)
{
  size_t i = 0;
  while (mechanisms[i].number != s->try.mechanism) i++;
  return &mechanisms[i];
}

/* <random.time@host>: no challenge is ever sent twice (RFC 2195, 2). */
static enum sasl_result greet(struct sasl *s, struct mechanism const *m, char const *host)
{
  unsigned char random[16];
  char hex[2 * sizeof random + 1];
  if (m->greeting) return challenge(s, m->greeting, strlen(m->greeting));
  if (getrandom(random, sizeof random, 0) != sizeof random) {
    snprintf(s->answer.why, sizeof s->answer.why, "no random bytes");
    return SASL_TROUBLE;
  }
  for (size_t i = 0; i < sizeof random; i++) snprintf(hex + 2 * i, 3, "%02x", random[i]);
  s->sentlen = (size_t)snprintf(s->sent, sizeof s->sent, "<%s.%lld@%.*s>", hex,
                                (long long)clock_wall(), SASL_HOST_MAX - 32, host);
  return challenge(s, s->sent, s->sentlen);
}

static enum sasl_result take(struct sasl *s, char const *line, size_t len)
{
  static char raw[RAW_MAX + 1]; /* not on the stack, which is to stay small */
  size_t n;
  if (!base64_decode(raw, RAW_MAX, line, len, &n)) return SASL_MALFORMED;
  raw[n] = 0;
  enum sasl_result r = mechanism_of(s)->take(s, raw, n);
  explicit_bzero(raw, n);
  return r;
}

enum sasl_result sasl_begin(struct sasl *s, struct auth const *auth, struct auth_who const *who,
                            char const *host, char const *name, size_t len, char const *initial,
                            size_t initiallen)
{
  unsigned int set = auth_mechanisms(auth);
  size_t i = 0;
  while (i < MECHANISMS && !word_is(name, len, mechanisms[i].name)) i++;
  s->answer.conversation = -1;
  s->answer.why[0] = 0;
  if (!set) {
    snprintf(s->answer.why, sizeof s->answer.why, "logins cannot be checked now");
    return SASL_TROUBLE;
  }
  if (i == MECHANISMS || !(set & mechanisms[i].set)) return SASL_UNKNOWN;
  s->auth = auth;
  s->who = *who;
  s->try = (struct auth_try){ .mechanism = mechanisms[i].number };
  s->step = 0;
  if (!initial) return greet(s, &mechanisms[i], host);
  if (mechanisms[i].server_first) return SASL_MALFORMED;
  if (initiallen == 1 && *initial == '=') initiallen = 0;
  return take(s, initial, initiallen);
}

enum sasl_result sasl_continue(struct sasl *s, char const *line, size_t len)
{
  enum sasl_result r = SASL_CANCELLED;
  if (len != 1 || *line != '*') r = take(s, line, len);
  if (r != SASL_CONTINUE && !(r == SASL_OK && s->who.client != -1)) sasl_cancel(s);
  return r;
}

void sasl_cancel(struct sasl *s)
{
  auth_cancel(&s->answer);
}
