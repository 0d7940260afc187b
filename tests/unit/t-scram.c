/* t-scram.c - SCRAM-SHA-256: the exchange of RFC 7677, 3, and messages that are none */

#include <stdio.h>
#include <string.h>

#include "base64.h"
#include "check.h"
#include "scram.h"

#define BARE   "n=user,r=rOprNGfwEbeRWgbNEkqO"
#define FIRST  "n,," BARE
#define THEIRS "rOprNGfwEbeRWgbNEkqO%hvYDp" /* with what that server's part is longer than ours */
#define OURS   "WUa2RaTCAfuxFIlj)hNlF$k0"
#define NONCE  THEIRS OURS
#define SERVER "r=" NONCE ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
#define WITHOUT "c=biws,r=" NONCE
#define PROOF  ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="

static char const signature[] = "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

static size_t final(struct scram *s, char const *msg)
{
  unsigned char proof[SCRAM_KEY];
  return scram_final(s, OURS, msg, strlen(msg), proof);
}

/* The half that has the keys, with the exchange of the RFC. */
static void keys(struct scram_keys *k, unsigned char const proof[SCRAM_KEY])
{
  static char const text[] = BARE "," SERVER "," WITHOUT;
  static char const zeros[SCRAM_NONCE_MAX];
  char server[AUTHWIRE_SCRAM_MAX], base64[BASE64_LEN(SCRAM_KEY)], a[SCRAM_OURS], b[SCRAM_OURS];
  unsigned char ours[SCRAM_KEY], other[SCRAM_KEY];
  size_t n = scram_challenge(server, k, THEIRS, strlen(THEIRS), OURS);
  check(n == strlen(SERVER) && !memcmp(server, SERVER, n), "the challenge");
  k->saltlen = SCRAM_SALT_MAX;
  k->iterations = ~0U;
  n = scram_challenge(server, k, zeros, SCRAM_NONCE_MAX, OURS);
  check(n < sizeof server && !memcmp(server + n - 13, ",i=4294967295", 13), "one of the longest, of anything");
  k->saltlen = 16;
  k->iterations = 4096;
  check(scram_check(k, proof, text, strlen(text), ours) == 1, "the proof is one");
  base64_encode(base64, (char *)ours, SCRAM_KEY);
  check(!memcmp(base64, signature, sizeof base64), "the server's proof");
  check(scram_check(k, proof, text, strlen(text) - 1, ours) == 0, "of this conversation only");
  memcpy(other, proof, sizeof other);
  other[SCRAM_KEY - 1] ^= 1;
  check(scram_check(k, other, text, strlen(text), ours) == 0, "another one is none");
  k->stored[0] ^= 1;
  check(scram_check(k, proof, text, strlen(text), ours) == 0, "nor with another password");
  check(scram_nonce(a) && scram_nonce(b) && memcmp(a, b, sizeof a) && !memchr(a, ',', sizeof a), "nonces differ");
}

static char const *const bad_first[] = {
  "", "n", "n,", "n,,", "y,,", "n,,n=", "n,,n=user", "n,,n=user,", "n,,n=user,r=", "n,,r=x,n=user", "x,,n=user,r=x",
  "p=tls-exporter,,n=user,r=x", "n,a=other,n=user,r=x", "n,a=,n=user,r=x", "n,,m=x,n=user,r=x", "n,,n=us=er,r=x",
  "n,,n=user=,r=x", "n,,n=user=2,r=x", "n,,n=user,r=a b", "nn,,n=user,r=x", "n,,n=user,r=\x80",
};

static char const *const bad_final[] = {
  "", "c=biws", WITHOUT, "c=biws,r=other" PROOF, "c=eSws,r=" NONCE PROOF, "r=" NONCE PROOF, WITHOUT PROOF ",x=y",
  WITHOUT ",m=x" PROOF, WITHOUT ",p=", WITHOUT ",p=AAAA", "c=biws,r=" NONCE "x" PROOF, "c=biws,r=" THEIRS PROOF,
  "c=biws,r=" OURS PROOF,
};

