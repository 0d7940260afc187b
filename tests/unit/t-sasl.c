/* t-sasl.c - logins as a client: the examples of RFC 2195, 4616 and 7677, and servers that do not hold to them */

#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>

#include "check.h"
#include "../../remote/sasl.h"

static char line[SASL_LINE_MAX];
static size_t linelen;

static struct sasl start(char const *user, char const *secret)
{
  struct sasl s = { 0 };
  s.userlen = (size_t)snprintf(s.user, sizeof s.user, "%s", user);
  s.secretlen = (size_t)snprintf(s.secret, sizeof s.secret, "%s", secret);
  return s;
}

/* Answer <text>, which is put into base64. */
static int answer(struct sasl *s, char const *text)
{
  char coded[SASL_LINE_MAX + 4];
  int n = EVP_EncodeBlock((unsigned char *)coded, (unsigned char const *)text, (int)strlen(text));
  return sasl_answer(s, coded, (size_t)n, line, &linelen);
}

/* Is the line that was answered this text? */
static int is(char const *text)
{
  char coded[SASL_LINE_MAX];
  int n = EVP_EncodeBlock((unsigned char *)coded, (unsigned char const *)text, (int)strlen(text));
  return linelen == (size_t)n && !memcmp(line, coded, linelen);
}

static int said(char const *what)
{
  return strstr(sasl_why(), what) != 0;
}

static void simple(void)
{
  struct sasl s = start("tim", "tanstaaftanstaaf");
  size_t n = sasl_begin(&s, AUTHCWIRE_PLAIN | AUTHCWIRE_LOGIN, line);
  check(!strcmp(line, "AUTH PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm") && n == strlen(line) && sasl_accept(&s), "PLAIN (RFC 4616)");
  check(!answer(&s, "") && said("more than name and password"), "and no more than that");
  s = start("tim", "tanstaaftanstaaf");
  n = sasl_begin(&s, AUTHCWIRE_LOGIN, line);
  check(n == 10 && !strcmp(line, "AUTH LOGIN"), "LOGIN");
  check(answer(&s, "Username:") && is("tim") && answer(&s, "Password:") && is("tanstaaftanstaaf") && sasl_accept(&s), "name, then password");
  check(!answer(&s, "Shoe size:"), "and no more than that");
  s = start("tim", "tanstaaftanstaaf");
  n = sasl_begin(&s, AUTHCWIRE_CRAM_MD5 | AUTHCWIRE_PLAIN, line);
  check(n == 13 && !strcmp(line, "AUTH CRAM-MD5"), "CRAM-MD5 goes before PLAIN");
  check(answer(&s, "<1896.697170952@postoffice.reston.mci.net>") && is("tim b913a602c7eda7a495b4e6e7334d3890") && sasl_accept(&s), "the example of RFC 2195");
  check(!answer(&s, "<again@example>"), "but once");
  s = start("tim", "x");
  check(!sasl_begin(&s, 0, line) && said("no mechanism"), "nothing in common");
  /* A first response that is too long for a line waits until it is asked for. */
  char longest[SASL_SECRET_MAX + 1];
  memset(longest, 'x', SASL_SECRET_MAX);
  longest[SASL_SECRET_MAX] = 0;
  s = start(longest, longest);
  n = sasl_begin(&s, AUTHCWIRE_PLAIN, line);
  check(n == 10 && !strcmp(line, "AUTH PLAIN"), "a name and a password of 255 bytes: no first response");
  check(answer(&s, "") && linelen == 684 && !answer(&s, ""), "but a second one");
  s = start("tim", "x");
  sasl_begin(&s, AUTHCWIRE_CRAM_MD5, line);
  check(!sasl_answer(&s, "not base64", 10, line, &linelen) && said("not base64"), "a challenge that is not base64");
}

#define NONCE "rOprNGfwEbeRWgbNEkqO"
#define SERVER "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define FIRST "r=" NONCE SERVER ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
#define FINAL "c=biws,r=" NONCE SERVER ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
#define VERIFY "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="

static struct sasl start_scram(char const *user)
{
  struct sasl s = start(user, "pencil");
  strcpy(s.nonce, NONCE);
  linelen = sasl_begin(&s, 15, line);
  return s;
}

static void scram(void)
{
  struct sasl s = start_scram("user");
  check(!strcmp(line, "AUTH SCRAM-SHA-256 biwsbj11c2VyLHI9ck9wck5HZndFYmVSV2diTkVrcU8="), "SCRAM-SHA-256 goes before all (RFC 7677, 3)");
  check(answer(&s, FIRST) && is(FINAL), "the proof of its example");
  check(!sasl_accept(&s) && said("another one"), "a server that has proved nothing is not believed");
  check(answer(&s, VERIFY) && !linelen && sasl_accept(&s), "the server's signature of the example is");
  check(!answer(&s, ""), "nothing more is answered");
  s = start_scram("user");
  answer(&s, FIRST);
  check(!answer(&s, "v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=") && said("another one") && !sasl_accept(&s), "a wrong signature");
  s = start_scram("user");
  answer(&s, FIRST);
  check(!answer(&s, "e=invalid-proof") && said("does not accept") && !sasl_accept(&s), "an error in its place");
  static struct {
    char const *first, *why;
  } const bad[] = {
    { "r=" SERVER ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", "nonce" },
    { "r=" NONCE ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", "nonce" },
    { "m=x,r=" NONCE "x,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", "not one of SCRAM" },
    { "r=" NONCE "x,s=,i=4096", "not one of SCRAM" },
    { "r=" NONCE "x,s=W22,i=4096", "not one of SCRAM" },
    { "r=" NONCE "x,s=W22ZaJ0SNY7soEsUEjb6gQ==", "not one of SCRAM" },
    { "r=" NONCE "x,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=", "not one of SCRAM" },
    { "r=" NONCE "x,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096x", "not one of SCRAM" },
    { "r=" NONCE "x,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4095", "iteration count" },
    { "r=" NONCE "x,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=1000001", "iteration count" },
    { "r=" NONCE "x,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=99999999999999999999", "not one of SCRAM" },
    { "", "not one of SCRAM" },
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    s = start_scram("user");
    check(!answer(&s, bad[i].first) && said(bad[i].why), *bad[i].first ? bad[i].first : "an empty challenge");
  }
  s = start("a=b,c", "pencil");
  sasl_begin(&s, AUTHCWIRE_SCRAM_SHA_256, line);
  check(strstr(s.first, "n=a=3Db=2Cc,r=") == s.first && strlen(s.nonce) == 24, "= and , in a name; a nonce of its own");
  struct sasl other = start("a=b,c", "pencil");
  sasl_begin(&other, AUTHCWIRE_SCRAM_SHA_256, line);
  check(strcmp(s.nonce, other.nonce) != 0, "for each login");
  char longest[SASL_USER_MAX + 1];
  memset(longest, '=', SASL_USER_MAX);
  longest[SASL_USER_MAX] = 0;
  s = start_scram(longest);
  check(linelen == 18 && answer(&s, "") && linelen > 1000 && answer(&s, FIRST), "a long name: no first response");
}

int main(void)
{
  check(sasl_prepare(), "libcrypto has what is needed");
  simple();
  scram();
  return check_done();
}
