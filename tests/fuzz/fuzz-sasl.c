/* fuzz-sasl.c - what a server says to a login: remote/sasl.c
 *
 * Input: a byte with the mechanisms, one with how name and password are made, one that says whether
 * challenges are put into base64 here, and then the challenges, each up to a newline. In them the
 * byte 1 stands for our nonce.
 */

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "../../remote/sasl.h"
#include "fuzz.h"

#define ROUNDS 8

static int is_clean(char const *s, size_t len)
{
  for (size_t i = 0; i < len; i++)
    if (s[i] < 32 || s[i] > 126) return 0;
  return 1;
}

static void fill(char *to, size_t *len, size_t max, unsigned int how, char const *some)
{
  *len = how % 4 == 3 ? max : strlen(some);
  if (how % 4 == 3) memset(to, how & 4 ? '=' : 'x', max);
  else memcpy(to, some, *len);
}

/* The challenge as it comes over the line; free() it. */
static char *make(struct sasl const *s, struct fuzz part, int coded, size_t *len)
{
  size_t noncelen = strlen(s->nonce), n = 0;
  char *text = malloc(part.len * (noncelen + 1) + 1);
  for (size_t i = 0; i < part.len; i++) {
    if (part.s[i] != 1) text[n++] = part.s[i];
    else memcpy(text + n, s->nonce, noncelen), n += noncelen;
  }
  if (!coded) {
    char *exact = fuzz_copy(text, n);
    free(text);
    *len = n;
    return exact;
  }
  char *out = malloc(n / 3 * 4 + 8);
  *len = (size_t)EVP_EncodeBlock((unsigned char *)out, (unsigned char const *)text, (int)n);
  char *exact = fuzz_copy(out, *len);
  free(text);
  free(out);
  return exact;
}

int LLVMFuzzerTestOneInput(uint8_t const *in, size_t inlen)
{
  static char line[SASL_LINE_MAX];
  struct fuzz f = { (char const *)in, inlen };
  struct sasl s = { 0 };
  int mechanisms = (int)fuzz_byte(&f);
  unsigned int how = fuzz_byte(&f), coded = fuzz_byte(&f);
  fill(s.user, &s.userlen, SASL_USER_MAX, how, "joe");
  fill(s.secret, &s.secretlen, SASL_SECRET_MAX, how >> 4, "pencil");
  size_t len = sasl_begin(&s, mechanisms, line);
  REQUIRE((len > 0) == ((mechanisms & 15) != 0));
  if (!len) return 0;
  REQUIRE(len == strlen(line) && len + 2 <= SASL_FIRST_MAX && is_clean(line, len));
  REQUIRE((s.mechanism & mechanisms) && !(mechanisms & 15 & ~(2 * s.mechanism - 1)));
  for (int i = 0; i < ROUNDS && f.len; i++) {
    size_t textlen;
    char *text = make(&s, fuzz_until(&f, '\n'), coded >> i & 1, &textlen);
    int ok = sasl_answer(&s, text, textlen, line, &len);
    free(text);
    REQUIRE(ok || *sasl_why());
    if (!ok) break;
    REQUIRE(len < SASL_LINE_MAX && is_clean(line, len) && len % 4 == 0);
  }
  /* Nobody guesses a signature. */
  REQUIRE(sasl_accept(&s) == (s.mechanism != AUTHCWIRE_SCRAM_SHA_256));
  return 0;
}