int main(void)
{
  struct scram s;
  struct scram_keys k, same;
  unsigned char proof[SCRAM_KEY];
  char secret[SECRET_MAX], long_name[AUTHWIRE_SCRAM_MAX + 100];
  char const *hash;
  k.iterations = 4096;
  k.saltlen = 16;
  memcpy(k.salt, "\x5b\x6d\x99\x68\x9d\x12\x35\x8e\xec\xa0\x4b\x14\x12\x36\xfa\x81", 16);
  check(secret_derive(&k, "pencil", 6), "keys");
  check(scram_first(&s, FIRST, strlen(FIRST)) && !strcmp(s.user, "user"), "the first message");
  check(s.noncelen == strlen("rOprNGfwEbeRWgbNEkqO") && !memcmp(s.nonce, THEIRS, s.noncelen), "its nonce");
  s.noncelen = strlen(strcpy(s.nonce, THEIRS));
  check(scram_final(&s, OURS, WITHOUT PROOF, strlen(WITHOUT PROOF), proof) == strlen(WITHOUT), "the final one");
  keys(&k, proof);
  check(final(&s, WITHOUT ",x=y" PROOF) == strlen(WITHOUT ",x=y"), "with an extension");
  for (size_t i = 0; i < sizeof bad_final / sizeof *bad_final; i++)
    check(final(&s, bad_final[i]) == 0, bad_final[i]);
  for (size_t i = 0; i < sizeof bad_first / sizeof *bad_first; i++)
    check(!scram_first(&s, bad_first[i], strlen(bad_first[i])), bad_first[i]);
  check(!scram_first(&s, "n,,n=us\0er,r=x", 14), "a NUL");
  check(scram_first(&s, "y,a=u=2C=3Dx,n=u=2C=3Dx,r=x", 27) && !strcmp(s.user, "u,=x"), "=2C, =3D, y, and oneself as authzid");
  memset(long_name, 'x', sizeof long_name);
  memcpy(long_name, "n,,n=", 5);
  check(!scram_first(&s, long_name, sizeof long_name), "too long");
  memcpy(long_name + 300, ",r=y", 5);
  check(!scram_first(&s, long_name, 304), "a login that is too long");

  check(secret_make(secret, "pencil", 4096) && secret_kind(secret, &hash) == SECRET_SCRAM && secret_scram(&same, hash),
        "keys as text");
  check(secret_check(secret, "pencil") == 1 && secret_check(secret, "pencils") == 0, "they check a password");
  static char const *const bad_iterations[] = { "", "x", "4095", "10000001", "4294971392", "4096x", " 4096", "-4096" };
  for (size_t i = 0; i < sizeof bad_iterations / sizeof *bad_iterations; i++) {
    char other[2 * SECRET_MAX];
    snprintf(other, sizeof other, "{SCRAM-SHA-256}%s%s", bad_iterations[i], strchr(secret, ','));
    check(!secret_is_usable(other), bad_iterations[i]);
  }
  check(secret_make(secret, "pencil", 0) && secret_kind(secret, &hash) == SECRET_CRYPT && *hash == '$' &&
            secret_check(secret, "pencil") == 1 && secret_check(secret, "pencils") == 0,
        "a hash of crypt(3)");
  check(secret_check("{SHA512-CRYPT}$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1", "Hello world!") == 1,
        "one of another scheme");
  check(secret_is_disabled("!$6$x") && secret_is_disabled("*") && !secret_is_disabled("$6$!"), "who has no password");
  check(secret_is_usable(secret) && secret_is_usable("abJnggxhB/yWI") && !secret_is_usable("abJnggxhB/yW") &&
            !secret_is_usable("{CRYPT}*0abcdefghijklm") && !secret_is_usable("{SCRAM-SHA-256}1,x") && !secret_is_usable("{PLAIN}abJnggxhB/yWI"),
        "by what a password can be checked");
  check(secret_check("!{CRYPT}x", "x") != 1 && secret_check("{CRYPT}", "x") != 1 && secret_check("", "x") != 1 &&
            secret_check("{PLAIN}x", "x") == -1 && secret_check("*", "*") != 1 && secret_check("{SCRAM-SHA-256}1,x", "x") == -1,
        "what is no secret");
  return check_done();
}
